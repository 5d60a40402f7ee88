"""LEC-Diff whose samples belong together: the same model, denoised from noise that stations and steps have in common.

    residual path of a station ─ tails drawn in ─ whitened by its covariance over the day ─ diffusion ─ and back
    white noise of the whole network, of grid cells and of the station ─ mixed by fitted shares ─ where the diffusion starts

What the stations of a place share (diffusion/field.py) is fitted once, to residuals of the untrained frame on the training part. A
whitened residual is nearly standard normal, so the way from noise to data is short: three denoising steps, not six.
"""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from lecdiff_core.city.windows import Batch
from lecdiff_core.diffusion.field import NoiseField
from lecdiff_core.diffusion.schedule import even_angles
from lecdiff_core.metrics import sample_quantiles
from lecdiff_core.models.lecdiff import INTERVALS, LecDiff, LecDiffConfig
from lecdiff_core.models.protocol import RowNoise


class JointLecDiff(LecDiff):
    """`LecDiff` with a noise field; sums, peaks and areas of its samples are forecasts too."""

    recipe = 1

    def __init__(self, config: LecDiffConfig) -> None:
        super().__init__(config)
        self.field = NoiseField(self.horizon, 24 / config.steps_per_day)

    @torch.no_grad()
    def fit_dependence(self, batches: Iterable[Batch]) -> None:
        """Read the shares of the noise off the residuals of the untrained frame."""
        self.field.fit((self._residuals(batch), batch.cells) for batch in batches)

    def _residuals(self, batch: Batch) -> Tensor:
        """What came in the frame, tails drawn in: (B, N, H), NaN = missing."""
        assert batch.future is not None
        encoding = self.encode(batch)
        mean, spread = encoding.frame
        return super().to_diffuse((batch.future / encoding.scale - mean) / spread)

    @staticmethod
    def bounds(residual: Tensor) -> tuple[Tensor, Tensor]:
        """Bounds of the intervals as all scores count them (`metrics.sample_quantiles`)."""
        samples = residual.transpose(0, 1).cpu().numpy()
        lower, upper = (sample_quantiles(samples, [0.5 + side * width / 2 for width in INTERVALS]) for side in (-1, 1))
        return residual.new_tensor(lower), residual.new_tensor(upper)

    def levels(self) -> Tensor:
        """Levels whose angles fall evenly."""
        return even_angles(self.config.denoising_steps)

    def noise(self, noise: RowNoise, samples: int, width: int) -> Callable[[slice], Tensor]:
        """Whitened noise (S, rows, H) that rows of one place have in common."""
        assert width == self.field.steps
        return self.field.draw(noise, samples)

    def to_diffuse(self, residual: Tensor) -> Tensor:
        """Residual paths with their tails drawn in, white."""
        return self.field.whiten(super().to_diffuse(residual))

    def from_diffused(self, squashed: Tensor) -> Tensor:
        """Inverse of `to_diffuse`."""
        return super().from_diffused(self.field.colour(squashed))
