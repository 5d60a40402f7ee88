"""The glossary: what the words on the pages mean, one button away on each of them."""

import tomllib
from functools import cache

import streamlit as st

from lecdiff_core.assets import assets_folder
from pages.parts.look import tables

FILE = "glossary.toml"


@cache
def terms() -> tuple[tuple[str, str], ...]:
    """Every term with its meaning, in alphabetical order."""
    listed = tomllib.loads((assets_folder() / FILE).read_text("utf-8"))["terms"]
    return tuple((entry["term"], entry["meaning"]) for entry in listed)


def button() -> None:
    """A button that opens the glossary."""
    with st.popover("Glossary", width="stretch"), st.container(height=420, border=False):
        st.html(tables.table(("Term", "Meaning"), terms()))
