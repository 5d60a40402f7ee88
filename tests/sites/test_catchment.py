"""What a site takes: shares of ground."""

import numpy as np

from lecdiff_core.sites.catchment import shares_left, shares_taken

GRID = np.stack(np.meshgrid(np.arange(5), np.arange(5)), axis=-1).reshape(-1, 2) * 1000.0
MIDDLE = 12


def test_a_site_between_two_stations_takes_from_both_alike_and_from_nobody_far_away() -> None:
    shares = shares_taken(np.array([2500.0, 2000.0]), GRID, 1000.0)
    assert shares[MIDDLE] > 0
    np.testing.assert_allclose(shares[MIDDLE], shares[MIDDLE + 1], atol=0.05)
    assert not shares[[0, 4, 20, 24]].any()
    assert (shares < 1).all()


def test_a_site_far_from_all_takes_nothing() -> None:
    assert not shares_taken(np.array([1e6, 1e6]), GRID, 1000.0).any()


def test_the_ground_of_a_station_that_is_gone_goes_to_those_around_it() -> None:
    shares = shares_left(MIDDLE, np.array([MIDDLE]), GRID, 1000.0)
    np.testing.assert_allclose(shares.sum(), 1)
    assert shares[MIDDLE] == 0
    assert shares[[MIDDLE - 1, MIDDLE + 1, MIDDLE - 5, MIDDLE + 5]].min() > 0.15


def test_the_only_station_has_no_heirs() -> None:
    assert shares_left(0, np.array([0]), GRID[:1], 1000.0).tolist() == [0.0]


def test_what_goes_together_inherits_nothing_from_each_other() -> None:
    off = np.array([MIDDLE, MIDDLE + 1])
    shares = shares_left(MIDDLE, off, GRID, 1000.0)
    np.testing.assert_allclose(shares.sum(), 1)
    assert not shares[off].any()
