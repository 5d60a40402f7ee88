"""Readings of the forecast of all stations: its median, how unsure it is, and how likely it exceeds capacity."""

from typing import ClassVar

import numpy as np
import pandas as pd

from lecdiff_core.city.folder import City
from pages.parts.data import forecasts, network_forecast, traffic_levels
from pages.parts.data.network_forecast import NetworkForecast
from pages.parts.look import colours, formats
from pages.parts.map.views.base import Painted, View, amounts, on_the_ramp, ramp_legend, ticks
from pages.parts.state.session import ALL_AHEAD

NOT_FORECAST = "no forecast: too little traffic before this time"


def forecast_of(city: City, origin: pd.Timestamp) -> network_forecast.Work:
    """The forecast of all stations, as far as it is."""
    return network_forecast.look(city, forecasts.model_of(city), origin)


class ForecastView(View):
    """One reading of the forecast; the whole of it, or one step ahead."""

    is_forecast = True
    title: ClassVar[str]
    absent: ClassVar[str] = "no forecast"

    def paint(self, city: City, origin: pd.Timestamp, step: int = ALL_AHEAD) -> Painted | None:
        """The stations; None while their forecast is under way."""
        forecast = forecast_of(city, origin).result
        return None if forecast is None else self.painted(city, forecast, step)

    def painted(self, city: City, forecast: NetworkForecast, step: int) -> Painted:
        """The stations in a forecast of them."""
        levels, texts = self.levels(city, forecast, self.values(forecast, step))
        none = np.isnan(forecast.median[:, 0])
        texts = [NOT_FORECAST if gone else text for text, gone in zip(texts, none, strict=True)]
        return on_the_ramp(self.ramp, levels, texts)

    def values(self, forecast: NetworkForecast, step: int) -> np.ndarray:
        """(N,) what is shown of a step ahead, or of all."""
        raise NotImplementedError

    def levels(self, city: City, forecast: NetworkForecast, values: np.ndarray) -> tuple[np.ndarray, list[str]]:
        """Values (N,) on the ramp, and in words."""
        return traffic_levels.level(values, self.highest(city, forecast)), amounts(values, city)

    def highest(self, city: City, forecast: NetworkForecast | None) -> float:  # noqa: ARG002
        """The amount at which the colours end: that of the load, so that one colour means one load at any time."""
        return traffic_levels.top(city)

    def marks(self, city: City, forecast: NetworkForecast | None) -> list[str]:
        """What stands below the ramp."""
        return ticks(city, self.highest(city, forecast))

    def legend(self, city: City, origin: pd.Timestamp, step: int = ALL_AHEAD) -> str:
        """What the colours mean."""
        forecast = forecast_of(city, origin).result
        when = "" if forecast is None else _when(city, forecast.timestamps, step)
        return ramp_legend(f"{self.title_of(step)} {when}", self, self.marks(city, forecast), self.absent)

    def title_of(self, step: int) -> str:  # noqa: ARG002
        """The legend's title."""
        return self.title

    def depends(self, city: City) -> tuple:
        """On the model."""
        return forecasts.version(city, forecasts.model_of(city))

    def trouble(self, city: City, origin: pd.Timestamp) -> str:
        """Why there is no forecast."""
        return forecast_of(city, origin).trouble


class Median(ForecastView):
    """What is expected."""

    key, label, title = "forecast", "Forecast load", "Median"
    meaning = "Median of the forecast: its peak over the whole forecast, or its value at the time chosen below."
    ramp = colours.LOAD

    def values(self, forecast: NetworkForecast, step: int) -> np.ndarray:
        """The median, or its highest."""
        return forecast.median.max(1) if step == ALL_AHEAD else forecast.median[:, step - 1]

    def title_of(self, step: int) -> str:
        """The legend's title."""
        return "Peak" if step == ALL_AHEAD else self.title


class Width(ForecastView):
    """How unsure it is."""

    key, label, title = "width", "Width of the 90 % interval", "Width"
    meaning = (
        "How far apart the ends of the 90 % interval lie: how unsure the forecast is. The mean over the whole forecast, or its "
        "value at the time chosen below."
    )
    ramp = colours.DOUBT

    def values(self, forecast: NetworkForecast, step: int) -> np.ndarray:
        """The width, or its mean."""
        width = forecast.high - forecast.low
        return width.mean(1) if step == ALL_AHEAD else width[:, step - 1]

    def highest(self, city: City, forecast: NetworkForecast | None) -> float:
        """The amount at which the colours end, of all stations' widths."""
        if forecast is None:
            return traffic_levels.top(city)
        return float(np.nanquantile(forecast.high - forecast.low, traffic_levels.BRIGHTEST)) or 1.0


class Risk(ForecastView):
    """How likely capacity is exceeded."""

    key, label, title = "risk", "Risk of exceeding capacity", "Risk"
    meaning = (
        "Share of the sampled futures in which traffic goes above the station's capacity. Where no capacity is given, what "
        "99 % of its past values stayed below stands in for it."
    )
    ramp, absent = colours.RISK, "no capacity known"

    def values(self, forecast: NetworkForecast, step: int) -> np.ndarray:
        """The share at a step, or at any."""
        return forecast.exceeding_once if step == ALL_AHEAD else forecast.exceeding[:, step - 1]

    def levels(self, city: City, forecast: NetworkForecast, values: np.ndarray) -> tuple[np.ndarray, list[str]]:  # noqa: ARG002
        """Shares as they are."""
        return values, [formats.share(value) for value in values.tolist()]

    def marks(self, city: City, forecast: NetworkForecast | None) -> list[str]:  # noqa: ARG002
        """What stands below the ramp."""
        return [formats.share(part) for part in (0, 0.5, 1)]


def _when(city: City, timestamps: pd.DatetimeIndex, step: int) -> str:
    if step == ALL_AHEAD:
        return f"in {formats.duration(len(timestamps) * city.interval)}"
    start = timestamps[step - 1]
    return f"{start:%a %H:%M}–{city.timeline.after(start):%H:%M}"
