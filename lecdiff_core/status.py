"""The steps from chips to surges: what a city folder has of each, what it lacks, and what was made from older data."""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from lecdiff_core.bounded import read_json
from lecdiff_core.city import history
from lecdiff_core.city.folder import City, named
from lecdiff_core.city.layout import (
    CHIPS_FOLDER,
    CONFIG_FILE,
    DESCRIPTIONS_FILE,
    ENCODER_FOLDER,
    ENVIRONMENT_FILE,
    FORECASTS_FOLDER,
    META_FILE,
    METRICS_FILE,
    MODELS_FOLDER,
    PARTS,
    STATIONS_FILE,
    SURGES_FILE,
    SURROUNDINGS_FILE,
    TRAFFIC_FILE,
    benchmark_file,
    forecast_file,
)
from lecdiff_core.environment.descriptions.record import current_descriptions, read_descriptions
from lecdiff_core.environment.embedding.embed import stations_to_embed
from lecdiff_core.environment.embedding.table import read_environment
from lecdiff_core.errors import UserError
from lecdiff_core.models.names import BASE, label_of
from lecdiff_core.provenance import is_current, source_in

State = Literal["missing", "partial", "done", "outdated"]


@dataclass(frozen=True)
class Step:
    """One step on one city. `sentence`: what there is, in words. `needs`: what must come first; empty where it can start."""

    name: str
    state: State
    sentence: str
    needs: str = ""


@dataclass(frozen=True)
class SavedModel:
    """A model in the folder. `fit`: what keeps it from being this city's, in words; empty where nothing does."""

    name: str
    fit: str
    usable: bool
    validation_crps: float | None = None  # over the traffic's sum; None for a formula, which is not trained
    parameters: int | None = None
    seconds: float | None = None
    device: str = ""
    seed: int | None = None

    @property
    def label(self) -> str:
        """Its name for people."""
        return label_of(self.name)


def steps(city: City) -> dict[str, Step]:
    """Every step after the import, by its name, in the order in which they are done."""
    models = saved_models(city)
    chips = {station: chip for station in city.station_ids if (chip := city.chip(station)) is not None}
    states = [
        _imagery(city, len(chips)),
        _describe(city, chips),
        _embed(city, len(chips)),
        _train(city, models),
        _forecast(city, models),
        _benchmark(city),
        _surges(city, models),
    ]
    return {step.name: step for step in states}


# ---- surroundings


def _imagery(city: City, chips: int) -> Step:
    count = len(city.station_ids)
    sentence = (
        f"{chips:,} of {count:,} stations have a satellite image." if chips else "No station has a satellite image yet."
    )
    needs = "" if city.has_places else "known places of the stations"
    if outside := city.chips_outside():
        sentence += f" {len(outside):,} are links that lead out of the city's folder, and do not count."
    return Step("imagery", "done" if chips == count else "partial" if chips else "missing", sentence, needs)


def _describe(city: City, chips: dict[str, Path]) -> Step:
    needs = _lacks_images(city, len(chips))
    try:
        said = current_descriptions(read_descriptions(city.path / DESCRIPTIONS_FILE))
    except UserError as error:
        return Step("describe", "missing", f"Descriptions cannot be read: {error}", needs)
    described = {
        station: said[station]
        for station in city.station_ids
        if station in said and (station in chips or any(not one.image_sha256 for one in said[station]))
    }
    if not described:
        return Step("describe", "missing", "No image has been described yet.", needs)
    digests = {name: hashlib.sha256(chips[name].read_bytes()).hexdigest() for name in described if name in chips}
    stale = [
        name for name, those in described.items() if all(one.image_sha256 != digests.get(name, "") for one in those)
    ]
    writers = named(sorted({one.model for those in described.values() for one in those}))
    subjects = set(chips) | set(described)
    sentence = (
        f"{len(described):,} of {len(subjects):,} {'images' if chips else 'stations'} are described, by {writers}."
    )
    if stale:
        return Step("describe", "outdated", f"{sentence} {len(stale):,} of an older image.", needs)
    return Step("describe", "done" if len(described) == len(subjects) else "partial", sentence, needs)


def _lacks_images(city: City, chips: int) -> str:
    """What must come before a description or an embedding: images, where there is no table of surroundings either."""
    return "" if chips or (city.path / SURROUNDINGS_FILE).is_file() else "satellite images"


def _embed(city: City, chips: int) -> Step:
    needs = _lacks_images(city, chips)
    try:
        table = read_environment(city)
    except UserError as error:
        return Step("embed", "missing", f"Embeddings cannot be read: {error}", needs)
    if table is None:
        return Step("embed", "missing", "No station has been embedded yet.", needs)
    sentence = f"{int(table.known.sum()):,} of {len(city.station_ids):,} stations are embedded."
    try:
        waiting = stations_to_embed(city, table)
    except UserError:
        waiting = []  # said by the descriptions' own step
    if waiting:
        return Step(
            "embed",
            "outdated",
            f"{sentence} {len(waiting):,} have a new image or description, or another table, since.",
            needs,
        )
    return Step("embed", "done", sentence, needs)


# ---- models


def saved_models(city: City) -> list[SavedModel]:
    """The models of the folder, with what their training said and whether they are made for this city."""
    names = city.models()
    if not names:
        return []
    from lecdiff_core.models.checkpoint import read_config

    encoder = _encoder(city)
    models = []
    for name in names:
        folder = city.model_folder(name)
        try:
            config = read_config(folder)
        except UserError as error:
            models.append(SavedModel(name, str(error), usable=False))
            continue
        metrics = _json(folder / METRICS_FILE)
        scores = metrics.get("validation_crps") or []
        model = SavedModel(
            name,
            fit="",
            usable=True,
            validation_crps=min(scores) if scores else None,
            parameters=metrics.get("parameters"),
            seconds=metrics.get("seconds") or None,
            device=str(metrics.get("device") or ""),
            seed=config.seed,
        )
        made_for = (config.interval, config.unit, config.encoder or encoder)
        models.append(_fitted(model, city, made_for, set(config.station_ids), config.data_hash, encoder))
    return models


