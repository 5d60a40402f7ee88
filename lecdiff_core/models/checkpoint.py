"""A trained model on disk: `models/NAME/` with config.json, model.safetensors and metrics.json.

config.json holds what the weights were made from (interval, unit, stations, encoder, data) and their SHA-256, so that a
model meets only a city it fits and a damaged file is recognised. Nothing is loaded by pickle.
"""

import hashlib
import json
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from lecdiff_core.bounded import read_json
from lecdiff_core.city.folder import City
from lecdiff_core.city.layout import CONFIG_FILE, METRICS_FILE, WEIGHTS_FILE
from lecdiff_core.environment.embedding.table import read_environment
from lecdiff_core.errors import UserError
from lecdiff_core.models import base
from lecdiff_core.models.catalogue import Entry, entry
from lecdiff_core.models.conditional import ConditionalDiffusion, LecDiffConfig
from lecdiff_core.models.names import BASE
from lecdiff_core.models.protocol import ForecastModel
from lecdiff_core.provenance import digest
from lecdiff_core.storage import changing, read_whole, recover

FORMAT_VERSION = 1
SECONDS_A_DAY = 86_400


class CheckpointConfig(BaseModel):
    """What config.json says."""

    model_config = ConfigDict(extra="forbid")

    format_version: int
    model: str
    recipe: int
    settings: dict[str, Any]
    interval: str
    unit: str
    station_ids: list[str]
    encoder: str | None  # hash of the encoder that made the embeddings, None = trained without
    data_hash: str
    seed: int
    weights_sha256: str


def config_for(
    city: City,
    name: str,
    recipe: int,
    settings: dict[str, Any],
    encoder: str | None = None,
    seed: int = 0,
    weights_sha256: str = "",
) -> CheckpointConfig:
    """What config.json says of a model made for this city; the hash of its weights is put in when it is saved."""
    return CheckpointConfig(
        format_version=FORMAT_VERSION,
        model=name,
        recipe=recipe,
        settings=settings,
        interval=city.meta.interval,
        unit=city.meta.unit,
        station_ids=list(city.station_ids),
        encoder=encoder,
        data_hash=city.data_hash,
        seed=seed,
        weights_sha256=weights_sha256,
    )


def save_model(folder: Path, model: ForecastModel, config: CheckpointConfig, metrics: dict[str, Any]) -> None:
    """Write a model's three files as one change."""
    weights = save_tensors({name: tensor.contiguous() for name, tensor in model.state_dict().items()})
    config = config.model_copy(update={"weights_sha256": hashlib.sha256(weights).hexdigest()})
    with changing(folder) as change:
        change.file(WEIGHTS_FILE).write_bytes(weights)
        change.file(METRICS_FILE).write_text(json.dumps(metrics, indent=2) + "\n")
        change.file(CONFIG_FILE).write_text(json.dumps(config.model_dump(mode="json"), indent=2) + "\n")


def load_model(folder: Path) -> tuple[ForecastModel, CheckpointConfig]:
    """Read a model. Raises UserError where it is missing, of another version, truncated or tampered with."""
    return read_whole(folder, (CONFIG_FILE, WEIGHTS_FILE), lambda: _load(folder))


def load_base(city: City) -> tuple[ForecastModel, CheckpointConfig]:
    """The shipped base model for a city. Raises UserError for an interval that it does not know."""
    return base.build(city.steps_per_day, city.station_ids), base_config(city)


def base_config(city: City) -> CheckpointConfig:
    """What config.json would say of the base model, were it made for this city."""
    settings = asdict(LecDiffConfig(city.steps_per_day))
    return config_for(city, BASE, ConditionalDiffusion.recipe, settings, weights_sha256=base.sha256())


def _load(folder: Path) -> tuple[ForecastModel, CheckpointConfig]:
    config = read_config(folder)
    weights_file = folder / WEIGHTS_FILE
    _check_settings(config, folder / CONFIG_FILE)
    chosen = entry(config.model)
    try:
        _check_shapes(chosen, config, weights_file)
        weights = weights_file.read_bytes()
        if hashlib.sha256(weights).hexdigest() != config.weights_sha256:
            raise SafetensorError
        model = chosen.restore(config.settings)
        model.load_state_dict(load_tensors(weights))
    except OSError as error:
        raise UserError(f"{weights_file}: cannot be read ({error.strerror}); train the model again") from error
    except SafetensorError as error:
        raise UserError(f"{weights_file}: truncated or changed since it was saved; train the model again") from error
    except (RuntimeError, TypeError, KeyError, ValueError) as error:
        reason = _first_problem(error) if isinstance(error, ValidationError) else str(error).splitlines()[0]
        raise UserError(f"{folder}: weights and config.json do not fit together ({reason}); train again") from error
    _check_numbers(model, weights_file)
    if model.recipe != config.recipe:
        raise UserError(
            f"{folder / CONFIG_FILE}: made by recipe {config.recipe} of {config.model}, this program has recipe "
            f"{model.recipe}; train the model again"
        )
    return model.eval(), config


