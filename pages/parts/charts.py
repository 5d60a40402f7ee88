"""The charts that pages share."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from lecdiff_core.city.folder import City
from pages.parts import formats
from pages.parts.forecasts import Fan

HISTORY = pd.Timedelta("2D")
FAR_ABOVE = 1.6  # times the highest traffic: where a capacity is not drawn any more
BELOW = {"xref": "container", "x": 0.01, "yref": "container", "y": 0, "yanchor": "bottom"}
CONFIG = {"displaylogo": False, "displayModeBar": False}


# Okabe and Ito's colours, which colour-blind eyes tell apart; `bands` are the opacities of the 90 % and the 50 % interval.
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


def ink() -> dict[str, str]:
    """Colours of lines, bands and text on the visitor's theme."""
    return DARK if st.context.theme.type == "dark" else LIGHT


def fan_chart(city: City, station_id: str, origin: pd.Timestamp, fan: Fan | None, capacity: float | None) -> go.Figure:
    """Observed history, the forecast with its 50 % and 90 % intervals, and what was observed since `origin`."""
    colours = ink()
    end = fan.timestamps[-1] if fan else origin + pd.Timedelta("24h")
    observed = city.traffic.loc[origin - HISTORY : end, station_id]
    past, since = observed[: origin - city.interval], observed[origin - city.interval :]
    top = float(np.nanmax([*observed.to_numpy(), *(fan.high_90 if fan else []), 0]))
    divisor, unit = formats.scale(top, city.meta.unit)
    figure = go.Figure()
    figure.add_scatter(**_line(past / divisor, "observed", colours["past"], 1.6))
    if fan:
        _add_fan(figure, fan, divisor, unit, colours)
    if since[1:].notna().any():
        figure.add_scatter(**_line(since / divisor, "observed since", colours["since"], 2.0))
    _mark_origin(figure, origin, colours["line"])
    highest = top if capacity is None else _mark_capacity(figure, top, capacity, city.meta.unit, colours["line"])
    _dress(figure, formats.rate(unit, city.interval), [_wall(origin - HISTORY), _wall(end)], colours)
    figure.update_yaxes(range=[0, 1.06 * highest / divisor or 1])
    return figure


def _mark_capacity(figure: go.Figure, top: float, capacity: float, unit: str, colour: str) -> float:
    """Draw the capacity, or say that it lies far above, where it would press the traffic flat. The highest value shown."""
    shown = capacity <= FAR_ABOVE * top
    text = f"capacity {formats.amount(capacity, unit)}" + ("" if shown else ", above this chart")
    height = capacity / formats.scale(top, unit)[0]
    place = {"y": height, "yshift": 9} if shown else {"y": 1, "yref": "paper", "yanchor": "bottom"}
    figure.add_annotation(x=0, xref="paper", xanchor="left", showarrow=False, text=formats.escaped(text), **place)
    if shown:
        figure.add_hline(height, line={"color": colour, "width": 1, "dash": "dash"})
    return max(top, capacity) if shown else top


def total_chart(city: City, origin: pd.Timestamp) -> go.Figure:
    """Load of all stations together before `origin`; where stations are missing, of the others."""
    colours = ink()
    total = city.traffic.loc[origin - HISTORY : origin - city.interval].sum(axis=1, min_count=1)
    divisor, unit = formats.scale(float(np.nanmax([*total.to_numpy(), 0])), city.meta.unit)
    figure = go.Figure()
    figure.add_scatter(**_line(total / divisor, "all stations", f"rgb({colours['forecast']})", 1.8))
    _dress(figure, formats.rate(unit, city.interval), [_wall(origin - HISTORY), _wall(origin)], colours)
    figure.update_layout(height=250, showlegend=False, margin={"t": 8, "b": 8})
    return figure


def _wall(times):
    """Times as the city's clocks show them, without zone, which the browser would turn into its own."""
    return times.tz_localize(None)


def _line(values: pd.Series, name: str, colour: str, width: float, dash: str = "solid") -> dict:
    return {
        "x": _wall(values.index),
        "y": values.to_numpy(),
        "name": name,
        "mode": "lines",
        "line": {"color": colour, "width": width, "dash": dash},
        "hovertemplate": "%{y:,.3~f}",
    }


def _add_fan(figure: go.Figure, fan: Fan, divisor: float, unit: str, colours: dict[str, str]) -> None:
    colour, (faint, strong) = colours["forecast"], colours["bands"].split()
    times = _wall(fan.timestamps)
    bands = (
        ("90 % interval", fan.low_90, fan.high_90, faint, "dot"),
        ("50 % interval", fan.low_50, fan.high_50, strong, "solid"),
    )
    for name, low, high, opacity, dash in bands:
        edge = {"color": f"rgba({colour},.55)", "width": 0.8, "dash": dash}
        shared = {"x": times, "mode": "lines", "line": edge, "hoverinfo": "skip", "legendgroup": name}
        figure.add_scatter(y=high / divisor, showlegend=False, **shared)
        figure.add_scatter(y=low / divisor, name=name, fill="tonexty", fillcolor=f"rgba({colour},{opacity})", **shared)
    ranges = np.column_stack([fan.low_50, fan.high_50, fan.low_90, fan.high_90]) / divisor
    figure.add_scatter(
        x=times,
        y=fan.median / divisor,
        name="median",
        mode="lines",
        line={"color": f"rgb({colour})", "width": 2.4},
        customdata=[[formats.number(value) for value in row] for row in ranges],
        hovertemplate=(
            f"%{{y:,.3~f}} {formats.escaped(unit)}<br>50 %: %{{customdata[0]}} – %{{customdata[1]}}"
            "<br>90 %: %{customdata[2]} – %{customdata[3]}"
        ),
    )


def _mark_origin(figure: go.Figure, origin: pd.Timestamp, colour: str) -> None:
    figure.add_vline(_wall(origin), line={"color": colour, "width": 1, "dash": "dash"})
    figure.add_annotation(
        x=_wall(origin),
        y=1,
        yref="paper",
        text="forecast →",
        showarrow=False,
        xanchor="left",
        yanchor="bottom",
        xshift=-2,
    )


def _dress(figure: go.Figure, title: str, window: list, colours: dict[str, str]) -> None:
    axis = {"gridcolor": colours["grid"], "zeroline": False, "fixedrange": False, "color": colours["line"]}
    figure.update_layout(
        height=330,
        margin={"l": 8, "r": 8, "t": 26, "b": 68},
        hovermode="x unified",
        legend={"orientation": "h", "traceorder": "normal", "itemwidth": 30, "font": {"size": 11.5}, **BELOW},
        xaxis={**axis, "range": window, "tickformat": "%H:%M\n%a %-d %b", "hoverformat": "%a %-d %b, %H:%M"},
        yaxis={
            **axis,
            "rangemode": "tozero",
            "title": {"text": formats.escaped(title), "standoff": 8},
            "automargin": True,
        },
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"color": colours["line"], "size": 12},
    )
