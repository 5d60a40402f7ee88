"""Degrees as people write them, 45°27'36"N or 9.19 E, as plain numbers; what has another form stays for the reader of numbers."""

import re
from dataclasses import replace

import polars as pl

from lecdiff_core.city.importers.tables import Batch
from lecdiff_core.errors import UserError

AXES = {"lat": {"N": 1, "北纬": 1, "北緯": 1, "S": -1, "南纬": -1, "南緯": -1},
        "lon": {"E": 1, "东经": 1, "東經": 1, "W": -1, "西经": -1, "西經": -1}}  # fmt: skip
LETTERS = "|".join(letter for letters in AXES.values() for letter in letters)
NUMBER = r"\d+(?:[.,]\d+)?"
MARKED = rf"[°º˚′″':\"]|^\s*(?i:{LETTERS})|(?i:{LETTERS})\s*$"  # in a text that is more than a number
HALF = re.compile(rf"(?i:(?P<before>{LETTERS}))?\s*(?P<angle>.*?)\s*(?i:(?P<after>{LETTERS}))?", re.DOTALL)
ALONE = re.compile(rf"(?P<sign>[+-]?)(?P<degrees>{NUMBER})\s*[°º˚]?")
PARTS = re.compile(
    rf"(?P<sign>[+-]?)(?P<degrees>\d+)(?:\s*[°º˚:]\s*|\s+)(?P<minutes>{NUMBER})"
    rf"(?:(?:\s*['′’ʹ:]\s*|\s+)(?:(?P<seconds>{NUMBER})\s*(?:\"|″|”|''|′′|’’)?)?)?"
)


def plain(batch: Batch, role: str) -> Batch:
    """The same rows with `role`, lon or lat, as plain numbers where it was written with signs, minutes or letters.

    Raises UserError that names the first row whose letter is of the other axis.
    """
    column = pl.Series(pl.from_arrow(batch.data.column(role)))
    if column.dtype != pl.String or not column.str.contains(MARKED).any():
        return batch
    read = {text: _plain(text, role) for text in column.drop_nulls().unique().to_list()}
    wrong = column.is_in([text for text, value in read.items() if value is None])
    if wrong.any():
        row = int(wrong.arg_max() or 0)
        axis = "longitude" if role == "lon" else "latitude"
        raise UserError(f"{batch.where(row, role)}: {column[row][:40]!r} is no {axis}; lon and lat look swapped")
    number = batch.data.schema.get_field_index(role)
    return replace(batch, data=batch.data.set_column(number, role, column.replace_strict(read).to_arrow()))


def _plain(text: str, role: str) -> str | None:
    """A text as a number, itself where it has no form known here, None where it says that it is of the other axis."""
    half = HALF.fullmatch(text.strip())
    assert half is not None
    letters = [letter.upper() for letter in (half["before"], half["after"]) if letter]
    match = ALONE.fullmatch(half["angle"]) or (PARTS.fullmatch(half["angle"]) if letters or _is_marked(text) else None)
    if match is None or len(letters) > 1 or (letters and match["sign"]):
        return text
    if letters and letters[0] not in AXES[role]:
        return None
    negative = match["sign"] == "-" or any(AXES[role][letter] < 0 for letter in letters)
    angle = _angle(match)
    return text if angle is None else f"{'-' if negative else ''}{angle}"


def _is_marked(text: str) -> bool:
    return any(mark in text for mark in "°º˚:")


def _angle(match: re.Match[str]) -> str | None:
    """Degrees without their sign, None for sixty minutes or seconds and more. No mark of decimals is in what was added up."""
    if match.re is ALONE:
        return match["degrees"]
    minutes, seconds = (float((match[part] or "0").replace(",", ".")) for part in ("minutes", "seconds"))
    if minutes >= 60 or seconds >= 60 or (match["seconds"] and not minutes.is_integer()):
        return None
    return f"{round((int(match['degrees']) + minutes / 60 + seconds / 3600) * 10**9)}e-9"
