"""Tables read in batches: the columns that play a role, ids as text.

Rows are counted from 1 below the header, as messages name them; blank lines, and rows whose cells are all empty, are not counted.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.csv
import pyarrow.parquet

from lecdiff_core.city.importers.columns import Column, display
from lecdiff_core.city.importers.encodings import UTF8
from lecdiff_core.city.importers.forms import Table, read_troubles
from lecdiff_core.city.importers.ids import as_texts
from lecdiff_core.errors import UserError

ROWS_A_BATCH = 1 << 20
BYTES_A_BLOCK = 1 << 24

Columns = Mapping[str, Column]


@dataclass(frozen=True)
class Batch:
    """Consecutive rows of a table, with the columns that were asked for under the names of their roles."""

    file: Table
    first: int  # rows of the table before this batch
    names: dict[str, str]  # role → name of the column in the table
    data: pa.RecordBatch
    share: float  # of the table that has been read when this batch is done

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


def read_batches(table: Table, columns: Columns) -> Iterator[Batch]:
    """Read the columns of some roles, a batch at a time; text files give every column as text.

    A role of two columns (day and time of day) gives them joined by a space. Raises UserError: unreadable file, ragged rows.
    """
    wanted = [name for column in columns.values() for name in column]
    own = list(dict.fromkeys(name for name in wanted if name in table.header))
    names, first = {role: display(column) for role, column in columns.items()}, 0
    with read_troubles(table):
        for data, share in _parquet(table, own) if table.shape is None else _text(table, own):
            arrays = [_joined([_cells(data, name, table) for name in column]) for column in columns.values()]
            batch = pa.RecordBatch.from_arrays(arrays, names=list(columns))
            yield Batch(table, first, names, batch, share)
            first += len(batch)


def _cells(data: pa.RecordBatch, name: str, table: Table) -> pa.Array:
    if name in table.header:
        return data.column(name)
    return pa.repeat(pa.scalar(table.keys[name] or None, pa.string()), data.num_rows)


def _joined(parts: list[pa.Array]) -> pa.Array:
    if len(parts) == 1:
        return parts[0]
    return pa.compute.binary_join_element_wise(*(part.cast(pa.string()) for part in parts), " ")


def _parquet(table: Table, names: list[str]) -> Iterator[tuple[pa.RecordBatch, float]]:
    with pa.parquet.ParquetFile(table.path) as file:
        total, done = max(file.metadata.num_rows, 1), 0
        for data in file.iter_batches(ROWS_A_BATCH, columns=names):
            done += data.num_rows
            yield data, done / total


def _text(table: Table, names: list[str]) -> Iterator[tuple[pa.RecordBatch, float]]:
    shape, refused, blank = table.shape, list[pa.csv.InvalidRow](), 0
    assert shape is not None

    def refuse(row: pa.csv.InvalidRow) -> str:
        if row.text is not None and not row.text.strip():
            return "skip"
        refused.append(row)
        return "error"

    reading = pa.csv.ReadOptions(  # threads would lose the row numbers
        use_threads=False,
        block_size=BYTES_A_BLOCK,
        column_names=list(shape.header),
        skip_rows=shape.skip,
        encoding="utf8" if table.encoding == UTF8 else table.encoding,
    )
    parsing = pa.csv.ParseOptions(delimiter=shape.delimiter, invalid_row_handler=refuse, newlines_in_values=True)
    converting = pa.csv.ConvertOptions(
        include_columns=names,
        column_types={name: pa.string() for name in shape.header},
        strings_can_be_null=True,
        null_values=[""],
    )
    size = max(table.path.stat().st_size, 1)
    with table.path.open("rb") as handle:
        stream = pa.CompressedInputStream(handle, "gzip") if table.packed else handle
        try:
            for data in pa.csv.open_csv(stream, reading, parsing, converting):
                filled = _filled(data)
                blank += data.num_rows - filled.num_rows
                yield filled, min(handle.tell() / size, 1.0)
        except pa.ArrowInvalid as error:
            if refused:
                row = refused[0]
                raise UserError(
                    f"{table}, row {row.number - shape.skip - blank}: it has {row.actual_columns} cells, "
                    f"but there are {row.expected_columns} columns; repair or remove the row"
                ) from error
            if "Empty CSV" in str(error):
                return
            raise


def _filled(data: pa.RecordBatch) -> pa.RecordBatch:
    """Without the rows whose cells are all empty."""
    if not data.num_columns or not all(column.null_count for column in data.columns):
        return data
    empty = np.logical_and.reduce([column.is_null().to_numpy(zero_copy_only=False) for column in data.columns])
    return data.filter(pa.array(~empty))


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
        codes = np.array([self.code(text) for text in as_texts(encoded.dictionary)], dtype=np.int32)
        return codes[encoded.indices.to_numpy(zero_copy_only=False)] if len(codes) else np.empty(0, np.int32)

    def code(self, text: str) -> int:
        """The number of a text."""
        if text not in self._codes:
            self._codes[text] = len(self.texts)
            self.texts.append(text)
        return self._codes[text]
