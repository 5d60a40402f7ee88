"""Chinese map coordinates: published examples forward, and back to the centimetre."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lecdiff_core.city.importers.coordinates import (
    EAST,
    FORWARD,
    NORTH,
    SOUTH,
    WEST,
    gcj02_to_bd09,
    in_china,
    to_wgs84,
    wgs84_to_bd09,
    wgs84_to_gcj02,
)

METRES_A_DEGREE = 111_320


def test_forward_formulae_give_the_published_examples() -> None:
    lon, lat = np.array([116.404]), np.array([39.915])
    np.testing.assert_allclose(np.ravel(wgs84_to_gcj02(lon, lat)), [116.41024449916938, 39.91640428150164], atol=1e-9)
    np.testing.assert_allclose(np.ravel(gcj02_to_bd09(lon, lat)), [116.41036949371029, 39.92133699351021], atol=1e-9)


def test_offsets_are_some_hundred_metres() -> None:
    lon, lat = np.array([121.47]), np.array([31.23])
    for forward, most in ((wgs84_to_gcj02, 0.007), (wgs84_to_bd09, 0.014)):
        east, north = forward(lon, lat)
        assert 0.001 < abs(east[0] - lon[0]) < most
        assert 0.001 < abs(north[0] - lat[0]) < most


# A margin of 0.02° keeps shifted points inside the box, too.
@given(
    st.lists(
        st.tuples(st.floats(WEST + 0.02, EAST - 0.02), st.floats(SOUTH + 0.02, NORTH - 0.02)), min_size=1, max_size=20
    ),
    st.sampled_from(sorted(FORWARD)),
)
def test_the_way_back_is_exact_to_a_centimetre(places: list[tuple[float, float]], crs: str) -> None:
    lon, lat = np.array(places).T
    back_lon, back_lat = to_wgs84(*FORWARD[crs](lon, lat), crs)
    assert np.abs(back_lon - lon).max() * METRES_A_DEGREE < 0.01
    assert np.abs(back_lat - lat).max() * METRES_A_DEGREE < 0.01


@given(st.floats(-180, 180), st.floats(-90, 90), st.sampled_from(sorted(FORWARD)))
def test_places_outside_china_stay(lon: float, lat: float, crs: str) -> None:
    given_lon, given_lat = np.array([lon]), np.array([lat])
    result = to_wgs84(given_lon, given_lat, crs)
    if in_china(given_lon, given_lat)[0]:
        assert (result[0][0], result[1][0]) != (lon, lat)
    else:
        assert (result[0][0], result[1][0]) == (lon, lat)


@pytest.mark.parametrize("place", [(0.0, 0.0), (2.35, 48.85), (139.7, 35.7)])
def test_known_places_outside_stay(place: tuple[float, float]) -> None:
    lon, lat = to_wgs84(np.array([place[0]]), np.array([place[1]]), "gcj02")
    assert (lon[0], lat[0]) == place
