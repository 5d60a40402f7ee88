"""Why: the plain facts around an event."""

from dataclasses import dataclass
from datetime import date

import pandas as pd

from lecdiff_core.city.folder import City


@dataclass(frozen=True)
class Circumstances:
    """What stands beside an event, for the question why."""

    day: date
    holiday: bool
    weekday: str
    hour: int
    neighbours: int  # stations that surged with it
    usual_hour: float  # share of the station's mean traffic that this hour of day usually carries


def circumstances(city: City, event: pd.Series) -> Circumstances:
    """Plain facts of one event, from calendar and history before it."""
    start, station = event["start"], event["station_id"]
    history = city.traffic.loc[: city.last_before(start), station].dropna()
    hour = history[history.index.hour == event["peak_time"].hour]
    usual = float(hour.mean() / history.mean()) if len(hour) and history.mean() > 0 else float("nan")
    return Circumstances(
        day=start.date(),
        holiday=start.date() in city.meta.holidays,
        weekday=f"{start:%A}",
        hour=start.hour,
        neighbours=len(set(event["stations"])) - 1,
        usual_hour=usual,
    )
