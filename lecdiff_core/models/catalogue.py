"""All models by name: how each is built for a city, and built again from its saved settings."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from pydantic import TypeAdapter

from lecdiff_core.city.folder import City
from lecdiff_core.city.history import LEAST_DAYS
from lecdiff_core.city.panel import Panel
from lecdiff_core.environment.embedding.table import read_environment
from lecdiff_core.errors import UserError
from lecdiff_core.extensions import add_installed
from lecdiff_core.models import base
from lecdiff_core.models.autoregressive import AutoregressiveDiffusion, paper_config, timegrad_config
from lecdiff_core.models.conditional import ConditionalDiffusion, LecDiffConfig
from lecdiff_core.models.lecdiff import LecDiff
from lecdiff_core.models.lstm import Lstm
from lecdiff_core.models.names import INDEPENDENT, NAMES, OF_SURROUNDINGS, OURS, Named
from lecdiff_core.models.protocol import ForecastModel
from lecdiff_core.models.stgcn import Stgcn
from lecdiff_core.models.stid import Stid
from lecdiff_core.models.tmaf import Tmaf
from lecdiff_core.models.wavenet import WaveNet
from lecdiff_core.models.yardsticks import AdaptiveClimatology, Climatology, SeasonalNaive

SHUFFLE_SEED = 0


class Entry(NamedTuple):
    """One model of the catalogue.

    build(panel) makes an untrained model for a city; restore(settings) makes the same one from what was saved.
    view(panel) is what the model gets to see of a city's panel, in training and ever after.
    embedding: which of a city's embeddings the panel is read with; None = the one that feeds the forecaster (environment/table.py).
    recipe: how it is trained (training.RECIPES).
    least_steps: of a day that it can be built for, as its convolutions shorten the day.
    trained_as: the model whose trained weights are also this one's; None = its own.
    untrained: whether it forecasts a city that nothing was fitted on.
    without(panel, network): as `build`, by the base's numbers that saw nothing of a network; None = it has none of the base's.
    """

    build: Callable[[Panel], ForecastModel]
    restore: Callable[[dict[str, Any]], ForecastModel]
    view: Callable[[Panel], Panel]
    embedding: str | None = None
    recipe: str = "default"
    least_steps: int = 1
    trained_as: str | None = None
    untrained: bool = False
    without: Callable[[Panel, str], ForecastModel] | None = None


def _whole(panel: Panel) -> Panel:
    return panel


def _embedded(panel: Panel) -> Panel:
    """The panel as it is, which must have embeddings."""
    if panel.environment is None:
        raise UserError(
            "this model measures what embeddings give, and the city has none: make them with `lecdiff embed`"
        )
    return panel


def _without_environment(panel: Panel) -> Panel:
    return replace(panel, environment=None)


def _shuffled_environment(panel: Panel) -> Panel:
    """Every station with the embedding of another: the same permutation whatever the model's seed."""
    panel = _embedded(panel)
    assert panel.environment is not None
    order = np.random.default_rng(SHUFFLE_SEED).permutation(len(panel.environment))
    return replace(panel, environment=panel.environment[order])


def _environment_width(panel: Panel) -> int:
    return 0 if panel.environment is None else panel.environment.shape[1]


def _config(panel: Panel) -> LecDiffConfig:
    return LecDiffConfig(panel.steps_per_day, environment_width=_environment_width(panel))


def _paper(panel: Panel) -> AutoregressiveDiffusion:
    return AutoregressiveDiffusion(paper_config(panel.steps_per_day, _environment_width(panel), len(panel.station_ids)))


def _timegrad(panel: Panel) -> AutoregressiveDiffusion:
    return AutoregressiveDiffusion(timegrad_config(panel.steps_per_day))


def _saved(settings: dict[str, Any]) -> LecDiffConfig:
    return TypeAdapter(LecDiffConfig).validate_python(settings)


def _restore_lec_diff(settings: dict[str, Any]) -> ConditionalDiffusion:
    config = _saved(settings)
    return (AutoregressiveDiffusion if config.decoder == AutoregressiveDiffusion.decoder else LecDiff)(config)


def _lec_diff(view: Callable[[Panel], Panel] = _whole, embedding: str | None = None, **form: Any) -> Entry:
    """LEC-Diff, or an ablation of it: another view of the city, another embedding, or another form. It starts from the base.

    A city with enough history to be measured tells its own season from the plain start on.
    """

    def start(panel: Panel) -> LecDiff:
        young = panel.steps < LEAST_DAYS["benchmark"] * panel.steps_per_day
        return base.start_from(LecDiff(replace(_config(panel), **form)), panel.station_ids, prior=young)

    return Entry(start, _restore_lec_diff, view, embedding)


def _step_by_step(panel: Panel) -> AutoregressiveDiffusion:
    config = replace(_config(panel), decoder=AutoregressiveDiffusion.decoder, sampler="dpm-solver", denoising_steps=6)
    return AutoregressiveDiffusion(config)


def _base(noise: str) -> Entry:
    """The base model, of which nothing is trained."""
    return Entry(
        lambda panel: base.build(panel.steps_per_day, panel.station_ids, noise),
        lambda saved: _restore_lec_diff(saved).requires_grad_(False),
        _without_environment,
        untrained=True,
        without=lambda panel, network: base.build(panel.steps_per_day, panel.station_ids, noise, network),
    )


