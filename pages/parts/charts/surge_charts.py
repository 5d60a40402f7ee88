"""The pictures of the surges page: scores by station and time, an event on the map, and how well events are found."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pydeck
import streamlit as st

from lecdiff_core.city.folder import City
from lecdiff_core.models.names import OURS, label_of
from lecdiff_core.surges import Surges
from pages.parts.data import places
from pages.parts.data.cities import Place
from pages.parts.look import colours, formats
from pages.parts.look.formats import escaped
from pages.parts.map import basemap
from pages.parts.map import station_map as station_map

ABOVE, BELOW = "#d55e00", "#0072b2"
# From blue (below the forecast) over the ground's own shade to vermillion (above it); the middle is about the 90 % interval.
OUTER, INNER = ("#084a91", "#9a3a00"), ("#3b8bc4", "#e8833a")
REACH = 8  # score at which the colours end
ROW, MOST_ROWS = 17, 40
AROUND = pd.Timedelta("18h")
MAP_HEIGHT = 380
STATIONS = "surging"
NEARBY = 400  # other stations drawn on the map
DETECTORS = {
    OURS: label_of(OURS),
    "lec-diff-stations": f"{label_of(OURS)}, no districts",
    "seasonal-residual": "Seasonal residual",
    "z-score": "Z-score",
}
LOOKS = {
    OURS: ("circle", 0),
    "lec-diff-stations": ("triangle-up", 3),
    "seasonal-residual": ("square", 2),
    "z-score": ("diamond", 5),
}


def heat_map(
    surges: Surges, stations: list[str], start: pd.Timestamp, end: pd.Timestamp, event: pd.Series | None
) -> go.Figure:
    """Surge score of some stations from `start` to `end`, with a frame around each run of the event."""
    theme = colours.ink()
    scores = surges.scores.loc[start:end, stations]
    values = scores.to_numpy().T
    wall = scores.index.tz_localize(None)
    step = (wall[1] - wall[0]) if len(wall) > 1 else pd.Timedelta("30min")
    picture = {
        "type": "heatmap",
        "z": np.where(np.isfinite(values), np.round(values, 1), np.nan).astype(np.float32),
        "x": wall + step / 2,
        "y": [escaped(name) for name in stations],
        "zmin": -REACH,
        "zmax": REACH,
        "colorscale": _diverging(theme["grid"]),
        "hovertemplate": "<b>%{y}</b> · %{x|%a %-d %b, %H:%M}<br>score %{z:.1f}<extra></extra>",
        "colorbar": {
            "title": {"text": "surge score", "side": "right", "font": {"size": 11}},
            "thickness": 10,
            "tickvals": [-6, -3, 0, 3, 6],
            "ticktext": ["−6 below", "−3", "0", "+3", "+6 above"],
            "outlinewidth": 0,
            "tickfont": {"size": 11},
        },
    }
    axis = {"color": theme["line"], "showgrid": False, "zeroline": False}
    layout = {
        "height": 92 + ROW * max(len(stations), 5),
        "margin": {"l": 8, "r": 8, "t": 8, "b": 40},
        "xaxis": {
            **axis,
            "tickformat": "%H:%M\n%a %-d %b" if end - start < pd.Timedelta("4D") else "%a\n%-d %b",
            "ticklabelmode": "period",
        },
        "yaxis": {
            **axis,
            "type": "category",
            "autorange": "reversed",
            "automargin": True,
            "tickfont": {"size": 11},
            "dtick": 1,
        },
        "shapes": [] if event is None else _frames(event, stations, theme["line"]),
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": theme["grid"],
        "font": {"color": theme["line"], "size": 12},
    }
    return go.Figure([picture], layout)


def _diverging(ground: str) -> list[tuple[float, str]]:
    """A scale whose middle fifth is the ground, so that only what left its forecast stands out."""
    return [(0, OUTER[0]), (0.2, INNER[0]), (0.4, ground), (0.6, ground), (0.8, INNER[1]), (1, OUTER[1])]


def _frames(event: pd.Series, stations: list[str], colour: str) -> list[dict]:
    rows = {name: number for number, name in enumerate(stations)}
    frames = []
    for name, start, end in zip(event["stations"], event["starts"], event["ends"], strict=True):
        if name in rows:
            place = {
                "x0": pd.Timestamp(start).tz_localize(None),
                "x1": pd.Timestamp(end).tz_localize(None),
                "y0": rows[name] - 0.46,
                "y1": rows[name] + 0.46,
            }
            frames.append({"type": "rect", **place, "line": {"color": colour, "width": 1.8}})
    return frames


def event_map(place: Place, city: City, event: pd.Series, key: str) -> str | None:
    """The stations of an event on the map: orange above the forecast, blue below it. Returns the one that was clicked."""
    rows = {name: number for number, name in enumerate(city.station_ids)}
    near = _nearest(city, rows[event["station_id"]])
    sides = dict(zip(event["stations"][::-1], event["directions"][::-1], strict=True))
    excess = dict(zip(event["stations"][::-1], event["excesses"][::-1], strict=True))
    stand = places.drawn(city).round(6).tolist()
    others = [
        _point(city, row, stand[row], "within what was expected", [255, 255, 255, 150], 4.5)
        for row in near
        if city.station_ids[row] not in sides
    ]
    largest = max(max(map(abs, excess.values())), 1e-9)
    surging = [
        _point(
            city,
            rows[name],
            stand[rows[name]],
            f"{formats.amount(abs(excess[name]), city.meta.unit)} {side} the 90 % interval",
            [*colours.rgb(ABOVE if side == "above" else BELOW), 245],
            7 + 9 * (abs(excess[name]) / largest) ** 0.5,
        )
        for name, side in sides.items()
        if name in rows
    ]
    arcs = station_map.arcs(
        city, event["station_id"], [name for name in sides if name != event["station_id"] and name in rows]
    )
    deck = pydeck.Deck(
        layers=[*arcs, _dots("others", others), _dots(STATIONS, surging)],
        initial_view_state=pydeck.ViewState(**station_map.view_around(city, [name for name in sides if name in rows])),
        map_provider="maplibre",
        map_style=basemap.style(city, place.key, basemap.bundle(city)),
        tooltip={"text": "{label}\n{value}", "style": station_map.TOOLTIP},
    )
    picked = st.pydeck_chart(
        deck,
        height=MAP_HEIGHT,
        on_select="rerun",
        selection_mode="single-object",
        key=key,
        alt=f"{'Map' if city.has_places else 'Grid'} of the {len(sides)} stations of the event at {event['station_id']}",
    )
    chosen = picked["selection"]["objects"].get(STATIONS) if picked else None
    return str(chosen[0]["station_id"]) if chosen else None


def _nearest(city: City, row: int) -> list[int]:
    """Rows of the stations nearest to that of `row`, itself first; of those before and after it where no place is known."""
    if city.has_places:
        x, y = places.drawn(city).T
        apart = np.hypot((x - x[row]) * np.cos(np.radians(y[row])), y - y[row])
    else:
        apart = np.abs(np.arange(len(city.station_ids)) - row)
    return np.argsort(apart, kind="stable")[:NEARBY].tolist()


def rows_around(city: City, event: pd.Series, count: int) -> list[str]:
    """The stations of an event, then others near its strongest, up to `count`."""
    own = list(dict.fromkeys(event["stations"]))[:count]
    near = [city.station_ids[row] for row in _nearest(city, city.station_ids.index(event["station_id"]))]
    return [*own, *(name for name in near if name not in own)][: max(count, len(own))]


def _point(city: City, row: int, position: list[float], value: str, colour: list[int], size: float) -> dict:
    station_id = city.station_ids[row]
    return {
        "station_id": station_id,
        "label": station_id,
        "value": value,
        "position": position,
        "colour": colour,
        "size": round(size, 1),
    }


def _dots(key: str, points: list[dict]) -> pydeck.Layer:
    return pydeck.Layer(
        "ScatterplotLayer",
        id=key,
        data=points,
        get_position="position",
        get_fill_color="colour",
        get_radius="size",
        radius_units="'pixels'",
        stroked=True,
        get_line_color="[255, 255, 255, 230]",
        line_width_units="'pixels'",
        get_line_width=1.2,
        pickable=True,
    )


def found_against_false(results: list[dict]) -> go.Figure:
    """Share of planted events found against the false alarms a day that result; a line a detector, a point a setting."""
    theme = colours.ink()
    traces = []
    for name, label in DETECTORS.items():
        for compared, dash in (("beside neighbours", "solid"), ("alone", "dot")):
            rows = [row for row in results if row["detector"] == name and row["compared"] == compared]
            if not rows:
                continue
            symbol, colour = LOOKS[name]
            traces.append(
                {
                    "type": "scatter",
                    "mode": "lines+markers",
                    "name": f"{label}{'' if compared == 'alone' else ', beside neighbours'}",
                    "x": [row["false_alarms_a_day"] for row in rows],
                    "y": [100 * row["recall"] for row in rows],
                    "customdata": [[row["false_alarms_asked"], 100 * row["precision"]] for row in rows],
                    "line": {"color": colours.kind(colour), "width": 2.6 if compared != "alone" else 1.6, "dash": dash},
                    "marker": {"symbol": symbol if compared != "alone" else f"{symbol}-open", "size": 9},
                    "hovertemplate": "found %{y:.0f} %, %{customdata[1]:.0f} % of the reports right<br>"
                    "%{x:.2f} false alarms a day observed, %{customdata[0]} asked for",
                }
            )
    axis = {"gridcolor": theme["grid"], "zeroline": False, "color": theme["line"]}
    layout = {
        "height": 400,
        "margin": {"l": 8, "r": 8, "t": 8, "b": 120},
        "hovermode": "closest",
        "legend": {"orientation": "h", "font": {"size": 11.5}, "x": 0, "y": -0.22, "yanchor": "top"},
        "xaxis": {**axis, "title": {"text": "false alarms a day observed"}, "rangemode": "tozero"},
        "yaxis": {**axis, "title": {"text": "planted events found, %"}, "range": [0, 104]},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"color": theme["line"], "size": 12},
    }
    return go.Figure(traces, layout)
