"""Damage in one city is one line in the list and on its own pages; nothing of it reaches the others."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import streamlit as st
from made_up_surges import made_up
from streamlit.testing.v1 import AppTest
from visitor import APP, small_city, text_of

from lecdiff_core import surges
from lecdiff_core.city.folder import City
from lecdiff_core.status import steps
from pages.parts.data import cities
from pages.parts.state import session


@pytest.fixture
def damaged(cities_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of a whole city, beside a city that stays whole."""
    for name, copy in (("flatland", "whole"), ("flatland", "damaged")):
        shutil.copytree(cities_folder / name, tmp_path / "cities" / copy)
    monkeypatch.setenv("LECDIFF_CITIES", str(tmp_path / "cities"))
    monkeypatch.setenv("LECDIFF_CITY", str(tmp_path / "cities" / "whole"))
    st.cache_resource.clear()
    yield tmp_path / "cities" / "damaged"
    st.cache_resource.clear()


def opened(**link: str) -> AppTest:
    app = AppTest.from_file(str(APP), default_timeout=60)
    for name, value in link.items():
        app.query_params[name] = value
    return app.run()


def emptied(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes(b"")


def removed(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def written(text: str) -> Callable[[Path], None]:
    return lambda folder: (folder / "city.toml").write_text(text)


@pytest.mark.parametrize(("damage", "told"), [
    (written("a = " + "[" * 1000), "nested too deep"), (written("a = " + "9" * 5000), "cannot be read as TOML"),
    (written("name = 1"), "name"), (emptied("city.toml"), "name"), (removed("traffic.parquet"), "traffic.parquet is missing"),
])  # fmt: skip
def test_the_list_tells_what_is_wrong_with_a_city_and_the_others_work(
    damaged: Path, damage: Callable[[Path], None], told: str
) -> None:
    damage(damaged)
    (place,) = [place for place in cities.places() if place.key == "damaged"]
    assert told in place.trouble and "\n" not in place.trouble
    app = opened(city="whole")
    assert not app.exception and not app.error
    (label,) = [label for label in app.selectbox[0].options if told in label]
    assert label.startswith("damaged" if place.name == "damaged" else "Flatland")
    app = opened(city="damaged")
    assert not app.exception and [error.value.startswith("This city cannot be opened.") for error in app.error] == [
        True
    ]


def test_a_chip_that_leads_out_of_the_folder_is_none_with_a_notice(damaged: Path) -> None:
    (damaged / "imagery" / "chips" / "ST-04.jpg").unlink()
    (damaged / "imagery" / "chips" / "ST-04.jpg").symlink_to(
        damaged.parent / "whole" / "imagery" / "chips" / "ST-04.jpg"
    )
    city = City.open(damaged)
    assert city.chip("ST-04") is None and city.chip("ST-03") is not None
    assert steps(city)["imagery"].sentence.endswith("1 are links that lead out of the city's folder, and do not count.")
    for page in ("environment", "data"):
        app = opened(city="damaged", station="ST-04").switch_page(f"pages/{page}.py").run()
        assert not app.exception and not app.error


def test_surges_of_other_stations_are_told_and_not_shown(damaged: Path) -> None:
    city = City.open(damaged)
    surges.write_surges(city, made_up(city))
    small_city(damaged, {"name": "Other", "timezone": "UTC"}, ["A", "B"], (5.0, 5.0), ["", ""])
    app = opened(city="damaged").switch_page("pages/surges.py").run()
    assert not app.exception and "of other stations than the city has now" in text_of(app)


def test_a_page_keeps_the_city_of_its_run_whatever_is_imported_meanwhile(damaged: Path) -> None:
    app = opened(city="damaged", station="ST-04")
    before = app.session_state[session.ENTERED]
    small_city(damaged, {"name": "Other", "timezone": "UTC"}, ["A", "B"], (5.0, 5.0), ["", ""])
    assert app.session_state[session.ENTERED] is before
    app.run()
    assert not app.exception and app.session_state[session.ENTERED].station_ids == ("A", "B")
    assert app.session_state[session.CHOSEN] is None
