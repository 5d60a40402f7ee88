"""Which cities can be chosen, and which folders can never be reached."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lecdiff_core.errors import UserError
from pages.parts.data import cities


@pytest.fixture
def listed(cities_folder, monkeypatch):
    monkeypatch.setenv("LECDIFF_CITIES", str(cities_folder))
    monkeypatch.delenv("LECDIFF_CITY", raising=False)
    cities.st.cache_resource.clear()
    return cities_folder


def test_the_demo_city_comes_first_unless_another_is_named(listed, monkeypatch):
    assert [place.key for place in cities.places()] == ["demo", "hostile", "flatland", "north/milan"]
    monkeypatch.setenv("LECDIFF_CITY", str(listed / "north" / "milan"))
    places = cities.places()
    assert places[0].key == "milan" and places[0].path == listed / "north" / "milan"
    assert {place.key for place in places} >= {"demo", "flatland", "north/milan"}


def test_by_default_cities_lie_in_the_working_directory(listed, monkeypatch):
    monkeypatch.delenv("LECDIFF_CITIES")
    monkeypatch.chdir(listed.parent)
    assert "north/milan" in [place.key for place in cities.places()]
    monkeypatch.chdir(listed.parent / "secret")
    cities.st.cache_resource.clear()
    assert [place.key for place in cities.places()] == ["demo"]


@pytest.mark.parametrize(
    "key", ["", ".", "..", "../secret", "/etc", "north", "flatland/../../secret", "a\x00b", "flatland/imagery"]
)
def test_what_is_no_city_below_a_root_is_not_found(listed, key):
    with pytest.raises(UserError):
        cities.find(key)


@settings(max_examples=200)
@given(parts=st.lists(st.sampled_from(["..", ".", "", "secret", "flatland", "north", "milan", "~", "\\"]), max_size=6))
def test_no_key_reaches_outside(cities_folder, parts):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LECDIFF_CITIES", str(cities_folder))
        try:
            found = cities.find("/".join(parts))
        except (UserError, OSError):
            return
        assert found in (cities_folder / "flatland", cities_folder / "north" / "milan")


def test_a_city_is_read_again_only_when_it_changed(listed):
    path = listed / "flatland"
    first = cities.open_city(path)
    assert cities.open_city(path) is first
    (path / "city.toml").touch()
    assert cities.open_city(path) is not first
