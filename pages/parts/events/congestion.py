"""Congestion ahead: how likely each station goes above what it can carry in the next 24 hours."""

import numpy as np
import pandas as pd
import streamlit as st
from markupsafe import Markup

from lecdiff_core.city.folder import City
from lecdiff_core.congestion import given_capacities
from lecdiff_core.evaluation.metrics import sample_quantiles
from lecdiff_core.tables import csv_text
from pages.parts.charts import forecast_charts
from pages.parts.data import cities, forecasts, traffic_levels
from pages.parts.look import formats
from pages.parts.look.columns import SIDES
from pages.parts.look.markup import blocks
from pages.parts.map import views
from pages.parts.state import session
from pages.parts.station import live_map

LIST_HEIGHT = 405


def show(city: City) -> None:
    """Stations by the probability of exceeding their capacity in the 24 hours after the time of forecast."""
    model, origin = forecasts.model_of(city), session.origin()
    given = bool(np.isfinite(given_capacities(city)).any())
    rules = [rule for rule in traffic_levels.CAPACITY_RULES if rule != traffic_levels.GIVEN or given]
    text_side, rule_side = st.columns([7, 4], gap="medium", vertical_alignment="center")
    text_side.html(
        blocks.paragraph(
            Markup("How likely each station exceeds its capacity in the 24 hours from ")
            + blocks.bold(formats.moment(origin))
            + f": the share of {forecasts.SAMPLES} sampled futures that do. The time is the one chosen on the network map."
        )
    )
    with rule_side:
        rule = st.selectbox(
            "What a station can carry", rules, format_func=traffic_levels.CAPACITY_RULES.__getitem__, key="capacity_rule",
            help="The capacity in the station table, or what that share of a station's own values before this time stayed below.",
        )  # fmt: skip
    work = views.forecast_of(city, origin)
    if work.result is None:
        live_map.wait(city, origin)
        return
    live_map.forecast_notices(city, origin)
    at_once = work.result.at_once[rule]
    table = work.result.congestion[rule]
    if table.empty:
        st.info("No station that can be forecast has a capacity by this rule.", icon=":material/speed:")
        return
    list_side, chart_side = st.columns(SIDES, gap="medium")
    with list_side:
        row = show_risks(city, table, at_once, rule, origin)
    with chart_side:
        show_station_ahead(city, model, row["station_id"], float(row["capacity"]), origin)


def show_risks(city: City, table: pd.DataFrame, at_once: np.ndarray, rule: str, origin: pd.Timestamp) -> pd.Series:
    """The stations, those at risk first, and how many (S, H) are at the same time. Returns the row of the chosen one."""
    likely = int((table["probability"] >= 0.5).sum())
    some = int((table["probability"] > 0).sum())
    st.html(blocks.part(f"{likely:,} of {len(table):,} stations will more likely than not exceed it, {some:,} may"))
    low, middle, high = sample_quantiles(at_once.max(1), [0.05, 0.5, 0.95])
    st.html(
        blocks.paragraph(
            Markup("Above it at the same time, at the worst moment of a sampled future: ")
            + blocks.bold(f"{middle:.0f}")
            + f" (median), {np.floor(low):.0f} to {np.ceil(high):.0f} in nine of ten."
        )
    )
    names = table["station_id"].map(cities.station_names(city))
    divisor, unit = formats.scale(float(table["peak_high"].max()), city.meta.unit)
    each = f"{unit} / {formats.duration(city.interval)}" if unit else f"per {formats.duration(city.interval)}"
    shown = pd.DataFrame(
        {
            "Station": table["station_id"],
            "Name": names,
            "Probability": 100 * table["probability"],
            "Most likely at": table["likeliest"].dt.tz_localize(None),
            "Capacity": table["capacity"] / divisor,
            "Expected peak": table["peak"] / divisor,
        }
    )
    if names.isna().all():
        shown = shown.drop(columns="Name")
    amount = st.column_config.NumberColumn
    key = f"risks-{rule}-{origin.isoformat()}-{session.place().key}"
    picked = st.dataframe(
        shown,
        height=min(LIST_HEIGHT, 38 + 35 * len(shown)),
        placeholder="–",
        hide_index=True,
        on_select="rerun",
        selection_mode="single-row",
        selection_default={"selection": {"rows": [0]}},
        key=key,
        column_config={
            "Probability": st.column_config.ProgressColumn(format="%.0f %%", min_value=0, max_value=100),
            "Most likely at": st.column_config.DatetimeColumn(
                format="ddd D MMM, HH:mm", help="The interval that is above it most often"
            ),
            "Capacity": amount(format="localized", help=each),
            "Expected peak": amount(format="%.3g", help=f"Median of the highest traffic of a sampled future, {each}"),
        },
    )
    amounts_side, export_side = st.columns([5, 2], vertical_alignment="center")
    amounts_side.html(blocks.paragraph(f"Amounts in {each}.", "sub"))
    export_side.download_button(
        "CSV", lambda: csv_text(table.assign(name=names)), "congestion.csv", "text/csv",
        icon=":material/download:", on_click="ignore", width="stretch", key="risks_csv",
    )  # fmt: skip
    rows = picked["selection"]["rows"] if picked else []
    return table.iloc[rows[0] if rows else 0]


def show_station_ahead(city: City, model: str, station_id: str, limit: float, origin: pd.Timestamp) -> None:
    """The forecast of one station with its capacity."""
    st.html(blocks.part(f"{station_id}: forecast and capacity"))
    fan = forecasts.fan(city, model, station_id, origin)
    figure = forecast_charts.fan_chart(city, [station_id], origin, fan, limit)
    st.plotly_chart(
        figure, key="ahead-fan", config=forecast_charts.CONFIG, alt=f"Forecast load of {station_id} and its capacity"
    )
