"""What stands around stations as numbers made elsewhere: points of interest, land use, a knowledge graph, any vectors.

A table has a column of station ids and number columns. The city keeps the rows of its own stations as they were given
(`surroundings.parquet`), for `lecdiff embed` and `lecdiff describe --provider table`.
"""

import hashlib
import json
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lecdiff_core.city.folder import City, named
from lecdiff_core.city.importers.amounts import Amounts
from lecdiff_core.city.importers.columns import ColumnRole, find_columns
from lecdiff_core.city.importers.forms import Table, open_tables
from lecdiff_core.city.importers.ids import as_texts, reconciled
from lecdiff_core.city.importers.tables import Batch, Columns, read_batches
from lecdiff_core.city.layout import SURROUNDINGS_FILE
from lecdiff_core.errors import UserError
from lecdiff_core.storage import Change

STATION = "station_id"
SOUGHT = ColumnRole(STATION, [STATION], loosely=False)
ROW_NUMBERS = re.compile(r"__index_level_\d+__")  # what pandas adds to a Parquet file
UNIT_LENGTH = 1e-3  # rows as close to length 1 as this are embeddings already


@dataclass(frozen=True)
class StationTable:
    """Numbers of R stations of a city.

    values: (R, D) float64, finite.  unknown: stations of the file that the city does not have, which were left out.
    """

    station_ids: tuple[str, ...]
    columns: tuple[str, ...]
    values: np.ndarray
    unknown: tuple[str, ...] = ()

    @property
    def sha256(self) -> str:
        """Hash of stations, columns and numbers."""
        head = json.dumps([self.station_ids, self.columns]).encode()
        return hashlib.sha256(head + np.ascontiguousarray(self.values).tobytes()).hexdigest()

    @property
    def counted(self) -> np.ndarray:
        """(D,) whether each column counts: whole numbers from 0 on."""
        return np.asarray((self.values >= 0).all(0) & (self.values == np.floor(self.values)).all(0))


def read_station_table(path: Path, city: City) -> StationTable:
    """The rows of a file, CSV or Parquet, that are of the city's stations.

    Raises UserError that names file, row and column: no such file, no column of stations, text or a missing number among the
    numbers, a station twice, no station of the city's, fewer than two of them, nothing that differs.
    """
    if not path.is_file():
        raise UserError(f"{path} cannot be read: there is no such file")
    with tempfile.TemporaryDirectory() as room:
        tables = open_tables(path, Path(room), [SOUGHT])
        if len(tables) != 1:
            raise UserError(f"{path} holds {len(tables)} tables; give the one of the surroundings")
        table = tables[0]
        ids, numbers = _read(table, _columns(table))
    ids, _ = reconciled(ids, city.station_ids, str(table), str(city.path))
    _refuse_repeated(table, ids)
    ours = set(city.station_ids)
    known = [row for row, station in enumerate(ids) if station in ours]
    if not known:
        raise UserError(
            f"{table}: none of its stations is one of {city.path}: it has {named(ids, 3)}, the city {named(city.station_ids, 3)}; "
            "write the ids as the city does"
        )
    return checked(
        StationTable(
            tuple(ids[row] for row in known),
            tuple(numbers),
            np.column_stack([column[known] for column in numbers.values()]),
            tuple(station for station in ids if station not in ours),
        ),
        str(table),
    )


def checked(table: StationTable, source: str) -> StationTable:
    """The table, if it tells stations apart. Raises UserError that names its source."""
    if len(table.station_ids) < 2:
        raise UserError(f"{source}: it has a row of one station alone, which tells nothing apart; give at least two")
    if not (np.ptp(table.values, axis=0) > 0).any():
        raise UserError(f"{source}: every station has the same numbers, which tells nothing apart; check the table")
    return table


def stored_table(city: City) -> StationTable | None:
    """The table that the city keeps, without stations it no longer has; None where it has none, or of fewer than two stations.

    Raises UserError where the file is damaged.
    """
    file = city.path / SURROUNDINGS_FILE
    if not file.is_file():
        return None
    try:
        content = pq.read_table(file)
        ids = [str(station) for station in content.column(STATION).to_pylist()]
        columns = [name for name in content.column_names if name != STATION]
        values = np.column_stack([content.column(name).to_numpy() for name in columns]).astype(np.float64)
        if not np.isfinite(values).all():
            raise ValueError("numbers that are not finite")
    except (OSError, pa.ArrowException, KeyError, ValueError, TypeError) as error:
        raise UserError(f"{file}: damaged ({error}); give the table again with `lecdiff embed --from`") from error
    ours = set(city.station_ids)
    rows = [row for row, station in enumerate(ids) if station in ours]
    if len(rows) < 2:
        return None
    return StationTable(tuple(ids[row] for row in rows), tuple(columns), values[rows])


