"""LSTM: a recurrent network over each station's last day, and one small network for each step ahead.

Hochreiter & Schmidhuber 1997, with a direct multi-step decoder (as in MQ-RNN, Wen et al. 2017, https://arxiv.org/abs/1711.11053),
so that errors are not fed back over the 24 hours. Every station is forecast alone, by the same weights.
"""

from torch import Tensor, nn

from lecdiff_core.city.windows import Batch
from lecdiff_core.models.point_network import Inputs, PointNetwork, StepDecoder

HIDDEN = 64
DROPOUT = 0.1


class Lstm(PointNetwork):
    """LSTM → state of a station → each step ahead."""

    def __init__(self, steps_per_day: int, prior: bool = False) -> None:
        super().__init__(steps_per_day, prior)
        self.recurrent = nn.LSTM(self.recent_width, HIDDEN, batch_first=True)
        self.decoder = StepDecoder(HIDDEN, self.ahead_width, HIDDEN, self.outputs, DROPOUT)

    def body(self, inputs: Inputs, batch: Batch) -> Tensor:  # noqa: ARG002 (a station is forecast alone)
        """(B, N, H, outputs)."""
        outputs, _ = self.recurrent(inputs.recent.flatten(0, 1))
        state = outputs[:, -1].unflatten(0, inputs.recent.shape[:2])
        return self.decoder(state, inputs.ahead)
