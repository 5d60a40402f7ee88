"""Cities whose places are made up, or not known at all, on every page."""

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient
from streamlit.testing.v1 import AppTest
from visitor import APP, offered, select_on_map, text_of

from lecdiff_core import api
from lecdiff_core.city.folder import City
from pages.parts.charts import drawing
from pages.parts.data import places, traffic_levels
from pages.parts.map import basemap
from pages.parts.map.routes import routes
from tests.conftest import make_city

PAGES = ["network_map", "surges", "environment", "accuracy", "data", "tour"]
MODEL = "adaptive-climatology"
STATIONS = 11


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("placeless") / "cities"
    for coordinates in ("none", "nominal"):
        city = make_city(folder / coordinates, stations=STATIONS, coordinates=coordinates, imagery="arcgis")
        api.train(city, MODEL, device="cpu")
        api.surges(city, folder.parent / "surges.csv", MODEL, None, 10.0, "cpu")
    return folder


@pytest.fixture
def open_page(root, monkeypatch):
    monkeypatch.setenv("LECDIFF_CITIES", str(root))
    monkeypatch.delenv("LECDIFF_CITY", raising=False)
    monkeypatch.delenv("LECDIFF_TILE_URL", raising=False)

    def opened(page: str, city: str, **link: str) -> AppTest:
        app = AppTest.from_file(str(APP), default_timeout=60)
        for name, value in {"city": city, **link}.items():
            app.query_params[name] = value
        return app.run() if page == "network_map" else app.run().switch_page(f"pages/{page}.py").run()

    return opened


@pytest.mark.parametrize("station", ["", "S03"])
@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("city", ["none", "nominal"])
def test_every_page_opens_and_shows_no_satellite_map(open_page, city, page, station):
    app = open_page(page, city, **({"station": station} if station else {}))
    assert not app.exception
    shown = text_of(app)
    assert "Esri" not in shown and "km" not in shown.split()
    if app.get("deck_gl_json_chart"):
        assert places.SENTENCES[city] in shown


def test_the_grid_is_clicked_like_the_map(open_page):
    app = select_on_map(open_page("network_map", "none"), "stations", {"station_id": "S07"})
    assert not app.exception
    assert "<h2>S07</h2>" in text_of(app) and "not known" in text_of(app)
    assert not any(button.key and button.key.startswith("near-") for button in app.button)


def test_a_surge_without_places_is_judged_by_itself(open_page):
    shown = text_of(open_page("surges", "none"))
    assert "its neighbours are not known" in shown and "who left the forecast with it" not in shown


def test_images_are_not_offered_where_they_cannot_be_fetched(open_page):
    assert offered(open_page("environment", "none")) <= {"embed"}
    assert "known places of the stations" in " ".join(
        info.value for info in open_page("data", "none", step="imagery").info
    )


def test_stations_of_a_grid_stand_in_order_and_apart(root, monkeypatch):
    monkeypatch.setenv("LECDIFF_CITIES", str(root))
    city = City.open(root / "none")
    stand = places.drawn(city)
    assert len({tuple(place) for place in stand.round(9).tolist()}) == STATIONS
    assert stand[0, 0] < stand[1, 0] and stand[0, 1] == stand[1, 1] and stand[0, 1] > stand[-1, 1]
    at = traffic_levels.origins(city)[-1].isoformat()
    rows = TestClient(Starlette(routes=routes())).get("/city/none/stations.json", params={"at": at}).json()
    assert [row["position"] for row in rows] == stand.round(6).tolist()


@pytest.mark.parametrize("coordinates", ["none", "nominal"])
def test_nothing_is_told_in_metres(root, coordinates):
    city = City.open(root / coordinates)
    facts = traffic_levels.facts(city, "S03")
    assert (facts.place is None) == (coordinates == "none")
    assert all(metres != metres for _, metres in facts.nearest) and len(facts.nearest) == (3 if facts.place else 0)
    assert basemap.remote(city) is None
    assert bool(drawing.locator_drawing(city, "S03")) == (coordinates == "nominal")


def test_a_tile_server_of_ones_own_is_kept_for_nominal_places(tmp_path):
    own = "https://tiles.example.org/{z}/{x}/{y}.jpg"
    city = make_city(tmp_path / "own", stations=3, days=2, coordinates="nominal", imagery=own)
    assert basemap.remote(city) == own