def stage_table(change: Change, table: StationTable) -> None:
    """Let the table be part of a change of the city folder."""
    columns = {STATION: pa.array(table.station_ids)}
    columns |= {name: pa.array(table.values[:, index]) for index, name in enumerate(table.columns)}
    pq.write_table(pa.table(columns), change.file(SURROUNDINGS_FILE))


def embedded(table: StationTable) -> tuple[np.ndarray, str]:
    """(R, D) float32 rows, and a hash of how they were made, which tells them from those of other numbers.

    Rows of length 1 are embeddings already and stay as they are. Of other tables counts become log(1 + count), every column
    gets mean 0 and deviation 1 over the stations, and all are scaled alike so that a row's mean squared length is 1: unlike a
    direction, such a row still says how much there is. A column that is the same everywhere is 0.
    """
    if _is_embedded(table):
        method: dict[str, object] = {"columns": table.columns, "as": "given"}
    else:
        mean, deviation = _spread(table)
        scaling = [table.counted.tolist(), mean.tolist(), deviation.tolist()]
        method = {"columns": table.columns, "as": "standardised", "by": scaling}
    return embedded_alike(table, table.values), hashlib.sha256(json.dumps(method).encode()).hexdigest()


def embedded_alike(table: StationTable, values: np.ndarray) -> np.ndarray:
    """(M, D) float32 rows of other places with numbers (M, D), made as those of the table's stations are."""
    if _is_embedded(table):
        return values.astype(np.float32)
    mean, deviation = _spread(table)
    stations, others = (_standardised(table, part, mean, deviation) for part in (table.values, values))
    return (others / np.sqrt((stations**2).sum(1).mean())).astype(np.float32)


def _is_embedded(table: StationTable) -> bool:
    """Whether its rows are embeddings already."""
    return bool((np.abs(np.linalg.norm(table.values, axis=1) - 1) < UNIT_LENGTH).all())


def _spread(table: StationTable) -> tuple[np.ndarray, np.ndarray]:
    """(D,) means and deviations of its columns, counts as logs."""
    values = _logged(table, table.values)
    return values.mean(0), values.std(0)


def _logged(table: StationTable, values: np.ndarray) -> np.ndarray:
    return np.where(table.counted, np.log1p(np.maximum(values, 0)), values)


def _standardised(table: StationTable, values: np.ndarray, mean: np.ndarray, deviation: np.ndarray) -> np.ndarray:
    departures = _logged(table, values) - mean
    return np.divide(departures, deviation, out=np.zeros_like(departures), where=deviation > 1e-12)


def _columns(table: Table) -> Columns:
    """The column of stations and those of numbers, by name."""
    recognised = find_columns(table.columns, [SOUGHT], table.cells)
    if STATION not in recognised.columns:
        raise UserError(
            f"{table}: no column says which station a row is of; call it {STATION}; it has {named(table.columns, 8)}"
        )
    (stations,) = recognised.columns[STATION]
    others = [name for name in table.columns if name != stations and not ROW_NUMBERS.fullmatch(name)]
    if not others:
        raise UserError(f"{table}: it has no column beside {stations}; give at least one of numbers")
    repeated = next((name for name in others if not name or table.columns.count(name) > 1 or name == STATION), None)
    if repeated is not None:
        raise UserError(f"{table}: column {repeated!r} has no name of its own; name each column once")
    return {STATION: (stations,), **{name: (name,) for name in others}}


def _read(table: Table, columns: Columns) -> tuple[list[str], dict[str, np.ndarray]]:
    """Station ids and (R,) numbers by column. Raises UserError at the first cell that is no number."""
    batches = list(read_batches(table, columns))
    if not any(len(batch) for batch in batches):
        raise UserError(f"{table}: it has no rows; give one a station")
    ids: list[str] = []
    numbers: dict[str, list[np.ndarray]] = {name: [] for name in columns if name != STATION}
    readers = {name: Amounts([(table, {name: columns[name]})]) for name in numbers}
    for batch in batches:
        batch.refuse_empty(STATION)
        ids += as_texts(batch.data.column(STATION))
        for name, parts in numbers.items():
            parts.append(_numbers(batch, name, readers[name]))
    return ids, {name: np.concatenate(parts) for name, parts in numbers.items()}


def _numbers(batch: Batch, name: str, reader: Amounts) -> np.ndarray:
    try:
        values = reader.read(batch, name, least=None)
    except UserError as error:
        raise UserError(f"{error}; a table of surroundings has numbers alone, so leave such a column out") from None
    absent = np.flatnonzero(np.isnan(values))
    if len(absent):
        raise UserError(
            f"{batch.where(int(absent[0]), name)}: there is no number; fill it (0 where nothing was counted) or remove the row"
        )
    return values


def _refuse_repeated(table: Table, ids: Sequence[str]) -> None:
    first: dict[str, int] = {}
    for row, station in enumerate(ids, start=1):
        if station in first:
            raise UserError(
                f"{table}, row {row}: station {station} is in row {first[station]} already; keep one of them"
            )
        first[station] = row
