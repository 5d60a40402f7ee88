"""Tables of others, CSV or Parquet, read in batches; columns found by role, cells made numbers or refused by row.

Rows are counted from 1 below the header, as messages name them.
"""

import csv
import difflib
import glob
import gzip
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from lecdiff_core.city.folder import named
from lecdiff_core.errors import UserError

ROWS_A_BATCH = 1 << 20
BYTES_A_BLOCK = 1 << 24
TABLE_SUFFIXES = {".csv", ".txt", ".tsv", ".gz", ".parquet"}
MISSING = ["", "NA", "N/A", "NaN", "nan", "null", "NULL", "None"]

# What a layout needs: role → names it may have in a file, best first. A role of OPTIONAL may be absent.
Roles = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Batch:
    """Consecutive rows of a file, with the columns that were asked for under the names of their roles."""

    file: Path
    first: int  # rows of the file before this batch
    names: dict[str, str]  # role → name of the column in the file
    data: pa.RecordBatch
    share: float  # of the file that has been read when this batch is done

    def __len__(self) -> int:
        return self.data.num_rows

    def where(self, index: int, role: str) -> str:
        """File, row and column of a cell, for a message."""
        return f"{self.file}, row {self.first + int(index) + 1}, column {self.names.get(role, role)}"

    def refuse_empty(self, role: str) -> None:
        """Raise UserError at the first empty cell of a column that must be filled."""
        column = self.data.column(role)
        if column.null_count:
            row = int(np.argmax(column.is_null().to_numpy(zero_copy_only=False)))
            raise UserError(f"{self.where(row, role)}: the cell is empty; fill it or remove the row")


def traffic_files(path: Path | str) -> list[Path]:
    """Files that `path` means, sorted by name: a file, all tables of a folder, or a pattern such as `data/*.txt`."""
    path = Path(path)
    if path.is_file():
        return [path]
    files = path.iterdir() if path.is_dir() else map(Path, glob.glob(str(path)))  # noqa: PTH207 (may be absolute)
    tables = sorted(file for file in files if file.is_file() and file.suffix.lower() in TABLE_SUFFIXES)
    if not tables:
        hint = f"it holds no {', '.join(sorted(TABLE_SUFFIXES))} file" if path.is_dir() else "there is no such file"
        raise UserError(f"{path} cannot be read: {hint}")
    return tables


def with_names(defaults: Mapping[str, str], columns: Mapping[str, str], also: Roles | None = None) -> Roles:
    """Roles with the name a user gave (`--column ROLE=NAME`), or else the layout's own and those of `also`."""
    also = also or {}
    return {
        role: [columns[role]] if role in columns else [name, *also.get(role, [])] for role, name in defaults.items()
    }


def read_batches(
    file: Path, roles: Roles, optional: Sequence[str] = (), header: Sequence[str] | None = None
) -> Iterator[Batch]:
    """Read the columns of `roles` from a CSV (any of , ; tab |, may be gzipped) or Parquet file, a batch at a time.

    optional: roles whose column may be absent.  header: names of the columns of a file without a header line.
    Text files give every column as text. Raises UserError: missing or unreadable file, unknown column, ragged rows.
    """
    try:
        if file.suffix.lower() == ".parquet":
            yield from _parquet_batches(file, roles, optional)
        else:
            yield from _csv_batches(file, roles, optional, header)
    except FileNotFoundError as error:
        raise UserError(f"{file} cannot be read: there is no such file") from error
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        raise UserError(f"{file} cannot be read: {' '.join(str(error).split())[:200]}") from error


def read_header(file: Path) -> list[str]:
    """Names of the columns of a CSV or Parquet file. Raises UserError."""
    try:
        if file.suffix.lower() == ".parquet":
            return list(pa.parquet.read_schema(file).names)
        return _header_of(file)
    except (OSError, pa.ArrowException, UnicodeDecodeError, EOFError) as error:
        raise UserError(f"{file} cannot be read: {' '.join(str(error).split())[:200]}") from error


def find_columns(header: Sequence[str], roles: Roles, optional: Sequence[str], file: Path) -> dict[str, str]:
    """role → column of `header`. Raises UserError for a role without a column, or a column that is there twice."""
    found = {}
    for role, candidates in roles.items():
        name = next((name for name in candidates if name in header), None)
        if name is None:
            if role in optional:
                continue
            close = difflib.get_close_matches(candidates[0], header, n=1) or ["NAME"]
            raise UserError(
                f"{file}: there is no column {candidates[0]!r}; it has {named(header, 8)}; "
                f"say which one it is with --column {role}={close[0]}"
            )
        if list(header).count(name) > 1:
            raise UserError(f"{file}: there are {list(header).count(name)} columns named {name!r}; rename all but one")
        found[role] = name
    return found


def numbers(batch: Batch, role: str, least: float | None = 0.0) -> np.ndarray:
    """A column as (R,) float64, empty cells as NaN. Raises UserError at text, infinity, or a number below `least`."""
    column = batch.data.column(role)
    series = pl.Series(pl.from_arrow(column))
    if series.dtype == pl.String:
        text = series.str.strip_chars()
        text = text.set(text.is_in(MISSING), None)
        values = text.cast(pl.Float64, strict=False)
        unread = values.is_null() & text.is_not_null()
        if unread.any():
            row = int(unread.arg_max() or 0)
            raise UserError(f"{batch.where(row, role)}: {text[row][:40]!r} is not a number")
    elif series.dtype.is_numeric() or series.dtype == pl.Null:
        values = series.cast(pl.Float64)
    else:
        raise UserError(f"{batch.file}, column {batch.names[role]}: it holds {column.type}, not numbers")
    array = values.fill_null(float("nan")).to_numpy()
    _refuse_outside(array, least, batch, role)
    return array


