"""Layout `wide`: one time a row, `timestamp` and a column a station."""

import numpy as np

from lecdiff_core.city.importers.amounts import Amounts
from lecdiff_core.city.importers.forms import Table
from lecdiff_core.city.importers.ids import as_text
from lecdiff_core.city.importers.readings import Readings, Source, finder
from lecdiff_core.city.importers.tables import Columns, read_batches
from lecdiff_core.city.importers.times import Times
from lecdiff_core.errors import UserError

COLUMNS = {"timestamp": "timestamp"}
# What pandas calls an index that was written without a name.
UNNAMED = ["__index_level_0__", ""]
TIME = ""  # under which the time is read: no station is called so


def read(source: Source) -> Readings:
    """Read the rows of all files; every column but the time is a station. Raises UserError naming file, row, column."""
    stations = [_stations(file, columns) for file, columns in zip(source.files, source.columns, strict=True)]
    amounts = Amounts(list(zip(source.files, stations, strict=True)), source.decimal, source.missing)
    clocks, tables = [], []
    for number in range(len(source.files)):
        clock, table = _read_file(source, number, stations[number], amounts)
        clocks.append(clock)
        tables.append(table)
    ids = list(dict.fromkeys(as_text(name) for names in stations for name in names))
    codes = {name: code for code, name in enumerate(ids)}
    located = [source.on_utc(clock, None) for clock in clocks]
    source.problems.raise_all()
    numbers = [np.array([codes[as_text(name)] for name in names], np.int32) for names in stations]
    parts = [(file, table.size, len(names)) for file, table, names in zip(source.files, tables, stations, strict=True)]
    return Readings(
        station_ids=ids,
        station=np.concatenate([np.tile(code, len(utc)) for code, (utc, _) in zip(numbers, located, strict=True)]),
        time=np.concatenate([np.repeat(utc, len(code)) for code, (utc, _) in zip(numbers, located, strict=True)]),
        value=np.concatenate([table.ravel() for table in tables]),
        where=finder(parts),
        rows=sum(len(table) for table in tables),
        notices=[*amounts.notices, *(remark for _, remarks in located for remark in remarks)],
    )


def _stations(file: Table, columns: Columns) -> Columns:
    """The columns of one file that are stations, each by its own name."""
    names = [name for name in file.header if name and name not in columns["timestamp"]]
    if not names:
        raise UserError(f"{file}: there is no column beside the time; give a column a station, or use --layout long")
    return {name: (name,) for name in names}


def _read_file(source: Source, number: int, stations: Columns, amounts: Amounts) -> tuple[Times, np.ndarray]:
    """Times and (rows, N) values of one file."""
    file, wrong = source.files[number], source.problems
    clock, tables = Times(file, source.date_format), [np.empty((0, len(stations)))]
    with wrong.collect(file):
        for batch in read_batches(file, {**stations, TIME: source.columns[number]["timestamp"]}):
            with wrong.collect(file, "timestamp"):
                clock.add(batch, TIME)
            with wrong.collect(file, "traffic"):
                tables.append(np.stack([amounts.read(batch, name) for name in stations], axis=1))
            source.progress(number, batch)
    return clock, np.concatenate(tables)
