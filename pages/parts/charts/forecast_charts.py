"""The charts that pages share."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from lecdiff_core.city.folder import City
from pages.parts.data.forecasts import Fan
from pages.parts.data.traffic_levels import carried
from pages.parts.look import colours, formats

HISTORY = pd.Timedelta("2D")
FAR_ABOVE = 1.6  # times the highest traffic: where a capacity is not drawn any more
BELOW = {"xref": "container", "x": 0.01, "yref": "container", "y": 0, "yanchor": "bottom"}
CONFIG = {"displaylogo": False, "displayModeBar": False}


def fan_chart(
    city: City,
    stations: Sequence[str],
    origin: pd.Timestamp,
    fan: Fan | None,
    capacity: float | None = None,
    history: pd.Timedelta = HISTORY,
    paths: int = 0,
) -> go.Figure:
    """History of stations together, their forecast with its 50 % and 90 % intervals, and what was observed since.

    history: how much of what came before is shown.  paths: how many of the sampled futures are drawn, too.
    """
    theme = colours.ink()
    end = fan.timestamps[-1] if fan else origin + pd.Timedelta("24h")
    first = max(origin - history, city.traffic.index[0])
    observed = carried(city, stations, first, end)
    before = city.last_before(origin)
    past, since = observed[:before], observed[before:]
    top = float(np.nanmax([*observed.to_numpy(), *(fan.high_90 if fan else []), 0]))
    divisor, unit = formats.scale(top, city.meta.unit)
    lines = [_line(past / divisor, "observed", theme["past"], 1.6)]
    if fan:
        lines += [*_fan_lines(fan, divisor, unit, theme), *_paths(fan, divisor, theme, paths)]
    if since[1:].notna().any():
        lines.append(_line(since / divisor, "observed since", theme["since"], 2.0))
    marks = _origin_mark(origin, theme["line"])
    if capacity is not None:
        label = f"capacity {formats.amount(capacity, city.meta.unit)}"
        marks = _joined(marks, _capacity_mark(capacity / divisor, top / divisor, label, theme["line"]))
    highest = max([top / divisor, *(mark["y0"] for mark in marks["shapes"] if mark.get("name") == "capacity")])
    layout = _layout(formats.rate(unit, city.interval), [_wall(first), _wall(end)], highest, theme)
    return go.Figure(lines, layout | marks)


def estimate_chart(city: City, fan: Fan) -> go.Figure:
    """A forecast of what has no history: its intervals and its median alone."""
    theme = colours.ink()
    top = float(fan.high_90.max())
    divisor, unit = formats.scale(top, city.meta.unit)
    window = [_wall(fan.timestamps[0]), _wall(fan.timestamps[-1])]
    layout = _layout(formats.rate(unit, city.interval), window, top / divisor, theme)
    return go.Figure(_fan_lines(fan, divisor, unit, theme), layout | {"height": 290})


def changed_chart(city: City, before: Fan, after: Fan) -> go.Figure:
    """The forecast as it would be with its intervals, over the median and the 90 % interval as it is."""
    theme = colours.ink()
    divisor, unit = formats.scale(float(max(before.high_90.max(), after.high_90.max())), city.meta.unit)
    top = float(max(before.high_90.max(), after.high_90.max())) / divisor
    lines = _fan_lines(after, divisor, unit, theme)
    times = before.timestamps
    for name, values, dash in (
        ("", before.low_90, "dot"),
        ("today, 90 % interval", before.high_90, "dot"),
        ("today, median", before.median, "solid"),
    ):
        line = _line(pd.Series(values / divisor, index=times), name, theme["past"], 1.0 if dash == "dot" else 2.0)
        lines.append(line | {"line": line["line"] | {"dash": dash}, "showlegend": bool(name), "hoverinfo": "skip"})
    layout = _layout(formats.rate(unit, city.interval), [_wall(times[0]), _wall(times[-1])], top, theme)
    return go.Figure(lines, layout)


def compared_chart(
    city: City, station_ids: list[str], origin: pd.Timestamp, fans: dict[str, Fan], overlaid: bool
) -> go.Figure:
    """Several stations with their forecasts on one axis of time: each on an axis of its own, or all on one.

    Overlaid, each shows its median and its 90 % interval alone. Stations without a forecast show what was observed.
    """
    theme = colours.ink()
    ends = [fan.timestamps[-1] for fan in fans.values()] or [origin + pd.Timedelta("24h")]
    observed = city.traffic.loc[origin - HISTORY : max(ends), station_ids]
    highs = [fan.high_90.max() for fan in fans.values()]
    divisor, unit = formats.scale(float(np.nanmax([*observed.to_numpy().ravel(), *highs, 0])), city.meta.unit)
    rows = 1 if overlaid else len(station_ids)
    figure = make_subplots(rows=rows, cols=1, shared_xaxes=True, vertical_spacing=0.18 / rows)
    for number, station_id in enumerate(station_ids):
        place = {"row": 1 if overlaid else number + 1, "col": 1}
        lines = _compared_lines(observed[station_id] / divisor, origin, colours.kind(number), theme, overlaid)
        if station_id in fans:
            shade = ",".join(map(str, colours.rgb(colours.kind(number))))
            bands = _fan_lines(fans[station_id], divisor, unit, theme | {"forecast": shade})
            lines = [*(bands[:2] + bands[4:] if overlaid else bands), *lines]
        for line in lines:
            of_median = line.get("name") == "median"
            name = station_id if of_median else f"{station_id}, {line.get('name', 'interval')}"
            figure.add_trace(line | {"name": formats.escaped(name), "showlegend": of_median}, **place)
    title = formats.rate(unit, city.interval)
    window = [_wall(origin - HISTORY), _wall(max(ends))]
    layout = _layout(title, window, 1, theme)
    axis = {name: value for name, value in layout["yaxis"].items() if name not in ("range", "title")}
    figure.update_xaxes(layout.pop("xaxis"))
    figure.update_yaxes(axis | {"rangemode": "tozero"})
    figure.update_yaxes(title=layout.pop("yaxis")["title"], row=(rows + 1) // 2, col=1)
    figure.add_vline(x=_wall(origin), line={"color": theme["line"], "width": 1, "dash": "dash"})
    return figure.update_layout(layout | {"height": 380 if overlaid else 110 + 150 * rows, "hovermode": "x"})


def _compared_lines(observed: pd.Series, origin: pd.Timestamp, colour: str, theme: dict, overlaid: bool) -> list[dict]:
    interval = observed.index[1] - observed.index[0]
    past, since = observed[: origin - interval], observed[origin - interval :]
    lines = [_line(past, "observed", colour if overlaid else theme["past"], 1.6)]
    if since[1:].notna().any():
        line = _line(since, "observed since", colour if overlaid else theme["line"], 1.8)
        lines.append(line | {"line": line["line"] | {"dash": "dot" if overlaid else "solid"}})
    return lines


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


def _fan_lines(fan: Fan, divisor: float, unit: str, theme: dict[str, str]) -> list[dict]:
    """For each interval its upper edge, then the lower one with the area between; the median above all."""
    colour, (faint, strong) = theme["forecast"], theme["bands"].split()
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


def _paths(fan: Fan, divisor: float, theme: dict[str, str], count: int) -> list[dict]:
    """The first sampled futures, each a thin line; one entry of the legend for all."""
    times = _wall(fan.timestamps)
    return [
        {
            "type": "scatter",
            "mode": "lines",
            "x": times,
            "y": path / divisor,
            "name": "sampled futures",
            "legendgroup": "paths",
            "showlegend": not number,
            "hoverinfo": "skip",
            "line": {"color": f"rgba({theme['forecast']},.45)", "width": 0.8},
        }
        for number, path in enumerate(fan.samples[:count])
    ]


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


def _layout(title: str, window: list, highest: float, theme: dict[str, str]) -> dict:
    axis = {"gridcolor": theme["grid"], "zeroline": False, "color": theme["line"]}
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
        "font": {"color": theme["line"], "size": 12},
    }
