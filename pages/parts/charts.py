"""The charts that pages share."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from lecdiff_core.city.folder import City
from pages.parts import formats
from pages.parts.colours import ink
from pages.parts.forecasts import Fan

HISTORY = pd.Timedelta("2D")
FAR_ABOVE = 1.6  # times the highest traffic: where a capacity is not drawn any more
BELOW = {"xref": "container", "x": 0.01, "yref": "container", "y": 0, "yanchor": "bottom"}
CONFIG = {"displaylogo": False, "displayModeBar": False}


def fan_chart(city: City, station_id: str, origin: pd.Timestamp, fan: Fan | None, capacity: float | None) -> go.Figure:
    """Observed history, the forecast with its 50 % and 90 % intervals, and what was observed since `origin`."""
    colours = ink()
    end = fan.timestamps[-1] if fan else origin + pd.Timedelta("24h")
    observed = city.traffic.loc[origin - HISTORY : end, station_id]
    past, since = observed[: origin - city.interval], observed[origin - city.interval :]
    top = float(np.nanmax([*observed.to_numpy(), *(fan.high_90 if fan else []), 0]))
    divisor, unit = formats.scale(top, city.meta.unit)
    lines = [_line(past / divisor, "observed", colours["past"], 1.6)]
    if fan:
        lines += _fan_lines(fan, divisor, unit, colours)
    if since[1:].notna().any():
        lines.append(_line(since / divisor, "observed since", colours["since"], 2.0))
    marks = _origin_mark(origin, colours["line"])
    if capacity is not None:
        label = f"capacity {formats.amount(capacity, city.meta.unit)}"
        marks = _joined(marks, _capacity_mark(capacity / divisor, top / divisor, label, colours["line"]))
    highest = max([top / divisor, *(mark["y0"] for mark in marks["shapes"] if mark.get("name") == "capacity")])
    layout = _layout(formats.rate(unit, city.interval), [_wall(origin - HISTORY), _wall(end)], highest, colours)
    return go.Figure(lines, layout | marks)


def total_chart(city: City, origin: pd.Timestamp) -> go.Figure:
    """Load of all stations together before `origin`; where stations are missing, of the others."""
    colours = ink()
    total = city.traffic.loc[origin - HISTORY : origin - city.interval].sum(axis=1, min_count=1)
    top = float(np.nanmax([*total.to_numpy(), 0]))
    divisor, unit = formats.scale(top, city.meta.unit)
    window = [_wall(origin - HISTORY), _wall(origin)]
    layout = _layout(formats.rate(unit, city.interval), window, top / divisor, colours)
    layout |= {"height": 250, "showlegend": False, "margin": layout["margin"] | {"t": 8, "b": 8}}
    return go.Figure([_line(total / divisor, "all stations", f"rgb({colours['forecast']})", 1.8)], layout)


def _wall(times):
    """Times as the city's clocks show them, without zone, which the browser would turn into its own."""
    return times.tz_localize(None)


def _line(values: pd.Series, name: str, colour: str, width: float) -> dict:
    return {
        "type": "scatter",
        "x": _wall(values.index),
        "y": values.to_numpy(),
        "name": name,
        "mode": "lines",
        "line": {"color": colour, "width": width},
        "hovertemplate": "%{y:,.3~r}",
    }


def _fan_lines(fan: Fan, divisor: float, unit: str, colours: dict[str, str]) -> list[dict]:
    """For each interval its upper edge, then the lower one with the area between; the median above all."""
    colour, (faint, strong) = colours["forecast"], colours["bands"].split()
    times = _wall(fan.timestamps)
    lines = []
    for name, low, high, opacity, dash in (
        ("90 % interval", fan.low_90, fan.high_90, faint, "dot"),
        ("50 % interval", fan.low_50, fan.high_50, strong, "solid"),
    ):
        edge = {"color": f"rgba({colour},.55)", "width": 0.8, "dash": dash}
        shared = {
            "type": "scatter",
            "x": times,
            "mode": "lines",
            "line": edge,
            "hoverinfo": "skip",
            "legendgroup": name,
        }
        lines.append(shared | {"y": high / divisor, "showlegend": False})
        area = {"fill": "tonexty", "fillcolor": f"rgba({colour},{opacity})"}
        lines.append(shared | area | {"y": low / divisor, "name": name})
    ranges = np.column_stack([fan.low_50, fan.high_50, fan.low_90, fan.high_90]) / divisor
    words = "50 %: %{customdata[0]} – %{customdata[1]}<br>90 %: %{customdata[2]} – %{customdata[3]}"
    median = _line(pd.Series(fan.median / divisor, index=fan.timestamps), "median", f"rgb({colour})", 2.4) | {
        "customdata": [[formats.number(value) for value in row] for row in ranges],
        "hovertemplate": f"%{{y:,.3~r}} {formats.escaped(unit)}<br>{words}",
    }
    return [*lines, median]


def _origin_mark(origin: pd.Timestamp, colour: str) -> dict[str, list]:
    return {
        "shapes": [
            {
                "type": "line",
                **{"x0": _wall(origin), "x1": _wall(origin), "y0": 0, "y1": 1, "yref": "paper"},
                "line": {"color": colour, "width": 1, "dash": "dash"},
            }
        ],
        "annotations": [
            {
                "text": "forecast →",
                **{"x": _wall(origin), "y": 1, "yref": "paper", "xanchor": "left", "yanchor": "bottom", "xshift": -2},
                "showarrow": False,
            }
        ],
    }


def _capacity_mark(capacity: float, top: float, label: str, colour: str) -> dict[str, list]:
    """A line at the capacity; where it lies so far above that it would press the traffic flat, words alone."""
    text = formats.escaped(label)
    note = {"x": 0, "xref": "paper", "xanchor": "left", "yanchor": "bottom", "showarrow": False}
    if capacity > FAR_ABOVE * top:
        return {"annotations": [note | {"y": 1, "yref": "paper", "text": f"{text}, above this chart"}]}
    line = {"type": "line", "name": "capacity", "x0": 0, "x1": 1, "xref": "paper", "y0": capacity, "y1": capacity}
    line["line"] = {"color": colour, "width": 1, "dash": "dash"}
    return {"shapes": [line], "annotations": [note | {"y": capacity, "text": text}]}


def _joined(first: dict[str, list], second: dict[str, list]) -> dict[str, list]:
    return {name: [*marks, *second.get(name, [])] for name, marks in first.items()}


def _layout(title: str, window: list, highest: float, colours: dict[str, str]) -> dict:
    axis = {"gridcolor": colours["grid"], "zeroline": False, "color": colours["line"]}
    title_of_y = {"text": formats.escaped(title), "standoff": 8}
    return {
        "height": 330,
        "margin": {"l": 8, "r": 8, "t": 26, "b": 68},
        "hovermode": "x unified",
        "legend": {"orientation": "h", "traceorder": "normal", "itemwidth": 30, "font": {"size": 11.5}, **BELOW},
        "xaxis": {**axis, "range": window, "tickformat": "%H:%M\n%a %-d %b", "hoverformat": "%a %-d %b, %H:%M"},
        "yaxis": {**axis, "range": [0, 1.06 * highest or 1], "automargin": True, "title": title_of_y},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"color": colours["line"], "size": 12},
    }
