"""How far measured forecasts lay from what was observed, station by station."""

import numpy as np
import pandas as pd

from lecdiff_core.city.folder import City
from pages.parts.data import measured
from pages.parts.look import colours, formats
from pages.parts.map.views.base import Painted, View, on_the_ramp, ramp_legend
from pages.parts.state.session import ALL_AHEAD

HIGHEST = 0.98  # quantile of the stations' errors at which the colours end


class MeasuredError(View):
    """nCRPS of each station."""

    key, label = "error", "Forecast error"
    meaning = "How far the forecasts of the days measured lay from what was observed, as a share of the station's traffic (nCRPS)."
    ramp = colours.RISK
    offer = "benchmark", "Forecasts of this city have not been measured yet. To measure them:"
    lacking = "its forecasts have not been measured yet"

    def paint(self, city: City, origin: pd.Timestamp, step: int = ALL_AHEAD) -> Painted:  # noqa: ARG002
        """The stations."""
        errors = measured.station_errors(city)
        values = np.array([errors.get(station_id, np.nan) for station_id in city.station_ids])
        texts = [
            f"error {formats.share(value)} of its traffic" if value == value else "not measured"
            for value in values.tolist()
        ]
        return on_the_ramp(self.ramp, np.clip(values / _highest(city), 0, 1), texts)

    def legend(self, city: City, origin: pd.Timestamp, step: int = ALL_AHEAD) -> str:  # noqa: ARG002
        """What the colours mean."""
        marks = [formats.share(_highest(city) * part) for part in (0, 0.5, 1)]
        return ramp_legend("Error, of the traffic", self, [*marks[:-1], f"≥{formats.THIN}{marks[-1]}"], "not measured")

    def depends(self, city: City) -> tuple:
        """On the measurements."""
        return tuple(measured.version(city))

    def is_missing(self, city: City) -> bool:
        """Whether nothing was measured."""
        return not measured.station_errors(city)


def _highest(city: City) -> float:
    """The error at which the colours end."""
    return float(np.quantile(list(measured.station_errors(city).values()), HIGHEST)) or 1.0
