"""A view of the map of one's own: what share of each station's readings is missing.

    python examples/a_view.py

In a package of your own, name a function that registers it as an entry point of the group `lecdiff.views`, and the view is in the
box "Colour by" of every app beside which the package is installed.
"""

import numpy as np
import pandas as pd

from lecdiff_core import City
from lecdiff_core.demo import DEMO_CITY
from pages.parts.look import colours, formats
from pages.parts.map import views
from pages.parts.map.views.base import Painted, View, on_the_ramp, ramp_legend
from pages.parts.state.session import ALL_AHEAD


class Gaps(View):
    """Missing readings."""

    key, label = "gaps", "Missing readings"
    meaning = "Share of the intervals before the time of forecast without a reading."
    ramp = colours.RISK

    def paint(self, city: City, origin: pd.Timestamp, step: int = ALL_AHEAD) -> Painted:  # noqa: ARG002
        """The stations."""
        missing = city.traffic.loc[: city.last_before(origin)].isna().mean().to_numpy()
        return on_the_ramp(
            self.ramp, np.clip(missing / 0.1, 0, 1), [formats.share(value) for value in missing.tolist()]
        )

    def legend(self, city: City, origin: pd.Timestamp, step: int = ALL_AHEAD) -> str:  # noqa: ARG002
        """What the colours mean."""
        return ramp_legend("Missing", self, ["0 %", "5 %", "≥ 10 %"])


def main() -> None:
    """Add the view and paint the demo city in it."""
    views.register(Gaps())
    city = City.open(DEMO_CITY)
    painted = views.VIEWS["gaps"].paint(city, city.end)
    assert painted is not None
    print(f"{len(painted.texts)} stations, the first with {painted.texts[0]} missing; views: {', '.join(views.VIEWS)}")


if __name__ == "__main__":
    main()
