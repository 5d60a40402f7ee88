"""TMAF: an autoregressive transformer whose state conditions a masked autoregressive flow (Rasul et al. 2021,
https://arxiv.org/abs/2002.06103; the flow is zuko's, after Papamakarios et al. 2017, https://arxiv.org/abs/1705.07057).

The paper's flow models the vector of all stations at one step, which ties a model to a fixed set of stations in a fixed
order. Here the vector is a block of consecutive steps of one station (an eighth of a day: three hours), so that stations may
come and go and each is forecast alone by the same weights. The transformer reads the blocks of the last two days and of the
day ahead, each with the block before it and what is known of its own steps; the flow gives the joint distribution of a
block's steps, as the square root of traffic, and each sampled block is fed back. A sample attends to the one past it shares
with all others and to blocks of its own.
"""

from typing import Any

import torch
import zuko
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention, silu

from lecdiff_core.city.windows import Batch
from lecdiff_core.models.inputs import COVARIATE_WIDTH, HISTORY_DAYS, covariates, history
from lecdiff_core.models.protocol import ForecastModel, RowNoise

BLOCKS_A_DAY = 8
DAYS = 2  # read block by block
WIDTH = 64
HEADS = 4
LAYERS = 2
TRANSFORMS = 3
FLOW_WIDTH = 64
DROPOUT = 0.1
LARGEST_NOISE = 4.0  # base noise is clamped there, so that a stray tail of the flow stays finite
LARGEST_ROOT = 6.0  # a sampled step stays below its square, in units of the last day's mean
SAMPLED_ROWS = 6000  # rows sampled at once: bounds memory and stays near the processor's cache


