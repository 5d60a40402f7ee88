"""Words of direction in a description, turned or mirrored with its chip, so that turned chips keep true descriptions."""

import re

TURNS = 4
_VECTORS = {
    **dict.fromkeys(("north", "upper", "top"), (0, 1)),
    **dict.fromkeys(("south", "lower", "bottom"), (0, -1)),
    **dict.fromkeys(("east", "right"), (1, 0)),
    **dict.fromkeys(("west", "left"), (-1, 0)),
}
_COMPASS = {(0, 1): "north", (0, -1): "south", (1, 0): "east", (-1, 0): "west"}
_PAGE = {(0, 1): "top", (0, -1): "bottom", (1, 0): "right", (-1, 0): "left"}
_HIGH_LOW = {"top": "upper", "bottom": "lower"}
_SWAPPED = {"horizontal": "vertical", "vertical": "horizontal"}
_WORDS = re.compile(
    r"\b(?P<ns>north|south)(?P<joint>[- ]?)(?P<ew>east|west)(?P<diagonal_end>ern|erly|wards?)?\b"
    r"|\b(?P<compass>north|south|east|west)(?P<end>ern|erly|wards?)?\b"
    r"|\b(?P<row>upper|top|lower|bottom)(?P<gap>[- ])(?P<side>left|right)\b"
    r"|\b(?P<page>upper|top|lower|bottom|left(?! (?:open|bare|over|between|of which))|right(?! angle))\b"
    r"|\b(?P<axis>horizontal|vertical)(?=ly\b|\b)",
    re.IGNORECASE,
)


def turned(text: str, quarters: int, mirrored: bool = False) -> str:
    """The text for a chip that was first mirrored left to right (if so), then turned clockwise by `quarters` × 90°."""

    def moved(*words: str) -> tuple[int, int]:
        x, y = (sum(axis) for axis in zip(*(_VECTORS[word.lower()] for word in words), strict=True))
        x = -x if mirrored else x
        for _ in range(quarters % TURNS):
            x, y = y, -x
        return x, y

    def replace(match: re.Match[str]) -> str:
        part = match.groupdict()
        if part["ns"]:
            x, y = moved(part["ns"], part["ew"])
            new = _COMPASS[0, y] + part["joint"] + _COMPASS[x, 0] + (part["diagonal_end"] or "")
        elif part["compass"]:
            new = _COMPASS[moved(part["compass"])] + (part["end"] or "")
        elif part["row"]:
            x, y = moved(part["row"], part["side"])
            new = _in_style(_PAGE[0, y], part["row"]) + part["gap"] + _PAGE[x, 0]
        elif part["page"]:
            new = _in_style(_PAGE[moved(part["page"])], part["page"])
        else:
            new = _SWAPPED[part["axis"].lower()] if quarters % 2 else part["axis"]
        return new.capitalize() if match[0][0].isupper() else new

    return _WORDS.sub(replace, text)


def _in_style(word: str, given: str) -> str:
    return _HIGH_LOW.get(word, word) if given.lower() in _HIGH_LOW.values() else word
