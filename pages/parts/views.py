"""What the stations on the map can be coloured by: load, readings of the forecast, its measured error, surge score, surroundings.

A view gives every station a level on a ramp of colours, a size and a text; the legend says the same of the ramp.
Forecast views are asked for a step ahead, 1 to H, or for 0, the whole of the forecast.
"""

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from lecdiff_core.city.folder import City
from lecdiff_core.city.layout import SURGE_SCORES_FILE, SURGES_FILE
from lecdiff_core.errors import UserError
from pages.parts import cities, colours, forecasts, formats, loads, measured, outlook, surroundings
from pages.parts.formats import escaped
from pages.parts.outlook import Outlook

if TYPE_CHECKING:
    from lecdiff_core.surges import Surges

ALL_AHEAD = 0
HIGHEST_SCORE = 6.0
HIGHEST_ERROR = 0.98  # quantile of the stations' errors at which the colours end
NOT_FORECAST = "no forecast: too little traffic before this time"
MIDDLE_SIZE = 0.35  # on the scale of sizes, for a view whose amounts have none


@dataclass(frozen=True)
class View:
    """One thing that colour can show. `key` stands in links; `meaning` is the tooltip."""

    key: str
    label: str
    meaning: str
    ramp: tuple[str, ...] = ()
    is_forecast: bool = False


LOAD = View("load", "Load now", "Traffic in the last interval before the time of forecast.", colours.LOAD)
FORECAST = View(
    "forecast",
    "Forecast load",
    "Median of the forecast: its peak over the whole forecast, or its value at the time chosen below.",
    colours.LOAD,
    True,
)
WIDTH = View(
    "width",
    "Width of the 90 % interval",
    "How far apart the ends of the 90 % interval lie: how unsure the forecast is. The mean over the whole forecast, or its "
    "value at the time chosen below.",
    colours.DOUBT,
    True,
)
RISK = View(
    "risk",
    "Risk of exceeding capacity",
    "Share of the sampled futures in which traffic goes above the station's capacity. Where no capacity is given, what "
    "99 % of its past values stayed below stands in for it.",
    colours.RISK,
    True,
)
SURGE = View(
    "surge",
    "Surge score",
    "How far traffic in the last interval left the forecasts that were made 1 to 12 hours before it: beyond ±1.6 it lay outside "
    "their 90 % interval; in quiet times nine of ten scores lie within.",
    colours.SURGE,
)
KIND = View("kind", "Kind of surroundings", "Stations grouped by what their satellite images show.")
ERROR = View(
    "error",
    "Forecast error",
    "How far the forecasts of the days measured lay from what came, as a share of the station's traffic (nCRPS).",
    colours.RISK,
)
VIEWS = {view.key: view for view in (LOAD, FORECAST, WIDTH, RISK, SURGE, ERROR, KIND)}


@dataclass(frozen=True)
class Painted:
    """N stations in a view: (N, 4) RGBA, (N,) radius in pixels, and what to say of each."""

    colours: np.ndarray
    sizes: np.ndarray
    texts: list[str]


def paint(view: View, city: City, origin: pd.Timestamp, step: int = ALL_AHEAD) -> Painted | None:
    """The stations in a view; None while the forecast of all stations is not there. Raises UserError."""
    if view is KIND:
        return _kinds(city)
    if view is SURGE:
        return _surge(city, origin)
    if view is ERROR:
        return _errors(city)
    if view is LOAD:
        values = loads.at(city, origin)
        return _on_the_ramp(view, loads.level(values, loads.top(city)), _amounts(values, city))
    found = outlook_of(city, origin).result
    return None if found is None else _forecast(view, city, found, step)


def outlook_of(city: City, origin: pd.Timestamp) -> outlook.Work:
    """The forecast of all stations, as far as it is."""
    return outlook.look(city, forecasts.model_of(city), origin)


