"""WaveNet: a stack of dilated causal convolutions that says how the next step is distributed (van den Oord et al. 2016,
https://arxiv.org/abs/1609.03499).

Gated layers with residual and skip connections and local conditioning (its eq. 6) on what is known of each step before it
comes. The distribution of a step is a mixture of logistics (Salimans et al. 2017, https://arxiv.org/abs/1701.05517), in place
of the paper's 256 classes, of the square root of traffic, whose noise is about even at every level. A forecast is sampled one
step after another, each sample fed back. What a layer has computed is kept (Paine et al. 2016,
https://arxiv.org/abs/1611.09482), so that a step costs one evaluation of each layer. Every station is forecast alone.
"""

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid, pad, relu

from lecdiff_core.city.windows import Batch
from lecdiff_core.models.inputs import COVARIATE_WIDTH, HISTORY_DAYS, covariates, history
from lecdiff_core.models.protocol import ForecastModel, RowNoise

CHANNELS = 32
SKIP = 48
LOCAL = 32
COMPONENTS = 5
DROPOUT = 0.1
BLOCK_ROWS = 6000  # rows sampled at once: bounds memory and stays near the processor's cache


class Mixture(NamedTuple):
    """A mixture of logistics, each part (..., COMPONENTS)."""

    logits: Tensor
    means: Tensor
    log_scales: Tensor

    def log_prob(self, value: Tensor) -> Tensor:
        """Log density of values (...)."""
        z = (value[..., None] - self.means) * torch.exp(-self.log_scales)
        density = logsigmoid(z) + logsigmoid(-z) - self.log_scales
        return torch.logsumexp(torch.log_softmax(self.logits, dim=-1) + density, dim=-1)

    def draw(self, choice: Tensor, level: Tensor) -> Tensor:
        """Values from two uniform numbers each, (...): which component, and where in it."""
        reached = torch.softmax(self.logits, dim=-1).cumsum(-1)[..., :-1]
        component = (choice[..., None] > reached).sum(-1, keepdim=True)
        mean, log_scale = (part.gather(-1, component)[..., 0] for part in (self.means, self.log_scales))
        return mean + log_scale.exp() * torch.logit(level, eps=1e-6)


class Layer(nn.Module):
    """A gated causal convolution of kernel 2: tanh(a) · sigmoid(b), of x now, x some steps earlier and the local condition.

    The same function serves a whole sequence in training and a single step in sampling.
    """

    def __init__(self, last: bool) -> None:
        super().__init__()
        self.now = nn.Linear(CHANNELS, 2 * CHANNELS)
        self.earlier = nn.Linear(CHANNELS, 2 * CHANNELS, bias=False)
        self.residual = None if last else nn.Linear(CHANNELS, CHANNELS)
        self.skip = nn.Linear(CHANNELS, SKIP)

    def forward(self, now: Tensor, earlier: Tensor, local: Tensor) -> tuple[Tensor, Tensor]:
        """What goes to the next layer, and what `skip` takes to the end: both (..., CHANNELS)."""
        value, gate = (self.now(now) + self.earlier(earlier) + local).chunk(2, dim=-1)
        hidden = torch.tanh(value) * torch.sigmoid(gate)
        return now if self.residual is None else now + self.residual(hidden), hidden


