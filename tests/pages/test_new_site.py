"""The New site page: places are picked, compared and let go, and every answer is an estimate that says what it rests on."""

import json

import numpy as np
import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient
from visitor import link_of, text_of

from lecdiff_core.city.folder import City
from pages.parts.data import places
from pages.parts.map import site_map
from pages.parts.map.routes import routes

PAGE = "pages/new_site.py"
BETWEEN = "0.002,0.001"  # degrees, among the stations of flatland


@pytest.fixture
def open_page(open_app):
    """The page at a link."""

    def opened(**link):
        app = open_app(**{name: value for name, value in link.items() if name != "site"}).switch_page(PAGE)
        if "site" in link:
            app.query_params["site"] = link["site"]
        return app.run()

    return opened


def test_it_says_how_to_begin(open_page):
    app = open_page()
    assert not app.exception and "What would a new site carry?" in text_of(app)


def test_a_site_of_the_link_is_estimated_with_its_interval_and_its_neighbours(open_page):
    app = open_page(site=BETWEEN)
    shown = text_of(app)
    assert not app.exception
    assert "<h2>Site A</h2>" in shown and "90 % interval" in shown and "Taken from neighbours" in shown
    assert "Stations around, mean load before and after" in shown and "ST-0" in shown
    assert len(app.get("plotly_chart")) == 2
    assert link_of(app, "site") == "0.002000,0.001000"


def test_sites_by_coordinates_are_ranked_and_let_go(open_page):
    app = open_page(site=BETWEEN)
    app.number_input[0].set_value(0.004)
    app.number_input[1].set_value(0.002)
    app.button[[button.label for button in app.button].index("Put a site")].click().run()
    shown = text_of(app)
    assert not app.exception and "<h2>Site B</h2>" in shown and "<th>Mean load</th>" in shown
    app.button[[button.label for button in app.button].index("Remove")].click().run()
    assert "<h2>Site A</h2>" in text_of(app) and "<th>Mean load</th>" not in text_of(app)


def test_the_same_place_twice_is_one_site(open_page):
    app = open_page(site=BETWEEN)
    for _ in range(2):
        app.number_input[0].set_value(0.002)
        app.number_input[1].set_value(0.001)
        app.button[[button.label for button in app.button].index("Put a site")].click().run()
    assert not app.exception and "<h2>Site A</h2>" in text_of(app) and "<th>Mean load</th>" not in text_of(app)


@pytest.mark.parametrize(
    ("site", "reason"),
    [("20,50", "km from the nearest station"), ("0,0", "stands on station"), ("<b>here</b>", "is not a place")],
)
def test_places_that_cannot_be_answered_for_say_why(open_page, site, reason):
    app = open_page(site=site)
    assert not app.exception
    assert any(reason in warning.value for warning in app.warning)
    assert "<b>here" not in text_of(app)


def test_words_are_data(open_page):
    app = open_page(site=BETWEEN)
    app.text_area[0].set_value("<script>alert(1)</script> A stadium.").run()
    assert not app.exception and "<script>" not in text_of(app)


def test_without_places_there_is_nothing_to_pick(open_page):
    app = open_page(city="north/milan")
    assert not app.exception


def test_cells_cover_all_between_the_stations_and_around_them(cities_folder):
    city = City.open(cities_folder / "flatland")
    net = site_map.cells(city)
    middles = np.array([cell["position"] for cell in net])
    west, south, east, north = places.bounds(city)
    for lon, lat in np.random.default_rng(0).uniform((west, south), (east, north), (200, 2)):
        metres = np.hypot(*((middles - (lon, lat)) * site_map.METRES_A_DEGREE).T)  # flatland lies at the equator
        assert metres.min() <= net[0]["radius"] * 1.01
    assert middles[:, 0].min() < west and middles[:, 1].max() > north


def test_the_net_comes_by_url(cities_folder, monkeypatch):
    monkeypatch.setenv("LECDIFF_CITIES", str(cities_folder))
    client = TestClient(Starlette(routes=routes()))
    answer = client.get("/city/flatland/cells.json?v=1")
    assert answer.status_code == 200 and len(json.loads(answer.text)) == len(
        site_map.cells(City.open(cities_folder / "flatland"))
    )
    assert client.get("/city/atlantis/cells.json").status_code == 404
