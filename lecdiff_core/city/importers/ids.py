"""Station ids as text, and how ids meet that two files write differently.

Ids are Unicode NFC without outer spaces. Where some do not meet as they are written, all are compared without `.0` at their end,
leading zeros and Unicode's compatible forms, if that keeps all apart in both files.
"""

import re
import unicodedata
from collections.abc import Sequence

import pyarrow as pa

from lecdiff_core.city.folder import named
from lecdiff_core.errors import UserError

WHOLE = re.compile(r"^(\d+)\.0+$")


def as_texts(values: pa.Array) -> list[str]:
    """Ids as text without surrounding spaces; whole numbers without a decimal point where the column holds numbers."""
    cells = values.to_pylist()
    if pa.types.is_floating(values.type):
        return [str(int(value)) if float(value).is_integer() else str(value) for value in cells]
    return [as_text(str(value)) for value in cells]


def as_text(text: str) -> str:
    """An id in Unicode NFC, without outer spaces."""
    return unicodedata.normalize("NFC", text.strip())


def bare(text: str) -> str:
    """An id without what programs add or take away: `.0`, leading zeros, compatible forms of letters."""
    plain = WHOLE.sub(r"\1", unicodedata.normalize("NFKC", text).strip())
    return (plain.lstrip("0") or "0") if plain.isdigit() else plain


def reconciled(ids: Sequence[str], known: Sequence[str], source: str, other: str) -> tuple[list[str], str | None]:
    """`ids` as `known` writes them where both mean the same, and a notice where they differed.

    source, other: the files of both, for messages. Raises UserError where two ids would become one.
    """
    there = set(known)
    strange = [text for text in ids if text not in there]
    by_bare: dict[str, str] = {}
    for text in known:
        by_bare.setdefault(bare(text), text)
    matches = {text: by_bare[bare(text)] for text in strange if bare(text) in by_bare}
    if not matches:
        return list(ids), None
    for texts, file in ((ids, source), (known, other)):
        clash = _clash(texts)
        if clash:
            raise UserError(
                f"{source} names stations like {next(iter(matches))}, {other} like {matches[next(iter(matches))]}, and {file} has "
                f"{clash[0]} and {clash[1]}, which would become one; write the ids alike in both files"
            )
    return [matches.get(text, text) for text in ids], (
        f"{len(matches)} ids are written differently in the two files and were matched: "
        f"{named([f'{mine} is {theirs}' for mine, theirs in matches.items()], 3)}"
    )


def _clash(texts: Sequence[str]) -> tuple[str, str] | None:
    seen: dict[str, str] = {}
    for text in texts:
        if seen.setdefault(bare(text), text) != text:
            return seen[bare(text)], text
    return None