def trouble(view: View, city: City, origin: pd.Timestamp) -> str:
    """Why a view cannot be shown; empty where nothing stands in the way. Raises UserError, too, which says why."""
    if view is SURGE and surges_of(city) is None:
        return "surges of this city have not been looked for yet"
    if view is ERROR and not measured.station_errors(city):
        return "its forecasts have not been measured yet"
    if view is KIND and not surroundings.embedded(city):
        return "its stations have not been compared yet"
    return outlook_of(city, origin).trouble if view.is_forecast else ""


def version(view: View, city: City) -> str:
    """Changes whenever what a view shows of a city at a time changes, so that a browser may keep what it has got."""
    depends: tuple = (city.data_hash, city.path, view.key)
    if view.is_forecast:
        depends += forecasts.version(city, forecasts.model_of(city))
    if view is SURGE:
        depends += _surge_stamp(city)
    if view is ERROR:
        depends += measured.version(city)
    if view is KIND:
        depends += surroundings.version(city)
    return hashlib.sha256(repr(depends).encode()).hexdigest()[:12]


def _forecast(view: View, city: City, found: Outlook, step: int) -> Painted:
    values = _values(view, found, step)
    if view is RISK:
        texts = [formats.share(value) for value in values.tolist()]
    else:
        texts, values = _amounts(values, city), loads.level(values, top(view, city, found))
    none = np.isnan(found.median[:, 0])
    return _on_the_ramp(view, values, [NOT_FORECAST if gone else text for text, gone in zip(texts, none, strict=True)])


def _values(view: View, found: Outlook, step: int) -> np.ndarray:
    """(N,) what the view shows of the forecast."""
    if view is RISK:
        return found.exceeding_once if step == ALL_AHEAD else found.exceeding[:, step - 1]
    values = found.median if view is FORECAST else found.high - found.low
    if step != ALL_AHEAD:
        return values[:, step - 1]
    return values.max(1) if view is FORECAST else values.mean(1)


def top(view: View, city: City, found: Outlook | None = None) -> float:
    """The amount at which the colours end: one for load and its forecast, so that one colour means one load at any time."""
    if view is not WIDTH or found is None:
        return loads.top(city)
    widths = found.high - found.low
    return float(np.nanquantile(widths, loads.BRIGHTEST)) or 1.0


def _on_the_ramp(view: View, levels: np.ndarray, texts: list[str]) -> Painted:
    return Painted(colours.shades(levels, view.ramp), loads.sizes(levels), texts)


def _amounts(values: np.ndarray, city: City) -> list[str]:
    return [formats.amount(value, city.meta.unit) if value == value else "no data" for value in values.tolist()]


def surges_of(city: City) -> "Surges | None":
    """The surges found in the city, None where nobody looked for them. Raises UserError."""
    from pages.parts.found import kept  # which leads to torch

    return kept(city)


def _surge_stamp(city: City) -> cities.Stamp:
    return cities.stamp(city.path / SURGES_FILE, city.path / SURGE_SCORES_FILE)


def _surge(city: City, origin: pd.Timestamp) -> Painted:
    found = surges_of(city)
    if found is None:
        raise UserError("surges of this city have not been looked for yet")
    time = city.last_before(origin)
    empty = np.full(len(city.station_ids), np.nan)
    table = found.scores
    scores = table.loc[time].reindex(city.station_ids).to_numpy() if time in table.index else empty
    levels = np.clip(0.5 + scores / (2 * HIGHEST_SCORE), 0, 1)
    texts = [
        f"surge score {score:+.1f}".replace("-", "−") if score == score else "no score" for score in scores.tolist()
    ]
    return Painted(
        colours.shades(levels, colours.SURGE), loads.sizes(np.clip(np.abs(scores) / HIGHEST_SCORE, 0, 1)), texts
    )


def _errors(city: City) -> Painted:
    errors = measured.station_errors(city)
    values = np.array([errors.get(station_id, np.nan) for station_id in city.station_ids])
    texts = [
        f"error {formats.share(value)} of its traffic" if value == value else "not measured"
        for value in values.tolist()
    ]
    return _on_the_ramp(ERROR, np.clip(values / _top_error(city), 0, 1), texts)


