"""Layout `long`: one reading a row, `station_id, timestamp, traffic`, in any order of rows."""

import numpy as np
import pandas as pd

from lecdiff_core.city.importers.readings import Readings, Source, finder
from lecdiff_core.city.importers.tables import Batch, Codes, read_batches
from lecdiff_core.city.importers.times import Times

COLUMNS = {"station_id": "station_id", "timestamp": "timestamp", "traffic": "traffic"}


def read(source: Source, interval: pd.Timedelta | None = None) -> Readings:
    """Read the rows of all files. Raises UserError that names file, row and column.

    interval: length of a reading, where the layout fixes it.
    """
    codes, clocks, parts, wrong = Codes(), [], [], source.problems
    amounts = source.amounts(["traffic"])
    stations, values = [np.empty(0, np.int32)], [np.empty(0)]
    for number, (file, columns) in enumerate(zip(source.files, source.columns, strict=True)):
        clock, station = Times(file, source.date_format), [np.empty(0, np.int32)]
        with wrong.collect(file):
            for batch in read_batches(file, columns):
                with wrong.collect(file, "station_id"):
                    station.append(_stations(codes, batch, source.by_file))
                with wrong.collect(file, "timestamp"):
                    clock.add(batch, "timestamp")
                with wrong.collect(file, "traffic"):
                    values.append(amounts.read(batch, "traffic"))
                source.progress(number, batch)
        stations.append(np.concatenate(station))
        clocks.append(clock)
        parts.append((file, len(stations[-1]), 1))
    located = [source.on_utc(clock, station) for clock, station in zip(clocks, stations[1:], strict=True)]
    wrong.raise_all()
    return Readings(
        station_ids=codes.texts,
        station=np.concatenate(stations),
        time=np.concatenate([np.empty(0, np.int64), *(times for times, _ in located)]),
        value=np.concatenate(values),
        where=finder(parts),
        rows=sum(map(len, stations)),
        interval=interval,
        notices=[*amounts.notices, *(remark for _, remarks in located for remark in remarks)],
    )


def _stations(codes: Codes, batch: Batch, by_file: bool) -> np.ndarray:
    """(R,) int32 codes of the rows' stations."""
    if by_file:
        return np.full(len(batch), codes.code(batch.file.stem), np.int32)
    return codes.add(batch, "station_id")
