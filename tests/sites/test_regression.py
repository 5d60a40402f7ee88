"""Regression over places: closed forms against their definitions, gradients against differences."""

import numpy as np
import pytest
from scipy.optimize import check_grad

from lecdiff_core.sites import regression
from lecdiff_core.sites.regression import Kernel, Places, Regression, Scale, distances_between, fitted_kernel

COUNT = 40


@pytest.fixture
def places() -> Places:
    rng = np.random.default_rng(0)
    return Places(COUNT, rng.normal(size=(COUNT, 6)), rng.uniform(0, 10_000, (COUNT, 2)))


def scaled(places: Places) -> dict[str, np.ndarray]:
    return distances_between(places, places, Scale.of(places, 1000.0))


def test_gradient_of_the_likelihood(places: Places) -> None:
    values = np.random.default_rng(1).normal(size=(COUNT, 3))
    distances = scaled(places)
    kinds = tuple(distances)
    at = np.log([0.4, 0.9, 0.6, 3.0, 0.3])
    error = check_grad(
        lambda logs: regression._unlikelihood(logs, kinds, distances, values)[0],
        lambda logs: regression._unlikelihood(logs, kinds, distances, values)[1],
        at,
    )
    assert error < 1e-5


def test_what_the_others_say_is_what_a_regression_without_the_place_says(places: Places) -> None:
    kernel = Kernel({"alike": (0.5, 1.0), "near": (0.5, 5.0)}, 0.2)
    whole = Regression(kernel, scaled(places), COUNT)
    left_out, rest = 7, np.delete(np.arange(COUNT), 7)
    scale = Scale.of(places, 1000.0)
    known, asked = places.select(rest), places.select(np.array([left_out]))
    without = Regression(kernel, distances_between(known, known, scale), COUNT - 1)
    between = kernel.covariance(distances_between(asked, known, scale), 1, COUNT - 1)
    np.testing.assert_allclose(whole.others[left_out, rest], without.weights(between)[0], atol=1e-9)
    np.testing.assert_allclose(whole.others_variance[left_out], without.variance(between)[0])
    assert whole.others[left_out, left_out] == 0


def test_surroundings_that_tell_the_values_are_used_and_those_that_do_not_are_not(places: Places) -> None:
    assert places.surroundings is not None
    distances = scaled(places)
    for values, least, most in (
        (places.surroundings @ np.ones(6), 0.8, 1.0),
        (np.random.default_rng(3).normal(size=COUNT), -1.0, 0.3),
    ):
        centred = values - values.mean()
        said = Regression(fitted_kernel(distances, centred[:, None]), distances, COUNT).others @ centred
        assert least <= 1 - np.square(centred - said).mean() / centred.var() <= most


def test_far_from_everything_nothing_is_said_and_the_spread_is_the_widest(places: Places) -> None:
    kernel = Kernel({"near": (0.8, 2.0)}, 0.2)
    scale = Scale.of(places, 1000.0)
    grounded = Places(COUNT, None, places.positions)
    known = Regression(kernel, distances_between(grounded, grounded, scale), COUNT)
    far = Places(1, None, np.array([[1e7, 1e7]]))
    between = kernel.covariance(distances_between(far, grounded, scale), 1, COUNT)
    np.testing.assert_allclose(known.weights(between), 0, atol=1e-12)
    np.testing.assert_allclose(known.variance(between), kernel.variance + kernel.noise)


def test_without_anything_known_the_mean_is_all_there_is() -> None:
    nothing = Places(COUNT)
    kernel = fitted_kernel(distances_between(nothing, nothing, Scale(1.0, 1.0)), np.ones((COUNT, 1)))
    assert kernel.terms == {}
    assert not kernel.covariance({}, 3, COUNT).any()
