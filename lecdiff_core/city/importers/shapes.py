"""The shape of a text table: what separates its cells, and which line is its header.

Both are judged by the first some hundred lines together: a name with commas, a title line or a blank one leads nobody astray.
"""

import csv
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lecdiff_core.errors import UserError

DELIMITERS = (";", "\t", "|", ",")
LINES_JUDGED = 300
HEADER_WITHIN = 50  # lines
SEPARATOR = re.compile(r"sep=(.)\s*$", re.IGNORECASE)

Fits = Callable[[Sequence[str]], int]


@dataclass(frozen=True)
class Shape:
    """How to read a text table.

    skip: physical lines before the first row, header included.  header: names of the columns, without outer spaces.
    sample: the first rows below it.
    """

    delimiter: str
    skip: int
    header: tuple[str, ...]
    sample: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class _Row:
    cells: list[str]
    ends: int  # physical lines up to its end


def shape_of(text: str, name: str, fits: Fits, header: Sequence[str] | None = None) -> Shape:
    """The shape of a table that begins with `text`.

    fits: how many of some cells are names of columns that are looked for.  header: names of the columns where the file has no
    header line. Raises UserError where there is no table.
    """
    lines = text.splitlines(keepends=True)[:LINES_JUDGED]
    separator = SEPARATOR.match(lines[0].strip('"\r\n ')) if lines else None
    before = 1 if separator else 0
    if not any(line.strip() for line in lines[before:]):
        raise UserError(f"{name} is empty; it needs a header and rows")
    marks = [separator[1]] if separator else DELIMITERS
    read = {mark: _rows(lines[before:], mark, before) for mark in marks}
    if header is not None:
        mark = max(marks, key=lambda mark: _likeness(read[mark]))
        return Shape(mark, before, tuple(header), tuple(tuple(row.cells) for row in read[mark]))
    mark = max(marks, key=lambda mark: (fits(_header(read[mark], fits).cells), _likeness(read[mark])))
    heading = _header(read[mark], fits)
    rows = [row for row in read[mark] if row.ends > heading.ends]
    names = [
        cell.strip().removeprefix("#").strip() if not at else cell.strip() for at, cell in enumerate(heading.cells)
    ]
    return Shape(mark, heading.ends, _as_wide_as(names, rows), tuple(tuple(row.cells) for row in rows))


def _rows(lines: list[str], mark: str, before: int) -> list[_Row]:
    """The rows that are not blank."""
    reader = csv.reader(lines, delimiter=mark)
    rows = []
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                rows.append(_Row(cells, before + reader.line_num))
    except csv.Error:
        return rows
    return rows


def _likeness(rows: list[_Row]) -> tuple[float, int]:
    """Which share of the rows has the most frequent number of cells, and that number; nothing where it is one."""
    width, count = _width(rows)
    return (count / len(rows), width) if width > 1 else (0.0, 1)


def _width(rows: list[_Row]) -> tuple[int, int]:
    return Counter(len(row.cells) for row in rows).most_common(1)[0] if rows else (0, 0)


def _header(rows: list[_Row], fits: Fits) -> _Row:
    return rows[header_of([row.cells for row in rows], fits)] if rows else _Row([], 0)


def header_of(rows: Sequence[Sequence[str]], fits: Fits) -> int:
    """Which row is the header: the first that names most of what is looked for, and two such at least; else of those as wide as
    most and at least half filled the first that names one, or else the first.
    """
    near = range(min(len(rows), HEADER_WITHIN))
    best = max(near, key=lambda at: fits(rows[at]))
    if fits(rows[best]) > 1:
        return best
    width, _ = Counter(map(len, rows)).most_common(1)[0]
    wide = [at for at in near if _is_as_wide(rows[at], width) and sum(map(bool, rows[at])) * 2 >= len(rows[at])]
    return max(wide or near[:1], key=lambda at: fits(rows[at]))


def _is_as_wide(cells: Sequence[str], width: int) -> bool:
    return len(cells) in (width, width - 1) or (len(cells) == width + 1 and not cells[-1])


def _as_wide_as(names: list[str], rows: list[_Row]) -> tuple[str, ...]:
    """The header with or without a last nameless column, as the rows have one."""
    width, _ = _width(rows)
    if len(names) == width + 1 and not names[-1]:
        return tuple(names[:-1])
    if len(names) == width - 1 and not any(row.cells[-1].strip() for row in rows if len(row.cells) == width):
        return (*names, "")
    return tuple(names)
