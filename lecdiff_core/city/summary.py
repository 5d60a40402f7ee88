"""What a city folder holds and what is missing, in figures and plain sentences."""

from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd
from pydantic import BaseModel

from lecdiff_core.city import history
from lecdiff_core.city.extent import Extent, extent_of
from lecdiff_core.city.folder import City, Coordinates, named
from lecdiff_core.city.layout import DESCRIPTIONS_FILE, ENVIRONMENT_FILE, FORECASTS_FOLDER, META_FILE
from lecdiff_core.city.observed import gaps, silent_sentence, silent_since, young, young_sentence

PLACES: dict[Coordinates, str] = {
    "true": "true coordinates",
    "nominal": "nominal coordinates (places are not real)",
    "none": "no coordinates (nothing is known of places)",
}


class CitySummary(BaseModel):
    """What `lecdiff info` says of a city."""

    path: Path
    name: str
    timezone: str
    interval: str
    unit: str
    holidays: int
    coordinates: Coordinates
    extent: Extent | None  # of the stations, None where places are not real or not known
    generator: str | None
    stations: int
    steps: int
    start: datetime
    end: datetime  # of the last interval
    missing_share: float  # of stations × steps, 0 … 1
    stations_without_traffic: list[str]
    silent: dict[str, datetime]  # stations that report no more, though others do, and since when; longest first
    young: list[str]  # stations first observed within the last days
    gaps: list[tuple[datetime, datetime]]  # a day or more in which no station was observed, and their ends
    mean: float  # traffic of a station in an interval
    chips: int
    tiles: bool
    descriptions: bool
    embeddings: bool
    models: list[str]
    forecasts: list[str]
    missing: list[str]  # sentences

    def lines(self) -> list[str]:
        """The summary as lines to print."""
        demo = f", synthetic (generator {self.generator})" if self.generator else ""
        return [
            f"{self.name}{demo}",
            f"stations: {self.stations}, {PLACES[self.coordinates]}",
            *([f"places: {self.extent}"] if self.extent else []),
            f"traffic: {self.steps} intervals of {self.interval}, {self.start.isoformat()} to {self.end.isoformat()} "
            f"({self.timezone}), {self.holidays} holidays",
            f"level: {self.mean:,.4g} {self.unit} a station and interval".replace("  ", " "),
            f"missing values: {self.missing_share:.2%}",
            *self.quiet(),
            f"satellite chips: {self.chips} of {self.stations}; own map tiles: {'yes' if self.tiles else 'no'}",
            f"descriptions: {'yes' if self.descriptions else 'no'}; embeddings: {'yes' if self.embeddings else 'no'}",
            f"models: {', '.join(self.models) or 'none'}",
            f"kept forecasts: {', '.join(self.forecasts) or 'none'}",
            *(f"missing: {sentence}" for sentence in self.missing),
        ]

    def quiet(self) -> list[str]:
        """Who and what is not heard, a sentence each."""
        sentences = []
        if self.silent:
            sentences.append(silent_sentence(list(self.silent), list(self.silent.values())))
        if self.young:
            sentences.append(young_sentence(self.young))
        if self.gaps:
            spans = [f"{start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M}" for start, end in self.gaps]
            sentences.append(f"no station was observed for a day or more: {named(spans)}")
        return sentences


def summarise(city: City) -> CitySummary:
    """Look through a city folder."""
    values = city.traffic.to_numpy()
    observed = ~np.isnan(values)
    without = [station for station, seen in zip(city.station_ids, observed.any(axis=0), strict=True) if not seen]
    by_station, day = values.T, city.steps_per_day
    ends = city.traffic.index.append(pd.DatetimeIndex([city.end]))
    chips = sum(city.chip(station) is not None for station in city.station_ids)
    has = {name: (city.path / name).is_file() for name in (DESCRIPTIONS_FILE, ENVIRONMENT_FILE)}
    return CitySummary(
        path=city.path,
        name=city.meta.name,
        timezone=city.meta.timezone,
        interval=city.meta.interval,
        unit=city.meta.unit,
        holidays=len(city.meta.holidays),
        coordinates=city.meta.coordinates,
        extent=extent_of(city),
        generator=city.meta.generator,
        stations=len(city.station_ids),
        steps=len(city.traffic),
        start=city.traffic.index[0].to_pydatetime(),
        end=city.end.to_pydatetime(),
        missing_share=float(1 - observed.mean()),
        stations_without_traffic=without,
        silent={city.station_ids[row]: ends[last] for row, last in silent_since(by_station, day).items()},
        young=[city.station_ids[row] for row in young(by_station, day)],
        gaps=[(ends[start], ends[stop]) for start, stop in gaps(by_station, day)],
        mean=float(np.nanmean(values)),
        chips=chips,
        tiles=city.has_tiles,
        descriptions=has[DESCRIPTIONS_FILE],
        embeddings=has[ENVIRONMENT_FILE],
        models=city.models(),
        forecasts=sorted(file.stem for file in (city.path / FORECASTS_FOLDER).glob("[!.]*.parquet")),
        missing=_missing(city, without, chips, has),
    )


def _missing(city: City, without: list[str], chips: int, has: dict[str, bool]) -> list[str]:
    """What one may still want, a sentence each."""
    possible = city.has_places or chips > 0
    sentences = {
        f"traffic of {len(without)} stations ({named(without)})": bool(without),
        **dict.fromkeys(history.missing_history(city), True),
        f"a unit; write it into {META_FILE}": not city.meta.unit,
        f"holidays; write their dates into {META_FILE}": not city.meta.holidays,
        f"satellite chips of {len(city.station_ids) - chips} stations": chips < len(city.station_ids) and possible,
        "descriptions of the surroundings": not has[DESCRIPTIONS_FILE] and possible,
        "embeddings of the surroundings": not has[ENVIRONMENT_FILE] and possible,
        "a trained model; make one with: lecdiff train": not city.models(),
    }
    return [sentence for sentence, absent in sentences.items() if absent]
