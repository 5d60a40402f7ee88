"""Random numbers by counting: the n-th number of a stream is a hash of the stream's key and of n, on every device the same.

SplitMix64 (Steele, Lea & Flood 2014, https://doi.org/10.1145/2660193.2660195): a state that grows by a constant, and a mixing
function over it. As no number depends on the one before, all are made at once, where they are needed. Each 64 bits are two
numbers; of S samples of `width` numbers each, a sample takes the same place in its stream however many there are.

Letters: S samples, M streams.
"""

import torch
from torch import Tensor

GAMMA = -7046029254386353131  # 2⁶⁴ over the golden ratio, as a signed number
MIX_FIRST, MIX_SECOND = -4658895280553007687, -7723592293110705685
LARGEST = 1 - 2**-24  # below 1 in single precision: a normal number lies within ±5.5


def keys(seeds: Tensor) -> Tensor:
    """Keys (M,) of streams that have nothing to do with each other, from seeds (M,) int64, which may be consecutive."""
    return _mixed(seeds * GAMMA)


def pairs(width: int) -> int:
    """Counts of a stream that `width` numbers take."""
    return (width + 1) // 2


def bits(of: Tensor, first: Tensor, samples: int, width: int) -> Tensor:
    """32 random bits each, (S, M, width) int32: of streams with these keys (M,), that have given
    `first` (M,) counts before."""
    counts = torch.arange(1, samples * pairs(width) + 1, device=of.device).view(samples, 1, -1)
    states = (counts + first[:, None]).mul_(GAMMA).add_(of[:, None])
    return _mixed(states).view(torch.int32)[..., :width]


def normal(random: Tensor) -> Tensor:
    """Standard normal numbers of random bits, by the inverse of the normal distribution."""
    symmetric = random.float().mul_(2.0**-31).add_(2.0**-32).clamp_(-LARGEST, LARGEST)
    return symmetric.erfinv_().mul_(2**0.5)


def uniform(random: Tensor) -> Tensor:
    """Uniform numbers in [0, 1) of random bits."""
    return random.float().mul_(2.0**-32).add_(0.5).clamp_(0.0, LARGEST)


def _mixed(states: Tensor) -> Tensor:
    """The mixing function of SplitMix64, in place."""
    for shift, factor in ((30, MIX_FIRST), (27, MIX_SECOND)):
        states.bitwise_xor_(_shifted(states, shift)).mul_(factor)
    return states.bitwise_xor_(_shifted(states, 31))


def _shifted(states: Tensor, by: int) -> Tensor:
    """To the right, as if there were no sign."""
    return states.bitwise_right_shift(by).bitwise_and_((1 << (64 - by)) - 1)
