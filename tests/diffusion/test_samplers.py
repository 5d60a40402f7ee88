"""Samplers against closed forms and against the schedulers of diffusers."""

import math

import pytest
import torch

from lecdiff_core.diffusion.denoisers import Denoiser
from lecdiff_core.diffusion.samplers import SAMPLERS, ancestral, ddim
from lecdiff_core.diffusion.schedule import karras_levels, linear_beta_levels

MEAN, SPREAD = 0.7, 0.5


def ideal_denoise(x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    """Expected clean data where the data are Normal(MEAN, SPREAD²): the best any network can do."""
    share = SPREAD**2 / (SPREAD**2 + sigma**2)
    return MEAN + share * (x - MEAN)


@pytest.mark.parametrize(("name", "levels"), [("ancestral", 200), ("ddim", 200), ("heun", 30), ("dpm-solver", 30)])
def test_white_noise_becomes_the_data_distribution(name: str, levels: int) -> None:
    generator = torch.Generator().manual_seed(0)
    samples = SAMPLERS[name](
        ideal_denoise, lambda: torch.randn(40_000, generator=generator), karras_levels(levels, largest=80.0)
    )
    assert float(samples.mean()) == pytest.approx(MEAN, abs=0.02)
    assert float(samples.std()) == pytest.approx(SPREAD, rel=0.05)


def test_eight_evaluations_of_the_default_sampler_come_near() -> None:
    generator = torch.Generator().manual_seed(0)
    samples = SAMPLERS["dpm-solver"](ideal_denoise, lambda: torch.randn(40_000, generator=generator), karras_levels(8))
    assert float(samples.mean()) == pytest.approx(MEAN, abs=0.04)
    assert float(samples.std()) == pytest.approx(SPREAD, rel=0.1)


@pytest.mark.parametrize("levels", [karras_levels(12), linear_beta_levels(100)])
def test_levels_fall_to_zero(levels: torch.Tensor) -> None:
    assert (levels[1:] < levels[:-1]).all()
    assert levels[-1] == 0


def test_linear_beta_chain_is_that_of_diffusers() -> None:
    from diffusers import DDPMScheduler

    scheduler = DDPMScheduler(100, beta_start=1e-4, beta_end=0.1, beta_schedule="linear")
    kept = scheduler.alphas_cumprod
    torch.testing.assert_close(linear_beta_levels(100)[:-1], torch.sqrt((1 - kept) / kept).flip(0), rtol=1e-4, atol=0)


def test_ddim_is_that_of_diffusers() -> None:
    """The same network output gives the same path, seen through x_t = x_σ / sqrt(1 + σ²)."""
    from diffusers import DDIMScheduler

    scheduler = DDIMScheduler(
        50, beta_start=1e-4, beta_end=0.1, beta_schedule="linear", clip_sample=False, set_alpha_to_one=True
    )
    scheduler.set_timesteps(50)
    generator = torch.Generator().manual_seed(1)
    start = torch.randn(256, generator=generator)
    levels = linear_beta_levels(50)
    x = start.clone()
    for step, sigma in zip(scheduler.timesteps, levels[:-1], strict=True):
        scaled = x * torch.sqrt(1 + sigma**2)
        noise = (scaled - ideal_denoise(scaled, sigma)) / sigma
        x = scheduler.step(noise, step, x).prev_sample
    torch.testing.assert_close(ddim(ideal_denoise, lambda: start, levels), x, rtol=1e-3, atol=1e-4)


def test_ancestral_steps_have_the_posterior_of_ddpm() -> None:
    """One step from σ to σ': mean D + (σ'/σ)² (x - D) and variance σ'² (1 - (σ'/σ)²) of the chain in σ."""
    levels = torch.tensor([2.0, 1.0, 0.0])
    seen: list[torch.Tensor] = []

    def denoise(x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        seen.append(x.clone())
        return torch.zeros_like(x) if sigma == 2.0 else x

    draws = iter([torch.ones(1), torch.full((1,), 3.0)])
    ancestral(denoise, lambda: next(draws), levels)
    first = math.sqrt(1 + 4.0)
    assert float(seen[0]) == pytest.approx(first)
    assert float(seen[1]) == pytest.approx(first / 4 + 3 * 1.0 * math.sqrt(1 - 1 / 4))


@pytest.mark.parametrize("prediction", ["velocity", "noise"])
def test_a_trained_denoiser_samples_what_it_was_trained_on(prediction: str) -> None:
    """Two conditions, two means: after training, samples follow the condition."""
    torch.manual_seed(0)
    denoiser = Denoiser(data=1, condition=1, width=32, layers=1, prediction=prediction)
    optimizer = torch.optim.Adam(denoiser.parameters(), lr=4e-3)
    chain = linear_beta_levels(50)[:-1]
    for _ in range(500):
        condition = torch.randint(0, 2, (256, 1)) * 2.0 - 1
        data = condition + 0.3 * torch.randn(256, 1)
        sigma = chain[torch.randint(len(chain), (2, 256))]
        loss = denoiser.loss(data, torch.ones_like(data), condition, sigma)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    denoiser.eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for wanted in (-1.0, 1.0):
            condition = torch.full((1, 1), wanted)
            samples = ancestral(
                lambda x, sigma, condition=condition: denoiser(x, sigma, condition),
                lambda: torch.randn(2000, 1, generator=generator),
                linear_beta_levels(50),
            )
            assert float(samples.mean()) == pytest.approx(wanted, abs=0.2)
            assert float(samples.std()) == pytest.approx(0.3, abs=0.15)


def test_missing_data_do_not_count_in_the_loss() -> None:
    denoiser = Denoiser(data=3, condition=1, width=8, layers=1)
    for parameter in denoiser.parameters():
        parameter.data.normal_(std=0.1, generator=torch.Generator().manual_seed(0))
    observed = torch.tensor([[1.0, 1.0, 0.0]])
    sigma = torch.ones(1, 1)

    def loss(observed: torch.Tensor) -> float:
        torch.manual_seed(0)
        return denoiser.loss(torch.zeros(1, 3), observed, torch.zeros(1, 1), sigma).item()

    parts = [loss(torch.eye(3)[[step]]) for step in range(3)]
    assert loss(observed) == pytest.approx((parts[0] + parts[1]) / 2, rel=1e-5)


@pytest.mark.parametrize("prediction", ["velocity", "noise"])
@pytest.mark.parametrize("each_sample", [False, True], ids=["one condition a row", "one a sample and row"])
def test_sampling_evaluates_the_very_network_that_was_trained(prediction: str, each_sample: bool) -> None:
    torch.manual_seed(0)
    denoiser = Denoiser(data=6, condition=5, width=16, layers=2, prediction=prediction)
    torch.nn.init.normal_(denoiser.leave.weight)
    torch.nn.init.normal_(denoiser.leave.bias)
    x, condition = torch.randn(4, 3, 6), torch.randn(4, 3, 5) if each_sample else torch.randn(3, 5)
    with torch.no_grad():
        for sigma in karras_levels(4)[:-1]:
            torch.testing.assert_close(
                denoiser.conditioned(condition)(x, sigma), denoiser(x, sigma, condition), rtol=1e-4, atol=1e-4
            )
