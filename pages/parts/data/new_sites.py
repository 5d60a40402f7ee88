"""What pages ask of `lecdiff_core.sites`: what a place without a station would carry, and a station if things were different."""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from lecdiff_core.addresses import AllowedHosts
from lecdiff_core.city.folder import City
from lecdiff_core.city.layout import CONFIG_FILE, DESCRIPTIONS_FILE, ENCODER_FOLDER, ENVIRONMENT_FILE, WEIGHTS_FILE
from pages.parts.data import forecasts
from pages.parts.data.forecasts import Fan
from pages.parts.data.reading import read_once

if TYPE_CHECKING:
    from PIL.Image import Image

    from lecdiff_core.forecast import Forecast
    from lecdiff_core.sites.forecast import SiteForecaster
    from lecdiff_core.sites.report import SiteForecasts
    from lecdiff_core.sites.what_if import WhatIf

LONGEST_TEXT = 2000


@dataclass(frozen=True)
class Site:
    """A place that is asked about: a letter, degrees, words of its surroundings, and the bytes of a chip of one's own."""

    name: str
    lon: float
    lat: float
    text: str = ""
    chip: bytes = b""


def _files(city: City) -> list[Path]:
    encoder = city.path / ENCODER_FOLDER
    return [
        city.path / ENVIRONMENT_FILE,
        city.path / DESCRIPTIONS_FILE,
        encoder / CONFIG_FILE,
        encoder / WEIGHTS_FILE,
    ]


@read_once(_files, entries=2)
def forecaster(city: City) -> SiteForecaster:
    """The city's stations, ready to be asked."""
    from lecdiff_core.sites.forecast import SiteForecaster

    return SiteForecaster(city)


def forecast(city: City, sites: tuple[Site, ...], origin: pd.Timestamp) -> SiteForecasts:
    """What the sites would carry from `origin` on. Raises UserError where none of them can be answered for."""
    return _forecast(city, sites, origin.isoformat())


@read_once(lambda city, *_: _files(city), entries=32)
def _forecast(city: City, sites: tuple[Site, ...], origin: str) -> SiteForecasts:
    from lecdiff_core.sites.candidates import Candidate

    with tempfile.TemporaryDirectory() as folder:
        candidates = [
            Candidate(site.name, site.lon, site.lat, _written(site.chip, Path(folder)), site.text.strip() or None)
            for site in sites
        ]
        return forecaster(city).forecast(candidates, origin, allowed=AllowedHosts.here())


@read_once(lambda city, *_: _files(city), entries=32)
def chip(city: City, site: Site) -> Image | None:
    """The image that a site is judged by; None where there is none."""
    from lecdiff_core.sites.candidates import Candidate

    with tempfile.TemporaryDirectory() as folder:
        candidate = Candidate(site.name, site.lon, site.lat, _written(site.chip, Path(folder)))
        return forecaster(city).surroundings(candidate, allowed=AllowedHosts.here()).image


def _written(content: bytes, folder: Path) -> Path | None:
    if not content:
        return None
    file = folder / f"{hashlib.sha256(content).hexdigest()}.img"
    file.write_bytes(content)
    return file


def fan_of(answer: Forecast, name: str) -> Fan:
    """One site of a forecast, as charts take it."""
    one = answer.station(name)
    return Fan((name,), one.to_frame(), one.samples[:, 0], (), "", 0.0)


def changed(
    city: City, station_id: str, text: str | None, switched_off: tuple[str, ...], demand: float, origin: pd.Timestamp
) -> WhatIf:
    """A station's forecast as it is and as it would be. Raises UserError where that cannot be told."""
    return _changed(city, forecasts.model_of(city), station_id, text, switched_off, demand, origin.isoformat())


@read_once(lambda city, model, *_: [*_files(city), *forecasts.files_of(city, model)], entries=64)
def _changed(
    city: City,
    model: str,
    station_id: str,
    text: str | None,
    switched_off: tuple[str, ...],
    demand: float,
    origin: str,
) -> WhatIf:
    from lecdiff_core.sites.what_if import what_if

    return what_if(
        city,
        station_id,
        text,
        switched_off,
        demand,
        origin,
        samples=forecasts.SAMPLES,
        forecaster=forecasts.forecaster(city, model),
        sites=forecaster(city),
    )
