"""The panel for several stations: their forecasts on one axis of time, and what they expect side by side."""

import pandas as pd
import streamlit as st

from lecdiff_core.city.folder import City
from lecdiff_core.errors import UserError
from pages.parts.charts import exports, forecast_charts
from pages.parts.data import forecasts
from pages.parts.data.forecasts import Fan
from pages.parts.look import colours, formats
from pages.parts.look.formats import literal
from pages.parts.look.markup import blocks, stations
from pages.parts.state import session

STACKED, OVERLAID = "One below the other", "In one chart"


def show(city: City, station_ids: list[str], origin: pd.Timestamp) -> None:
    """What is compared, or how to begin."""
    if not station_ids:
        st.html(
            blocks.heading("Compare stations")
            + blocks.paragraph(
                "Click stations on the map or choose them above, up to four. Their forecasts then share one axis of time."
            )
        )
        return
    fans, trouble = _fans(city, station_ids, origin)
    title, choice = st.columns([5, 6], vertical_alignment="center")
    title.html(blocks.heading(f"{len(station_ids)} station{'s' if len(station_ids) > 1 else ''}"))
    with choice.container(horizontal_alignment="right"):
        how = st.segmented_control(
            "Charts",
            [STACKED, OVERLAID],
            default=STACKED,
            required=True,
            key="compare_how",
            label_visibility="collapsed",
        )
    figure = forecast_charts.compared_chart(city, station_ids, origin, fans, how == OVERLAID)
    names = ", ".join(station_ids)
    st.plotly_chart(figure, key="compared", config=forecast_charts.CONFIG, alt=f"Observed and forecast load of {names}")
    for station_id, reason in trouble.items():
        st.warning(f"No forecast of {literal(station_id)}: {literal(reason)}", icon=":material/error:")
    if fans:
        st.html(_table(city, fans))
        exports.buttons(city, fans, origin)
    with st.container(horizontal=True, gap="small", vertical_alignment="center"):
        st.html(blocks.label("Look at one"), width="content")
        for station_id in station_ids:
            st.button(
                literal(station_id),
                key=f"alone-{station_id}",
                on_click=session.select,
                args=(station_id, city),
                type="tertiary",
            )


def _fans(city: City, station_ids: list[str], origin: pd.Timestamp) -> tuple[dict[str, Fan], dict[str, str]]:
    """The forecast of each station that can be forecast, and why of the others."""
    model = forecasts.model_of(city)
    fans: dict[str, Fan] = {}
    trouble: dict[str, str] = {}
    for station_id in station_ids:
        try:
            fans[station_id] = forecasts.fan(city, model, station_id, origin)
        except UserError as error:
            trouble[station_id] = str(error)
    return fans, trouble


def _table(city: City, fans: dict[str, Fan]) -> str:
    ordered = session.compared()
    return str(
        stations.compared(
            [
                (colours.kind(ordered.index(station_id)), station_id, _expected(city, fan))
                for station_id, fan in fans.items()
            ]
        )
    )


def _expected(city: City, fan: Fan) -> tuple[str, str, str]:
    """The day's highest step, when it most likely is, and its 90 % interval."""
    low, peak, high = (formats.amount(value, city.meta.unit) for value in fan.peak)
    return peak, f"{fan.peak_time:%a %H:%M}", f"{low} – {high}"