def _check_settings(config: CheckpointConfig, file: Path) -> None:
    """Raise UserError where a model would be made for other stations than it names, or for steps that no day has."""
    stations, steps = config.settings.get("stations", 0), config.settings.get("steps_per_day", 1)
    if stations not in (0, len(config.station_ids)):
        raise UserError(f"{file}: settings.stations is not the number of station_ids; train the model again")
    if not isinstance(steps, int) or not 1 <= steps <= SECONDS_A_DAY:
        raise UserError(f"{file}: settings.steps_per_day is no number of steps a day; train the model again")


def _check_shapes(chosen: Entry, config: CheckpointConfig, weights_file: Path) -> None:
    """Raise ValueError unless a weights file holds just the tensors of the model that `config` describes; nothing is allocated."""
    with (
        torch.device("meta"),
        suppress(NotImplementedError),
    ):  # tmaf's flow cannot be made without memory; its size is bounded
        wanted = {name: list(tensor.shape) for name, tensor in chosen.restore(config.settings).state_dict().items()}
        with safe_open(weights_file, framework="pt") as file:
            held = {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118 (no mapping)
        if wanted != held:
            different = sorted(name for name in wanted.keys() | held.keys() if wanted.get(name) != held.get(name))
            raise ValueError(f"{different[0]} is {held.get(different[0])}, not {wanted.get(different[0])}")


def _check_numbers(model: ForecastModel, weights_file: Path) -> None:
    """Raise UserError where a number of the weights is not finite, but for those that say that nothing is known."""
    for name, tensor in model.state_dict().items():
        known = tensor[~tensor.isnan()] if name in model.may_be_unknown else tensor
        if not known.isfinite().all():
            raise UserError(f"{weights_file}: {name} holds numbers that are not finite; train the model again")


def read_config(folder: Path) -> CheckpointConfig:
    """What config.json of a saved model says. Raises UserError where it is missing, damaged or of another version."""
    recover(folder)
    file = folder / CONFIG_FILE
    if not file.is_file():
        raise UserError(f"{folder}: no trained model here; make it with `lecdiff train`")
    try:
        raw = read_json(file)
        version = raw.get("format_version") if isinstance(raw, dict) else None
        if version != FORMAT_VERSION:
            raise UserError(
                f"{file}: checkpoint format {version}, this program reads format {FORMAT_VERSION}; train the model again"
            )
        return CheckpointConfig.model_validate(raw)
    except ValidationError as error:
        raise UserError(f"{file}: {_first_problem(error)}; train the model again") from error
    except (OSError, ValueError) as error:
        raise UserError(f"{file}: cannot be read ({error}); train the model again") from error


def _first_problem(error: ValidationError) -> str:
    first = error.errors()[0]
    return f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"


def read_metrics(folder: Path) -> dict[str, Any]:
    """What metrics.json of a saved model says; empty where it says nothing. Raises UserError without a model."""
    read_config(folder)
    try:
        metrics = read_json(folder / METRICS_FILE)
    except (OSError, ValueError):
        return {}
    return metrics if isinstance(metrics, dict) else {}


def forecast_source(name: str, config: CheckpointConfig, city: City, embeddings: np.ndarray | None) -> dict[str, Any]:
    """What is read for a forecast of a city by its saved model `name`; `embeddings`: the (N, D) rows that the city has."""
    return {
        "data": city.data_hash,
        "model": name,
        "weights": config.weights_sha256,
        "recipe": config.recipe,
        "embeddings": digest(embeddings if config.encoder else None),
    }


def source_now(city: City, name: str) -> dict[str, Any]:
    """What would be read now for a forecast by the saved model `name`; empty without such a model, or without what it reads."""
    try:
        config = base_config(city) if name == BASE else read_config(city.model_folder(name))
        table = read_environment(city) if config.encoder else None
    except UserError:
        return {}
    rows = table.rows(city.station_ids, entry(config.model).embedding) if table else None
    return forecast_source(name, config, city, rows)


def check_fits(model: ForecastModel, config: CheckpointConfig, city: City, encoder: str | None, folder: Path) -> None:
    """Raise UserError where a model was made for another interval, unit or encoder than the city's."""
    for what, of_model, of_city in (
        ("interval", config.interval, city.meta.interval),
        ("unit", config.unit, city.meta.unit),
    ):
        if of_model != of_city:
            raise UserError(
                f"{folder}: trained for {what} {of_model!r}, the city has {of_city!r}; train the model again"
            )
    if model.horizon != city.steps_per_day:
        raise UserError(
            f"{folder}: forecasts {model.horizon} steps a day, the city has {city.steps_per_day}; train the model again"
        )
    if config.encoder is not None and config.encoder != encoder:
        has = "no embeddings" if encoder is None else "embeddings from another encoder"
        raise UserError(
            f"{folder}: trained with environment embeddings, the city has {has}; run `lecdiff embed` or train again"
        )
