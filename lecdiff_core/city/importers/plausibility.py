"""Readings of the right form that are implausible: sums that lack a part, running counters, outliers, codes for missing values.

Where a value may be real, a notice names it and what to do about it.
"""

from dataclasses import replace

import numpy as np
import pandas as pd

from lecdiff_core.city.importers.readings import Readings

# What programs write for a value that they do not have: the largest number of a kind, and nines.
STAND_INS = (32767.0, 65535.0, 99999.0, 999999.0, 9999999.0, 2147483647.0, 4294967295.0, 1e9 - 1, 1e10 - 1)
MOST_PARTS = 0.9  # of a station's times that have as many parts as most, where one with fewer lacks some
RISING, STEPS_JUDGED, STATIONS_JUDGED = 0.95, 12, 200
FAR = 1e6  # times the middle value
FAR_SHARE = 0.001


def without_partial_sums(readings: Readings) -> Readings:
    """Readings of a station and time of which a part is missing are missing altogether, so that no half passes as the whole.

    A part is missing where its value is, or where a station that has several rows a time, nearly always as many, has fewer.
    """
    if readings.events or not len(readings.value):
        return readings
    frame = pd.DataFrame({"station": readings.station, "time": readings.time, "empty": np.isnan(readings.value)})
    sums = frame.groupby(["station", "time"], sort=False)["empty"].agg(["size", "any"])
    if sums["size"].max() == 1:
        return readings
    by_station = sums["size"].groupby(level="station")
    usual = by_station.agg(lambda sizes: sizes.mode().max())
    usual_of = usual.reindex(sums.index.get_level_values("station")).to_numpy()
    steady = sums["size"].to_numpy() == usual_of
    share = pd.Series(steady).groupby(sums.index.get_level_values("station").to_numpy()).mean()
    certain = share.reindex(sums.index.get_level_values("station")).to_numpy() >= MOST_PARTS
    several = sums["size"].to_numpy() > 1
    lacking = (several & sums["any"].to_numpy()) | (certain & (sums["size"].to_numpy() < usual_of))
    if not lacking.any():
        return readings
    keys = pd.MultiIndex.from_arrays([readings.station, readings.time])
    partial = pd.Series(lacking, index=sums.index).reindex(keys).to_numpy()
    notice = f"{int(lacking.sum())} sums of a station and time lack a part and are missing"
    return replace(readings, value=np.where(partial, np.nan, readings.value), notices=[*readings.notices, notice])


def remarks(readings: Readings) -> list[str]:
    """Notices of readings that look like something else than amounts of traffic."""
    rows = np.flatnonzero(~np.isnan(readings.value))
    if not len(rows):
        return []
    values = readings.value[rows]
    notices = [*_stand_ins(readings, rows, values), *_far(readings, rows, values)]
    if len(values) > 1 and values.min() == values.max():
        notices.append(f"every value is {values[0]:g}; check the column of the traffic")
    if not readings.events:
        notices += _running(readings, rows)
    return notices


def _stand_ins(readings: Readings, rows: np.ndarray, values: np.ndarray) -> list[str]:
    """Highest values that are a number of programs, and stand above all others."""
    top = float(values.max())
    at = np.flatnonzero(values == top)
    rest = values[values < top]
    if top not in STAND_INS or not len(rest) or rest.max() * 2 > top:
        return []
    return [
        f"{readings.where(int(rows[at[0]]))}: {top:.0f}, which {len(at)} readings have, often stands for a missing value; "
        f"if it does, say --na {top:.0f}"
    ]


def _far(readings: Readings, rows: np.ndarray, values: np.ndarray) -> list[str]:
    positive = values[values > 0]
    if len(positive) < STEPS_JUDGED:
        return []
    far = np.flatnonzero(values > FAR * np.median(positive))
    if not len(far) or len(far) > max(1, FAR_SHARE * len(values)):
        return []
    return [
        f"{readings.where(int(rows[far[0]]))}: {values[far[0]]:g} is more than a million times the middle value "
        f"{np.median(positive):g}, as are {len(far)} in all; correct it where it is wrong"
    ]


def _running(readings: Readings, rows: np.ndarray) -> list[str]:
    """Whether the values of a station go on rising from reading to reading, as those of a counter that is never set back."""
    rows = rows[readings.station[rows] < STATIONS_JUDGED]
    order = rows[np.lexsort((readings.time[rows], readings.station[rows]))]
    station, value = readings.station[order], readings.value[order]
    same = station[1:] == station[:-1]
    rises, falls = (value[1:] > value[:-1]) & same, (value[1:] < value[:-1]) & same
    steps = np.bincount(station[1:][same], minlength=len(readings.station_ids))
    ups = np.bincount(station[1:][rises], minlength=len(steps))
    downs = np.bincount(station[1:][falls], minlength=len(steps))
    judged = steps >= STEPS_JUDGED
    running = judged & (ups >= RISING * np.maximum(ups + downs, 1)) & (ups >= steps / 2)
    if not judged.any() or running.sum() * 2 <= judged.sum():
        return []
    share = ups[running].sum() / max((ups + downs)[running].sum(), 1)
    return [
        f"the traffic looks like a running counter: of {int(running.sum())} stations of {int(judged.sum())} it rises in "
        f"{share:.0%} of all steps; give the increase between two readings instead"
    ]
