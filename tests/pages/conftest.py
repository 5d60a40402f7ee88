"""The cities that the tests of the pages share: one with tiles, chips and a model, one that asks ArcGIS, a hostile one."""

from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import mercantile
import pytest
import streamlit as st
from browser import chromium, server, tiles, visit  # noqa: F401 (fixtures)
from made_up_surges import made_up
from streamlit.testing.v1 import AppTest
from visitor import APP, HOSTILE_ID, HOSTILE_NAME, MODEL, picture, small_city, surround

from lecdiff_core import api, surges
from lecdiff_core.city.folder import City
from lecdiff_core.city.layout import SURGE_SCORES_FILE, SURGES_FILE


@pytest.fixture(scope="session")
def cities_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("pages") / "cities"
    ids = [f"ST-{i:02d}" for i in range(12)]
    meta = {"name": "Flatland", "timezone": "UTC", "unit": "MB", "imagery": "local", "attribution": "Drawn by hand"}
    flat = small_city(
        root / "flatland", meta | {"holidays": [date(2025, 6, 9)]}, ids, (0.0, 0.0), [f"Mast {i}" for i in range(12)]
    )
    for zoom in (13, 14):
        for tile in mercantile.tiles(*flat.stations.total_bounds, [zoom]):
            file = flat.path / "imagery" / "tiles" / str(zoom) / str(tile.x) / f"{tile.y}.jpg"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(picture((80, 110, 60)))
    chips = flat.path / "imagery" / "chips"
    chips.mkdir(parents=True)
    for row, station_id in enumerate(ids[:-1]):
        (chips / f"{station_id}.jpg").write_bytes(picture((120, 100, 20 * row)))
    surround(flat)
    api.train(flat, MODEL, device="cpu")
    milan = {"name": "Milan", "timezone": "Europe/Rome", "unit": "", "imagery": "arcgis"}
    small_city(root / "north" / "milan", milan, ids, (9.18, 45.46), [""] * 12)
    hostile = {"name": HOSTILE_NAME, "timezone": "UTC", "unit": "<b>MB</b>", "attribution": "<script>alert(3)</script>"}
    small_city(root / "hostile", hostile, [HOSTILE_ID, "b&b"], (1.0, 1.0), [HOSTILE_NAME, ""])
    (root.parent / "secret").mkdir()
    (root.parent / "secret" / "city.toml").write_text("not for you")
    return root


@pytest.fixture
def open_app(cities_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., AppTest]:
    """Runs the app as a visitor with this link would see it."""
    monkeypatch.setenv("LECDIFF_CITIES", str(cities_folder))
    monkeypatch.setenv("LECDIFF_CITY", str(cities_folder / "flatland"))
    monkeypatch.delenv("LECDIFF_TILE_URL", raising=False)

    def opened(**link: str) -> AppTest:
        app = AppTest.from_file(str(APP), default_timeout=60)
        for name, value in link.items():
            app.query_params[name] = value
        return app.run()

    yield opened
    st.cache_resource.clear()


@pytest.fixture
def flatland(cities_folder: Path) -> Iterator[City]:
    """The city with surges in its folder, which it loses afterwards."""
    city = City.open(cities_folder / "flatland")
    surges.write_surges(city, made_up(city))
    yield city
    for name in (SURGES_FILE, SURGE_SCORES_FILE):
        (city.path / name).unlink(missing_ok=True)
