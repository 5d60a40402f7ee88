"""What stands in the address of a page: every parameter of a link, declared once, read and written here.

`city`, `t`, `station`, `with`, `by` and `area` are on every page (state/session.py makes sense of them); the others are one page's.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import streamlit as st


@dataclass(frozen=True)
class Parameter:
    """One parameter: its name in a link, what it usually is, which a link leaves out, and what it may be (empty: anything)."""

    name: str
    usual: str = ""
    choices: tuple[str, ...] = ()

    def read(self, link: Mapping[str, str] | None = None) -> str:
        """What a link (None = the address) says; the usual, where it says nothing or what cannot be."""
        said = (st.query_params if link is None else link).get(self.name, self.usual)
        return said if not self.choices or said in self.choices else self.usual

    def read_all(self) -> list[str]:
        """Every value that the address gives."""
        return st.query_params.get_all(self.name)


CITY, STATION, TIME = Parameter("city"), Parameter("station"), Parameter("t")
WITH, BY, AREA = (
    Parameter("with"),
    Parameter("by"),
    Parameter("area"),
)  # stations compared with it; the view; how much around it
EVENT, ALARMS = Parameter("event"), Parameter("alarms", "1")  # surges
SIDE, SHOW = (
    Parameter("side", "all", ("all", "above", "below")),
    Parameter("show", "events", ("events", "congestion", "quality")),
)
STEP = Parameter("step")  # data: the step whose card is open
SITE = Parameter("site")  # new site: longitude,latitude, as often as there are sites
STOP = Parameter("stop")  # tour: written at the first stop, too


def write(link: Mapping[Parameter, str | list[str]]) -> dict[str, str | list[str]]:
    """Make the address bar a link to what is shown, where it is another; what is usual is left out. Returns the link."""
    wanted = {parameter.name: value for parameter, value in link.items() if value and value != parameter.usual}
    there = {name: st.query_params.get_all(name) for name in st.query_params}
    if there != {name: value if isinstance(value, list) else [value] for name, value in wanted.items()}:
        st.query_params.from_dict(wanted)
    return wanted
