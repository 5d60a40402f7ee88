"""What the stations on the map can be coloured by: load, readings of the forecast, measured error, surge score, surroundings.

A view is a class in a file of its own (base.py says what it gives); `VIEWS` lists them in the order of the box.
"""

from lecdiff_core.extensions import add_installed
from pages.parts.map.views.base import Painted, View
from pages.parts.map.views.error import MeasuredError
from pages.parts.map.views.forecast import Median, Risk, Width, forecast_of
from pages.parts.map.views.kind import Kind
from pages.parts.map.views.load import Load
from pages.parts.map.views.surge import SurgeScore
from pages.parts.state import session

__all__ = [
    "ERROR",
    "FORECAST",
    "KIND",
    "LOAD",
    "RISK",
    "SURGE",
    "VIEWS",
    "WIDTH",
    "Painted",
    "View",
    "chosen",
    "forecast_of",
    "register",
]

LOAD, FORECAST, WIDTH, RISK, SURGE, ERROR, KIND = (
    Load(),
    Median(),
    Width(),
    Risk(),
    SurgeScore(),
    MeasuredError(),
    Kind(),
)
VIEWS: dict[str, View] = {}  # by key, the one that pages open with first


def register(view: View) -> None:
    """Add a view to the map's box, after those that are there; one of the same key takes its place."""
    VIEWS[view.key] = view


def chosen() -> View:
    """The view that the visitor has chosen."""
    return VIEWS[session.view().key]


for _view in (LOAD, FORECAST, WIDTH, RISK, SURGE, ERROR, KIND):
    register(_view)
add_installed("views")
