"""Widgets that show what several things can set: a click on the map, a link, a button, and the widget itself.

A browser that is slow to redraw sends the value it still shows along with the next click, as if a person had just chosen it.
So a widget gets another key whenever something else than itself changed its value; what is sent under the old one concerns
nobody.
"""

from collections.abc import Callable
from typing import Any

import streamlit as st


def keyed(name: str, value: Any, chosen: Callable[[Any], None]) -> dict[str, Any]:
    """Key and callback for a widget that shows `value`; `chosen` is called with what a person chooses in it."""
    turn, last = st.session_state.get(_slot(name), (0, value))
    turn += value != last
    key = f"{name}-{turn}"
    st.session_state[_slot(name)] = (turn, value)
    st.session_state[key] = value

    def changed() -> None:
        taken = st.session_state[key]
        st.session_state[_slot(name)] = (turn, taken)
        chosen(taken)

    return {"key": key, "on_change": changed}


def _slot(name: str) -> str:
    return f"keyed-{name}"
