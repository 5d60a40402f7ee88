"""Small cities for the tests of the pages, and what a visitor does on a page, done without a browser."""

import io
import json
from pathlib import Path

import geopandas
import numpy as np
import pandas as pd
from PIL import Image
from shapely.geometry import Point
from streamlit.proto.WidgetStates_pb2 import WidgetState
from streamlit.testing.v1 import AppTest

from lecdiff_core.city.folder import City, CityMeta, write_city

APP = Path(__file__).resolve().parents[2] / "app.py"
DAYS = 12
MODEL = "adaptive-climatology"
HOSTILE_ID = "<img src=x onerror=alert(1)>"
HOSTILE_NAME = "</script><script>alert(2)</script> **bold** :red[x] $x^2$"


def small_city(
    path: Path, meta: dict, ids: list[str], corner: tuple[float, float], names: list[str], start: str = "2025-06-02"
) -> City:
    """Half-hourly traffic with a daily rhythm on a grid of four columns; the third station misses its last day."""
    rng = np.random.default_rng(0)
    where = [Point(corner[0] + 0.004 * (i % 4), corner[1] + 0.004 * (i // 4)) for i in range(len(ids))]
    stations = geopandas.GeoDataFrame({"station_id": ids, "name": names}, geometry=where, crs="EPSG:4326")
    stations["capacity"] = np.where(np.arange(len(ids)) == 0, 4000.0, np.nan)
    index = pd.date_range(start, periods=48 * DAYS, freq="30min", tz=meta["timezone"])
    rhythm = 1.2 + np.sin((np.arange(len(index)) - 16) * 2 * np.pi / 48)
    traffic = rhythm[:, None] * (300 + 200 * np.arange(len(ids))) * np.exp(rng.normal(0, 0.1, (len(index), len(ids))))
    if len(ids) > 2:
        traffic[-48:, 2] = np.nan
    frame = pd.DataFrame(traffic.astype(np.float32), index=index, columns=ids)
    return write_city(path, CityMeta(interval="30min", **meta), stations, frame)


def picture(colour: tuple[int, int, int], kind: str = "JPEG") -> bytes:
    """A flat tile."""
    file = io.BytesIO()
    Image.new("RGB", (256, 256), colour).save(file, kind)
    return file.getvalue()


def select_on_map(app: AppTest, layer: str, picked: dict | None) -> AppTest:
    """What the browser sends when a station is clicked, or when the click hits nothing."""
    chart = app.get("deck_gl_json_chart")[0]
    selection = {"indices": {layer: [0]}, "objects": {layer: [picked]}} if picked else {"indices": {}, "objects": {}}
    states = app._tree.get_widget_states()
    states.widgets.append(WidgetState(id=chart.proto.id, string_value=json.dumps({"selection": selection})))
    return app._run(states)


def text_of(app: AppTest) -> str:
    """All HTML and Markdown of the page."""
    html = [element.proto.body for element in app.get("html")]
    return "\n".join(
        html + [element.value for element in (*app.markdown, *app.warning, *app.info, *app.error, *app.caption)]
    )


def link_of(app: AppTest, name: str) -> str | None:
    """A parameter in the address bar."""
    value = app.query_params.get(name)
    return value[0] if isinstance(value, list) else value
