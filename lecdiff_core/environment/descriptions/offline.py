"""The offline describer: a description made of measured image evidence and nothing else, for use without a language model.

It knows no place, no name and no time. What it says is poorer than a multimodal model's description and is labelled with
`OFFLINE_MODEL` wherever it is shown.
"""

from collections.abc import Callable
from random import Random

from PIL import Image

from lecdiff_core.environment.refinement.evidence import Evidence, Line, measure

OFFLINE_MODEL = "offline-evidence-1"

FEWEST_WORDS, MOST_WORDS = 60, 110

_QUADRANTS = {
    "north-west": "upper left",
    "north-east": "upper right",
    "south-west": "lower left",
    "south-east": "lower right",
}
_HALVES = {"north": "upper half", "south": "lower half", "west": "left half", "east": "right half"}


def describe_offline(image: Image.Image, metres_per_pixel: float, seed: int = 0) -> list[str]:
    """Describe a chip from its evidence in sentences of 60 to 110 words together.

    The same image, scale and seed give the same sentences; the seed chooses among wordings, never among facts. Raises UserError
    for a scale that is not positive or a chip that shows too little ground.
    """
    evidence = measure(image, metres_per_pixel)
    random = Random(seed)
    always = [_cover(evidence, random), *_noteworthy(evidence, random)]
    filling = [
        _grain(evidence, random),
        _shade(evidence, random),
        _scatter(evidence, random),
        _greens(evidence, random),
    ]
    close = _activity(evidence, random)
    room = MOST_WORDS - _words([close])
    said: list[str] = []
    for sentence in always:
        if _words([*said, sentence]) <= room:
            said.append(sentence)
    for sentence in filling:
        if _words([*said, close]) < FEWEST_WORDS and _words([*said, sentence]) <= room:
            said.append(sentence)
    return [*said, close]


def _cover(evidence: Evidence, random: Random) -> str:
    built, water = evidence.share("built"), evidence.share("water")
    if water > 0.5:
        return f"Water covers about {_percent(water)} percent of the chip, and the rest is land."
    if built >= 0.93:
        return random.choice(
            [
                "Buildings, yards and streets cover nearly the whole chip.",
                "The ground is built up almost everywhere.",
                "Built-up land fills the chip, with hardly any open land left between.",
            ]
        )
    if built >= 0.6:
        share = _percent(1 - built)
        return random.choice(
            [
                f"The chip is mostly built up, and about {share} percent of it is open land.",
                f"Buildings, yards and streets take up most of the ground, with open land on roughly {share} percent.",
                f"Most of the chip is built-up land; about {share} percent is open land.",
            ]
        )
    if built >= 0.3:
        share = _percent(1 - built)
        return random.choice(
            [
                f"Built-up ground and open land share the chip, the open land taking about {share} percent.",
                f"Open land takes about {share} percent of the chip, and buildings stand on the rest.",
            ]
        )
    return random.choice(
        [
            "Open land dominates the chip, and buildings take up only a small part.",
            "The chip is mostly open land, with few buildings.",
        ]
    )


def _noteworthy(evidence: Evidence, random: Random) -> list[str]:
    """One sentence each for what stands out, the largest surplus over its usual share first."""
    usual: dict[str, tuple[float, float, Callable[[Evidence, Random], str]]] = {
        "water": (0.02, 0.02, _water),
        "vegetation": (0.1, 0.14, _green),
        "bright": (0.04, 0.03, _bright),
        "terracotta": (0.1, 0.05 if evidence.share("built") > 0.5 else 1.0, _terracotta),
        "soil": (0.2, 0.28, _soil),
    }
    notable = [
        (evidence.share(surface) / normal, tell)
        for surface, (normal, least, tell) in usual.items()
        if evidence.share(surface) >= least and not (surface == "water" and evidence.share("water") > 0.5)
    ]
    sentences = [tell(evidence, random) for _, tell in sorted(notable, key=lambda item: -item[0])]
    if evidence.share("built") < 0.93 and evidence.share("built") > 0.07:
        sentences.append(_sides(evidence, random))
    if evidence.lines and evidence.lines[0].contrast >= 4.5:
        sentences.append(_line(evidence.lines[0], random))
    return sentences


def _water(evidence: Evidence, random: Random) -> str:
    where = _where(evidence, "water")
    return random.choice(
        [
            f"A body of water lies{where}.",
            f"Water is seen{where}, on {_percent(evidence.share('water'))} percent of the ground.",
        ]
    )


def _green(evidence: Evidence, random: Random) -> str:
    share, where = _percent(evidence.share("vegetation")), _where(evidence, "vegetation")
    return random.choice(
        [
            f"Green vegetation makes up about {share} percent of the ground, found{where}.",
            f"Lawns, trees or green fields lie{where}; together about {share} percent of the chip is green.",
            f"Greenery is seen{where}, on about {share} percent of the chip.",
        ]
    )


def _bright(evidence: Evidence, random: Random) -> str:
    share, where = evidence.share("bright"), _where(evidence, "bright")
    size = "Large bright roofs or paved yards" if share > 0.1 else "Some bright roofs or yards"
    if evidence.share("built") < 0.4:
        size = "Pale surfaces"
    return random.choice([f"{size} stand out{where}.", f"{size} lie{where}, brighter than all around them."])


