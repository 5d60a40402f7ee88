"""The flat view of the embeddings: stations that look alike lie close together."""

import numpy as np
import plotly.graph_objects as go
from markupsafe import Markup

from lecdiff_core.city.folder import City
from lecdiff_core.environment.search.clusters import Clusters
from pages.parts.data import traffic_levels
from pages.parts.look import colours, formats
from pages.parts.look.formats import escaped
from pages.parts.map import views
from pages.parts.map.views.base import ramp_legend
from pages.parts.map.views.kind import kinds_legend

HEIGHT = 440
MANY = 2000  # stations from which the graphics card draws them


def chart(city: City, kinds: Clusters, places: np.ndarray, chosen: str | None, by_load: bool) -> go.Figure:
    """(N, 2) `places` of the stations, coloured by kind or by mean load, the chosen one in a ring."""
    seen = np.flatnonzero(np.isfinite(places).all(1)).tolist()
    ink = colours.ink()["line"]
    mean = city.traffic.mean().to_numpy()
    if by_load:
        shades = colours.shades(traffic_levels.level(mean, float(np.nanmax(mean)) or 1.0), colours.LOAD)[seen]
        fill = [f"rgb({red},{green},{blue})" for red, green, blue, _ in shades.tolist()]
    else:
        fill = [colours.kind(kind) for kind in kinds.labels[seen]]
    points = {
        "type": "scattergl" if len(seen) > MANY else "scatter",
        "x": places[seen, 0],
        "y": places[seen, 1],
        "mode": "markers",
        "customdata": [city.station_ids[row] for row in seen],
        "text": [_hover_text(city, kinds, row, mean[row]) for row in seen],
        "hovertemplate": "%{text}<extra></extra>",
        "marker": {"color": fill, "size": 10 if len(seen) <= MANY else 5, "line": {"color": ink, "width": 0.5}},
        "selected": {"marker": {"opacity": 1}},
        "unselected": {"marker": {"opacity": 1}},
    }
    hidden = {"visible": False, "range": [-1.08, 1.08]}
    layout = {
        "height": HEIGHT,
        "margin": {"l": 0, "r": 0, "t": 0, "b": 0},
        "showlegend": False,
        "dragmode": "pan",
        "hovermode": "closest",
        "hoverdistance": 12,
        "xaxis": hidden,
        "yaxis": hidden,
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
    }
    return go.Figure([points, *_ring(city, places, chosen, ink)], layout)


def _hover_text(city: City, kinds: Clusters, row: int, mean: float) -> str:
    name = kinds.names[kinds.labels[row]] if kinds.labels[row] >= 0 else ""
    return f"<b>{escaped(city.station_ids[row])}</b><br>{escaped(name)}<br>mean {formats.amount(mean, city.meta.unit)}"


def _ring(city: City, places: np.ndarray, chosen: str | None, ink: str) -> list[dict]:
    if chosen is None or not np.isfinite(places[city.station_ids.index(chosen)]).all():
        return []
    x, y = places[city.station_ids.index(chosen)].tolist()
    marker = {"symbol": "circle-open", "size": 22, "color": ink, "line": {"width": 3}}
    return [{"type": "scatter", "x": [x], "y": [y], "mode": "markers", "marker": marker, "hoverinfo": "skip"}]


def legend(city: City, kinds: Clusters, by_load: bool) -> Markup:
    """What the colours mean, as HTML."""
    if by_load:
        highest = float(np.nanmax(city.traffic.mean().to_numpy()))
        ticks = [formats.amount(highest * part**2, city.meta.unit) for part in (0, 0.5, 1)]
        return ramp_legend("Mean load", views.LOAD, ticks)
    return kinds_legend(kinds.names, [int((kinds.labels == kind).sum()) for kind in range(len(kinds.names))])
