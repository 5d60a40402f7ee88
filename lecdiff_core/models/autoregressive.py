"""Diffusion of one step at a time, fed back into the recurrent encoder: the paper's decoder, and TimeGrad's.

Two models are this one. `lec-diff-paper` is the paper's plain form: graph, environment and station table, no seasonal mean.
TimeGrad (Rasul et al. 2021, https://arxiv.org/abs/2101.12072) is its ancestor with all else left out: no graph, no environment.
As in its paper: two recurrent layers, noise prediction, linear β up to 0.1, 100 ancestral steps for each step ahead, traffic on
the scale of each station's mean. What differs: each station is a series of its own, forecast by the same weights, in place of one
vector of all stations, so that stations may come and go; the recurrent layers are GRUs, and the denoiser is this project's
residual network, not dilated convolutions over that vector.
"""

from typing import Any

import torch
from torch import Tensor

from lecdiff_core.city.windows import Batch
from lecdiff_core.fusion.season import Season
from lecdiff_core.models.conditional import ConditionalDiffusion, Encoding, LecDiffConfig
from lecdiff_core.models.protocol import RowNoise

TIMEGRAD_HIDDEN = 64


def paper_config(steps_per_day: int, environment_width: int, stations: int) -> LecDiffConfig:
    """The paper's plain form, 21.8 M parameters: no seasonal mean, 100 ancestral steps for each step ahead, station table.

    Noise prediction and linear β are TimeGrad's (Rasul et al. 2021), which the paper builds its decoder on.
    """
    return _step_by_step(
        steps_per_day,
        environment_width=environment_width,
        stations=stations,
        station_width=16,
        history_days=7,
        recalled_days=2,
        hidden=1024,
        graph_layers=2,
        denoiser_width=928,
    )


def timegrad_config(steps_per_day: int) -> LecDiffConfig:
    """TimeGrad's form."""
    return _step_by_step(
        steps_per_day, history_days=28, recalled_days=1, hidden=TIMEGRAD_HIDDEN, graph_layers=0, denoiser_width=128
    )


def _step_by_step(steps_per_day: int, **form: Any) -> LecDiffConfig:
    """What both have: no seasonal mean, two recurrent layers, noise prediction, 100 ancestral steps for each step ahead."""
    return LecDiffConfig(
        steps_per_day=steps_per_day,
        season=False,
        recurrent_layers=2,
        decoder="autoregressive",
        denoiser_layers=2,
        prediction="noise",
        sampler="ancestral",
        denoising_steps=100,
        dropout=0.0,
        short_history=0.0,
        **form,
    )


class AutoregressiveDiffusion(ConditionalDiffusion):
    """Each sample is a path of its own, with a recurrent state of its own."""

    decoder = "autoregressive"

    def __init__(self, config: LecDiffConfig) -> None:
        super().__init__(config, path=1)
        self.hops = None

    def _rows(
        self, residual: Tensor, observed: Tensor, batch: Batch, encoding: Encoding, target: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        return _stepwise(residual), _stepwise(observed), self._teacher_forced_condition(batch, encoding, target)

    def _teacher_forced_condition(self, batch: Batch, encoding: Encoding, target: Tensor) -> Tensor:
        """Condition (B H N, C) of single steps, each under the state that follows the true step before it."""
        states = self._teacher_forced_states(batch, encoding, target)
        return self._condition(states, self._fuse(states, batch), batch.future_calendar).flatten(0, 2)

    def _teacher_forced_states(self, batch: Batch, encoding: Encoding, target: Tensor) -> Tensor:
        """(B, H, N, hidden)."""
        known = torch.cat([encoding.scaled, target[..., :-1]], dim=2)
        calendar = batch.past_calendar.last(self.recalled).followed_by(batch.future_calendar.at(slice(None, -1)))
        features = self._features(known, _extended(encoding.season), calendar, batch.station)
        outputs, _ = self.encoder(features)
        states = outputs[:, :, self.recalled - 1 :].transpose(1, 2)
        return states if encoding.season is None else states + self.from_level(encoding.season.level)[:, None]

    @torch.no_grad()
    def sample(self, batch: Batch, samples: int, noise: RowNoise, wanted: Tensor | None = None) -> Tensor:
        """Samples of the future (B, S, N, H), or of the wanted stations (B, S, W, H)."""
        encoding = self.encode(batch)
        paths = self._paths(batch, encoding, samples, noise) * encoding.scale[:, None]
        return paths if wanted is None else paths[:, :, wanted]

    def _paths(self, batch: Batch, encoding: Encoding, samples: int, noise: RowNoise) -> Tensor:
        """Paths (B, S, N, H) on the scale of the station's mean, one step after another."""
        windows, stations = batch.past.shape[:2]
        features = self._features(
            encoding.scaled, encoding.season, batch.past_calendar.last(self.recalled), batch.station
        )
        _, memory = self.encoder(features)
        memory = memory.repeat(1, samples, 1)  # rows in the order (S, B, N)
        known = encoding.scaled.expand(samples, -1, -1, -1)
        season = _extended(encoding.season)
        bias = 0.0 if encoding.season is None else self.from_level(encoding.season.level)
        steps = []
        for ahead in range(self.horizon):
            state = memory[-1].view(samples, windows, stations, -1) + bias
            calendar = batch.future_calendar.at(ahead)
            condition = self._condition(state, self._fuse(state, batch), calendar)
            blocks = [block for _, block in self._denoised(condition.flatten(1, 2), samples, noise, 1)]
            residual = torch.cat(blocks, dim=1).view(samples, windows, stations)
            step = encoding.frame.mean[..., ahead] + encoding.frame.spread[..., ahead] * residual
            steps.append(step.clamp_min(0.0))
            known = torch.cat([known[..., 1:], steps[-1][..., None]], dim=3)
            seen = None if season is None else _upto(season, self.recalled + ahead + 1)
            features = self._features(known, seen, batch.future_calendar.at(slice(ahead, ahead + 1)), batch.station)
            _, memory = self.encoder(features, memory)
        return torch.stack(steps, dim=3).transpose(0, 1)


def _stepwise(paths: Tensor) -> Tensor:
    """(B, N, H) as one row a step: (B H N, 1)."""
    return paths.transpose(1, 2).flatten()[:, None]


def _extended(season: Season | None) -> Season | None:
    """The season with its future appended to its past, for steps that are fed back."""
    if season is None:
        return None
    return season._replace(past=torch.cat([season.past, season.future], dim=3))


def _upto(season: Season, steps: int) -> Season:
    return season._replace(past=season.past[..., :steps])
