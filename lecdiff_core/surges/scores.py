"""Surge scores: deviations set against what the neighbourhood does and what is normal for the station.

Letters: N stations, T steps looked at.
"""

import numpy as np
from scipy import sparse

from lecdiff_core.city.graph import Graph
from lecdiff_core.errors import UserError
from lecdiff_core.surges.runs import BOUND

HOPS = 2  # of the graph: how far the neighbourhood reaches that a deviation is set against
QUIET_DAYS = 3.0  # how many days of its own a station needs until its own spread counts as much as everybody's


def surge_scores(deviation: np.ndarray, quiet: slice, graph: Graph, beside_neighbours: bool = True) -> np.ndarray:
    """Scores (N, T): deviations, less what the neighbourhood shares, on the scale of a standard normal in quiet times.

    The share (one number, least squares) and the scales are set on the `quiet` columns; a station's own scale there on the other
    half of them, so that quiet times are judged as other times are.
    """
    scores = standardised(deviation, quiet)
    if beside_neighbours:
        around = _around(scores, graph)
        known, here = np.nan_to_num(scores[:, quiet]), around[:, quiet]
        share = float((known * here).sum() / max(float((here**2).sum()), 1e-9))
        scores = standardised(scores - share * around, quiet)
    return standardised(scores / _own_scale(scores, quiet), quiet)


def standardised(scores: np.ndarray, quiet: slice) -> np.ndarray:
    """Moved and stretched, on either side, so that quiet times have the median and the 5 % bounds of a standard normal."""
    known = scores[:, quiet][np.isfinite(scores[:, quiet])]
    if len(known) < 20:
        raise UserError("there is too little traffic in the days that calibrated the model to tell what is normal")
    low, middle, high = np.quantile(known, [0.05, 0.5, 0.95])
    off = scores - middle
    return BOUND * off / np.where(off > 0, max(high - middle, 1e-9), max(middle - low, 1e-9))


def _around(scores: np.ndarray, graph: Graph) -> np.ndarray:
    """Mean score (N, T) of the stations at most two edges away, without the station itself."""
    source, target = graph.edge_index.numpy()
    steps = sparse.csr_matrix((np.ones(len(source), np.float32), (target, source)), shape=(graph.nodes, graph.nodes))
    reached = steps
    for _ in range(HOPS - 1):
        reached = reached @ steps
    reached = (reached > 0).astype(np.float32).tolil()
    reached.setdiag(0)
    reached = reached.tocsr()
    known = np.isfinite(scores).astype(np.float32)
    return (reached @ np.nan_to_num(scores)) / np.maximum(reached @ known, 1.0)


def _own_scale(scores: np.ndarray, quiet: slice) -> np.ndarray:
    """(N, T) spread of each station in quiet times, drawn towards everybody's where there are few days."""
    start, middle = quiet.start or 0, ((quiet.start or 0) + quiet.stop) // 2
    halves = (slice(start, middle), slice(middle, quiet.stop))
    scale = np.repeat(_spread(scores, quiet)[:, None], scores.shape[1], axis=1)
    scale[:, halves[0]] = _spread(scores, halves[1])[:, None]
    scale[:, halves[1]] = _spread(scores, halves[0])[:, None]
    return scale


def _spread(scores: np.ndarray, part: slice) -> np.ndarray:
    """(N,) root mean square within ±3, relative to everybody's."""
    squares = np.clip(scores[:, part], -3, 3) ** 2
    known = np.isfinite(squares)
    pooled = max(float(squares[known].mean()), 1e-9) if known.any() else 1.0
    weight = known.mean(1) * (part.stop - part.start)
    prior = QUIET_DAYS / 6 * squares.shape[1]
    own = np.where(known, squares, 0).sum(1)
    return np.sqrt((own + prior * pooled) / (weight + prior) / pooled)
