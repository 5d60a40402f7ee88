"""Surges that nobody had to search for, for the tests of their page."""

import numpy as np
import pandas as pd
from visitor import MODEL

from lecdiff_core import surges
from lecdiff_core.city.folder import City
from lecdiff_core.surges import COLUMNS, Surges

STEPS = 115  # of the test part: a fifth of 12 days of half-hours


def made_up(city: City) -> Surges:
    """Three surges that nobody had to search for: a strong one above, a weak one, and a dead station."""
    index = city.traffic.index[-STEPS:]
    scores = pd.DataFrame(0.3, index=index, columns=list(city.station_ids), dtype=np.float32)
    scores.index.name = "timestamp"
    rows = [
        row(index, "ST-04", 40, "above", 0.01, 900.0, ["ST-04", "ST-05"], ["above", "above"]),
        row(index, "ST-01", 60, "above", 3.0, 20.0, ["ST-01"], ["above"]),
        row(index, "ST-07", 80, "below", 0.4, -700.0, ["ST-07", "ST-06"], ["below", "above"]),
    ]
    source = surges.surges_now(city, MODEL) | {"first_step": len(city.traffic) - STEPS}
    return Surges(pd.DataFrame(rows, columns=list(COLUMNS)), scores, source)


def row(index, station, start, direction, rate, excess, stations, directions) -> dict:
    begin, end = index[start], index[start + 6]
    return {
        "event_id": f"{begin:%Y%m%d-%H%M}-{station}",
        "direction": direction,
        "start": begin,
        "end": end,
        "station_id": station,
        "peak_time": index[start + 2],
        "observed": 3000.0 + excess,
        "expected": 2800.0,
        "low": 2600.0,
        "high": 3000.0,
        "excess": excess,
        "widths": abs(excess) / 400,
        "probability": 0.0004,
        "probability_day_ahead": 0.02,
        "strength": 10 - rate,
        "false_alarms_per_day": rate,
        "above": directions.count("above"),
        "below": directions.count("below"),
        "area": 1,
        "stations": stations,
        "directions": directions,
        "starts": [begin] * len(stations),
        "ends": [end] * len(stations),
        "excesses": [excess, *[50.0] * (len(stations) - 1)],
    }
