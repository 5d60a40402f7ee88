"""How large the visitor's window is, so that a map can show its stations as large as there is room.

The browser tells it once, as the page is opened, which runs the page a second time.
"""

import streamlit as st

KEY = "window"
STACKED_BELOW = 640  # pixels of width, below which columns stand under each other (Streamlit's own limit)
WIDEST, EDGES, GAP = 2200, 64, 30  # pixels of the page (style.css), beside it, between two columns
TELL = """
export default function ({ setStateValue }) {
  setStateValue("size", [document.documentElement.clientWidth, window.innerHeight])
}
"""
_tell = st.components.v2.component("window_size", js=TELL)


def ask() -> None:
    """Have the browser tell the size. Once on every page."""
    with st.container(key="window-size"):
        _tell(key=KEY, on_size_change=lambda: None)


def size() -> tuple[int, int] | None:
    """Width and height in pixels; None until the browser has reported them, or where it reported something else."""
    reported = st.session_state.get(KEY, {}).get("size")
    if (
        isinstance(reported, list)
        and len(reported) == 2
        and all(isinstance(one, int) and 0 < one < 20_000 for one in reported)
    ):
        return reported[0], reported[1]
    return None


def column(width: int, share: float) -> float:
    """Pixels of a column that has a share of a window's width."""
    inner = min(width, WIDEST) - EDGES
    return inner if width <= STACKED_BELOW else (inner - GAP) * share
