"""What the server gives out of a city folder by URL: map tiles, station chips, and the stations as the map shows them.

    city/KEY/tiles/Z/X/Y          city/KEY/chips/STATION          city/KEY/stations.json?at=ISO&by=VIEW&step=N
    city/KEY/cells.json

Nothing is read outside the folders that `cities.find` allows. The browser keeps what it has got: the addresses that the
pages write carry a version, which changes with the data.
"""

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Route

from lecdiff_core.city.folder import City
from lecdiff_core.city.layout import CHIP_SUFFIXES, CHIPS_FOLDER, TILES_FOLDER
from lecdiff_core.errors import UserError
from lecdiff_core.storage import below
from pages.parts.data import cities, places, traffic_levels
from pages.parts.map import site_map, views
from pages.parts.map.views import Painted, View
from pages.parts.state.session import ALL_AHEAD

KEPT = {"Cache-Control": "private, max-age=3600", "X-Content-Type-Options": "nosniff"}
LONGEST_NUMBER = 9  # digits
TILE_SUFFIXES = (*CHIP_SUFFIXES, ".jpeg")


def _or_not_found(answer: Callable[[Request], Response]) -> Callable[[Request], Response]:
    def guarded(request: Request) -> Response:
        try:
            return answer(request)
        except (
            UserError,
            OSError,
            ValueError,
            IndexError,
            OverflowError,
        ):  # a name that no file can have, a step too far ahead
            return PlainTextResponse("not found", status_code=404)

    return guarded


@_or_not_found
def tile(request: Request) -> Response:
    """One tile of the folder's own basemap."""
    root = cities.find(request.path_params["city"]) / TILES_FOLDER
    name = "/".join(_number(request.path_params[part]) for part in "zxy")
    return _first_file([below(root, name + suffix) for suffix in TILE_SUFFIXES])


def _number(text: str) -> str:
    """A number of a tile as its file is named. Raises ValueError."""
    if not (text.isascii() and text.isdecimal() and len(text) <= LONGEST_NUMBER):
        raise ValueError("not a tile's number")
    return str(int(text))


@_or_not_found
def chip(request: Request) -> Response:
    """The satellite chip of one station."""
    root = cities.find(request.path_params["city"]) / CHIPS_FOLDER
    files = [below(root, request.path_params["station"] + suffix) for suffix in CHIP_SUFFIXES]
    return _first_file(files)


def _first_file(files: list[Path]) -> Response:
    for file in files:
        if file.is_file():
            return FileResponse(file, headers=KEPT)
    raise FileNotFoundError


@_or_not_found
def stations(request: Request) -> Response:
    """Every station with its position, and its colour, size and text in the view `by` at the time `at`, `step` ahead."""
    query = request.query_params
    city = cities.open_city(cities.find(request.path_params["city"]))
    origin = pd.Timestamp(query.get("at", ""))
    if origin.tzinfo is None or origin not in traffic_levels.origins(city):
        raise ValueError("`at` must be a time of the data with its time zone")
    view, step = views.VIEWS.get(query.get("by", views.LOAD.key)), int(query.get("step", ALL_AHEAD))
    if view is None or step < 0:
        raise ValueError("`by` must be a view of the map, `step` a step of the forecast")
    return _stations(city, origin.tz_convert(city.meta.timezone), view, step)


@_or_not_found
def cells(request: Request) -> Response:
    """The net of cells in which a new site can be put."""
    city = cities.open_city(cities.find(request.path_params["city"]))
    if not city.has_places:
        raise ValueError("no place is known")
    net = json.dumps(site_map.cells(city), separators=(",", ":"))
    return Response(net, media_type="application/json", headers=KEPT)


def _stations(city: City, origin: pd.Timestamp, view: View, step: int) -> Response:
    painted = view.paint(city, origin, step)
    if painted is None:
        return PlainTextResponse("not computed yet", status_code=404)
    rows = json.dumps(_rows(city, painted), ensure_ascii=False, separators=(",", ":"))
    return Response(rows, media_type="application/json", headers=KEPT)


def _rows(city: City, painted: Painted) -> list[dict]:
    names = cities.station_names(city)
    columns = zip(
        city.station_ids,
        places.drawn(city).round(6).tolist(),
        painted.texts,
        painted.colours.tolist(),
        (painted.sizes * places.dot(city)).round(1).tolist(),
        strict=True,
    )
    return [
        {
            "station_id": station_id,
            "label": f"{names[station_id]} ({station_id})" if station_id in names else station_id,
            "position": position,
            "value": text,
            "colour": colour,
            "size": size,
        }
        for station_id, position, text, colour, size in columns
    ]


def routes(base: str = "") -> list[Route]:
    """The routes, below the path that the server's pages lie below (`server.baseUrlPath`)."""
    below_base = f"/{base.strip('/')}" if base.strip("/") else ""
    return [
        Route(f"{below_base}/city/{{city:path}}/tiles/{{z}}/{{x}}/{{y}}", tile),
        Route(f"{below_base}/city/{{city:path}}/chips/{{station}}", chip),
        Route(f"{below_base}/city/{{city:path}}/stations.json", stations),
        Route(f"{below_base}/city/{{city:path}}/cells.json", cells),
    ]
