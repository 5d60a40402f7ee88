"""Regression over places: a Gaussian process on likeness of surroundings and nearness on the ground, in closed form.

Two places have as much in common as their kernel says,

    k(x, x') = a exp(-|e - e'|² / 2 l²) + b exp(-|p - p'| / m) + noise [x = x']

with e the embedding of the surroundings and p the place on the ground; where one of them is not known, its term is left out. The
amplitudes, lengths and the noise maximise the marginal likelihood of what was observed at the known places (Rasmussen & Williams
2006, *Gaussian Processes for Machine Learning*, eq. 2.25-2.26, 5.8-5.9); predictions are weighted means of the known
places, and what the others would have said of each of them follows without fitting again (their eq. 5.10-5.12).

Letters: N known places, M places asked for, K columns that are predicted, D embedding width.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import minimize

MOST_TUNED = 300  # places that amplitudes and lengths are fitted on; more would only take longer
FEWEST_TUNED = 12  # with less, the starting values are better than what is fitted
START = {"alike": (0.5, 1.0), "near": (0.5, 5.0)}  # amplitude; length in usual distances of each kind
START_NOISE = 0.3
BOUNDS = {"amplitude": (1e-3, 10.0), "length": (0.1, 30.0), "noise": (0.02, 3.0)}
ITERATIONS = 40


@dataclass(frozen=True)
class Places:
    """Where N places are in embedding space and on the ground.

    surroundings: (N, D) or None where nothing is known of them.  positions: (N, 2) metres, or None where no place is known.
    """

    count: int
    surroundings: np.ndarray | None = None
    positions: np.ndarray | None = None

    def select(self, index: np.ndarray) -> "Places":
        """Some of the places, by index and in that order."""
        parts = (None if part is None else part[index] for part in (self.surroundings, self.positions))
        return Places(len(index), *parts)


@dataclass(frozen=True)
class Scale:
    """What one unit of distance is: mean squared distance of two embeddings, usual distance (m) of nearest places."""

    surroundings: float
    ground: float

    @classmethod
    def of(cls, known: Places, ground: float) -> "Scale":
        """From the known places; `ground`: their usual distance in metres."""
        spread = 1.0 if known.surroundings is None else float(known.surroundings.var(0).sum())
        return cls(max(spread, 1e-9), max(ground, 1e-9))


@dataclass(frozen=True)
class Kernel:
    """Amplitude and length of each kind of likeness that is known ("alike", "near"), and the noise; in units of the variance."""

    terms: dict[str, tuple[float, float]]
    noise: float

    def covariance(self, distances: dict[str, np.ndarray], rows: int, columns: int) -> np.ndarray:
        """(rows, columns) of places by how far apart they are of each kind, without noise."""
        total = np.zeros((rows, columns))
        for kind, (amplitude, length) in self.terms.items():
            total += amplitude * _falling(kind, distances[kind], length)
        return total

    @property
    def variance(self) -> float:
        """Of a place that nothing known resembles, without noise."""
        return sum(amplitude for amplitude, _ in self.terms.values())


def distances_between(ones: Places, others: Places, scale: Scale) -> dict[str, np.ndarray]:
    """How far apart places are, (M, N) by kind: squared distance of embeddings, distance on the ground; in units of the scale."""
    distances = {}
    if ones.surroundings is not None and others.surroundings is not None:
        distances["alike"] = _squared_distance(ones.surroundings, others.surroundings) / scale.surroundings
    if ones.positions is not None and others.positions is not None:
        distances["near"] = np.sqrt(_squared_distance(ones.positions, others.positions)) / scale.ground
    return distances


def fitted_kernel(distances: dict[str, np.ndarray], values: np.ndarray) -> Kernel:
    """The kernel under which values (N, K) at known places are the likeliest.

    distances: (N, N) of each kind. The columns of the values share one kernel and have mean 0; their mean variance is scaled to 1.
    """
    kinds = tuple(distances)
    start = Kernel({kind: START[kind] for kind in kinds}, START_NOISE)
    count = len(values)
    if count < FEWEST_TUNED or not kinds:
        return start
    if count > MOST_TUNED:
        chosen = np.sort(np.random.default_rng(0).permutation(count)[:MOST_TUNED])
        distances = {kind: part[np.ix_(chosen, chosen)] for kind, part in distances.items()}
        values = values[chosen]
    scaled = values / max(float(np.sqrt(np.square(values).mean())), 1e-12)
    bounds = [BOUNDS["amplitude"], BOUNDS["length"]] * len(kinds) + [BOUNDS["noise"]]
    optimum = minimize(
        _unlikelihood,
        np.log(_parameters(start)),
        args=(kinds, distances, scaled),
        jac=True,
        method="L-BFGS-B",
        bounds=np.log(bounds),
        options={"maxiter": ITERATIONS},
    )
    return _kernel(kinds, np.exp(optimum.x))


@dataclass(frozen=True)
class Regression:
    """A kernel on N known places, ready to weigh them.

    distances: (N, N) of each kind between the known places.
    """

    kernel: Kernel
    distances: dict[str, np.ndarray]
    count: int

    def weights(self, between: np.ndarray) -> np.ndarray:
        """(M, N) weights of the known places' departures from their mean, by the covariance (M, N) of those asked for with them."""
        return np.asarray(between @ self._inverse)

    def variance(self, between: np.ndarray) -> np.ndarray:
        """(M,) of what is observed at the places asked for, noise included, in units of the variance."""
        total = self.kernel.variance + self.kernel.noise
        return np.maximum(total - np.einsum("mn,mn->m", self.weights(between), between), self.kernel.noise)

    @cached_property
    def others(self) -> np.ndarray:
        """(N, N) weights by which the others predict each known place; zeros on the diagonal."""
        weights = -self._inverse / np.diag(self._inverse)[:, None]
        np.fill_diagonal(weights, 0.0)
        return weights

    @cached_property
    def others_variance(self) -> np.ndarray:
        """(N,) of each known place as the others predict it, in units of the variance."""
        return 1 / np.diag(self._inverse)

    @cached_property
    def _inverse(self) -> np.ndarray:
        covariance = self.kernel.covariance(self.distances, self.count, self.count) + self.kernel.noise * np.eye(
            self.count
        )
        return np.asarray(cho_solve(cho_factor(covariance), np.eye(self.count)))


