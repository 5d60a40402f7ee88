"""The distance graph."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lecdiff_core.city.graph import Graph, distance_graph, neighbourhood_mean


def dense(graph: Graph) -> np.ndarray:
    matrix = np.zeros((graph.nodes, graph.nodes))
    source, target = graph.edge_index.numpy()
    matrix[target, source] = graph.edge_weight.numpy()
    return matrix


@given(st.integers(1, 30), st.integers(1, 10), st.integers(0, 1000))
@settings(max_examples=40, deadline=None)
def test_symmetric_normalised_with_self_loops_and_in_any_order(count: int, neighbours: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    positions = rng.integers(0, 6, (count, 2)) * 500.0  # ties and stations on one spot
    matrix = dense(distance_graph(positions, neighbours))
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-6)
    assert (np.diag(matrix) > 0).all()
    assert np.linalg.eigvalsh(matrix).max() <= 1 + 1e-5
    order = rng.permutation(count)
    np.testing.assert_allclose(
        dense(distance_graph(positions[order], neighbours)), matrix[np.ix_(order, order)], atol=1e-6
    )


def test_weights_fall_with_distance_like_a_gaussian() -> None:
    graph = distance_graph(np.array([[0.0, 0.0], [100.0, 0.0], [300.0, 0.0]]), neighbours=2)
    matrix = dense(graph)
    length = 300.0  # median distance to the second neighbour
    degree = [1 + np.exp(-((100 / length) ** 2) / 2) + np.exp(-((300 / length) ** 2) / 2)]
    degree += [1 + np.exp(-((100 / length) ** 2) / 2) + np.exp(-((200 / length) ** 2) / 2)]
    assert matrix[0, 1] == pytest.approx(np.exp(-((100 / length) ** 2) / 2) / np.sqrt(degree[0] * degree[1]), rel=1e-5)
    assert matrix[0, 1] > matrix[0, 2]


def test_a_neighbourhood_cut_out_keeps_its_weights() -> None:
    positions = np.random.default_rng(0).uniform(0, 10_000, (60, 2))
    graph = distance_graph(positions, neighbours=4)
    near = graph.neighbourhood(np.array([7]), hops=2)
    np.testing.assert_array_equal(dense(graph.subgraph(near)), dense(graph)[np.ix_(near, near)])
    reachable = np.linalg.matrix_power(dense(graph) > 0, 2)[7] > 0
    np.testing.assert_array_equal(near, np.flatnonzero(reachable))


def test_one_station_is_a_graph() -> None:
    graph = distance_graph(np.zeros((1, 2)))
    assert graph.edge_index.shape == (2, 1)
    assert torch.equal(graph.edge_weight, torch.ones(1))


def test_the_mean_over_neighbours_is_that_of_the_weights_and_leaves_what_is_alike() -> None:
    graph = distance_graph(np.array([[0.0, 0.0], [100.0, 0.0], [300.0, 0.0], [900.0, 0.0]]), neighbours=1)
    weights = dense(graph) / dense(graph).sum(1, keepdims=True)
    values = np.random.default_rng(0).normal(size=(2, 4, 3))
    for hops in range(3):
        found = neighbourhood_mean(torch.as_tensor(values), graph.edge_index, graph.edge_weight, hops)
        np.testing.assert_allclose(found, np.linalg.matrix_power(weights, hops) @ values, atol=1e-6)
    alike = torch.ones(1, 4, 2)
    torch.testing.assert_close(neighbourhood_mean(alike, graph.edge_index, graph.edge_weight, 2), alike)


def test_stations_of_unknown_place_are_their_own_only_neighbours() -> None:
    graph = distance_graph(np.full((5, 2), np.nan))
    np.testing.assert_array_equal(dense(graph), np.eye(5))
    np.testing.assert_array_equal(graph.neighbourhood(np.array([3]), hops=4), [3])
