"""Finding a station where there are too many for a list."""

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest
from visitor import APP, keyed, link_of, select_on_map, small_city, text_of

from lecdiff_core.city.folder import City
from pages.parts.station import search

STATIONS = 2000
NOON = "2025-06-12T12:00"


@pytest.fixture(scope="module")
def large(tmp_path_factory) -> City:
    """A city whose ids contain one another; every tenth station has a name."""
    ids = [f"B{number}" for number in range(STATIONS)]
    names = [
        "Stadium <b>North</b>" if number == 1990 else "Mast" if number % 10 == 0 else "" for number in range(STATIONS)
    ]
    meta = {"name": "Large", "timezone": "UTC", "unit": "MB"}
    return small_city(tmp_path_factory.mktemp("large") / "cities" / "large", meta, ids, (0.0, 0.0), names)


@pytest.fixture
def open_large(large, monkeypatch):
    monkeypatch.setenv("LECDIFF_CITIES", str(large.path.parent))
    monkeypatch.setenv("LECDIFF_CITY", str(large.path))

    def opened(**link: str) -> AppTest:
        app = AppTest.from_file(str(APP), default_timeout=120)
        for name, value in ({"t": NOON} | link).items():
            app.query_params[name] = value
        return app.run()

    yield opened
    st.cache_resource.clear()


def box(app: AppTest):
    return keyed(app.text_input, "search_box")


def found(app: AppTest) -> list[str]:
    offered = (pills for pills in app.get("button_group") if str(pills.key).startswith("found-"))
    return [option for pills in offered for option in pills.options]


def test_the_very_id_comes_first_then_beginnings_then_what_contains_it(large):
    assert search.matches(large, " b7 ")[:3] == ["B7", "B70", "B71"]
    assert search.matches(large, "stadium") == search.matches(large, "NORTH") == ["B1990"]
    assert search.matches(large, "99")[0] == "B99" and len(search.matches(large, "mast")) == 199
    assert search.matches(large, "nowhere") == search.matches(large, "  ") == []


def test_no_rerun_sends_every_station(open_large):
    app = open_large(station="B7")
    assert not app.exception and "<h2>B7</h2>" in text_of(app) and box(app).value == "B7"
    assert not [one for one in app.selectbox if len(one.options) > 100]


def test_typing_offers_a_few_stations_and_a_click_chooses_one(open_large):
    app = open_large()
    box(app).set_value("mast").run()
    assert found(app)[0] == "B0 · Mast" and len(found(app)) == search.MOST_FOUND
    assert "and 187 more" in text_of(app) and link_of(app, "station") is None
    app.get("button_group")[0].set_value("B10").run()
    assert not app.exception and "<h2>B10</h2>" in text_of(app) and link_of(app, "station") == "B10"
    assert box(app).value == "B10 · Mast" and not found(app)


def test_an_id_or_a_single_match_is_chosen_at_once_and_an_emptied_box_ends_it(open_large):
    app = open_large()
    box(app).set_value("b199").run()
    assert link_of(app, "station") == "B199" and not found(app)
    box(app).set_value("stadium").run()
    assert link_of(app, "station") == "B1990" and box(app).value == "B1990 · Stadium <b>North</b>"
    box(app).set_value("").run()
    assert link_of(app, "station") is None and "Busiest before" in text_of(app)


def test_what_matches_nothing_is_told_and_a_click_on_the_map_ends_the_search(open_large):
    app = open_large()
    box(app).set_value("<i>x").run()
    assert "No station is called “&lt;i&gt;x”." in text_of(app) and link_of(app, "station") is None
    app = select_on_map(app, "stations", {"station_id": "B4"})
    assert box(app).value == "B4" and "No station is called" not in text_of(app)


def test_stations_to_compare_are_added_one_by_one_up_to_four(open_large):
    app = open_large(station="B4")
    keyed(app.toggle, "compare_switch").set_value(True).run()
    for words in ("B5", "B6"):
        keyed(app.text_input, "adding_box").set_value(words).run()
    assert app.session_state["compared"] == ["B4", "B5", "B6"] and not app.exception
    assert keyed(app.text_input, "adding_box").value == ""
    keyed(app.text_input, "adding_box").set_value("mast").run()
    app.get("button_group")[0].set_value("B20").run()
    assert "<h2>4 stations</h2>" in text_of(app)
    assert keyed(app.text_input, "adding_box").disabled
    keyed(app.multiselect, "several_box").unselect("B5").run()
    assert app.session_state["compared"] == ["B4", "B6", "B20"]
    assert not keyed(app.text_input, "adding_box").disabled
