"""LEC-Diff: mobile traffic forecasts for every base station, as one joint distribution.

The public face; each name is loaded when it is first used, so that importing the package costs nothing:

    City          a city folder, or one made of DataFrames
    Forecaster    a model on a city: the city's own, or the shipped base model
    Forecast      samples of future traffic, and the tables and intervals read off them
    train         fit a model to a city
    benchmark     measure models by the measurement protocol
    find_surges   where and when traffic left the forecasts made before

Knows nothing of the application (streamlit, pydeck, plotly). `docs/api.md` shows how these are used, `examples/` whole programs,
`docs/architecture.md` the rooms.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lecdiff_core.api import benchmark, train
    from lecdiff_core.city.folder import City
    from lecdiff_core.errors import UserError
    from lecdiff_core.forecast import Forecast
    from lecdiff_core.forecaster import Forecaster
    from lecdiff_core.surges import Surges, find_surges

__version__ = "0.1.0"
__all__ = ["City", "Forecast", "Forecaster", "Surges", "UserError", "benchmark", "find_surges", "train"]
_HOMES = {
    "City": "lecdiff_core.city.folder",
    "Forecast": "lecdiff_core.forecast",
    "Forecaster": "lecdiff_core.forecaster",
    "Surges": "lecdiff_core.surges",
    "UserError": "lecdiff_core.errors",
    "benchmark": "lecdiff_core.api",
    "find_surges": "lecdiff_core.surges",
    "train": "lecdiff_core.api",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
