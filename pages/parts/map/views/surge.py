"""How far traffic left the forecasts that were made before it."""

import numpy as np
import pandas as pd

from lecdiff_core.city.folder import City
from lecdiff_core.errors import UserError
from pages.parts.data import surge_results, traffic_levels
from pages.parts.data.reading import stamp
from pages.parts.look import colours, formats
from pages.parts.map.views.base import Painted, View, ramp_legend
from pages.parts.state.session import ALL_AHEAD

HIGHEST_SCORE = 6.0


class SurgeScore(View):
    """The surge score of the last interval."""

    key, label = "surge", "Surge score"
    meaning = (
        "How far traffic in the last interval left the forecasts that were made 1 to 12 hours before it: beyond ±1.6 it lay "
        "outside their 90 % interval; in quiet times nine of ten scores lie within."
    )
    ramp = colours.SURGE
    offer = "surges", "Surges of this city have not been looked for yet. To find them:"
    lacking = "surges of this city have not been looked for yet"

    def paint(self, city: City, origin: pd.Timestamp, step: int = ALL_AHEAD) -> Painted:  # noqa: ARG002
        """The stations."""
        surges = surge_results.stored_surges(city)
        if surges is None:
            raise UserError(self.lacking)
        time, table = city.last_before(origin), surges.scores
        empty = np.full(len(city.station_ids), np.nan)
        scores = table.loc[time].reindex(city.station_ids).to_numpy() if time in table.index else empty
        texts = [
            f"surge score {score:+.1f}".replace("-", "−") if score == score else "no score" for score in scores.tolist()
        ]
        shades = colours.shades(np.clip(0.5 + scores / (2 * HIGHEST_SCORE), 0, 1), self.ramp)
        return Painted(shades, traffic_levels.sizes(np.clip(np.abs(scores) / HIGHEST_SCORE, 0, 1)), texts)

    def legend(self, city: City, origin: pd.Timestamp, step: int = ALL_AHEAD) -> str:  # noqa: ARG002
        """What the colours mean."""
        marks = [f"≤{formats.THIN}−{HIGHEST_SCORE:.0f}", "as expected", f"≥{formats.THIN}+{HIGHEST_SCORE:.0f}"]
        return ramp_legend(f"Score {city.last_before(origin):%H:%M}–{origin:%H:%M}", self, marks, "no score")

    def depends(self, city: City) -> tuple:
        """On the files of surges."""
        return tuple(stamp(*surge_results.files_of(city)))

    def trouble(self, city: City, origin: pd.Timestamp) -> str:  # noqa: ARG002
        """Whether nobody looked for surges; reads them, as a damaged file says so."""
        return self.lacking if surge_results.stored_surges(city) is None else ""

    def is_missing(self, city: City) -> bool:
        """Whether nobody looked for surges."""
        return not surge_results.are_stored(city)
