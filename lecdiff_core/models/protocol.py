"""What every model gives: a training loss for a batch of windows, and samples for a context.

One trainer, one backtest and one forecaster serve all models through this. Letters as in city/windows.py, S samples,
M = B N rows, one a window and station.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from lecdiff_core.city.windows import Batch
from lecdiff_core.diffusion.streams import bits, keys, normal, pairs, uniform

PRIOR, NETWORK = "prior", "network"  # groups of parameters


@dataclass(frozen=True)
class SharedNoise:
    """Streams that rows have in common: `streams`, one a cell, and `index` (M,), the cell of each row."""

    streams: "RowNoise"
    index: Tensor


class RowNoise:
    """Random numbers for the M = B N rows of a batch, each row with a stream of its own.

    A row's stream depends on its seed alone, so a station gets the same samples in whatever company and order it is forecast, on
    every device, and the first of many samples are those of a few (diffusion/streams.py).
    shared: the streams of the places that rows lie in, the whole network first; empty where rows have nothing in common.
    """

    def __init__(self, seeds: Iterable[int], device: torch.device | str = "cpu") -> None:
        self.keys = keys(torch.tensor(list(seeds), dtype=torch.int64, device=device))
        self.drawn = torch.zeros_like(self.keys)  # how many numbers each stream has given, in pairs
        self.shared: tuple[SharedNoise, ...] = ()

    @classmethod
    def of(cls, labels: Iterable[str], seed: int, device: torch.device | str = "cpu") -> "RowNoise":
        """Streams named by text (origin and station) and a seed."""
        digests = (hashlib.blake2b(f"{seed}|{label}".encode(), digest_size=8).digest() for label in labels)
        return cls((int.from_bytes(digest, signed=True) for digest in digests), device)

    @classmethod
    def at(
        cls,
        origins: Sequence[str],
        names: Sequence[str],
        cells: np.ndarray | None,
        seed: int,
        device: torch.device | str = "cpu",
    ) -> "RowNoise":
        """Streams of M rows with those of the places they lie in, named by origin and cell.

        origins, names: M texts.  cells: (M, C), the cells of a global grid that each row's station lies in, coarse to fine; None
        where no place is known: then only the whole network shares a stream.
        """
        noise = cls.of((f"{origin}|{name}" for origin, name in zip(origins, names, strict=True)), seed, device)
        levels = [[f"{origin}|network" for origin in origins]]
        columns = [] if cells is None else cells.T.tolist()
        levels += [
            [f"{origin}|{level}|{cell}" for origin, cell in zip(origins, column, strict=True)]
            for level, column in enumerate(columns)
        ]
        noise.shared = tuple(cls._shared(labels, seed, device) for labels in levels)
        return noise

    @classmethod
    def _shared(cls, labels: list[str], seed: int, device: torch.device | str) -> SharedNoise:
        number: dict[str, int] = {}
        index = torch.tensor([number.setdefault(label, len(number)) for label in labels], device=device)
        return SharedNoise(cls.of(number, seed, device), index)

    def __len__(self) -> int:
        return len(self.keys)

    def rows(self, part: slice) -> "RowNoise":
        """The streams of some rows; what is drawn from them is drawn from these."""
        subset = RowNoise(())
        subset.keys, subset.drawn = self.keys[part], self.drawn[part]
        subset.shared = tuple(replace(shared, index=shared.index[part]) for shared in self.shared)
        return subset

    def apart(self) -> "RowNoise":
        """The same streams with nothing in common."""
        subset = self.rows(slice(None))
        subset.shared = ()
        return subset

    def normal(self, samples: int, width: int) -> Tensor:
        """Standard normal numbers (S, M, width)."""
        return normal(self._bits(samples, width))

    def uniform(self, samples: int, width: int) -> Tensor:
        """Uniform numbers in [0, 1), (S, M, width)."""
        return uniform(self._bits(samples, width))

    def _bits(self, samples: int, width: int) -> Tensor:
        drawn = bits(self.keys, self.drawn, samples, width)
        self.drawn += samples * pairs(width)
        return drawn


class ForecastModel(nn.Module):
    """Base of all models. B windows, N stations, L context steps, H horizon steps, S samples.

    Attributes:
        context: L, steps before the origin it looks at.
        horizon: H, steps it gives at once.
        hops: how far, in edges of the graph, a station's forecast depends on other stations; None = on all.
        parameter_groups: beginnings of the names of the parameters in each group that is trained at a rate of its own
            (`training.Recipe`); what is in none is the "network". The "prior" is what makes an untrained model a forecast already.
        recipe: raised by hand when the results of the same config can change, so that stored results are computed again.
    """

    recipe: ClassVar[int] = 1
    may_be_unknown: ClassVar[tuple[str, ...]] = ()  # names of tensors in which NaN says that nothing is known
    parameter_groups: ClassVar[Mapping[str, tuple[str, ...]]] = {"prior": ("season.",)}
    context: int
    horizon: int
    hops: int | None = 0

    def settings(self) -> dict[str, Any]:
        """Plain data from which `catalogue.restore` builds the same model again."""
        raise NotImplementedError

    def fit_statistics(self, values: Tensor, slot: Tensor) -> None:
        """Set what is a plain statistic of the training part: values (N, T), slot of each step (T,). Default: nothing."""

    def fit_dependence(self, batches: Iterable[Batch]) -> None:
        """Set how stations and steps hang together, from windows of the training part, before training. Default: nothing."""

    def loss(self, batch: Batch) -> Tensor:
        """Training loss of a batch with a future, a scalar."""
        raise NotImplementedError

    def sample(self, batch: Batch, samples: int, noise: RowNoise, wanted: Tensor | None = None) -> Tensor:
        """Samples of the future: (B, S, N, H), never negative.

        wanted: (W,) indices of the stations that are asked for, None = all; the others only serve as neighbours. The result
        and the noise then have W stations.
        """
        raise NotImplementedError

    def calibrate(self, batches: Iterable[Batch]) -> None:
        """Set what is set on the validation part, after training. Default: nothing."""

    @property
    def joint(self) -> bool:
        """Whether its samples of several stations belong together, so that sums of them are forecasts, too."""
        return False

    def in_group(self, group: str) -> dict[str, nn.Parameter]:
        """The parameters of a group, by name."""
        named = dict(self.named_parameters())
        if group == NETWORK:
            grouped = {name for other in self.parameter_groups for name in self.in_group(other)}
            return {name: parameter for name, parameter in named.items() if name not in grouped}
        beginnings = self.parameter_groups.get(group, ())
        return {name: parameter for name, parameter in named.items() if name.startswith(beginnings)}

    @property
    def trainable(self) -> bool:
        """Whether there is anything to train."""
        return any(parameter.requires_grad for parameter in self.parameters())


class PointModel(ForecastModel):
    """A point forecast, made a distribution by its own errors on the validation part.

    The one function that does this for all of them: errors divided by the square root of the forecast are pooled
    over stations and steps; a sample is the forecast plus a drawn error times that root.
    """

    POOL = 4096
    pool: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("pool", torch.zeros(self.POOL))

    def point(self, batch: Batch) -> Tensor:
        """The forecast (B, N, H), on the scale of the traffic, never negative."""
        raise NotImplementedError

    @torch.no_grad()
    def level(self, batch: Batch) -> Tensor:
        """Mean of all stations' forecasts: what `Batch.level` is to be where a batch holds a part of them."""
        return self.point(batch).mean()

    @torch.no_grad()
    def errors(self, batch: Batch) -> Tensor:
        """Errors of a batch with a future over the square root of the forecast, of what was observed, in one dimension."""
        assert batch.future is not None
        point = self.point(batch)
        scaled = (batch.future - point) / _root(point, point.mean())
        return scaled[scaled.isfinite()]

    def calibrate(self, batches: Iterable[Batch]) -> None:
        """Keep the quantiles of the scaled errors on validation windows."""
        self.pool_errors([self.errors(batch) for batch in batches])

    def pool_errors(self, errors: Sequence[Tensor]) -> None:
        """Keep the quantiles of scaled errors, from which samples are drawn; without any, what was kept before."""
        levels = (np.arange(self.POOL) + 0.5) / self.POOL
        pooled = torch.cat([*errors]).double().cpu().numpy() if errors else np.empty(0)
        if len(pooled):
            self.pool.copy_(torch.as_tensor(np.quantile(pooled, levels)))

    @torch.no_grad()
    def sample(self, batch: Batch, samples: int, noise: RowNoise, wanted: Tensor | None = None) -> Tensor:
        """Draw errors from the pool around the point forecast."""
        point = self.point(batch)
        level = point.mean() if batch.level is None else batch.level
        if wanted is not None:
            point = point[:, wanted]
        draws = (noise.uniform(samples, self.horizon) * self.POOL).long()
        errors = self.pool[draws].unflatten(1, point.shape[:2]).transpose(0, 1)
        return (point[:, None] + errors * _root(point, level)[:, None]).clamp_min(0.0)


def _root(point: Tensor, level: Tensor) -> Tensor:
    """Square root of a forecast, with a floor of a thousandth of the mean of the city's forecasts."""
    return point.clamp_min(1e-3 * float(level) + 1e-12).sqrt()
