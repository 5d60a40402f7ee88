"""LEC-Diff: surroundings, graph fusion and conditional diffusion behind the protocol of all models.

    condition and frame of each step ahead (models/conditional.py)
    noise that hangs together ─ diffusion under the condition ─ residual paths ─ mean + spread · residual = samples of traffic

Samples of all stations and steps belong together: the noise that diffusion starts from is shared over places and hangs together
over the day (diffusion/field.py), and residual paths are whitened by a station's covariance over the day before they are diffused.
What is left to denoise is nearly standard normal, so the way from noise to data is short.
"""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from lecdiff_core.city.windows import Batch
from lecdiff_core.diffusion.field import NoiseField
from lecdiff_core.errors import UserError
from lecdiff_core.fusion.moments import Frame
from lecdiff_core.models.conditional import (
    LEAST_WINDOWS,
    ConditionalDiffusion,
    Encoding,
    LecDiffConfig,
)
from lecdiff_core.models.protocol import RowNoise


class LecDiff(ConditionalDiffusion):
    """The H steps of a residual path are denoised at once, from noise that stations and steps share.

    >>> LecDiff(LecDiffConfig(steps_per_day=24)).horizon
    24
    """

    decoder = "joint"

    def __init__(self, config: LecDiffConfig) -> None:
        super().__init__(config, path=config.steps_per_day)
        if not config.season:
            raise UserError(
                "paths are denoised in the frame of a seasonal mean, and these settings have none; train it again"
            )
        # What is fused are states that see means borrowed over one edge; the season itself reaches further.
        self.hops = max(self.fusion.hops + bool(config.graph_layers), self.season.reach)
        self.field = NoiseField(self.horizon, 24 / self.horizon)

    @property
    def joint(self) -> bool:
        """Where its noise is shared over places."""
        return self.config.noise == "shared"

    @torch.no_grad()
    def fit_dependence(self, batches: Iterable[Batch]) -> None:
        """Read the shape of residuals and the shares of the noise off what was observed in the untrained frame.

        Of too few windows nothing is read, and what the model started with stays.
        """
        if not self.trainable:
            return
        seen = [(*self.residuals(batch), batch.cells) for batch in batches]
        if len(seen) < LEAST_WINDOWS:
            return
        self.tails.fit(*(torch.cat([part.flatten() for part in parts]) for parts in list(zip(*seen, strict=True))[:2]))
        self.field.fit((self.tails.to_normal(residual), cells) for residual, _, cells in seen)

    def _rows(
        self,
        residual: Tensor,
        observed: Tensor,
        batch: Batch,
        encoding: Encoding,
        target: Tensor,  # noqa: ARG002 (the condition of a whole path knows nothing of it)
    ) -> tuple[Tensor, Tensor, Tensor]:
        return residual.flatten(0, 1), observed.flatten(0, 1), self._path_condition(batch, encoding)

    def _path_condition(self, batch: Batch, encoding: Encoding) -> Tensor:
        """Condition (B N, C) of whole paths. What the frame has learned serves; the denoising loss does not pull on it."""
        first = batch.future_calendar.at(0)
        return self._condition(encoding.state, encoding.fused, first).flatten(0, 1).detach()

    @torch.no_grad()
    def sample(self, batch: Batch, samples: int, noise: RowNoise, wanted: Tensor | None = None) -> Tensor:
        """Samples of the future (B, S, N, H), or of the wanted stations (B, S, W, H)."""
        encoding = self.encode(batch)
        if wanted is not None:
            encoding = _of_stations(encoding, wanted)
        mean, spread = ((part * encoding.scale).flatten(0, 1) for part in encoding.frame)
        paths = mean.new_empty(samples, *mean.shape)
        for rows, residual in self._denoised(self._path_condition(batch, encoding), samples, noise, self.horizon):
            paths[:, rows] = residual.mul_(spread[rows]).add_(mean[rows]).clamp_(min=0.0)
        return paths.unflatten(1, encoding.state.shape[:2]).transpose(0, 1)

    def _drawn(self, noise: RowNoise, samples: int, width: int) -> Callable[[slice], Tensor]:  # noqa: ARG002 (whole paths)
        return self.field.draw(noise if self.joint else noise.apart(), samples)

    def _to_diffuse(self, residual: Tensor) -> Tensor:
        """Residuals as they are diffused: nearly normal and white."""
        return self.field.whiten(super()._to_diffuse(residual))

    def _from_diffused(self, diffused: Tensor) -> Tensor:
        return super()._from_diffused(self.field.colour(diffused))


def _of_stations(encoding: Encoding, stations: Tensor) -> Encoding:
    """What a decoder of paths needs of some stations only."""
    frame = Frame(encoding.frame.mean[:, stations], encoding.frame.spread[:, stations])
    return encoding._replace(
        scale=encoding.scale[:, stations],
        state=encoding.state[:, stations],
        fused=encoding.fused[:, stations],
        frame=frame,
    )
