"""Layout `telecom-italia`: the Milan and Trentino activity files of the Telecom Italia Big Data Challenge.

Tab separated, no header: square, start of a ten-minute interval in ms since 1970 UTC, country code, SMS in and out,
call in and out, internet. One row a country; the activity of a square is their sum. Stations are the cells of
`milano-grid.geojson` (property `cellId`). Source: Barlacchi et al., Scientific Data 2, 150055 (2015).

An empty field means that no activity was recorded, so an interval that has rows but no internet activity is 0; an
interval without any row is missing.
"""

import numpy as np
import pandas as pd
import polars as pl

from lecdiff_core.city.importers.amounts import Amounts
from lecdiff_core.city.importers.readings import Readings, Source, finder, repeats
from lecdiff_core.city.importers.tables import Codes, read_batches
from lecdiff_core.city.importers.times import Times

HEADER = ["square", "time", "country", "sms_in", "sms_out", "call_in", "call_out", "internet"]
COLUMNS = {"station_id": "square", "timestamp": "time", "country": "country", "traffic": "internet"}
INTERVAL = pd.Timedelta("10min")


def read(source: Source) -> Readings:
    """Read daily files, summed over countries; `--column traffic=sms_in` (or another) takes another activity."""
    codes, days, parts, amounts = Codes(), [], [], source.amounts(["traffic"])
    rows = duplicates = 0
    for number, file in enumerate(source.files):
        frame, read, repeated = _read_file(source, number, codes, amounts)
        day = frame.group_by(["station", "time"], maintain_order=True).agg(
            pl.col("value").sum(), pl.col("value").is_not_null().any().alias("active")
        )
        days.append(day)
        parts.append((file, len(day), 0))
        rows, duplicates = rows + read, duplicates + repeated
    readings = pl.concat(days)
    idle = int((~readings["active"]).sum())
    notice = f"{idle} of {len(readings)} ten-minute intervals of a square have records but no such activity; they are 0"
    return Readings(
        station_ids=codes.texts,
        station=readings["station"].to_numpy(),
        time=readings["time"].to_numpy(),
        value=readings["value"].to_numpy(),
        where=finder(parts),
        rows=rows,
        interval=INTERVAL,
        duplicates=duplicates,
        notices=[*amounts.notices, *([notice] if idle else [])],
    )


def _read_file(source: Source, number: int, codes: Codes, amounts: Amounts) -> tuple[pl.DataFrame, int, int]:
    """Rows as station, time, country and value (null = nothing recorded); how many were read, and repeat another."""
    file, wrong = source.files[number], source.problems
    clock, countries = Times(file, source.date_format), Codes()
    stations, country, values = [np.empty(0, np.int32)], [np.empty(0, np.int32)], [np.empty(0)]
    with wrong.collect(file):
        for batch in read_batches(file, source.columns[number]):
            with wrong.collect(file, "station_id"):
                stations.append(codes.add(batch, "station_id"))
            with wrong.collect(file, "timestamp"):
                clock.add(batch, "timestamp")
            with wrong.collect(file, "country"):
                country.append(countries.add(batch, "country"))
            with wrong.collect(file, "traffic"):
                values.append(amounts.read(batch, "traffic"))
            source.progress(number, batch)
    time, _ = source.on_utc(clock, None)
    wrong.raise_all()
    keys = {"station": np.concatenate(stations), "time": time, "country": np.concatenate(country)}
    where = finder([(file, len(time), 1)])
    chosen, repeated = repeats(keys, source.on_duplicate, where, "this square, time and country")
    frame = pl.DataFrame({**keys, "value": np.concatenate(values)}).with_columns(pl.col("value").fill_nan(None))
    return frame.filter(chosen), len(frame), repeated
