"""The distance graph: stations tied to those nearest on the ground, by a Gaussian kernel of their distance."""

from dataclasses import dataclass

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor


@dataclass(frozen=True)
class Graph:
    """A weighted graph over N stations, self-loops included, already normalised (D^-1/2 A D^-1/2; Kipf & Welling 2017).

    edge_index: (2, E) long, from source to target.  edge_weight: (E,) float32.

    Weights are normalised once over the whole city, so that a station's neighbourhood cut out of it keeps the very weights
    it has in the whole.
    """

    edge_index: Tensor
    edge_weight: Tensor
    nodes: int

    def neighbourhood(self, seeds: np.ndarray, hops: int) -> np.ndarray:
        """Sorted indices of all stations at most `hops` edges from one of `seeds`, these included."""
        reached = np.zeros(self.nodes, dtype=bool)
        reached[seeds] = True
        source, target = self.edge_index.numpy()
        for _ in range(hops):
            reached[source[reached[target]]] = True
        return np.flatnonzero(reached)

    def subgraph(self, stations: np.ndarray) -> "Graph":
        """The graph among these stations (by index, in that order), with the weights of the whole graph."""
        position = np.full(self.nodes, -1)
        position[stations] = np.arange(len(stations))
        source, target = position[self.edge_index.numpy()]
        inside = (source >= 0) & (target >= 0)
        edges = torch.as_tensor(np.stack([source[inside], target[inside]]))
        return Graph(edges, self.edge_weight[torch.as_tensor(inside)], len(stations))


def distance_graph(positions: np.ndarray, neighbours: int = 8) -> Graph:
    """Tie each station to its nearest ones: weight exp(-d² / 2ℓ²), ℓ the median distance to the `neighbours`-th.

    positions: (N, 2) metres; NaN = no place is known, and every station is its own only neighbour. All stations as near as
    the `neighbours`-th are taken, so that a tie is broken alike in every order of stations; an edge counts in both directions.
    Gaussian kernel as in STGCN (Yu et al. 2018, eq. 10).
    """
    count = len(positions)
    if np.isnan(positions).any():
        alone = torch.arange(count)
        return Graph(torch.stack([alone, alone]), torch.ones(count), count)
    tree = cKDTree(positions)
    nearest = min(neighbours + 1, count)
    distances, _ = tree.query(positions, k=nearest)
    reach = np.asarray(distances).reshape(count, nearest)[:, -1]
    within = tree.query_ball_point(positions, reach * (1 + 1e-6) + 1e-6)
    target = np.repeat(np.arange(count), [len(near) for near in within])
    source = np.concatenate([np.asarray(near, dtype=int) for near in within])
    pairs = np.unique(np.concatenate([np.stack([source, target]), np.stack([target, source])], axis=1), axis=1)
    length = max(float(np.median(reach)), 1.0)
    distance = np.linalg.norm(positions[pairs[0]] - positions[pairs[1]], axis=1)
    weight = np.exp(-((distance / length) ** 2) / 2)
    degree = np.bincount(pairs[1], weights=weight, minlength=count)
    normalised = weight / np.sqrt(degree[pairs[0]] * degree[pairs[1]])
    return Graph(torch.as_tensor(pairs), torch.as_tensor(normalised, dtype=torch.float32), count)


def neighbourhood_mean(values: Tensor, edge_index: Tensor, edge_weight: Tensor, hops: int) -> Tensor:
    """Values (B, N, F) averaged by edge weight over the stations tied to each, `hops` times over."""
    source, target = edge_index
    weight = edge_weight[:, None]
    total = weight.new_zeros(values.shape[1], 1).index_add_(0, target, weight)
    for _ in range(hops):
        values = torch.zeros_like(values).index_add_(1, target, values[:, source] * weight) / total
    return values
