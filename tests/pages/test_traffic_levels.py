"""Loads, their colours, and the facts of a station."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from visitor import small_city

from lecdiff_core.city.folder import City
from pages.parts.data import traffic_levels
from pages.parts.look import colours

FLAT = {"name": "Flat", "timezone": "UTC", "unit": "MB"}


@pytest.fixture(scope="module")
def city(tmp_path_factory):
    ids = [f"ST-{i:02d}" for i in range(12)]
    return small_city(tmp_path_factory.mktemp("loads") / "flat", FLAT, ids, (9.0, 45.0), [""] * 12)


def test_origins_reach_from_the_second_interval_to_the_end(city):
    times = traffic_levels.origins(city)
    assert times[0] == city.traffic.index[1] and times[-1] == city.traffic.index[-1] + city.interval
    assert len(times) == len(city.traffic)


def test_an_archive_opens_where_a_whole_day_follows_and_live_data_at_their_end(city):
    end = traffic_levels.origins(city)[-1]
    opening = traffic_levels.opening_time(city, end + pd.Timedelta("30D"))
    assert opening in traffic_levels.origins(city)
    assert end - pd.Timedelta("2D") < opening <= end - pd.Timedelta("1D")
    assert traffic_levels.opening_time(city, end + pd.Timedelta("1h")) == end


def test_an_archive_never_opens_at_a_time_without_any_reading(city):
    day = city.steps_per_day
    traffic = city.traffic.copy()
    traffic.iloc[-3 * day : -day // 2] = np.nan
    broken = City(city.path, city.meta, city.stations, traffic, (b"", b""))
    opening = traffic_levels.opening_time(broken, traffic_levels.origins(city)[-1] + pd.Timedelta("30D"))
    assert np.isfinite(traffic_levels.at(broken, opening)).any() and opening == city.traffic.index[-3 * day]


def test_the_load_at_a_time_is_that_of_the_interval_before(city):
    origin = city.traffic.index[100]
    np.testing.assert_array_equal(traffic_levels.at(city, origin), city.traffic.to_numpy()[99])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_more_load_is_never_darker_nor_smaller(levels):
    levels = np.sort(np.array(levels))
    shades = colours.shades(levels, colours.LOAD)
    brightness = shades[:, :3] @ np.array([0.2126, 0.7152, 0.0722])
    assert (np.diff(brightness) >= -1).all() and (np.diff(traffic_levels.sizes(levels)) >= 0).all()
    assert shades.min() >= 0 and shades.max() <= 255


def test_missing_loads_are_grey_and_see_through():
    shades = colours.shades(np.array([np.nan, 0.5]), colours.LOAD)
    assert tuple(shades[0]) == colours.NO_DATA and shades[1, 3] > 200


def test_facts_of_a_station(city):
    known = traffic_levels.facts(city, "ST-02")
    observed = city.traffic["ST-02"].dropna()
    assert known.mean == pytest.approx(observed.mean(), rel=1e-5) and known.peak == pytest.approx(observed.max())
    assert known.missing == pytest.approx(48 / len(city.traffic))
    assert known.busiest_hour in (13, 14, 15)
    assert known.capacity is None and traffic_levels.facts(city, "ST-00").capacity == 4000
    assert {station for station, _ in known.nearest} == {"ST-01", "ST-03", "ST-06"}
    assert all(300 < metres < 500 for _, metres in known.nearest)


def test_a_station_that_was_never_observed_has_no_facts_but_harms_none(city):
    city.traffic["ST-05"] = np.float32("nan")
    known = traffic_levels.facts(city, "ST-05")
    assert np.isnan(known.mean) and known.peak_time is None and known.busiest_hour is None and known.missing == 1
    assert "ST-05" not in dict(traffic_levels.busiest(city, city.traffic.index[50], 12))
