"""A convolutional image tower for CoCa: what captions teach, and the statistics of the early stages beside it.

A timm EfficientNet, pretrained on photographs. Its last feature map gives the image's latent (its mean, projected) and the tokens
that the uniting decoder attends to. Captions teach *what* stands there and to forget colour and texture, which are most of what a
picture of 10 m a pixel has to offer; so means and deviations of the colours and of the first stages, which training leaves as they
were, are kept beside the latent.
"""

import lecdiff_core.environment.embedding.torchvision_ops  # noqa: F401 (before timm)

# isort: split

from typing import Any

import timm
import torch
from torch import Tensor, nn

STATISTICS_STAGES = 2  # of the trunk's, the stem beside them not counted
COARSE = 4  # cells a side, over which the coarse deviation is taken
QUANTILES = (0.1, 0.5, 0.9)
SPARSE = 3  # every third pixel is enough for them
LARGEST = 4.0  # deviations: a statistic farther out counts as this


class ConvolutionalTower(nn.Module):
    """`frozen` stages of the trunk, the stem before them, and all its normalisation statistics are never trained."""

    trunk: Any
    statistics_mean: Tensor
    statistics_deviation: Tensor

    def __init__(self, backbone: str, embed_dim: int, width: int, frozen: int) -> None:
        super().__init__()
        if backbone not in timm.list_models("*efficientnet*"):
            raise ValueError(f"{backbone!r} is no EfficientNet of timm")
        self.trunk = timm.create_model(backbone, pretrained=False, num_classes=0)
        self.frozen = frozen
        channels = self.trunk.num_features
        self.projection = nn.Linear(channels, embed_dim, bias=False)
        self.token_projection = nn.Linear(channels, width)
        self.token_norm = nn.LayerNorm(width)
        count = self._statistics_count()
        self.register_buffer("statistics_mean", torch.zeros(count))
        self.register_buffer("statistics_deviation", torch.ones(count))

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(n, embed_dim) latents, (n, places, width) tokens and (n, S) standardised statistics of scaled pixels."""
        maps, statistics = self.early(pixels)
        return *self.late(maps), self.standardised(statistics)

    def early(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """The frozen stages' map, and the raw statistics (n, S)."""
        maps = self.trunk.bn1(self.trunk.conv_stem(pixels.contiguous(memory_format=torch.channels_last)))
        statistics = [colour_statistics(pixels)]
        for number, stage in enumerate(self.trunk.blocks[: self.frozen]):
            maps = stage(maps)
            if number < STATISTICS_STAGES:
                statistics.append(map_statistics(maps))
        return maps, torch.cat(statistics, 1)

    def late(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        """Latents and tokens of the frozen stages' map."""
        for stage in self.trunk.blocks[self.frozen :]:
            maps = stage(maps)
        maps = self.trunk.bn2(self.trunk.conv_head(maps))
        places = maps.flatten(2).transpose(1, 2)
        return self.projection(places.mean(1)), self.token_norm(self.token_projection(places))

    def standardised(self, statistics: Tensor) -> Tensor:
        """Statistics in deviations from their mean over the training chips, none beyond `LARGEST`."""
        return ((statistics - self.statistics_mean) / self.statistics_deviation).clamp(-LARGEST, LARGEST)

    def train(self, mode: bool = True) -> "ConvolutionalTower":
        """Normalisation keeps the statistics it has, in training too: fine-tuning sees few chips."""
        super().train(mode)
        for module in self.trunk.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self

    def freeze(self) -> None:
        """Take the stem and the frozen stages out of training."""
        for part in (self.trunk.conv_stem, self.trunk.bn1, *self.trunk.blocks[: self.frozen]):
            part.requires_grad_(False)

    def _statistics_count(self) -> int:
        colours = 3 * (2 + len(QUANTILES))
        return colours + sum(3 * int(self.trunk.feature_info[stage]["num_chs"]) for stage in range(STATISTICS_STAGES))


def colour_statistics(pixels: Tensor) -> Tensor:
    """(n, 15): mean, deviation, 10, 50 and 90 % of each channel."""
    flat = pixels.flatten(2)
    ordered = flat[:, :, ::SPARSE].sort(2).values
    quantiles = [ordered[:, :, round(share * (ordered.shape[2] - 1))] for share in QUANTILES]
    return torch.cat([flat.mean(2), flat.std(2), *quantiles], 1)


def map_statistics(maps: Tensor) -> Tensor:
    """(n, 3 channels): mean and deviation over the map, and deviation between its `COARSE` × `COARSE` cells."""
    flat = maps.float().flatten(2)
    cells = nn.functional.adaptive_avg_pool2d(maps.float(), COARSE).flatten(2)
    return torch.cat([flat.mean(2), flat.std(2), cells.std(2)], 1)
