"""TimeGrad: a recurrent network whose state conditions a diffusion of the next step (Rasul et al. 2021,
https://arxiv.org/abs/2101.12072), the ancestor of LEC-Diff.

It is LEC-Diff's autoregressive decoder with all else left out: no graph, no environment, no seasonal mean. As in the paper:
two recurrent layers, noise prediction, linear β up to 0.1, 100 ancestral steps for each step ahead, traffic on the scale of
each station's mean. What differs: each station is a series of its own, forecast by the same weights, in place of one vector
of all stations, so that stations may come and go; the recurrent layers are GRUs, and the denoiser is this project's residual
network, not dilated convolutions over that vector.
"""

from lecdiff_core.models.lecdiff import LecDiffConfig

HIDDEN = 64
LAYERS = 2


def timegrad_config(steps_per_day: int) -> LecDiffConfig:
    """TimeGrad as a form of LEC-Diff."""
    return LecDiffConfig(
        steps_per_day=steps_per_day,
        season=False,
        history_days=28,
        recalled_days=1,
        hidden=HIDDEN,
        recurrent_layers=LAYERS,
        graph_layers=0,
        decoder="autoregressive",
        denoiser_width=128,
        denoiser_layers=2,
        prediction="noise",
        sampler="ancestral",
        denoising_steps=100,
        dropout=0.0,
        short_history=0.0,
    )