class Layer(nn.Module):
    """A transformer layer, normalised before attention and before its perceptron (Xiong et al. 2020)."""

    def __init__(self) -> None:
        super().__init__()
        self.before_attention, self.before_perceptron = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.query_key_value = nn.Linear(WIDTH, 3 * WIDTH)
        self.joined = nn.Linear(WIDTH, WIDTH)
        self.inner, self.outer = nn.Linear(WIDTH, 2 * WIDTH), nn.Linear(2 * WIDTH, WIDTH)
        self.dropout = nn.Dropout(DROPOUT)

    def projected(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Query, key and value of x (..., T, WIDTH), each (..., HEADS, T, WIDTH / HEADS)."""
        parts = self.query_key_value(self.before_attention(x)).chunk(3, dim=-1)
        query, key, value = (part.unflatten(-1, (HEADS, -1)).transpose(-2, -3) for part in parts)
        return query, key, value

    def refined(self, x: Tensor, attended: Tensor) -> Tensor:
        """x with what was attended to (..., HEADS, T, WIDTH / HEADS), through the perceptron."""
        x = x + self.dropout(self.joined(attended.transpose(-2, -3).flatten(-2)))
        return x + self.dropout(self.outer(silu(self.inner(self.before_perceptron(x)))))

    def forward(self, x: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Whole sequences (R, T, WIDTH), each token seeing itself and those before; also their keys and values."""
        query, key, value = self.projected(x)
        attended = scaled_dot_product_attention(query, key, value, is_causal=True)
        return self.refined(x, attended), (key, value)

    def step(self, x: Tensor, past: tuple[Tensor, Tensor], own: list[tuple[Tensor, Tensor]]) -> Tensor:
        """One token (S, R, 1, WIDTH) of each of S samples after a shared past (R, HEADS, T, ·); its key and value join `own`."""
        query, key, value = self.projected(x)
        own.append((key, value))
        shared = torch.einsum("srhqd,rhtd->srhqt", query, past[0])
        keys, values = (torch.cat(part, dim=-2) for part in zip(*own, strict=True))
        scores = torch.cat([shared, query @ keys.transpose(-1, -2)], dim=-1) / query.shape[-1] ** 0.5
        weights = torch.softmax(scores, dim=-1)
        length = past[0].shape[-2]
        attended = torch.einsum("srhqt,rhtd->srhqd", weights[..., :length], past[1]) + weights[..., length:] @ values
        return self.refined(x, attended)


class Tmaf(ForecastModel):
    """Transformer over blocks → state of a block → flow of its steps; row = one window and station, R rows, Q steps a block."""

    def __init__(self, steps_per_day: int) -> None:
        super().__init__()
        self.steps_per_day = self.horizon = steps_per_day
        self.context = (HISTORY_DAYS + DAYS) * steps_per_day
        self.block = next(
            size for size in range(max(1, steps_per_day // BLOCKS_A_DAY), 0, -1) if steps_per_day % size == 0
        )
        self.enter = nn.Linear(self.block * (2 + COVARIATE_WIDTH), WIDTH)
        self.position = nn.Parameter(0.02 * torch.randn((DAYS + 1) * steps_per_day // self.block, WIDTH))
        self.layers = nn.ModuleList(Layer() for _ in range(LAYERS))
        self.norm = nn.LayerNorm(WIDTH)
        self.flow = zuko.flows.MAF(self.block, WIDTH, transforms=TRANSFORMS, hidden_features=(FLOW_WIDTH, FLOW_WIDTH))

    def settings(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {"steps_per_day": self.steps_per_day}

    # ---- what every block is given

    def _blocks(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Station's mean (R, 1), usual day (R, P), blocks of the last days (R, T, 2 Q), covariates of these and of those ahead."""
        past = history(batch, self.steps_per_day)
        roots = past.filled[:, :, -DAYS:].clamp_min(0.0).sqrt().flatten(2)
        missing = (~past.days[:, :, -DAYS:].isfinite()).float().flatten(2)
        values = self._paired(roots.flatten(0, 1), missing.flatten(0, 1))
        known = torch.cat([covariates(batch, past, back) for back in range(DAYS, -1, -1)], dim=2).flatten(0, 1)
        known = known.unflatten(1, (-1, self.block)).flatten(2)
        return past.scale.flatten(0, 1), past.usual.flatten(0, 1), values, known

    def _paired(self, roots: Tensor, missing: Tensor) -> Tensor:
        """Steps (..., T Q) as blocks of values and whether they are missing (..., T, 2 Q)."""
        return torch.cat([part.unflatten(-1, (-1, self.block)) for part in (roots, missing)], dim=-1)

    def _tokens(self, before: Tensor, known: Tensor, first: int) -> Tensor:
        """Tokens (..., T, WIDTH) of blocks from number `first` on: the block before each and what is known of it."""
        return self.enter(torch.cat([before, known], dim=-1)) + self.position[first : first + known.shape[-2]]

    # ---- training

    def loss(self, batch: Batch) -> Tensor:
        """Negative log likelihood, a step, of the blocks ahead that were observed whole, each after the true blocks before it."""
        assert batch.future is not None
        scale, usual, values, known = self._blocks(batch)
        future = batch.future.flatten(0, 1) / scale
        observed = future.isfinite()
        target = torch.where(observed, future, usual).clamp_min(0.0).sqrt()
        ahead = self._paired(target, (~observed).float())
        x = self._tokens(torch.cat([values, ahead[:, :-1]], dim=1), known[:, 1:], first=1)
        for layer in self.layers:
            x, _ = layer(x)
        state = self.norm(x[:, -ahead.shape[1] :])
        whole = observed.unflatten(1, (-1, self.block)).all(dim=2)
        if not whole.any():
            return 0.0 * state.sum()
        likelihood = self.flow(state[whole]).log_prob(ahead[whole][:, : self.block])
        return -likelihood.mean() / self.block

    # ---- sampling

    @torch.no_grad()
    def sample(self, batch: Batch, samples: int, noise: RowNoise, wanted: Tensor | None = None) -> Tensor:
        """One block after another, in parts of the rows."""
        scale, _, values, known = self._blocks(batch)
        windows, stations = batch.past.shape[:2]
        if wanted is not None:
            chosen = (torch.arange(windows, device=wanted.device)[:, None] * stations + wanted).flatten()
            scale, values, known = scale[chosen], values[chosen], known[chosen]
        size = max(1, SAMPLED_ROWS // samples)
        paths = []
        for start in range(0, len(scale), size):
            rows = slice(start, start + size)
            draws = noise.rows(rows).normal(samples, self.horizon).clamp(-LARGEST_NOISE, LARGEST_NOISE)
            paths.append(self._paths(values[rows], known[rows], draws) * scale[rows])
        return torch.cat(paths, dim=1).unflatten(1, (windows, -1)).transpose(0, 1)

    def _paths(self, values: Tensor, known: Tensor, draws: Tensor) -> Tensor:
        """Paths (S, R, H) from the blocks of the last days, all covariates and normal numbers (S, R, H)."""
        ahead = values.shape[1]  # number of the first block ahead
        x = self._tokens(values[:, :-1], known[:, 1:ahead], first=1)
        shared = []
        for layer in self.layers:
            x, memory = layer(x)
            shared.append(memory)
        own: list[list[tuple[Tensor, Tensor]]] = [[] for _ in self.layers]
        before = values[:, -1].expand(len(draws), -1, -1)
        steps = []
        for index, noise in enumerate(draws.split(self.block, dim=2)):
            covered = known[:, ahead + index].expand(len(draws), -1, -1)
            x = self._tokens(before[:, :, None], covered[:, :, None], first=ahead + index)
            for layer, past, mine in zip(self.layers, shared, own, strict=True):
                assert isinstance(layer, Layer)
                x = layer.step(x, past, mine)
            root = self.flow(self.norm(x[:, :, 0])).transform.inv(noise).clamp(0.0, LARGEST_ROOT)
            steps.append(root**2)
            before = torch.cat([root, torch.zeros_like(root)], dim=2)
        return torch.cat(steps, dim=2)