def _formula(panel: Panel) -> LecDiff:
    """The seasonal mean and the usual errors with normal noise, nothing of it learned."""
    return LecDiff(LecDiffConfig(panel.steps_per_day, noise="independent")).requires_grad_(False)


def _plain(make: type[ForecastModel], recipe: str = "network", **form: Any) -> Entry:
    """A model whose settings are the arguments of its constructor, the steps of a day first."""
    return Entry(
        lambda panel: make(panel.steps_per_day, **form),
        lambda saved: make(**saved),
        _without_environment,
        recipe=recipe,
    )


def _with_stations(make: type[ForecastModel], recipe: str = "network", **form: Any) -> Entry:
    """The same, for a model with a station table."""
    return Entry(
        lambda panel: make(panel.steps_per_day, stations=len(panel.station_ids), **form),
        lambda saved: make(**saved),
        _without_environment,
        recipe=recipe,
    )


MODELS: dict[str, Entry] = {
    "lec-diff": _lec_diff(),
    INDEPENDENT: _lec_diff(noise="independent")._replace(trained_as="lec-diff"),
    "base": _base("shared"),
    "base-independent": _base("independent"),
    "prior-only": Entry(
        _formula, lambda saved: _restore_lec_diff(saved).requires_grad_(False), _without_environment, untrained=True
    ),
    "lec-diff-paper": Entry(_paper, _restore_lec_diff, _whole, recipe="paper"),
    "drop-sgf": _lec_diff(graph_layers=0),
    "drop-gei": _lec_diff(_without_environment),
    "shuffled-gei": _lec_diff(_shuffled_environment),
    "lec-diff-image": _lec_diff(_embedded, "image"),
    "lec-diff-text": _lec_diff(_embedded, "text"),
    "lec-diff-unified": _lec_diff(_embedded, "unified"),
    "keep-anomalies": _lec_diff(forget_anomalies=False),
    "lec-diff-ar": Entry(_step_by_step, _restore_lec_diff, _whole, recipe="step by step"),
    "lstm": _plain(Lstm),
    "lstm+prior": _plain(Lstm, "network+prior", prior=True),
    "stgcn": _plain(Stgcn)._replace(least_steps=Stgcn.LEAST_STEPS),
    "stgcn+prior": _plain(Stgcn, "network+prior", prior=True)._replace(least_steps=Stgcn.LEAST_STEPS),
    "stid": _with_stations(Stid),
    "stid+prior": _with_stations(Stid, "network+prior", prior=True),
    "wavenet": _plain(WaveNet, "likelihood")._replace(least_steps=2),
    "tmaf": _plain(Tmaf, "likelihood"),
    "timegrad": Entry(_timegrad, _restore_lec_diff, _without_environment, recipe="step by step"),
    "seasonal-naive": _plain(SeasonalNaive)._replace(untrained=True),
    "climatology": _with_stations(Climatology)._replace(untrained=True),
    "adaptive-climatology": _plain(AdaptiveClimatology)._replace(untrained=True),
}


def register(
    name: str,
    build: Callable[[Panel], ForecastModel],
    restore: Callable[[dict[str, Any]], ForecastModel],
    label: str | None = None,
    recipe: str = "network",
) -> None:
    """Add a model from outside; it is then trained, saved, forecast with and measured by its name as the others are.

    Args:
        name: of the model; one of the same name is replaced.
        build: makes an untrained model for a city.
        restore: makes the same one again from its `settings()`.
        label: what people call it; None = its name.
        recipe: how it is trained, a name in `lecdiff_core.training.RECIPES`.
    """
    MODELS[name] = Entry(build, restore, _whole, recipe=recipe)
    NAMES[name] = Named(label or name, "network")


def runnable(city: City) -> tuple[str, ...]:
    """Names of all models that a city can be measured with."""
    embedded = read_environment(city) is not None
    return tuple(
        name
        for name, model in MODELS.items()
        if city.steps_per_day >= model.least_steps
        and (embedded or name not in OF_SURROUNDINGS)
        and (model.without is None or base.knows(city.steps_per_day))
    )


def entry(name: str) -> Entry:
    """The catalogue's entry. Raises UserError for a name it does not hold."""
    if name not in MODELS:
        raise UserError(f"there is no model {name!r}; the models are {', '.join(MODELS)}")
    return MODELS[name]


def build(name: str, panel: Panel, seed: int, base_without: str | None = None) -> ForecastModel:
    """An untrained model for a city, its weights drawn from `seed`.

    base_without: the network that the numbers it has of the base saw nothing of; None = that of the stations, if any.
    """
    chosen = entry(name)
    if panel.steps_per_day < chosen.least_steps:
        raise UserError(
            f"{name} needs at least {chosen.least_steps} intervals a day, and the city has {panel.steps_per_day}; choose another "
            f"model, such as {OURS}"
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if base_without is not None and chosen.without is not None:
            return chosen.without(panel, base_without)
        return chosen.build(panel)


def seen(name: str, panel: Panel) -> Panel:
    """What a model gets to see of a city's panel."""
    return entry(name).view(panel)


add_installed("models")
