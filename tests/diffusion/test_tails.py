"""The shape of residuals: what was put in is found again, there and back is the same, and the mean is zero."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lecdiff_core.diffusion.tails import BOUNDS, FARTHEST, LEAST, Tails


def shaped(log_scale: float, skew: float, log_weight: float) -> Tails:
    tails = Tails()
    tails.shape.copy_(torch.tensor([log_scale, skew, log_weight]))
    return tails


@settings(deadline=None)
@given(*(st.floats(low / 2, high / 2) for low, high in BOUNDS))
def test_there_and_back_is_the_same_and_the_mean_is_zero(log_scale: float, skew: float, log_weight: float) -> None:
    tails = shaped(log_scale, skew, log_weight)
    normal = torch.linspace(-4, 4, 9)
    torch.testing.assert_close(tails.to_normal(tails.from_normal(normal.clone())), normal, rtol=1e-3, atol=1e-3)
    drawn = tails.from_normal(torch.randn(200_000, generator=torch.Generator().manual_seed(0)))
    assert abs(float(drawn.mean())) < 0.03 * float(drawn.std())


@pytest.mark.parametrize("shape", [(0.5, 0.3, -0.4), (-1.0, -0.2, -0.1), (0.0, 0.0, 0.0)])
def test_a_shape_is_found_again(shape: tuple[float, float, float]) -> None:
    residuals = shaped(*shape).from_normal(torch.randn(20_000, generator=torch.Generator().manual_seed(1)))
    found = Tails()
    found.fit(residuals, torch.ones_like(residuals))
    np.testing.assert_allclose(found.shape.numpy(), shape, atol=0.06)


def test_a_residual_counts_by_its_weight_and_a_missing_one_not_at_all() -> None:
    narrow, wide = torch.randn(2, 5000, generator=torch.Generator().manual_seed(2)) * torch.tensor([[1.0], [5.0]])
    missing = torch.full((10,), torch.nan)
    found = Tails()
    found.fit(
        torch.cat([narrow, wide, missing]), torch.cat([torch.ones(5000), torch.full((5000,), 1e-9), torch.ones(10)])
    )
    assert abs(float(found.from_normal(torch.tensor([1.0]))) - 1) < 0.1


@pytest.mark.parametrize(
    "residuals", [torch.randn(LEAST - 1), torch.zeros(500), torch.full((500,), torch.nan), torch.empty(0)]
)
def test_nothing_to_go_by_leaves_a_normal(residuals: torch.Tensor) -> None:
    tails = Tails()
    tails.fit(residuals, torch.ones_like(residuals))
    assert torch.equal(tails.shape, torch.zeros(3))


def test_samples_stay_finite_however_wild() -> None:
    tails = shaped(3.0, 1.0, -1.2)
    assert tails.from_normal(torch.tensor([1e9, -1e9])).isfinite().all()
    assert float(tails.to_normal(torch.tensor([1e30])).max()) <= FARTHEST
