"""What a view of the map is: a colour, a size and a text for every station, and a legend that says the same of the colours.

A new view is a class in a file of its own, added to the list in `__init__.py`, or from outside with `views.register`.
"""

import hashlib
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
from markupsafe import Markup

from lecdiff_core.city.folder import City
from pages.parts.data import traffic_levels
from pages.parts.look import colours, formats
from pages.parts.look.markup import maps
from pages.parts.state.session import ALL_AHEAD


@dataclass(frozen=True)
class Painted:
    """N stations in a view: (N, 4) RGBA, (N,) radius in pixels, and what to say of each."""

    colours: np.ndarray
    sizes: np.ndarray
    texts: list[str]


class View(ABC):
    """One thing that colour can show.

    key: in links.  label: in the box.  meaning: the tooltip.  ramp: the colours from little to much.
    is_forecast: whether it is asked for a step ahead, 1 to H, or for `ALL_AHEAD`, the whole of the forecast.
    offer: the step that makes what is missing, and the sentence that offers it; None where nothing has to be made.
    lacking: why it cannot be shown where that is missing.
    """

    key: ClassVar[str]
    label: ClassVar[str]
    meaning: ClassVar[str]
    ramp: ClassVar[tuple[str, ...]] = ()
    is_forecast: ClassVar[bool] = False
    offer: ClassVar[tuple[str, str] | None] = None
    lacking: ClassVar[str] = ""

    @abstractmethod
    def paint(self, city: City, origin: pd.Timestamp, step: int = ALL_AHEAD) -> Painted | None:
        """The stations; None while the forecast of all stations is not there. Raises UserError."""

    @abstractmethod
    def legend(self, city: City, origin: pd.Timestamp, step: int = ALL_AHEAD) -> str:
        """What the colours mean, as HTML, with unit and time. Raises UserError."""

    def depends(self, city: City) -> tuple:  # noqa: ARG002
        """What changes whenever what it shows of a city at a time does, beside the city's data."""
        return ()

    def trouble(self, city: City, origin: pd.Timestamp) -> str:  # noqa: ARG002
        """Why it cannot be shown; empty where nothing stands in the way. Raises UserError, too, which says why."""
        return self.lacking if self.is_missing(city) else ""

    def is_missing(self, city: City) -> bool:  # noqa: ARG002
        """Whether what it shows has to be made first, by the step in `offer`."""
        return False

    def version(self, city: City) -> str:
        """Changes whenever what it shows does, so that a browser may keep what it has got."""
        return hashlib.sha256(repr((city.data_hash, city.path, self.key, *self.depends(city))).encode()).hexdigest()[
            :12
        ]


def on_the_ramp(ramp: tuple[str, ...], levels: np.ndarray, texts: list[str]) -> Painted:
    """Stations at levels 0 to 1 of a ramp."""
    return Painted(colours.shades(levels, ramp), traffic_levels.sizes(levels), texts)


def amounts(values: np.ndarray, city: City) -> list[str]:
    """Amounts of traffic in words."""
    return [formats.amount(value, city.meta.unit) if value == value else "no data" for value in values.tolist()]


def ticks(city: City, highest: float) -> list[str]:
    """Amounts at the start, the middle and the end of a ramp of square roots."""
    marks = [formats.amount(highest * part**2, city.meta.unit) for part in (0, 0.5, 1)]
    return [*marks[:-1], f"≥{formats.THIN}{marks[-1]}"]


def ramp_legend(title: str, view: View, marks: list[str], absent: str = "no data") -> Markup:
    """A ramp with its title, its marks and the grey of stations without a value."""
    return maps.ramp(title, view.meaning, colours.gradient(view.ramp), marks, absent)
