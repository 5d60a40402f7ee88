"""Noise that hangs together: what stations of one place, and steps of one day, have in common before anything is denoised.

A pyramid in space times a ladder in time. Every station draws noise from its own stream, from those of the cells of a fixed
global grid that it lies in, and from one of the whole network; each is a sum of processes with memories from none to a day:

    covariance of (n, h) and (m, j) = Σ_levels [n and m share the level's cell] Σ_memories share · exp(-|h - j| / memory)

The shares are not negative and sum to 1; they are fitted to residuals by moments, as a non-negative least-squares problem. A stream
is named by origin and cell, never by which stations are at hand, so a part of the network draws what the whole would.

For a station by itself this is Gaussian noise of one covariance over the day, C = A Aᵀ. The diffusion model works on A⁻¹ x, which
is white: whitening by mean and covariance is what helps conditional generators most (CW-Gen, https://arxiv.org/abs/2509.20928).

Letters: L levels (whole network first, station last), K memories, H steps of a path, N stations, M rows, S samples.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from scipy.optimize import nnls
from torch import Tensor, nn

MEMORY_HOURS = (0.0, 0.5, 1.5, 4.0, 12.0, 48.0)
LEVELS = 5
LEAST_WHITE = 0.01  # share of noise without any memory, so that a covariance can always be inverted


class Streams(Protocol):
    """As much of `models.protocol.RowNoise` as a field needs: the rows' own streams, and those they share, the network's first."""

    @property
    def shared(self) -> Sequence[Any]:
        """Each with `streams`, one a cell, and `index`, the cell of each row."""

    def rows(self, part: slice) -> "Streams":
        """The streams of some rows."""

    def normal(self, samples: int, width: int) -> Tensor:
        """Standard normal numbers (S, M, width)."""


class NoiseField(nn.Module):
    """The shares, and what is computed from them for paths of `steps` steps, `hours` apart.

    shares: (L, K), of levels and memories; at first all noise is a station's own and white.
    """

    shares: Tensor
    root: Tensor
    mixes: Tensor

    def __init__(self, steps: int, hours: float) -> None:
        super().__init__()
        self.steps, self.hours = steps, hours
        shares = torch.zeros(LEVELS, len(MEMORY_HOURS))
        shares[-1, 0] = 1.0
        self.register_buffer("shares", shares)
        self.register_buffer("root", torch.eye(steps), persistent=False)
        self.register_buffer("mixes", torch.zeros(LEVELS, steps, steps), persistent=False)
        self._derive()

    def set_shares(self, shares: np.ndarray) -> None:
        """Take shares (L, K), scaled to sum to 1."""
        self.shares.copy_(torch.as_tensor(shares / shares.sum()))
        self._derive()

    def _load_from_state_dict(self, *state: object) -> None:
        super()._load_from_state_dict(*state)
        self._derive()

    def _derive(self) -> None:
        """`root`: A of A Aᵀ = C, (H, H).  `mixes`: (L, H, H), what of a level's white noise goes into the whitened path."""
        covariances = torch.einsum("lk,khj->lhj", self.shares.double().cpu(), _correlations(self.steps, self.hours))
        root = torch.linalg.cholesky(covariances.sum(0))
        values, vectors = torch.linalg.eigh(covariances)
        roots = vectors * values.clamp_min(0.0).sqrt()[:, None]
        self.root.copy_(root)
        self.mixes.copy_(torch.linalg.solve_triangular(root, roots, upper=False))

    def whiten(self, paths: Tensor) -> Tensor:
        """A⁻¹ of paths (..., H)."""
        return torch.linalg.solve_triangular(self.root, paths[..., None], upper=False)[..., 0]

    def colour(self, whitened: Tensor) -> Tensor:
        """A of whitened paths (..., H)."""
        return whitened @ self.root.t()

    def draw(self, noise: Streams, samples: int) -> Callable[[slice], Tensor]:
        """A function that gives the whitened noise (S, rows, H) of some rows: white in time, and shared over places."""
        if not noise.shared:
            return lambda rows: noise.rows(rows).normal(samples, self.steps)
        common = [
            (shared.streams.normal(samples, self.steps) @ mix.t(), shared.index.to(mix.device))
            for shared, mix, share in zip(noise.shared, self.mixes[:-1], self.shares[:-1], strict=False)
            if float(share.sum()) > 0
        ]
        own_mix = self._own(len(noise.shared))

        def of_rows(rows: slice) -> Tensor:
            drawn = noise.rows(rows).normal(samples, self.steps) @ own_mix.t()
            for shared, index in common:
                drawn += shared[:, index[rows]]
            return drawn

        return of_rows

    def _own(self, shared: int) -> Tensor:
        """What of a station's own noise goes into its path, where only the first levels are shared: (H, H)."""
        if shared == LEVELS - 1:
            return self.mixes[-1]
        left = self.mixes[shared:]
        return torch.linalg.cholesky(torch.einsum("lhi,lji->hj", left, left).double()).to(left)

    def fit(self, residuals: Iterable[tuple[Tensor, Tensor | None]]) -> None:
        """Set the shares from residual paths (B, N, H), NaN = missing, each with the cells (N, L - 2) of its stations or None."""
        moments = Moments(self.steps, self.hours)
        for paths, cells in residuals:
            moments.add(paths, cells)
        shares = shares_of([moments])
        if shares is not None:
            self.set_shares(shares)


