"""The load in the last interval before the time of forecast."""

import pandas as pd

from lecdiff_core.city.folder import City
from pages.parts.data import traffic_levels
from pages.parts.look import colours
from pages.parts.map.views.base import Painted, View, amounts, on_the_ramp, ramp_legend, ticks
from pages.parts.state.session import ALL_AHEAD


class Load(View):
    """What was observed last."""

    key, label = "load", "Load now"
    meaning = "Traffic in the last interval before the time of forecast."
    ramp = colours.LOAD

    def paint(self, city: City, origin: pd.Timestamp, step: int = ALL_AHEAD) -> Painted:  # noqa: ARG002
        """The stations."""
        values = traffic_levels.at(city, origin)
        return on_the_ramp(self.ramp, traffic_levels.level(values, traffic_levels.top(city)), amounts(values, city))

    def legend(self, city: City, origin: pd.Timestamp, step: int = ALL_AHEAD) -> str:  # noqa: ARG002
        """What the colours mean."""
        title = f"Load {city.last_before(origin):%H:%M}–{origin:%H:%M}"
        return ramp_legend(title, self, ticks(city, traffic_levels.top(city)))
