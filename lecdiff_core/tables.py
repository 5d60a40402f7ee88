"""Tables as files for people and their programs: the one form of CSV and of Parquet in which results leave.

CSV is UTF-8 with commas; times are written as in RFC 3339, after a space and with their offset, numbers have all their digits, and
a text that a spreadsheet would run as a formula has an apostrophe before it. Parquet keeps every value as it is.
"""

from datetime import datetime
from io import StringIO
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from lecdiff_core.errors import UserError
from lecdiff_core.provenance import Source, stamped
from lecdiff_core.storage import replacing

SUFFIXES = (".parquet", ".csv")
# What a cell must not begin with (OWASP, CSV injection): also as wide signs, which spreadsheets in East Asia take for the same.
FORMULA_SIGNS = tuple("=+-@\t\r\n＝＋－＠")


def defused(text: str) -> str:
    """A text as it is, or after an apostrophe where a spreadsheet would take it for a formula."""
    return f"'{text}" if text.startswith(FORMULA_SIGNS) else text


def csv_text(table: pd.DataFrame) -> str:
    """A table as CSV."""
    written = pd.DataFrame({name: _written(table[name]) for name in table})
    rows = _Rows()
    written.rename(columns=lambda name: defused(str(name))).to_csv(rows, index=False, lineterminator=_Rows.END)
    return rows.getvalue()


class _Rows(StringIO):
    """Takes rows that end in CR LF, for whose sake a lone CR in a cell is quoted, too, and ends them in LF."""

    END = "\r\n"

    def write(self, row: str) -> int:
        return super().write(row.removesuffix(self.END) + "\n")


def check_suffix(path: Path, what: str, option: str = "") -> None:
    """Raise UserError where a table cannot be written to a file of this name. option: where the name was given."""
    if path.suffix not in SUFFIXES:
        what_is_wrong = f"{option} {path}" if option else f"cannot write {what} to {path.name}"
        raise UserError(f"{what_is_wrong}: the name must end in {' or '.join(SUFFIXES)}")


def write_table(table: pd.DataFrame, path: Path, what: str, source: Source | None = None) -> None:
    """Write a table to `path`, as .parquet or .csv.

    what: what it holds, for the UserError where the name ends otherwise.  source: what was read for it, which Parquet tells.
    """
    check_suffix(path, what)
    with replacing(path) as unfinished:
        if path.suffix == ".csv":
            unfinished.write_text(csv_text(table), encoding="utf-8", newline="")
        else:
            arrow = pa.Table.from_pandas(table, preserve_index=False)
            pq.write_table(stamped(arrow, source) if source else arrow, unfinished)


def _written(column: pd.Series) -> pd.Series:
    """A column as its cells are to be read."""
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        return column.map({time: time.isoformat(" ") for time in column.dropna().unique()})
    if pd.api.types.is_numeric_dtype(column.dtype):
        return column
    return column.map(_cell)


def _cell(value: object) -> object:
    """A cell of text; a list is one text, joined by semicolons, at which a spreadsheet may part it."""
    if isinstance(value, list | tuple):
        return ";".join(str(_cell(item)) for item in value)
    if isinstance(value, datetime):
        return value.isoformat(" ")
    return defused(value) if isinstance(value, str) else value
