"""STGCN: graph convolutions over stations between gated convolutions over time (Yu, Yin & Zhu 2018,
https://arxiv.org/abs/1709.04875).

Two ST-Conv blocks of the paper, each gated temporal convolution → graph convolution → gated temporal convolution → layer norm,
over the last day; then a convolution that gathers what is left of the time axis. The graph convolution is the paper's first-order
one (its eq. 5; Kipf & Welling 2017) on this project's distance graph. What differs from the paper: all 24 hours are given at once,
by one small network for each step ahead, in place of a step at a time; the layer norm is over channels only, so that a forecast
does not depend on which stations far away are in the batch.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import relu
from torch_geometric.nn import GCNConv

from lecdiff_core.city.windows import Batch
from lecdiff_core.models.point_network import Inputs, PointNetwork, StepDecoder

KERNEL = 3
WIDTHS = (32, 16, 32)  # channels of a block: after the first temporal, the graph and the second temporal convolution
HIDDEN = 64
DROPOUT = 0.1


class GatedConvolution(nn.Module):
    """Gated temporal convolution with a residual path: (R, C, L) → (R, out, L - kernel + 1), (P + x) ⊙ sigmoid(Q)."""

    def __init__(self, channels: int, out: int, kernel: int) -> None:
        super().__init__()
        self.both = nn.Conv1d(channels, 2 * out, kernel)
        self.align = nn.Conv1d(channels, out, 1)
        self.kernel = kernel

    def forward(self, x: Tensor) -> Tensor:
        """Convolve over the last dimension."""
        value, gate = self.both(x).chunk(2, dim=1)
        return (value + self.align(x)[:, :, self.kernel - 1 :]) * torch.sigmoid(gate)


class Block(nn.Module):
    """An ST-Conv block: (B, N, C, L) → (B, N, C', L - 4)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        first, middle, last = WIDTHS
        self.before = GatedConvolution(channels, first, KERNEL)
        self.narrow = nn.Linear(first, middle)
        self.graph = GCNConv(middle, middle, normalize=False)
        self.after = GatedConvolution(middle, last, KERNEL)
        self.norm = nn.LayerNorm(last)
        self.dropout = nn.Dropout(DROPOUT)

    def forward(self, x: Tensor, edge_index: Tensor, edge_weight: Tensor) -> Tensor:
        """Convolve over time, stations, and time again."""
        stations = x.shape[:2]
        x = self.narrow(self.before(x.flatten(0, 1)).unflatten(0, stations).permute(0, 3, 1, 2))
        x = relu(x + self.graph(x, edge_index, edge_weight))
        x = self.after(x.permute(0, 2, 3, 1).flatten(0, 1)).transpose(1, 2)
        return self.dropout(self.norm(x)).transpose(1, 2).unflatten(0, stations)


class Stgcn(PointNetwork):
    """Two ST-Conv blocks → state of a station → each step ahead."""

    BLOCKS = 2
    LEAST_STEPS = BLOCKS * 2 * (KERNEL - 1) + 1  # of a day: each block takes that many away

    def __init__(self, steps_per_day: int, prior: bool = False) -> None:
        super().__init__(steps_per_day, prior)
        self.blocks = nn.ModuleList([Block(self.recent_width), Block(WIDTHS[-1])])
        left = steps_per_day - self.LEAST_STEPS + 1
        self.gather = GatedConvolution(WIDTHS[-1], HIDDEN, left)
        self.decoder = StepDecoder(HIDDEN, self.ahead_width, HIDDEN, self.outputs, DROPOUT)
        self.hops = max(self.hops or 0, len(self.blocks) + prior)

    def body(self, inputs: Inputs, batch: Batch) -> Tensor:
        """(B, N, H, outputs)."""
        x = inputs.recent.transpose(2, 3)
        for block in self.blocks:
            x = block(x, batch.edge_index, batch.edge_weight)
        state = self.gather(x.flatten(0, 1))[:, :, -1].unflatten(0, x.shape[:2])
        return self.decoder(state, inputs.ahead)
