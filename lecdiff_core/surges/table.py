"""Events and scores as tables, and the files that keep them in a city folder."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from lecdiff_core.bounded import check_table
from lecdiff_core.city.folder import City, named
from lecdiff_core.city.layout import SURGE_SCORES_FILE, SURGES_FILE
from lecdiff_core.city.panel import Panel
from lecdiff_core.errors import UserError
from lecdiff_core.provenance import Source, source_of, stamped
from lecdiff_core.storage import changing, read_whole
from lecdiff_core.surges.events import Detections
from lecdiff_core.surges.evidence import Evidence
from lecdiff_core.surges.runs import Runs

FILED = 10.0  # events are kept up to so many false alarms a day


COLUMNS = (
    "event_id", "direction", "start", "end", "station_id", "peak_time", "observed", "expected", "low", "high", "excess", "widths",
    "probability", "probability_day_ahead", "strength", "false_alarms_per_day", "above", "below",
    "area", "stations", "directions", "starts", "ends", "excesses",
)  # fmt: skip
LISTS = COLUMNS[-5:]
LATER = {"area": 1}  # columns added by a later method, and what they say of an older one's events


@dataclass(frozen=True)
class Surges:
    """The surges of a city as they are kept.

    Attributes:
        events: a row an event, the columns of docs/surges.md; amounts in the city's unit, times tz-aware.
        scores: (T, N) how far traffic lies from its forecasts, in half-widths of their 90 % interval; NaN = not judged.
        source: what both were made from: model, hashes of data and weights, the first time searched.

    Examples:
        >>> from lecdiff_core import find_surges
        >>> from lecdiff_core.demo import DEMO_CITY
        >>> surges = find_surges(DEMO_CITY)
        >>> len(surges.at_most(0.5)) <= len(surges.at_most(1.0)), surges.unjudged
        (True, [])
    """

    events: pd.DataFrame
    scores: pd.DataFrame
    source: Source

    @property
    def unjudged(self) -> list[str]:
        """Stations without any score: nothing was forecast of them, or observed, in the days searched."""
        return [str(name) for name, known in self.scores.notna().any().items() if not known]

    @property
    def notices(self) -> list[str]:
        """What a reader should know, in plain sentences."""
        names, count = self.unjudged, self.scores.shape[1]
        why = "nothing of them was forecast or observed in the days searched"
        return [f"{len(names):,} of {count:,} stations could not be judged, as {why}: {named(names)}"] if names else []

    def at_most(self, false_alarms_per_day: float) -> pd.DataFrame:
        """The events that are reported when so many false alarms a day are put up with, the rarest first.

        Strengths of stations and of areas are on scales of their own, so that they only tell apart what is equally rare.
        """
        shown = self.events[self.events["false_alarms_per_day"] <= false_alarms_per_day]
        return shown.sort_values(
            ["false_alarms_per_day", "strength", "event_id"], ascending=[True, False, True], ignore_index=True
        )


def event_table(detections: Detections, evidence: Evidence, panel: Panel) -> pd.DataFrame:
    """One row an event, in order of time; the columns are those of `surges.parquet` (docs/surges.md)."""
    rows = [
        _event_row(
            detections.runs.take(np.flatnonzero(detections.event == number)), detections.tying, a_day, evidence, panel
        )
        | {"area": int(detections.area[number])}
        for number, a_day in enumerate(detections.a_day)
        if a_day <= FILED
    ]
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    return table.sort_values(["start", "event_id"], ignore_index=True)


def _event_row(runs: Runs, tying: float, a_day: float, evidence: Evidence, panel: Panel) -> dict[str, Any]:
    runs = runs.take(np.argsort(-runs.strength, kind="stable"))
    observed = panel.values[:, evidence.first :]
    beyond = [
        _excess(evidence, observed, *place) for place in zip(runs.station, runs.peak, runs.direction, strict=True)
    ]
    lead, at, direction = int(runs.station[0]), int(runs.peak[0]), int(runs.direction[0])
    low, high = float(evidence.low[lead, at]), float(evidence.high[lead, at])
    strong = runs.strength >= min(tying, runs.strength[0])
    start, stop = int(runs.start[strong].min()), int(runs.stop[strong].max())
    names = [panel.station_ids[station] for station in runs.station]
    sides = np.where(runs.direction > 0, "above", "below")
    return {
        "event_id": f"{panel.clock[evidence.first + start]:%Y%m%d-%H%M}-{names[0]}",
        "direction": str(sides[0]),
        "start": panel.time(evidence.first + start),
        "end": panel.time(evidence.first + stop),
        "station_id": names[0],
        "peak_time": panel.time(evidence.first + at),
        "observed": float(observed[lead, at]),
        "expected": float(evidence.middle[lead, at]),
        "low": low,
        "high": high,
        "excess": beyond[0],
        "widths": direction * beyond[0] / max(high - low, 1e-9),
        "probability": float(evidence.probability[lead, at]),
        "probability_day_ahead": float(evidence.day_ahead[lead, at]),
        "strength": float(runs.strength[0]),
        "false_alarms_per_day": float(a_day),
        "above": len({name for name, side in zip(names, sides, strict=True) if side == "above"}),
        "below": len({name for name, side in zip(names, sides, strict=True) if side == "below"}),
        "stations": names,
        "directions": sides.tolist(),
        "starts": [panel.time(evidence.first + int(step)) for step in runs.start],
        "ends": [panel.time(evidence.first + int(step)) for step in runs.stop],
        "excesses": beyond,
    }


def _excess(evidence: Evidence, observed: np.ndarray, station: int, step: int, direction: int) -> float:
    """Traffic beyond the 90 % interval, below it negative; 0 inside."""
    value = observed[station, step]
    if direction > 0:
        return float(max(value - evidence.high[station, step], 0.0))
    return float(min(value - evidence.low[station, step], 0.0))


def score_table(scores: np.ndarray, first: int, evidence: Evidence, panel: Panel) -> pd.DataFrame:
    """Scores (T, N) of the part that was searched, to two decimals."""
    begin = evidence.first + first
    index = panel.times(begin, panel.steps - begin).rename("timestamp")
    table = pd.DataFrame(np.round(scores[:, first:].T, 2).astype(np.float32), index, list(panel.station_ids))
    return table[~table.index.duplicated(keep="last")]


def stored_events(events: pd.DataFrame, timezone: str) -> pd.DataFrame:
    """Events as they are read back from their file."""
    return _frame(_arrow(events, timezone))


def write_surges(city: City, surges: Surges) -> None:
    """Keep surges, events and scores, in the city folder as one change."""
    tables = {
        SURGE_SCORES_FILE: pa.Table.from_pandas(surges.scores),
        SURGES_FILE: _arrow(surges.events, city.meta.timezone),
    }
    with changing(city.path) as change:
        for name, table in tables.items():
            pq.write_table(stamped(table, surges.source), change.file(name), compression="zstd")


def _arrow(events: pd.DataFrame, timezone: str) -> pa.Table:
    """Events with their column types, which an empty table would not tell."""
    time, text = pa.timestamp("us", timezone), pa.string()
    types = dict.fromkeys(COLUMNS, pa.float64()) | {
        **dict.fromkeys(("event_id", "direction", "station_id"), text),
        **dict.fromkeys(("start", "end", "peak_time"), time),
        **dict.fromkeys(("above", "below", "area"), pa.int64()),
        **dict.fromkeys(("stations", "directions"), pa.list_(text)),
        **dict.fromkeys(("starts", "ends"), pa.list_(time)),
        "excesses": pa.list_(pa.float64()),
    }
    return pa.Table.from_pandas(events, pa.schema(list(types.items())), preserve_index=False)


def _frame(events: pa.Table) -> pd.DataFrame:
    """Events as they are read back from their file: lists are lists, and times in them have the zone of the others."""
    frame = events.to_pandas()
    times = {name for name in LISTS if pa.types.is_timestamp(events.schema.field(name).type.value_type)}
    return frame.assign(
        **{name: events[name].to_pylist() if name in times else frame[name].map(list) for name in LISTS}
    )


def read_surges(city: City) -> Surges | None:
    """The surges kept in the city folder, None where there are none. Raises UserError where a file is damaged."""
    return read_whole(city.path, (SURGES_FILE, SURGE_SCORES_FILE), lambda: _read(city.path))


def _read(folder: Path) -> Surges | None:
    files = folder / SURGES_FILE, folder / SURGE_SCORES_FILE
    if not all(file.is_file() for file in files):
        return None
    try:
        for file in files:
            check_table(pq.read_metadata(file))
        events, scores = (pq.read_table(file) for file in files)
        sources = [source_of(table.schema.metadata) for table in (events, scores)]
        if not sources[0] or sources[0] != sources[1] or not set(COLUMNS) - set(LATER) <= set(events.column_names):
            raise KeyError("events and scores do not belong together")
        frame = _frame(events)
        frame = frame.assign(**{name: value for name, value in LATER.items() if name not in frame})[list(COLUMNS)]
        named = {name for names in frame["stations"] for name in names} | set(frame["station_id"])
        if not named <= set(scores.column_names):
            raise KeyError("events are of stations without scores")
        return Surges(frame, scores.to_pandas(), sources[0])
    except Exception as error:  # pyarrow and pandas raise many kinds for a damaged file
        raise UserError(
            f"{files[0]}: damaged or not a table of surges ({error}); make it again with `lecdiff surges`"
        ) from error
