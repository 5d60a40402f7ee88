"""How the letters of a text file are written, judged by its bytes.

A mark at the start decides; zero bytes at every other place mean UTF-16; else it is UTF-8. Where it cannot be UTF-8, the
bytes above 127 are judged: valid GB 18030 of which nine tenths are everyday Chinese characters is Chinese; bytes of which
two thirds stand next to each other spell Cyrillic words (Windows-1251); what is left is Windows-1252, as offices of Western
Europe write. Such a guess is stated in a notice with an example.
"""

import codecs
import re
from collections.abc import Callable, Iterable

from lecdiff_core.errors import UserError

UTF8 = "utf-8"
MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF8: UTF8,
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
GUESSES = {"gb18030": "Chinese (GB 18030)", "cp1251": "Cyrillic (Windows-1251)", "cp1252": "Western (Windows-1252)"}
LOOKED_AT = 4096
ZEROS = 0.3  # of the bytes at even or odd places, at least, in UTF-16
JUDGED = 1 << 16  # bytes
EVERYDAY = 0.9
ADJACENT = 2 / 3
HIGH = re.compile(rb"[\x80-\xff]+")
WORD = re.compile(r"\w*[^\x00-\x7f]\w*")


def encoding_of(content: Callable[[], Iterable[bytes]], name: str) -> tuple[str, str | None]:
    """The codec of a text, and a notice where it was guessed. Raises UserError where the content is no text.

    content: gives the pieces of the file from its start, each time it is called; the first has its first 4 KB.
    """
    start = next(iter(content()), b"")[:LOOKED_AT]
    marked = next((codec for mark, codec in MARKS.items() if start.startswith(mark)), None) or _by_zeros(start)
    if marked is not None and marked != UTF8:
        return marked, None
    decoder, high = codecs.getincrementaldecoder(UTF8)(), b""
    try:
        for piece in content():
            high = piece
            if b"\0" in piece:
                raise UserError(f"{name} cannot be read: it is not text; give a table as CSV, Parquet or Excel")
            decoder.decode(piece)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        codec, example = _guess(high)
        shown = f", such as {example!r}" if example else ""
        return (
            codec,
            f"{name} is not UTF-8; its letters are read as {GUESSES[codec]}{shown}; save it as UTF-8 if that is wrong",
        )
    return UTF8, None


def _by_zeros(start: bytes) -> str | None:
    pairs = max(len(start) // 2, 1)
    even, odd = start[::2].count(0) / pairs, start[1::2].count(0) / pairs
    if max(even, odd) < ZEROS or min(even, odd) > ZEROS / 2:
        return None
    return "utf-16-le" if odd > even else "utf-16-be"


def _guess(piece: bytes) -> tuple[str, str]:
    """The codec of a piece that is not UTF-8, and a word as that reads it."""
    first = HIGH.search(piece)
    begin = piece.rfind(b"\n", 0, first.start()) + 1 if first else 0
    end = piece.rfind(b"\n", begin, begin + JUDGED)
    part = piece[begin : end if end > (first.start() if first else 0) else begin + JUDGED]
    codec = _codec(part)
    word = WORD.search(part.decode(codec, errors="replace"))
    return codec, word.group()[:30] if word else ""


def _codec(part: bytes) -> str:
    try:
        foreign = [letter for letter in part.decode("gb18030") if ord(letter) > 127]
    except UnicodeDecodeError:
        foreign = []
    everyday = sum(_is_everyday_chinese(letter) for letter in foreign)
    if foreign and everyday >= EVERYDAY * len(foreign):
        return "gb18030"
    runs = [len(run) for run in HIGH.findall(part)]
    return "cp1251" if sum(run for run in runs if run > 2) > ADJACENT * sum(runs) else "cp1252"


def _is_everyday_chinese(letter: str) -> bool:
    try:
        return 0xA1 <= letter.encode("gb2312")[0] <= 0xD7
    except UnicodeEncodeError:
        return False