def _terracotta(evidence: Evidence, random: Random) -> str:
    share, where = evidence.share("terracotta"), _where(evidence, "terracotta")
    if share > 0.14:
        return random.choice(
            ["Reddish roofs set the tone, close beside each other.", f"Terracotta roofs are common, above all{where}."]
        )
    return random.choice([f"Reddish roofs stand{where}.", f"Terracotta roofs are grouped{where}."])


def _soil(evidence: Evidence, random: Random) -> str:
    share, where = _percent(evidence.share("soil")), _where(evidence, "soil")
    return random.choice(
        [
            f"Brown ground, bare or leafless, makes up about {share} percent, found{where}.",
            f"Bare soil or leafless growth gives about {share} percent of the chip a brown colour.",
        ]
    )


def _sides(evidence: Evidence, random: Random) -> str:
    """Which half is the more densely built."""
    shares = {half: evidence.share("built", half) for half in _HALVES}
    axis = max((("north", "south"), ("west", "east")), key=lambda pair: abs(shares[pair[0]] - shares[pair[1]]))
    more, less = sorted(axis, key=lambda half: -shares[half])
    if shares[more] - shares[less] < 0.12:
        return random.choice(
            ["Built-up and open parts are spread over all sides.", "Built-up and open parts alternate on every side."]
        )
    return random.choice(
        [
            f"The {_HALVES[more]} is more densely built than the {_HALVES[less]}.",
            f"Buildings gather in the {_HALVES[more]}, while the {_HALVES[less]} is more open.",
        ]
    )


def _line(line: Line, random: Random) -> str:
    place = "upper" if line.row < 0.35 else "lower" if line.row > 0.65 else "middle"
    side = "left" if line.column < 0.35 else "right" if line.column > 0.65 else "centre"
    steep = line.bearing < 22.5 or line.bearing >= 157.5
    if steep:
        way, where = "from north to south", f"in the {side}" if side == "centre" else f"on the {side}"
    elif 67.5 <= line.bearing < 112.5:
        way, where = "from west to east", f"through the {place} part"
    else:
        way, where = "diagonally", f"through the {place} part"
    return random.choice(
        [
            f"A straight corridor, a road or track, runs {way} {where}.",
            f"A long straight line, such as a wide road, leads {way} {where}.",
        ]
    )


def _grain(evidence: Evidence, random: Random) -> str:
    if evidence.edge_density > 0.4:
        return random.choice(
            [
                "The pattern is fine-grained, with many small surfaces side by side.",
                "Edges are dense, as among many small roofs.",
            ]
        )
    if evidence.edge_density > 0.2:
        return random.choice(
            ["Smaller and larger surfaces alternate.", "The pattern is of medium grain, neither fine nor coarse."]
        )
    return random.choice(
        ["Wide even surfaces make the pattern coarse.", "Edges are far apart, as between large even plots."]
    )


def _shade(evidence: Evidence, random: Random) -> str:
    share = evidence.share("shadow")
    if share > 0.2:
        return f"Deep shadows take up about {_percent(share)} percent, as close or tall structures cast them."
    if evidence.brightness > 0.42:
        return "On the whole the surfaces are light in colour."
    return random.choice(["Shadows are short and few.", "Dark shadows play a small part."])


def _scatter(evidence: Evidence, random: Random) -> str:
    if evidence.contrast > 0.17:
        return random.choice(
            ["Light and dark surfaces differ strongly.", "Contrast is strong, with light roofs beside dark gaps."]
        )
    return random.choice(["Surfaces differ little in brightness.", "Contrast between the surfaces is low."])


def _greens(evidence: Evidence, random: Random) -> str:
    share = evidence.share("vegetation")
    if share < 0.07:
        return random.choice(["Green vegetation is scarce.", "Hardly any greenery is seen."])
    return f"Green surfaces amount to about {_percent(share)} percent."


def _activity(evidence: Evidence, random: Random) -> str:
    built, bright, roofs = evidence.share("built"), evidence.share("bright"), evidence.share("terracotta")
    if built < 0.35:
        use = "few people live here, so low activity and daytime visits are likely"
    elif bright > 0.1 and roofs < 0.1:
        use = "work or trade under large roofs is likely, with activity by day"
    elif evidence.edge_density > 0.35 and built > 0.85:
        use = "a densely used district is likely, busy by day and in the evening"
    else:
        use = "a mix of homes and other uses is likely, with moderate activity"
    return random.choice([f"Judged by these surfaces alone, {use}.", f"From the surfaces alone, {use}."])


def _where(evidence: Evidence, surface: str) -> str:
    """ " in the upper left" when a quarter stands out, " mainly in the left half" when a half does, else " across the chip"."""
    quadrants = {name: evidence.share(surface, name) for name in _QUADRANTS}
    best = max(quadrants, key=lambda name: quadrants[name])
    total = sum(quadrants.values())
    if quadrants[best] > 0.45 * total:
        return f" in the {_QUADRANTS[best]}"
    halves = {name: evidence.share(surface, name) for name in _HALVES}
    best = max(halves, key=lambda name: halves[name])
    if halves[best] > 0.62 * total / 2:
        return f" in the {_HALVES[best]}"
    return " in several parts of the chip"


def _percent(share: float) -> int:
    """Percent rounded to 5, at least 5: the measurement is no better than that."""
    return max(5, 5 * round(20 * share))


def _words(sentences: list[str]) -> int:
    return sum(len(sentence.split()) for sentence in sentences)
