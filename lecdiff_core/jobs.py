"""The long steps a person starts, from the command line or a page: train, forecast, benchmark.

Each does the whole step on a city folder, so that both do the very same thing.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lecdiff_core.errors import UserError
from lecdiff_core.progress import Report, silent

if TYPE_CHECKING:
    import pandas as pd

    from lecdiff_core.city.folder import City
    from lecdiff_core.forecast import Forecast

PRESETS = ("default", "paper")


def train(
    city: "City",
    model: str = "lec-diff",
    preset: str = "default",
    device: str = "auto",
    seed: int = 0,
    report: Report = silent,
) -> dict[str, Any]:
    """Train a model on a city's first 70 %, stop and calibrate on the next 10 %, and save it in the city folder.

    `preset="paper"` is saved as `lec-diff-paper`. Stopped half-way, the same call goes on from the last epoch. Returns the
    metrics that are saved beside the weights.
    """
    from filelock import FileLock, Timeout

    from lecdiff_core.city.windows import protocol_split
    from lecdiff_core.devices import choose_device, device_label
    from lecdiff_core.environment.table import read_panel
    from lecdiff_core.models.catalogue import SLOW, build
    from lecdiff_core.models.checkpoint import FORMAT_VERSION, CheckpointConfig, save_model
    from lecdiff_core.training import RECIPES
    from lecdiff_core.training import train as fit

    if preset not in PRESETS:
        raise UserError(f"--preset must be one of {', '.join(PRESETS)}, not {preset!r}")
    if preset == "paper" and model != "lec-diff":
        raise UserError(f"the paper preset is a form of lec-diff; {model!r} has only the default preset")
    name = "lec-diff-paper" if preset == "paper" else model
    where = choose_device(device)
    panel, encoder = read_panel(city)
    untrained = build(name, panel, seed)
    folder = city.model_folder(name)
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint = folder / "unfinished.safetensors"
    recipe = RECIPES["paper" if name in SLOW else "default"]
    try:
        with FileLock(city.path / "models" / ".training.lock", timeout=0):
            log = fit(untrained, panel, protocol_split(panel.steps), recipe, seed, where, checkpoint, report)
            config = CheckpointConfig(
                format_version=FORMAT_VERSION,
                model=name,
                recipe=untrained.recipe,
                settings=untrained.settings(),
                interval=city.meta.interval,
                unit=city.meta.unit,
                station_ids=list(city.station_ids),
                encoder=encoder,
                data_hash=city.data_hash,
                seed=seed,
                weights_sha256="",
            )
            parameters = sum(parameter.numel() for parameter in untrained.parameters())
            metrics = log | {"parameters": parameters, "device": device_label(where)}
            save_model(folder, untrained.cpu(), config, metrics)
            checkpoint.unlink(missing_ok=True)
    except Timeout as error:
        raise UserError(f"{city.path}: another training is running on this city; wait for it or stop it") from error
    return metrics


def forecast(
    city: "City",
    model: str = "lec-diff",
    start: "pd.Timestamp | None" = None,
    steps: int | None = None,
    samples: int = 100,
    stations: Sequence[str] | None = None,
    device: str = "auto",
    seed: int = 0,
) -> tuple["Forecast", list[str]]:
    """Forecast a city with a saved model: the forecast, and what its reader should know."""
    from lecdiff_core.forecaster import Forecaster

    forecaster = Forecaster.load(city, model, device)
    return forecaster.forecast(start, steps, samples, stations, seed), forecaster.notices


def benchmark(
    city: "City",
    out: Path,
    part: str = "test",
    models: Sequence[str] | None = None,
    seeds: int = 3,
    hold_out_stations: float = 0.0,
    device: str = "auto",
    report: Report = silent,
) -> dict[str, Any]:
    """Measure models by the protocol; see `lecdiff_core.backtest.benchmark`."""
    from lecdiff_core.backtest import benchmark as measure

    chosen = None if models is None else tuple(models)
    return measure(city, out, part, chosen, seeds, hold_out_stations, device, report)
