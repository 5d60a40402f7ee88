"""Random numbers by counting: known numbers, the same in any company, and as random as they must be."""

import numpy as np
import pytest
import torch

from lecdiff_core.diffusion.streams import bits, keys, normal, pairs, uniform
from lecdiff_core.models.protocol import RowNoise


def test_counting_gives_the_published_numbers_of_splitmix64() -> None:
    found = bits(torch.zeros(1, dtype=torch.int64), torch.zeros(1, dtype=torch.int64), 1, 6).view(torch.int64)
    published = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]
    assert [int(number) % 2**64 for number in found.flatten()] == published


@pytest.mark.parametrize("width", [1, 7, 48])
def test_a_row_draws_the_same_in_whatever_company_and_the_first_of_many_samples_are_those_of_a_few(width: int) -> None:
    many = RowNoise.of(["a", "b", "c"], seed=3).normal(10, width)
    one = RowNoise.of(["b"], seed=3).normal(4, width)
    assert torch.equal(many[:4, 1:2], one)


def test_what_is_drawn_from_some_rows_is_drawn_from_the_whole() -> None:
    whole, parts = RowNoise.of("abcd", seed=0), RowNoise.of("abcd", seed=0)
    first = [parts.rows(slice(0, 2)).normal(3, 5), parts.rows(slice(2, 4)).normal(3, 5)]
    assert torch.equal(torch.cat(first, dim=1), whole.normal(3, 5))
    again = parts.rows(slice(1, 2)).normal(3, 5)
    assert torch.equal(again, whole.normal(3, 5)[:, 1:2])
    assert not torch.equal(again, first[0][:, 1:2])


def test_numbers_are_normal_and_uniform_and_streams_have_nothing_to_do_with_each_other() -> None:
    of = keys(torch.arange(2000))  # consecutive seeds
    random = bits(of, torch.zeros_like(of), 50, 20)
    drawn = normal(random).double().numpy()
    assert abs(drawn.mean()) < 0.003
    assert abs(drawn.std() - 1) < 0.003
    assert abs((drawn**4).mean() - 3) < 0.03
    assert np.isfinite(drawn).all()
    even = uniform(random).numpy()
    assert even.min() >= 0
    assert even.max() < 1
    np.testing.assert_allclose(np.histogram(even, 20, (0, 1))[0] / even.size, 0.05, atol=0.001)
    for other in (drawn[:, 1:] * drawn[:, :-1], drawn[1:] * drawn[:-1], drawn[..., 1:] * drawn[..., :-1]):
        assert abs(other.mean()) < 0.004


def test_samples_do_not_share_numbers() -> None:
    of = keys(torch.arange(1))
    drawn = bits(of, torch.zeros_like(of), 30, 2 * pairs(7)).flatten()
    assert len(torch.unique(drawn)) == len(drawn)


@pytest.mark.cuda
def test_a_gpu_draws_what_the_processor_draws() -> None:
    if not torch.cuda.is_available():
        pytest.skip("no GPU here")
    there = RowNoise.of("abcd", seed=0, device="cuda").normal(20, 48).cpu()
    torch.testing.assert_close(there, RowNoise.of("abcd", seed=0).normal(20, 48), rtol=1e-4, atol=1e-5)
