"""Recurrent encoder over past traffic, and graph convolution over stations: together the spatiotemporal graph fusion."""

import torch
from torch import Tensor, nn
from torch_geometric.nn import GCNConv

ROWS_AT_ONCE = 2048  # stations encoded together when no gradient is kept: bounds memory in large cities


class TemporalEncoder(nn.Module):
    """GRU over each station on its own: features (..., L, F) → outputs (..., L, hidden) and a state to go on from."""

    def __init__(self, features: int, hidden: int, layers: int) -> None:
        super().__init__()
        self.recurrent = nn.GRU(features, hidden, layers, batch_first=True)

    def forward(self, features: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Outputs at every step, and the state after the last: (layers, rows, hidden)."""
        output, state = self.recurrent(features.flatten(0, -3), state)
        return output.unflatten(0, features.shape[:-2]), state

    def last(self, features: Tensor) -> Tensor:
        """Only the output at the last step (..., hidden)."""
        rows = features.flatten(0, -3)
        size = len(rows) if torch.is_grad_enabled() else ROWS_AT_ONCE
        last = torch.cat([self.recurrent(part)[0][:, -1] for part in rows.split(max(size, 1))])
        return last.unflatten(0, features.shape[:-2])


class GraphFusion(nn.Module):
    """Graph convolutions over [environment, temporal state], each added to what it refines.

    state: (..., N, hidden); environment: (N, D) or None → (..., N, hidden). Each layer is h + σ(GCN(LayerNorm(h))),
    with the graph's own normalised weights (Kipf & Welling 2017).
    """

    def __init__(self, hidden: int, environment_width: int, layers: int) -> None:
        super().__init__()
        self.project_environment = nn.Linear(environment_width, hidden) if environment_width else None
        self.norms = nn.ModuleList(nn.LayerNorm(hidden) for _ in range(layers))
        self.convolutions = nn.ModuleList(GCNConv(hidden, hidden, normalize=False) for _ in range(layers))

    @property
    def hops(self) -> int:
        """How far, in edges, a station's output depends on others."""
        return len(self.convolutions)

    def forward(self, state: Tensor, environment: Tensor | None, edge_index: Tensor, edge_weight: Tensor) -> Tensor:
        """Fuse temporal states of neighbouring stations with what stands around them."""
        if self.project_environment is not None:
            if environment is None:
                raise ValueError("this model was made for stations with environment embeddings, and none are given")
            state = state + self.project_environment(environment)
        for norm, convolution in zip(self.norms, self.convolutions, strict=True):
            state = state + torch.nn.functional.silu(convolution(norm(state), edge_index, edge_weight))
        return state