def _squared_distance(ones: np.ndarray, others: np.ndarray) -> np.ndarray:
    ones, others = np.asarray(ones, float), np.asarray(others, float)
    squares = np.square(ones).sum(1)[:, None] + np.square(others).sum(1) - 2 * ones @ others.T
    return np.asarray(np.maximum(squares, 0.0))


def _falling(kind: str, distance: np.ndarray, length: float) -> np.ndarray:
    """Gaussian of a squared distance, exponential of a plain one."""
    return np.asarray(np.exp(-distance / (2 * length**2 if kind == "alike" else length)))


def _parameters(kernel: Kernel) -> np.ndarray:
    return np.array([number for term in kernel.terms.values() for number in term] + [kernel.noise])


def _kernel(kinds: tuple[str, ...], parameters: np.ndarray) -> Kernel:
    pairs = parameters[:-1].reshape(-1, 2).tolist()
    return Kernel({kind: (pair[0], pair[1]) for kind, pair in zip(kinds, pairs, strict=True)}, float(parameters[-1]))


def _unlikelihood(
    logs: np.ndarray, kinds: tuple[str, ...], distances: dict[str, np.ndarray], values: np.ndarray
) -> tuple[float, np.ndarray]:
    """Negative log marginal likelihood a place and column, and its gradient by the logs of the parameters."""
    kernel = _kernel(kinds, np.exp(logs))
    count, columns = values.shape
    parts = {kind: kernel.terms[kind][0] * _falling(kind, distances[kind], kernel.terms[kind][1]) for kind in kinds}
    factor = cho_factor(np.sum(list(parts.values()), axis=0) + kernel.noise * np.eye(count), lower=True)
    inverse = cho_solve(factor, np.eye(count))
    solved = inverse @ values
    unlikely = 0.5 * float((values * solved).sum()) / columns + float(np.log(np.diag(factor[0])).sum())
    slope = 0.5 * (inverse - solved @ solved.T / columns)
    gradient = []
    for kind, part in parts.items():
        length = kernel.terms[kind][1]
        stretched = distances[kind] / (length**2 if kind == "alike" else length)
        gradient += [float((slope * part).sum()), float((slope * part * stretched).sum())]
    gradient.append(kernel.noise * float(np.trace(slope)))
    return unlikely / count, np.array(gradient) / count