def _correlations(steps: int, hours: float) -> Tensor:
    """(K, H, H) of each memory."""
    lag = (torch.arange(steps)[:, None] - torch.arange(steps)).abs().double() * hours
    return torch.stack([(lag == 0).double() if memory == 0 else torch.exp(-lag / memory) for memory in MEMORY_HOURS])


class Moments:
    """Mean products of residuals at two steps of two stations, by the finest level the two share and by the lag.

    Of one network, for paths of `steps` steps, `hours` apart.
    """

    def __init__(self, steps: int, hours: float) -> None:
        self.steps, self.hours = steps, hours
        self.product, self.count = np.zeros((LEVELS, steps)), np.zeros((LEVELS, steps))

    def add(self, paths: Tensor, cells: Tensor | None) -> None:
        """Add paths (B, N, H), NaN = missing, of stations in cells (N, L - 2); without, a station shares with the network alone."""
        stations = np.arange(paths.shape[1])
        columns = np.tile(stations, (LEVELS - 2, 1)) if cells is None else cells.cpu().numpy().T
        shared = [np.unique(column, return_inverse=True)[1] for column in columns]
        levels = [np.zeros_like(stations), *shared, stations]
        for path in paths.double().cpu().numpy():
            known = np.isfinite(path)
            for level, cell in enumerate(levels):
                self.product[level] += self._lagged(np.where(known, path, 0.0), cell)
                self.count[level] += self._lagged(known.astype(float), cell)

    def _lagged(self, values: np.ndarray, cell: np.ndarray) -> np.ndarray:
        """(H,) sum over cells and steps of the products of a cell's sums at two steps that lie h apart."""
        sums = np.zeros((cell.max() + 1, self.steps))
        np.add.at(sums, cell, values)
        power = np.abs(np.fft.rfft(sums, 2 * self.steps, axis=1)) ** 2
        return np.fft.irfft(power.sum(0), 2 * self.steps)[: self.steps]

    def system(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Rows (R, L K) and targets (R,): what the shares come to, and what was found; None where there is nothing to go by."""
        product, count = self.product.copy(), self.count.copy()
        product[:-1] -= self.product[1:]
        count[:-1] -= self.count[1:]
        if product[-1, 0] <= 0:
            return None
        variance = product[-1, 0] / count[-1, 0]
        lag = np.arange(self.steps)
        memories = _correlations(self.steps, self.hours)[:, 0].numpy()
        rows, targets = [], []
        for level, step in np.argwhere(count > 0.5):
            weight = np.sqrt((self.steps - lag[step]) / self.steps**2)
            row = np.zeros((LEVELS, len(MEMORY_HOURS)))
            row[: level + 1] = memories[:, step]
            rows.append(weight * row.ravel())
            targets.append(weight * product[level, step] / count[level, step] / variance)
        return np.array(rows), np.array(targets)


def shares_of(networks: Sequence[Moments]) -> np.ndarray | None:
    """Shares (L, K) by non-negative least squares over networks, each counting alike; None where there is nothing to go by."""
    systems = [system for network in networks if (system := network.system()) is not None]
    if not systems:
        return None
    rows, targets = (np.concatenate(part) for part in zip(*systems, strict=True))
    solution, _ = nnls(rows, targets)
    shares = solution.reshape(LEVELS, -1)
    shares /= max(shares.sum(), 1e-9)
    shares[-1, 0] = max(shares[-1, 0], LEAST_WHITE)
    return shares
