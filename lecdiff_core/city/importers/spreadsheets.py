"""Workbooks (.xlsx, .xlsb, …): the sheet that holds a table, as typed columns."""

from collections.abc import Sequence
from datetime import date, datetime, time
from pathlib import Path

import pyarrow as pa

from lecdiff_core.city.importers.shapes import Fits, header_of
from lecdiff_core.errors import UserError

SUFFIXES = {".xlsx", ".xlsm", ".xlsb", ".xls", ".ods"}
Cell = object


def read_sheets(file: Path, name: str, fits: Fits) -> list[tuple[str, pa.Table]]:
    """The sheets of a workbook that fit best, each by its name as a table: one, or several with the same columns.

    Raises UserError: damaged, locked, without a table, or with several that fit alike.
    """
    candidates = [(sheet, *table) for sheet, rows in _sheets(file, name) if (table := _table(rows, fits)) is not None]
    if not candidates:
        raise UserError(f"{name} has no sheet with a table; it needs a header and rows")
    best = max(fitting for _, fitting, _ in candidates)
    chosen = [(sheet, table) for sheet, fitting, table in candidates if fitting == best]
    if any(table.column_names != chosen[0][1].column_names for _, table in chosen):
        sheets = ", ".join(repr(sheet) for sheet, _ in chosen)
        raise UserError(f"{name} has several sheets with a table: {sheets}; keep one of them, or save it as CSV")
    return chosen


def _sheets(file: Path, name: str) -> Sequence[tuple[str, Sequence[Sequence[Cell]]]]:
    import python_calamine

    try:
        with python_calamine.CalamineWorkbook.from_path(str(file)) as book:
            return [(sheet, book.get_sheet_by_name(sheet).to_python()) for sheet in book.sheet_names]
    except python_calamine.PasswordError as error:
        raise UserError(f"{name} is locked with a password; save it without one") from error
    except (python_calamine.CalamineError, OSError, ValueError) as error:
        raise UserError(f"{name} is not a workbook, or damaged; save it again, or as CSV") from error


def _table(rows: Sequence[Sequence[Cell]], fits: Fits) -> tuple[int, pa.Table] | None:
    """How well a sheet fits, and its table; None where there is none."""
    filled = [row for row in rows if any(cell not in ("", None) for cell in row)]
    if len(filled) < 2:
        return None
    texts = [[_text(cell) or "" for cell in row] for row in filled]
    at = header_of(texts, fits)
    names = [name.strip() for name in texts[at]]
    body = filled[at + 1 :]
    columns = [_column([row[number] if number < len(row) else None for row in body]) for number in range(len(names))]
    return fits(names), pa.table(columns, names=names)


def _column(cells: Sequence[Cell]) -> pa.Array:
    """Numbers as numbers and times as times where all cells are such, else texts."""
    values = [None if cell in ("", None) else cell for cell in cells]
    kinds = {type(value) for value in values if value is not None}
    if kinds and kinds <= {int, float}:
        return pa.array([None if value is None else float(value) for value in values], pa.float64())  # type: ignore[arg-type]
    if kinds == {datetime}:
        return pa.array(values, pa.timestamp("us"))
    return pa.array([_text(value) for value in values], pa.string())


def _text(cell: Cell) -> str | None:
    if cell is None:
        return None
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    if isinstance(cell, datetime):
        return cell.isoformat(sep=" ")
    if isinstance(cell, date | time):
        return cell.isoformat()
    return str(cell)
