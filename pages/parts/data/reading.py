"""One cached read for everything that pages read from files: read once, and again only when one of the files changed."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import ParamSpec, TypeVar

import streamlit as st

from lecdiff_core.city.folder import City

P = ParamSpec("P")
T = TypeVar("T")
Stamp = tuple[tuple[int, int], ...]


def stamp(*files: Path) -> Stamp:
    """Size and time of change of `files`, by which what was read from them is known to be current."""
    states = [file.stat() for file in files if file.exists()]
    return tuple((state.st_mtime_ns, state.st_size) for state in states)


def read_once(
    files: Callable[P, Iterable[Path]], entries: int = 4, spinner: str | bool = False
) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """A decorator: the result is shared by all visitors until one of `files` of the same arguments changes.

    At most `entries` results are held. A city among the arguments counts by its folder, its data and its description.
    An error is raised, and nothing held.
    """

    def decorate(read: Callable[P, T]) -> Callable[P, T]:
        def keyed(changed: Stamp, *arguments: P.args, **named: P.kwargs) -> T:  # noqa: ARG001 (part of the key)
            return read(*arguments, **named)

        keyed.__module__, keyed.__qualname__ = (
            read.__module__,
            read.__qualname__,
        )  # by which Streamlit tells caches apart
        cached = st.cache_resource(max_entries=entries, show_spinner=spinner, hash_funcs={City: _as_opened})(keyed)

        def current(*arguments: P.args, **named: P.kwargs) -> T:
            return cached(stamp(*files(*arguments, **named)), *arguments, **named)

        current.__module__, current.__qualname__, current.__doc__ = read.__module__, read.__qualname__, read.__doc__
        return current

    return decorate


def _as_opened(city: City) -> tuple[str, str, str]:
    return str(city.path), city.data_hash, city.meta.model_dump_json()