def _fitted(
    model: SavedModel,
    city: City,
    made_for: tuple[str, str, str | None],
    trained_on: set[str],
    data_hash: str,
    encoder: str | None,
) -> SavedModel:
    """The model with what keeps it from being this city's."""
    of_city = (city.meta.interval, city.meta.unit, encoder)
    for what, one, other in zip(("the interval", "the unit", "embeddings"), made_for, of_city, strict=True):
        if one != other:
            detail = "of another encoder" if what == "embeddings" else f"{one or 'none'}"
            return replace(model, usable=False, fit=f"made for {what} {detail}: train it again")
    strangers = len(set(city.station_ids) - trained_on)
    if strangers:
        return replace(
            model, fit=f"trained on other stations: {strangers:,} of {len(city.station_ids):,} are new to it"
        )
    current = is_current({"data": data_hash}, {"data": city.data_hash})
    return model if current else replace(model, fit="trained on other data than the city has now")


def _encoder(city: City) -> str | None:
    try:
        table = read_environment(city)
    except UserError:
        return None
    return table.made_by if table else None


def _train(city: City, models: list[SavedModel]) -> Step:
    needs = history.lacking("train", history.days_of(city))
    if not models:
        return Step("train", "missing", "No model has been trained yet.", needs)
    fitting = [model.label for model in models if not model.fit]
    if not fitting:
        return Step(
            "train", "outdated", f"{named([m.label for m in models])}: trained on other data or stations.", needs
        )
    return Step("train", "done", f"Trained on the data as they are: {named(fitting)}.", needs)


# ---- what models say


def _forecast(city: City, models: list[SavedModel]) -> Step:
    names = [model.name for model in models if model.usable]
    files = {name: forecast_file(city.path, name) for name in names or [BASE]}
    there = {name: file for name, file in files.items() if file.is_file()}
    needs = "" if names else history.lacking("forecast", history.days_of(city))
    if not there:
        return Step("forecast", "missing", "The next 24 hours have not been forecast yet.", needs)
    current = {name: _forecast_is_current(city, name, file) for name, file in there.items()}
    named_first = [name for name, known in current.items() if known] or list(there)
    sentence = f"The 24 hours after the data, forecast by {named([label_of(name) for name in named_first])}."
    if any(current.values()):
        return Step("forecast", "done", sentence, needs)
    if None in current.values():
        return Step("forecast", "done", f"{sentence} It is not known from which data.", needs)
    return Step("forecast", "outdated", sentence, needs)


def _forecast_is_current(city: City, model: str, file: Path) -> bool | None:
    from lecdiff_core.models.checkpoint import source_now

    return is_current(source_in(file), {**source_now(city, model), "start": city.end.isoformat()})


def _benchmark(city: City) -> Step:
    needs = history.lacking("benchmark", history.days_of(city))
    sentences, outdated = [], False
    for part in PARTS:
        results = _results(benchmark_file(city.path, part))
        if not results:
            continue
        current = [_measured_now(result, part, city) for result in results]
        measured = list(dict.fromkeys(label_of(str(result.get("model"))) for result in results))
        unknown = " It is not known from which data." if None in current else ""
        sentences.append(f"On the {part} part: {named(measured, 6)}.{unknown}")
        outdated |= False in current
    if not sentences:
        return Step("benchmark", "missing", "No model has been measured on this city yet.", needs)
    return Step("benchmark", "outdated" if outdated else "done", " ".join(sentences), needs)


def _results(file: Path) -> list[dict[str, Any]]:
    results = _json(file).get("results")
    return [result for result in results if isinstance(result, dict)] if isinstance(results, list) else []


def _measured_now(result: dict[str, Any], part: str, city: City) -> bool | None:
    from lecdiff_core.evaluation.backtest import of_these_data

    return of_these_data(result, part, city)


def _surges(city: City, models: list[SavedModel]) -> Step:
    from lecdiff_core.surges import are_current

    needs = "" if any(model.usable for model in models) else "a trained model"
    file = city.path / SURGES_FILE
    if not file.is_file():
        return Step("surges", "missing", "Surges have not been looked for yet.", needs)
    current = are_current(city, source_in(file))
    if current is None:
        return Step("surges", "done", "Surges were looked for; it is not known in which data.", needs)
    if not current:
        return Step("surges", "outdated", "Surges were looked for before the data or the model changed.", needs)
    return Step("surges", "done", "Surges were looked for in the data as they are.", needs)


def _json(file: Path) -> dict[str, Any]:
    try:
        parsed = read_json(file)
    except (OSError, ValueError):
        return {}
    return parsed if isinstance(parsed, dict) else {}


def sources(city: Path) -> list[Path]:
    """The files and folders on whose change `steps` may say something else."""
    models = sorted((city / MODELS_FOLDER).glob(f"[!.]*/{CONFIG_FILE}"))
    parts = [benchmark_file(city, part) for part in PARTS]
    named_files = (
        META_FILE,
        STATIONS_FILE,
        TRAFFIC_FILE,
        DESCRIPTIONS_FILE,
        ENVIRONMENT_FILE,
        SURGES_FILE,
        SURROUNDINGS_FILE,
    )
    folders = [city / CHIPS_FOLDER, city / FORECASTS_FOLDER, city / ENCODER_FOLDER]
    return [*(city / name for name in named_files), *folders, *models, *parts]
