"""The colours of all pages: Okabe and Ito's for lines and kinds, ramps even in lightness for amounts.

They differ for colour-blind eyes, and nothing is shown by colour alone. Streamlit's own theme, `.streamlit/config.toml`, names the
same ones.
"""

import numpy as np
import streamlit as st

# `bands` are the opacities of the 90 % and the 50 % interval.
LIGHT = {
    "past": "#44545f",
    "forecast": "0,114,178",
    "bands": ".18 .38",
    "since": "#d55e00",
    "line": "#17242d",
    "grid": "#e4eaee",
}
DARK = {
    "past": "#c7d3da",
    "forecast": "86,180,233",
    "bands": ".26 .48",
    "since": "#e69f00",
    "line": "#e6edf1",
    "grid": "#2a3842",
}
# Plasma without its darkest end: of no hue that aerial imagery has.
LOAD = ("#3b049a", "#7201a8", "#a62098", "#cc4778", "#e76f5a", "#f89441", "#fdc527", "#f0f921")
DOUBT = ("#08306b", "#0b559f", "#2b7bba", "#539ecd", "#89bedc", "#bad6eb", "#e6f1fb", "#ffffff")
RISK = ("#fff6d6", "#ffe29a", "#ffc561", "#fb9d3c", "#ee6f24", "#d4431a", "#ab1f16", "#7a0916")
SURGE = ("#08519c", "#4292c6", "#a6cde3", "#f7f7f7", "#fdbe85", "#e6650d", "#8c2d04")  # below, as and above expected
# Eight that Okabe and Ito tell apart (their black is the text) and two more, for light and dark ground.
KINDS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#b8a800", "#8a7fd6", "#7f8c96", "#a0522d")
ALIKE = "#ffb000"  # lines to stations in like surroundings
NO_DATA = (150, 160, 168, 130)
OPAQUE = 235


def ink() -> dict[str, str]:
    """Colours of lines, bands and text on the visitor's theme."""
    return DARK if st.context.theme.type == "dark" else LIGHT


def kind(number: int) -> str:
    """The colour of the `number`-th of several kinds."""
    return KINDS[number % len(KINDS)]


def rgb(code: str) -> list[int]:
    """Red, green and blue of #rrggbb."""
    return [int(code[start : start + 2], 16) for start in (1, 3, 5)]


def shades(levels: np.ndarray, ramp: tuple[str, ...]) -> np.ndarray:
    """(N, 4) RGBA on a ramp for (N,) levels from 0 to 1; levels that are missing come out grey and see-through."""
    stops = np.array([rgb(code) for code in ramp])
    places = np.linspace(0, 1, len(stops))
    channels = [np.interp(np.nan_to_num(levels), places, stops[:, channel]) for channel in range(3)]
    colours = np.column_stack([*channels, np.full(len(levels), OPAQUE)])
    return np.where(np.isnan(levels)[:, None], NO_DATA, np.round(colours)).astype(int)


def gradient(ramp: tuple[str, ...]) -> str:
    """A ramp as CSS, from its least colour at the left to its highest at the right."""
    return f"linear-gradient(90deg,{','.join(ramp)})"
