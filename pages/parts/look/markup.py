"""HTML of the pages, by Jinja2: every value is escaped, unless a template made it, so that no text of a city becomes markup."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol, cast

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

_ENVIRONMENT = Environment(
    autoescape=True,
    undefined=StrictUndefined,
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    auto_reload=False,
)


class Macros(Protocol):
    """The macros of a template as functions; each returns markup, which other macros and `+` take as it is."""

    def __getattr__(self, name: str) -> Callable[..., Markup]: ...


def page(name: str, **values: object) -> str:
    """A whole document of the template `name`."""
    return _ENVIRONMENT.get_template(f"{name}.html").render(values)


def macros(name: str) -> Macros:
    """The macros of the template `name`."""
    return cast(Macros, _ENVIRONMENT.get_template(f"{name}.html").module)


blocks, maps, stations, scores = (macros(name) for name in ("blocks", "map", "station", "scores"))