def _top_error(city: City) -> float:
    """The error at which the colours end."""
    return float(np.quantile(list(measured.station_errors(city).values()), HIGHEST_ERROR)) or 1.0


def _kinds(city: City) -> Painted:
    kinds, _ = surroundings.kinds(city)
    ramp = np.array([[*colours.rgb(colours.kind(number)), colours.OPAQUE] for number in range(len(kinds.names))])
    labels = kinds.labels
    shades = np.where((labels >= 0)[:, None], ramp[labels], np.array(colours.NO_DATA))
    texts = [kinds.names[label] if label >= 0 else "no satellite chip" for label in labels.tolist()]
    return Painted(shades, loads.sizes(np.full(len(labels), MIDDLE_SIZE)), texts)


def legend(view: View, city: City, origin: pd.Timestamp, step: int = ALL_AHEAD) -> str:
    """What the colours mean, as HTML, with unit and time. Raises UserError."""
    if view is KIND:
        kinds, _ = surroundings.kinds(city)
        return kinds_legend(kinds.names, [int((kinds.labels == number).sum()) for number in range(len(kinds.names))])
    if view is LOAD:
        return ramp_legend(f"Load {city.last_before(origin):%H:%M}–{origin:%H:%M}", view, _ticks(city, loads.top(city)))
    if view is SURGE:
        ticks = [f"≤{formats.THIN}−{HIGHEST_SCORE:.0f}", "as expected", f"≥{formats.THIN}+{HIGHEST_SCORE:.0f}"]
        return ramp_legend(f"Score {city.last_before(origin):%H:%M}–{origin:%H:%M}", view, ticks, "no score")
    if view is ERROR:
        ticks = [formats.share(_top_error(city) * part) for part in (0, 0.5, 1)]
        return ramp_legend("Error, of the traffic", view, [*ticks[:-1], f"≥{formats.THIN}{ticks[-1]}"], "not measured")
    found = outlook_of(city, origin).result
    when = "" if found is None else _when(city, found.timestamps, step)
    if view is RISK:
        return ramp_legend(f"Risk {when}", view, [formats.share(part) for part in (0, 0.5, 1)], "no capacity known")
    title = {FORECAST.key: "Peak" if step == ALL_AHEAD else "Median", WIDTH.key: "Width"}[view.key]
    return ramp_legend(f"{title} {when}", view, _ticks(city, top(view, city, found)), "no forecast")


def _when(city: City, timestamps: pd.DatetimeIndex, step: int) -> str:
    if step == ALL_AHEAD:
        return f"in {formats.duration(len(timestamps) * city.interval)}"
    start = timestamps[step - 1]
    return f"{start:%a %H:%M}–{city.timeline.after(start):%H:%M}"


def _ticks(city: City, highest: float) -> list[str]:
    """Amounts at the start, the middle and the end of a ramp of square roots."""
    ticks = [formats.amount(highest * part**2, city.meta.unit) for part in (0, 0.5, 1)]
    return [*ticks[:-1], f"≥{formats.THIN}{ticks[-1]}"]


def ramp_legend(title: str, view: View, ticks: list[str], absent: str = "no data") -> str:
    """A ramp with its title, its ticks and the grey of stations without a value."""
    marks = "".join(f"<span>{escaped(tick)}</span>" for tick in ticks)
    return (
        f'<div class="lec-legend"><span title="{escaped(view.meaning)}">{escaped(title)}</span>'
        f'<div class="lec-scale"><div style="background:{colours.gradient(view.ramp)}"></div><p>{marks}</p></div>'
        f'<span class="lec-none"><i></i>{escaped(absent)}</span></div>'
    )


def kinds_legend(names: tuple[str, ...], counts: list[int]) -> str:
    """A dot, the name and the number of stations of each kind."""
    entries = "".join(
        f'<span><i style="background:{colours.kind(number)}"></i>{escaped(name)} <small>{count:,}</small></span>'
        for number, (name, count) in enumerate(zip(names, counts, strict=True))
    )
    return f'<div class="lec-kinds">{entries}</div>'
