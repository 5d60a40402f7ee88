"""What can be taken away of a forecast: its numbers as CSV, its chart as PNG, and a report of one page."""

import base64
import re
from collections.abc import Callable

import pandas as pd
import streamlit as st

from lecdiff_core.city.folder import City
from lecdiff_core.tables import csv_text
from pages.parts.charts import drawing
from pages.parts.data.forecasts import Fan, observed
from pages.parts.look.markup import blocks

SHARPNESS = 2  # pixels of the picture file for one of the drawing
# The drawing becomes a picture in the browser, which has the fonts.
PICTURE = """
export default function ({ data, parentElement }) {
  const button = parentElement.querySelector("button")
  button.onclick = () => {
    const picture = new Image()
    picture.onload = () => {
      const canvas = document.createElement("canvas")
      canvas.width = picture.width * data.sharpness
      canvas.height = picture.height * data.sharpness
      canvas.getContext("2d").drawImage(picture, 0, 0, canvas.width, canvas.height)
      const link = document.createElement("a")
      link.download = data.name
      link.href = canvas.toDataURL("image/png")
      link.click()
    }
    picture.src = "data:image/svg+xml;base64," + data.drawing
  }
}
"""
_picture = st.components.v2.component(
    "picture_button",
    html='<button type="button">PNG</button>',
    css="""button { font: inherit; font-size: 0.93rem; color: inherit; background: var(--st-background-color); cursor: pointer;
      border: 1px solid var(--st-border-color); border-radius: var(--st-button-radius); padding: 0 0.8rem; height: 2.5rem; }
      button:hover, button:focus-visible { border-color: var(--st-primary-color); color: var(--st-primary-color); outline: none; }
      button:focus-visible { box-shadow: 0 0 0 3px color-mix(in srgb, var(--st-primary-color) 50%, transparent); }""",
    js=PICTURE,
)


def table(city: City, fans: dict[str, Fan]) -> pd.DataFrame:
    """One row a station and step: what `Forecast.to_frame` holds, and `observed`, in the city's unit."""
    parts = [fan.table.assign(observed=observed(city, fan)) for fan in fans.values()]
    return pd.concat(parts, ignore_index=True)


def csv(city: City, fans: dict[str, Fan]) -> bytes:
    """The table as CSV in UTF-8, in the form of `lecdiff forecast`."""
    return csv_text(table(city, fans)).encode()


def changed_csv(before: Fan, after: Fan) -> bytes:
    """Two forecasts of the same steps side by side: each quantile as it is, and as it would be, `…_if`."""
    columns = [name for name in after.table if name not in ("station_id", "timestamp")]
    renamed = {name: f"{name}_if" for name in columns}
    return csv_text(pd.concat([before.table, after.table[columns].rename(columns=renamed)], axis=1)).encode()


def file_name(city: City, station_ids: list[str], origin: pd.Timestamp, suffix: str) -> str:
    """A name for a file that says what is in it, made of harmless signs."""
    words = "-".join([city.meta.name, *station_ids, f"{origin:%Y-%m-%dT%H%M}"])
    return re.sub(r"[^A-Za-z0-9_-]+", "-", words).strip("-")[:120] + suffix


def buttons(city: City, fans: dict[str, Fan], origin: pd.Timestamp, report: Callable[[], str] | None = None) -> None:
    """A row of buttons: CSV of `fans`; for one station its chart as PNG, too, and its report."""
    names = list(fans)

    def name(suffix: str) -> str:
        return file_name(city, names, origin, suffix)

    with st.container(horizontal=True, gap="small", vertical_alignment="center", key="exports"):
        st.html(blocks.label("Save as"), width="content")
        st.download_button(
            "CSV",
            lambda: csv(city, fans),
            name(".csv"),
            "text/csv",
            on_click="ignore",
            help="The numbers of the forecast.",
        )
        if len(names) == 1:
            svg = drawing.fan_drawing(city, names[0], origin, fans[names[0]])
            packed = base64.b64encode(svg.encode()).decode()
            _picture(
                data={"drawing": packed, "name": name(".png"), "sharpness": SHARPNESS}, key="picture", width="content"
            )
        if report:
            st.download_button(
                "Report",
                lambda: report().encode(),
                name(".html"),
                "text/html",
                on_click="ignore",
                help="One page to print or send on, with chip, chart and facts.",
            )
