"""Layout `wide`: one time a row, `timestamp` and a column a station."""

from pathlib import Path

import numpy as np

from lecdiff_core.city.importers.readings import Readings, Source, finder
from lecdiff_core.city.importers.tables import numbers, read_batches, read_header, with_names
from lecdiff_core.city.importers.times import Times
from lecdiff_core.errors import UserError

COLUMNS = {"timestamp": "timestamp"}
# What pandas calls an index that was written without a name.
UNNAMED = {"timestamp": ["__index_level_0__", ""]}


def read(source: Source) -> Readings:
    """Read the rows of all files; every column but the time is a station. Raises UserError naming file, row, column."""
    codes: dict[str, int] = {}
    stations, times, values, parts, notices = [], [], [], [], []
    for number, file in enumerate(source.files):
        clock, names, table = _read_file(source, number, file)
        utc, remarks = clock.on_utc(None, source.timezone)
        station = [codes.setdefault(name.strip(), len(codes)) for name in names]
        stations.append(np.tile(np.array(station, dtype=np.int32), len(utc)))
        times.append(np.repeat(utc, len(names)))
        values.append(table.ravel())
        parts.append((file, table.size, len(names)))
        notices += remarks
    return Readings(
        station_ids=list(codes),
        station=np.concatenate(stations),
        time=np.concatenate(times),
        value=np.concatenate(values),
        where=finder(parts),
        rows=sum(readings // width for _, readings, width in parts),
        notices=notices,
    )


def _read_file(source: Source, number: int, file: Path) -> tuple[Times, list[str], np.ndarray]:
    """Times, names of the N station columns, and (rows, N) values of one file."""
    roles = dict(with_names(COLUMNS, source.columns, UNNAMED))
    header = read_header(file)
    time = next((name for name in roles["timestamp"] if name in header), None)
    names = [name for name in header if name != time]
    if not names:
        raise UserError(f"{file}: there is no column beside the time; give a column a station, or use --layout long")
    stations = {f"station {name}": [name] for name in names}
    clock, tables = Times(file, source.date_format), [np.empty((0, len(names)))]
    for batch in read_batches(file, roles | stations):
        clock.add(batch, "timestamp")
        tables.append(np.stack([numbers(batch, role) for role in stations], axis=1))
        source.progress(number, batch)
    return clock, names, np.concatenate(tables)
