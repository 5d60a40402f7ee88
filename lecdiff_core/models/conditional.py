"""What both decoders of LEC-Diff denoise under: the condition of each station, and the frame around each step ahead.

The way of a window:

    past traffic, scaled by the station's own mean ─┬─ seasonal means of past days (fusion/season.py)
                                                    └─ recurrent encoder over the last days, their deviations and the calendar
    [state of each station, environment] ─ graph convolution over stations tied by distance ─ condition
    condition + season ─ frame: mean and spread of each step ahead (fusion/moments.py)

`lecdiff.py` denoises whole residual paths in that frame, `autoregressive.py` one step after another, as the paper does. Without a
season there is no frame: traffic itself, on the scale of the station's mean, is diffused, as in the paper.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Annotated, Any, ClassVar, NamedTuple

import torch
from pydantic import ConfigDict, Field
from torch import Tensor, nn

from lecdiff_core.city.panel import Calendar
from lecdiff_core.city.windows import Batch
from lecdiff_core.diffusion.denoisers import Denoiser
from lecdiff_core.diffusion.samplers import SAMPLERS
from lecdiff_core.diffusion.schedule import even_angles, karras_levels, linear_beta_levels
from lecdiff_core.diffusion.tails import Tails
from lecdiff_core.errors import UserError
from lecdiff_core.evaluation.metrics import sample_quantiles
from lecdiff_core.fusion.encoders import GraphFusion, TemporalEncoder
from lecdiff_core.fusion.moments import CALENDAR_WIDTH, Frame, MomentHead, calendar_features, normal_crps
from lecdiff_core.fusion.season import FLOOR, LevelWindow, Season, SeasonalMean, SeasonConfig
from lecdiff_core.models.protocol import ForecastModel, RowNoise

# Rows a sampler works on at once: on a processor few enough to stay in its cache, on a GPU enough to fill it.
BLOCK_ROWS = {False: 4000, True: 400_000}
LEVELS_PER_ROW = 4  # noise levels each residual path is trained on in one step
CALIBRATION_SAMPLES = 100
INTERVALS = (0.5, 0.9)  # whose coverage the temperature is chosen by
DAYS_TO_GO_BY = 7.0  # of history, with which the calibrated trust holds
TRUSTS = (0.0, 0.25, 0.5, 0.75, 1.0)
SHORT_HISTORIES = (1, 2, 3, 5, 7, 14)  # days
# How far the last day lies off its season, where that is much; beyond it the last six hours, beyond these the last hour.
LEVEL_WINDOWS = (
    LevelWindow(24.0, 0.7, 96.0),
    LevelWindow(6.0, 0.55, 24.0),
    LevelWindow(1.0, 0.2, 3.0),
)
TEMPERATURES = (0.4, 0.5, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1.0, 1.05, 1.1, 1.2, 1.35, 1.5)
LEAST_WINDOWS = 20  # that the shape of residuals and the shares of the noise are read off
UNKNOWN_SHARE = 0.1  # of stations that training treats as unknown to the station table


# What a saved model may say of itself; beyond that it is no model of ours.
Width = Annotated[int, Field(ge=0, le=8192)]
Layers = Annotated[int, Field(ge=0, le=64)]
Days = Annotated[int, Field(ge=0, le=1000)]
Hours = Annotated[float, Field(gt=0, le=1000, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]


@dataclass(frozen=True)
class LecDiffConfig:
    """What makes one LEC-Diff model; saved beside its weights, and bounded when it is read from there.

    The defaults are the recipe for every city; `paper_config` is the paper's plain form.
    """

    __pydantic_config__: ClassVar = ConfigDict(extra="forbid")

    steps_per_day: int
    environment_width: Width = 0  # D, 0 = made without embeddings
    stations: int = 0  # stations in the station table
    station_width: Width = 0  # width of the station table, 0 = none
    season: bool = True  # frame the traffic by a learned seasonal mean
    history_days: Days = 28  # past days the seasonal mean looks at
    recalled_days: Days = 1  # days the recurrent encoder reads
    # Initial memory of each seasonal kernel, the reference first.
    memory_days: Annotated[tuple[Hours, ...], Field(max_length=64)] = (7.0, 3.0, 1.3, 20.0, 0.5)
    smoothing_hours: Hours = 0.45  # width of the smoothing of past days along the day
    error_days: Days = 14  # past days whose errors tell the usual spread
    forget_anomalies: bool = True  # leave anomalous stretches of the past out of the seasonal mean
    short_history: Share = 0.1  # share of stations that training shows with a short history
    hidden: Width = 32
    recurrent_layers: Layers = 1
    graph_layers: Layers = 2
    decoder: str = "joint"  # or "autoregressive"
    denoiser_width: Width = 64
    denoiser_layers: Layers = 2
    prediction: str = "velocity"  # or "noise"
    sampler: str = "trigonometric"
    denoising_steps: Annotated[int, Field(ge=1, le=1000)] = 2
    noise: str = "shared"  # over places, or "independent": each station draws its own
    dropout: Share = 0.2


class Encoding(NamedTuple):
    """What is known before anything is denoised.

    scale: (B, N, 1).  scaled: past traffic / scale (B, N, L).  state: (B, N, hidden), after the last observed step.
    """

    scale: Tensor
    scaled: Tensor
    season: Season | None
    state: Tensor
    fused: Tensor
    frame: Frame


class ConditionalDiffusion(ForecastModel):
    """Encoder, graph fusion, frame, denoiser and their calibration; a decoder says what is denoised, and in which order."""

    recipe = 8
    parameter_groups: ClassVar = {
        "denoiser": ("denoiser.",),
        "prior": (
            "season.",
            "moments.gate",
            "moments.log_spread",
            "moments.from_error",
            "moments.from_size",
            "moments.from_surprise",
        ),
    }
    decoder: ClassVar[str]
    temperature: Tensor
    trust: Tensor

    def __init__(self, config: LecDiffConfig, path: int) -> None:
        """path: steps that are denoised at once."""
        super().__init__()
        if config.decoder != self.decoder:
            raise UserError(f"this model decodes {self.decoder}, its settings say {config.decoder!r}; train it again")
        self.config = config
        self.horizon = day = config.steps_per_day
        self.recalled = config.recalled_days * day
        self.context = (config.history_days + config.recalled_days + config.season) * day
        series = 6 if config.season else 4
        self.station = nn.Embedding(config.stations + 1, config.station_width) if config.station_width else None
        self.encoder = TemporalEncoder(
            series + CALENDAR_WIDTH + config.station_width, config.hidden, config.recurrent_layers
        )
        self.fusion = GraphFusion(config.hidden, config.environment_width, config.graph_layers)
        if config.season:
            self.season = SeasonalMean(season_config(config))
            self.from_level = nn.Linear(len(LEVEL_WINDOWS), config.hidden, bias=False)
            self.moments = MomentHead(len(config.memory_days), 2 * config.hidden, config.hidden, config.dropout)
        self.denoiser = Denoiser(
            data=path,
            condition=2 * config.hidden + CALENDAR_WIDTH,
            width=config.denoiser_width,
            layers=config.denoiser_layers,
            prediction=config.prediction,
        )
        self.tails = Tails()
        self.register_buffer("temperature", torch.ones(()))
        self.register_buffer("trust", torch.ones(()))

    def settings(self) -> dict[str, Any]:
        """The config as plain data."""
        return asdict(self.config)

    # ---- condition

    def encode(self, batch: Batch) -> Encoding:
        """Everything a forecast is conditioned on."""
        self._check_environment(batch)
        scale = batch.past.nanmean(dim=2, keepdim=True).nan_to_num(0.0).clamp_min(1e-6)
        scaled = batch.past / scale
        season = self.season(scaled, batch) if self.config.season else None
        features = self._features(scaled, season, batch.past_calendar.last(self.recalled), batch.station)
        state = self.encoder.last(features)
        if season is None:
            ones = scaled.new_ones(*scaled.shape[:2], self.horizon)
            fused = self._fuse(state, batch)
            return Encoding(scale, scaled, None, state, fused, Frame(ones, ones))
        state = state + self.from_level(season.level)
        fused = self._fuse(state, batch)
        clock = calendar_features(batch.future_calendar, self.config.steps_per_day)
        frame = self.moments(season, torch.cat([state, fused], dim=2), clock, self._trust(batch.past))
        return Encoding(scale, scaled, season, state, fused, frame)

    def _trust(self, past: Tensor) -> Tensor:
        """How far the correction of the mean is trusted (B, N, 1): whole where a station has no history to go by instead."""
        days = past.isfinite().sum(2, keepdim=True) / self.config.steps_per_day
        return 1 - (1 - self.trust) * (days / DAYS_TO_GO_BY).clamp_max(1.0)

    def _fuse(self, state: Tensor, batch: Batch) -> Tensor:
        environment = batch.environment if self.config.environment_width else None
        return self.fusion(state, environment, batch.edge_index, batch.edge_weight)

    def _check_environment(self, batch: Batch) -> None:
        wanted = self.config.environment_width
        if wanted == 0:
            return
        if batch.environment is None:
            raise UserError(
                "this model needs environment embeddings and the city has none: make them with `lecdiff embed`"
            )
        if batch.environment.shape[1] != wanted:
            raise UserError(
                f"this model was trained on embeddings of width {wanted}, the city's have width "
                f"{batch.environment.shape[1]}: embed the city with the same encoder, or train again"
            )

    def _features(self, scaled: Tensor, season: Season | None, calendar: Calendar, station: Tensor) -> Tensor:
        """Features of the last steps of `scaled` (..., N, steps, F), as many as `calendar` (..., steps) has.

        Traffic, the same slot a day and a week before, whether it is missing, and with a season its mean and the deviation
        from it; then the clock and the station table.
        """
        steps, day = calendar.slot.shape[-1], self.config.steps_per_day
        recent = scaled[..., -steps:]
        lag_day = scaled[..., -steps - day : -day]
        lag_week = scaled[..., -steps - 7 * day : -7 * day]
        series = [recent, lag_day, lag_week, (~recent.isfinite()).float()]
        if season is not None:
            centre = season.past.mean(2)[..., -steps:]
            known = torch.where(recent.isfinite(), recent, centre)
            series += [centre, (known - centre) / (centre + FLOOR).sqrt()]
        stacked = torch.stack(torch.broadcast_tensors(*series), dim=-1).nan_to_num(0.0).clamp(-10, 10)
        clock = calendar_features(calendar, day).unsqueeze(-3).expand(*stacked.shape[:-1], -1)
        parts = [stacked, clock]
        if self.station is not None:
            if self.training:
                station = station * (torch.rand(station.shape, device=station.device) > UNKNOWN_SHARE)
            parts.append(self.station(station).unsqueeze(-2).expand(*stacked.shape[:-1], -1))
        return torch.cat(parts, dim=-1)

    def _condition(self, state: Tensor, fused: Tensor, calendar: Calendar) -> Tensor:
        """Condition of the denoiser (..., N, C) from states (..., N, hidden) and the calendar (...) of the step ahead."""
        clock = calendar_features(calendar, self.config.steps_per_day).unsqueeze(-2)
        return torch.cat([state, fused, clock.expand(*state.shape[:-1], -1)], dim=-1)

    # ---- training

    def residuals(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """What was observed in the frame, NaN = missing, and a spread on the scale of the traffic, each (B, N, H)."""
        assert batch.future is not None
        frame = self._scaled_frame(batch)
        return (batch.future - frame.mean) / frame.spread, frame.spread

    def loss(self, batch: Batch) -> Tensor:
        """Denoising loss of the residual paths, plus the CRPS of a normal in the frame where the frame is learned."""
        assert batch.future is not None
        encoding = self.encode(self._with_short_histories(batch))
        future = batch.future / encoding.scale
        observed = future.isfinite()
        mean, spread = encoding.frame
        target = torch.where(observed, future, mean.detach())
        residual = self._to_diffuse((target - mean.detach()) / spread.detach())
        rows = self._rows(residual, observed.float(), batch, encoding, target)
        denoising = self.denoiser.loss(*rows, self._training_levels(len(rows[0]), rows[0].device))
        if not self.config.season:
            return denoising
        weight = encoding.scale * observed
        error = (normal_crps(target, mean, spread) * weight).sum() / (target * weight).sum().clamp_min(1e-6)
        return error + 0.05 * denoising

    def _rows(
        self, residual: Tensor, observed: Tensor, batch: Batch, encoding: Encoding, target: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """What the denoiser learns from, a row each: residuals (M, path), what of them counts, conditions (M, C).

        residual, observed, target: (B, N, H), on the scale of the station's mean.
        """
        raise NotImplementedError

    def _with_short_histories(self, batch: Batch) -> Batch:
        """The batch as if some stations had been observed for a few days only."""
        share = self.config.short_history
        if share == 0:
            return batch
        windows, stations, steps = batch.past.shape
        days = torch.tensor(SHORT_HISTORIES, device=batch.past.device)
        lengths = days[torch.randint(len(days), (windows, stations), device=batch.past.device)]
        short = torch.rand(windows, stations, device=batch.past.device) < share
        first = torch.where(short, steps - lengths * self.config.steps_per_day, 0)
        hidden = torch.arange(steps, device=batch.past.device) < first[..., None]
        return replace(batch, past=batch.past.masked_fill(hidden, torch.nan))

    def _training_levels(self, rows: int, device: torch.device) -> Tensor:
        """Noise levels (R, rows) to train on: the chain's own, or log-normal around the informative middle."""
        if self.config.prediction == "noise":
            chain = self.levels().to(device)[:-1]
            return chain[torch.randint(len(chain), (LEVELS_PER_ROW, rows), device=device)]
        return torch.exp(torch.randn(LEVELS_PER_ROW, rows, device=device) * 1.4 - 0.4)

    @torch.no_grad()
    def calibrate(self, batches: Iterable[Batch]) -> None:
        """Choose on the validation part how far to trust the correction of the mean, and the temperature.

        The temperature is a factor on all residuals. The trust chosen has the least CRPS, each under the temperature that suits it
        best; the temperature is then the one whose intervals cover what they say.
        """
        if not self.config.season or not self.trainable:
            return
        self.temperature.fill_(1.0)
        scores = torch.zeros(len(TRUSTS), len(TEMPERATURES), dtype=torch.float64)
        covered = torch.zeros(len(TRUSTS), len(TEMPERATURES), len(INTERVALS), dtype=torch.float64)
        steps = 0
        for batch in batches:
            assert batch.future is not None
            known = batch.future.isfinite()
            steps += int(known.sum())
            noise = RowNoise(range(known.shape[0] * known.shape[1]), known.device)
            self.trust.fill_(1.0)
            frame = self._scaled_frame(batch)
            residual = (self.sample(batch, CALIBRATION_SAMPLES, noise) - frame.mean[:, None]) / frame.spread[:, None]
            for row, trust in enumerate(TRUSTS):
                self.trust.fill_(trust)
                crps, inside = _at_temperatures(
                    residual, self._bounds(residual), self._scaled_frame(batch), batch.future
                )
                scores[row] += crps[:, known].sum(1).cpu()
                covered[row] += inside[:, :, known].sum(2).cpu()
        row = int(scores.amin(1).argmin())
        miss = (covered[row] / max(steps, 1) - torch.tensor(INTERVALS)).abs().sum(1)
        self.trust.fill_(TRUSTS[row])
        self.temperature.fill_(TEMPERATURES[int(miss.argmin())])

    @staticmethod
    def _bounds(residual: Tensor) -> tuple[Tensor, Tensor]:
        """Lower and upper bounds of the intervals, (I, B, N, H), of residuals (B, S, N, H), as scores count them."""
        samples = residual.transpose(0, 1).cpu().numpy()
        lower, upper = (sample_quantiles(samples, [0.5 + side * width / 2 for width in INTERVALS]) for side in (-1, 1))
        return residual.new_tensor(lower), residual.new_tensor(upper)

    def _scaled_frame(self, batch: Batch) -> Frame:
        """The frame on the scale of the traffic."""
        encoding = self.encode(batch)
        return Frame(encoding.frame.mean * encoding.scale, encoding.frame.spread * encoding.scale)

    # ---- sampling

    def levels(self) -> Tensor:
        """Falling noise levels the sampler walks down."""
        if self.config.sampler == "trigonometric":
            return even_angles(self.config.denoising_steps)
        schedule = linear_beta_levels if self.config.prediction == "noise" else karras_levels
        return schedule(self.config.denoising_steps)

    def _denoised(self, condition: Tensor, samples: int, noise: RowNoise, width: int) -> Iterator[tuple[slice, Tensor]]:
        """Residuals (S, rows, width) for conditions (M, C) or (S, M, C), a block of rows at a time."""
        sampler = SAMPLERS[self.config.sampler]
        drawn = self._drawn(noise, samples, width)
        size = max(1, BLOCK_ROWS[condition.device.type == "cuda"] // samples)
        for start in range(0, condition.shape[-2], size):
            rows = slice(start, start + size)
            denoise = self.denoiser.conditioned(condition[..., rows, :])
            residual = sampler(denoise, partial(drawn, rows), self.levels())
            yield rows, self._from_diffused(residual).mul_(self.temperature)

    def _drawn(self, noise: RowNoise, samples: int, width: int) -> Callable[[slice], Tensor]:
        """A function that gives standard normal noise (S, rows, width) for a slice of the rows."""
        return lambda rows: noise.rows(rows).normal(samples, width)

    def _to_diffuse(self, residual: Tensor) -> Tensor:
        """Residuals as they are diffused: nearly normal where there is a frame."""
        return self.tails.to_normal(residual) if self.config.season else residual

    def _from_diffused(self, diffused: Tensor) -> Tensor:
        """Inverse of `_to_diffuse`, bounded so that a stray sample stays finite."""
        return self.tails.from_normal(diffused) if self.config.season else diffused


def season_config(config: LecDiffConfig) -> SeasonConfig:
    """The seasonal mean of a model."""
    return SeasonConfig(
        config.steps_per_day,
        config.history_days,
        config.recalled_days,
        config.memory_days,
        level_windows=LEVEL_WINDOWS,
        smoothing_hours=config.smoothing_hours,
        error_days=config.error_days,
        track_record=True,
        hops=config.graph_layers,
        environment=config.environment_width > 0,
        forget_anomalies=config.forget_anomalies,
    )


def _at_temperatures(
    residual: Tensor, bounds: tuple[Tensor, Tensor], frame: Frame, future: Tensor
) -> tuple[Tensor, Tensor]:
    """CRPS (T, B, N, H) at T temperatures and whether each of I intervals holds the future (T, I, B, N, H).

    residual: (B, S, N, H) samples in the frame.  bounds: of their intervals, each (I, B, N, H).  frame, future: (B, N, H), on the
    scale of the traffic.
    """
    error, zero = (future - frame.mean) / frame.spread, -frame.mean / frame.spread
    apart = _mean_difference(residual)
    lower, upper = bounds
    scores, inside = [], []
    for temperature in TEMPERATURES:
        score = (error[:, None] - temperature * residual).abs().mean(1) - temperature / 2 * apart
        scores.append(frame.spread * score)
        inside.append((temperature * lower <= error) & (error <= torch.maximum(temperature * upper, zero)))
    return torch.stack(scores), torch.stack(inside)


def _mean_difference(samples: Tensor) -> Tensor:
    """Mean absolute difference of two samples, over dimension 1."""
    count = samples.shape[1]
    weights = 2 * torch.arange(1, count + 1, device=samples.device) - count - 1
    return torch.einsum("s,bs...->b...", weights.to(samples.dtype), samples.sort(dim=1).values) * (
        2 / (count * (count - 1))
    )