def _refuse_outside(values: np.ndarray, least: float | None, batch: Batch, role: str) -> None:
    wrong = np.isinf(values) if least is None else np.isinf(values) | (values < least)
    if wrong.any():
        row = int(np.argmax(wrong))
        kind = "infinite" if np.isinf(values[row]) else "negative"
        raise UserError(
            f"{batch.where(row, role)}: the value is {kind} ({values[row]:g}); "
            "give a number of at least 0, or leave the cell empty where it is missing"
        )


class Codes:
    """Texts (station ids) numbered in the order in which they first appear, over all batches of all files."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._codes: dict[str, int] = {}

    def add(self, batch: Batch, role: str) -> np.ndarray:
        """(R,) int32 codes of a column. Raises UserError at an empty cell."""
        batch.refuse_empty(role)
        encoded = batch.data.column(role)
        if not pa.types.is_dictionary(encoded.type):
            encoded = encoded.dictionary_encode()
        codes = np.array([self._code(text) for text in as_texts(encoded.dictionary)], dtype=np.int32)
        return codes[encoded.indices.to_numpy(zero_copy_only=False)] if len(codes) else np.empty(0, np.int32)

    def _code(self, text: str) -> int:
        if text not in self._codes:
            self._codes[text] = len(self.texts)
            self.texts.append(text)
        return self._codes[text]


def as_texts(values: pa.Array) -> list[str]:
    """Ids as text without surrounding spaces; whole numbers without a decimal point, whatever their type."""
    if pa.types.is_floating(values.type):
        whole = [float(value).is_integer() for value in values.to_pylist()]
        return [str(int(v)) if w else str(v) for v, w in zip(values.to_pylist(), whole, strict=True)]
    return [str(value).strip() for value in values.to_pylist()]


def _parquet_batches(file: Path, roles: Roles, optional: Sequence[str]) -> Iterator[Batch]:
    with pa.parquet.ParquetFile(file) as table:
        names = find_columns(table.schema_arrow.names, roles, optional, file)
        total, first = max(table.metadata.num_rows, 1), 0
        for data in table.iter_batches(ROWS_A_BATCH, columns=list(names.values())):
            columns = [data.column(name) for name in names.values()]
            batch = pa.RecordBatch.from_arrays(columns, names=list(names))
            yield Batch(file, first, names, batch, (first + len(batch)) / total)
            first += len(batch)


def _csv_batches(file: Path, roles: Roles, optional: Sequence[str], header: Sequence[str] | None) -> Iterator[Batch]:
    header_lines = 0 if header else 1
    header = list(header or _header_of(file))
    names = find_columns(header, roles, optional, file)
    refused: list[pa.csv.InvalidRow] = []

    def refuse(row: pa.csv.InvalidRow) -> str:
        refused.append(row)
        return "error"

    reading = pa.csv.ReadOptions(  # threads would lose the row numbers
        use_threads=False, block_size=BYTES_A_BLOCK, column_names=header, skip_rows=header_lines
    )
    parsing = pa.csv.ParseOptions(delimiter=delimiter(file), invalid_row_handler=refuse)
    converting = pa.csv.ConvertOptions(
        include_columns=list(dict.fromkeys(names.values())),
        column_types={name: pa.string() for name in header},
        strings_can_be_null=True,
        null_values=[""],
    )
    size, first = max(file.stat().st_size, 1), 0
    with file.open("rb") as handle:
        stream = pa.CompressedInputStream(handle, "gzip") if file.suffix.lower() == ".gz" else handle
        try:
            for data in pa.csv.open_csv(stream, reading, parsing, converting):
                batch = pa.RecordBatch.from_arrays([data.column(name) for name in names.values()], names=list(names))
                yield Batch(file, first, names, batch, min(handle.tell() / size, 1.0))
                first += len(batch)
        except pa.ArrowInvalid as error:
            if refused:
                row = refused[0]
                raise UserError(
                    f"{file}, row {row.number - header_lines}: it has {row.actual_columns} cells, "
                    f"but there are {row.expected_columns} columns; repair or remove the row"
                ) from error
            if "Empty CSV" in str(error):
                return
            raise


def _first_line(file: Path) -> str:
    packed = file.suffix.lower() == ".gz"
    with gzip.open(file, "rb") if packed else file.open("rb") as lines:
        first = next((line for line in lines if line.strip()), b"")
    return first.decode("utf-8-sig")


def delimiter(file: Path) -> str:
    """What separates the cells of a text file, judged by its first line: , ; tab or |."""
    return max(",;\t|", key=_first_line(file).count)


def _header_of(file: Path) -> list[str]:
    line = _first_line(file)
    if not line:
        raise UserError(f"{file} is empty; it needs a header and rows")
    return [name.strip() for name in next(csv.reader([line], delimiter=delimiter(file)))]
