"""Layout `long`: one reading a row, `station_id, timestamp, traffic`, in any order of rows."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from lecdiff_core.city.importers.readings import Readings, Source, finder
from lecdiff_core.city.importers.tables import Codes, numbers, read_batches, with_names
from lecdiff_core.city.importers.times import Times

COLUMNS = {"station_id": "station_id", "timestamp": "timestamp", "traffic": "traffic"}


def read(source: Source, defaults: Mapping[str, str] = COLUMNS, interval: pd.Timedelta | None = None) -> Readings:
    """Read the rows of all files. Raises UserError that names file, row and column.

    defaults: name of each role's column in this layout.  interval: length of a reading, where the layout fixes it.
    """
    roles = with_names(defaults, source.columns, {"station_id": ["station_id"]})
    codes, notices, parts = Codes(), [], []
    stations, times, values = [np.empty(0, np.int32)], [np.empty(0, np.int64)], [np.empty(0)]
    for number, file in enumerate(source.files):
        clock, station = Times(file, source.date_format), [np.empty(0, np.int32)]
        for batch in read_batches(file, roles):
            station.append(codes.add(batch, "station_id"))
            clock.add(batch, "timestamp")
            values.append(numbers(batch, "traffic"))
            source.progress(number, batch)
        stations.append(np.concatenate(station))
        utc, remarks = clock.on_utc(stations[-1], source.timezone)
        times.append(utc)
        notices += remarks
        parts.append((file, len(utc), 1))
    return Readings(
        station_ids=codes.texts,
        station=np.concatenate(stations),
        time=np.concatenate(times),
        value=np.concatenate(values),
        where=finder(parts),
        rows=sum(map(len, stations)),
        interval=interval,
        notices=notices,
    )