class WaveNet(ForecastModel):
    """Dilated layers over the last day and the day ahead; row = one window and station, R rows."""

    def __init__(self, steps_per_day: int) -> None:
        super().__init__()
        self.steps_per_day = self.horizon = steps_per_day
        self.context = (HISTORY_DAYS + 1) * steps_per_day
        self.dilations = [2**power for power in range(math.ceil(math.log2(steps_per_day)))]
        self.enter = nn.Linear(2, CHANNELS)
        self.local = nn.Sequential(nn.Linear(COVARIATE_WIDTH, LOCAL), nn.SiLU(), nn.Dropout(DROPOUT))
        self.locals = nn.ModuleList(nn.Linear(LOCAL, 2 * CHANNELS, bias=False) for _ in self.dilations)
        self.layers = nn.ModuleList(Layer(last=dilation == self.dilations[-1]) for dilation in self.dilations)
        self.from_local = nn.Linear(LOCAL, SKIP)
        self.middle = nn.Linear(SKIP, SKIP)
        self.dropout = nn.Dropout(DROPOUT)
        self.out = nn.Linear(SKIP, 3 * COMPONENTS)
        nn.init.normal_(self.out.weight, std=0.01)
        with torch.no_grad():  # at first: traffic about the station's mean, give or take a quarter
            spread = torch.linspace(0.75, 1.25, COMPONENTS)
            self.out.bias.copy_(torch.cat([torch.zeros(COMPONENTS), spread, torch.full((COMPONENTS,), -2.5)]))

    def settings(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {"steps_per_day": self.steps_per_day}

    # ---- what every step is given

    def _sequence(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Station's mean (R, 1), the last day's inputs (R, P, 2) and the covariates of it and of the day ahead (R, 2 P, ·)."""
        past = history(batch, self.steps_per_day)
        missing = (~past.days[:, :, -1].isfinite()).float()
        values = torch.stack([past.filled[:, :, -1].clamp_min(0.0).sqrt(), missing], dim=3)
        known = torch.cat([covariates(batch, past, back=1), covariates(batch, past)], dim=2)
        return past.scale.flatten(0, 1), values.flatten(0, 1), known.flatten(0, 1)

    def _end(self, skips: Tensor, local: Tensor) -> Mixture:
        hidden = relu(self.middle(self.dropout(relu(skips + self.from_local(local)))))
        logits, means, log_scales = self.out(hidden).chunk(3, dim=-1)
        return Mixture(logits, means, log_scales.clamp(-6.0, 2.0))

    def _through(self, x: Tensor, local: Tensor) -> tuple[list[Tensor], Tensor]:
        """Inputs of every layer (R, T, CHANNELS), and the sum of skips (R, H, SKIP), for sequences x (R, T, CHANNELS)."""
        entered, total = [], torch.zeros(())
        for layer, project, dilation in zip(self.layers, self.locals, self.dilations, strict=True):
            assert isinstance(layer, Layer)
            entered.append(x)
            earlier = pad(x, (0, 0, dilation, 0))[:, : x.shape[1]]
            x, hidden = layer(x, earlier, project(local))
            total = total + layer.skip(hidden[:, -self.horizon :])
        return entered, total

    # ---- training

    def loss(self, batch: Batch) -> Tensor:
        """Mean negative log likelihood of the observed steps ahead, each after the true steps before it."""
        assert batch.future is not None
        scale, values, known = self._sequence(batch)
        future = batch.future.flatten(0, 1) / scale
        observed = future.isfinite()
        usual = history(batch, self.steps_per_day).usual.flatten(0, 1)
        target = torch.where(observed, future, usual).clamp_min(0.0).sqrt()
        fed_back = torch.stack([target, (~observed).float()], dim=2)[:, :-1]
        local = self.local(known[:, 1:])
        _, skips = self._through(self.enter(torch.cat([values, fed_back], dim=1)), local)
        mixture = self._end(skips, local[:, -self.horizon :])
        likelihood = torch.where(observed, mixture.log_prob(target), 0.0)
        return -likelihood.sum() / observed.sum().clamp_min(1)

    # ---- sampling

    @torch.no_grad()
    def sample(self, batch: Batch, samples: int, noise: RowNoise, wanted: Tensor | None = None) -> Tensor:
        """One step after another, in blocks of rows."""
        scale, values, known = self._sequence(batch)
        windows, stations = batch.past.shape[:2]
        if wanted is not None:
            chosen = (torch.arange(windows, device=wanted.device)[:, None] * stations + wanted).flatten()
            scale, values, known = scale[chosen], values[chosen], known[chosen]
        size = max(1, BLOCK_ROWS // samples)
        paths = []
        for start in range(0, len(scale), size):
            rows = slice(start, start + size)
            draws = noise.rows(rows).uniform(samples, 2 * self.horizon)
            paths.append(self._paths(values[rows], self.local(known[rows, 1:]), draws) * scale[rows])
        return torch.cat(paths, dim=1).unflatten(1, (windows, -1)).transpose(0, 1)

    def _paths(self, values: Tensor, local: Tensor, draws: Tensor) -> Tensor:
        """Paths (S, R, H) from inputs of the last day (R, P, 2), its local conditions and uniform numbers (S, R, 2 H)."""
        before = values.shape[1] - 1  # steps whose own value is known: all inputs but the last
        history, _ = self._through(self.enter(values[:, :-1]), local[:, :before])
        memory = [[part[:, step] for step in range(before)] for part in history]
        conditions = [project(local) for project in self.locals]
        entered = values[:, -1].expand(len(draws), -1, -1)
        steps = []
        for ahead in range(self.horizon):
            x, total = self.enter(entered), torch.zeros(())
            for layer, dilation, remembered, condition in zip(
                self.layers, self.dilations, memory, conditions, strict=True
            ):
                assert isinstance(layer, Layer)
                earlier = remembered[-dilation] if dilation <= len(remembered) else torch.zeros_like(x)
                remembered.append(x)
                del remembered[:-dilation]  # no later step looks there
                x, hidden = layer(x, earlier, condition[:, before + ahead])
                total = total + layer.skip(hidden)
            mixture = self._end(total, local[:, before + ahead])
            root = mixture.draw(draws[..., 2 * ahead], draws[..., 2 * ahead + 1]).clamp_min(0.0)
            steps.append(root**2)
            entered = torch.stack([root, torch.zeros_like(root)], dim=-1)
        return torch.stack(steps, dim=-1)
