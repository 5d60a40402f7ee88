"""The long steps a person starts, from the command line or a page: train, forecast, benchmark, find surges.

Each does the whole step on a city folder, so that both do the very same thing.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lecdiff_core.city.layout import SURGES_FILE, UNFINISHED_FILE
from lecdiff_core.errors import UserError
from lecdiff_core.locks import working
from lecdiff_core.models.names import OURS, PAPER, PREFERRED, SHIPPED
from lecdiff_core.progress import Report, silent

if TYPE_CHECKING:
    import pandas as pd

    from lecdiff_core.city.folder import City
    from lecdiff_core.forecast import Forecast

PRESETS = ("default", "paper")


def train(
    city: "City | Path | str",
    model: str = PREFERRED,
    preset: str = "default",
    device: str = "auto",
    seed: int = 0,
    protocol: bool = False,
    report: Report = silent,
) -> dict[str, Any]:
    """Train a model for use and save it in the city folder: on all but the last tenth, which stops and calibrates it.

    Stopped half-way, the same call goes on from the last epoch.

    Args:
        city: opened, or its folder.
        model: its name (docs/models.md).
        preset: "paper" is the paper's plain form of LEC-Diff, saved as `lec-diff-paper`.
        device: "auto", "cpu" or "cuda".
        seed: of the first weights and the order of batches.
        protocol: train on the first 70 %, stop and calibrate on the next 10 %, as models are measured.
        report: called with what is done, how much there is to do, and words.

    Returns:
        The metrics saved beside the weights: CRPS on validation of each epoch, seconds, the dates of what was fitted on.

    Raises:
        UserError: for an unknown model or preset, and for less than 5 days of traffic (20 with `protocol`).

    Examples:
        >>> import numpy as np, pandas as pd
        >>> from lecdiff_core import City, train
        >>> times = pd.date_range("2024-03-01", periods=24 * 8, freq="1h", tz="UTC")
        >>> city = City.from_frames(pd.DataFrame({"A": 50 + 40 * np.sin(np.arange(24 * 8) * 2 * np.pi / 24)}, index=times))
        >>> metrics = train(city, "adaptive-climatology", device="cpu")
        >>> sorted(metrics)[:3], city.models()
        (['best_epoch', 'calibration_from', 'calibration_to'], ['adaptive-climatology'])
    """
    from lecdiff_core.city import history
    from lecdiff_core.city.folder import City
    from lecdiff_core.city.splits import protocol_split, split_for_use
    from lecdiff_core.devices import choose_device, device_label
    from lecdiff_core.environment.embedding.table import read_panel
    from lecdiff_core.models.catalogue import build, entry, seen
    from lecdiff_core.models.checkpoint import config_for, save_model
    from lecdiff_core.training import RECIPES, dates_of
    from lecdiff_core.training import train as fit

    city = City.of(city)
    if preset not in PRESETS:
        raise UserError(f"--preset must be one of {', '.join(PRESETS)}, not {preset!r}")
    if preset == "paper" and model != OURS:
        raise UserError(f"the paper preset is a form of lec-diff; {model!r} has only the default preset")
    if model in SHIPPED:
        raise UserError(f"nothing of {model!r} is trained, it is as it was shipped; {OURS} starts from the base model")
    name = PAPER if preset == "paper" else model
    where = choose_device(device)
    chosen = entry(name)
    history.require("benchmark" if protocol else "train", city)
    panel, encoder = read_panel(city, chosen.embedding)
    panel = seen(name, panel)
    split = protocol_split(panel.steps) if protocol else split_for_use(panel.steps, panel.steps_per_day)
    untrained = build(name, panel, seed)
    folder = city.model_folder(name)
    checkpoint = folder / UNFINISHED_FILE
    with working(city.path, "train"):
        folder.mkdir(parents=True, exist_ok=True)
        log = fit(untrained, panel, split, RECIPES[chosen.recipe], seed, where, checkpoint, report)
        trained_on = None if panel.environment is None else encoder
        config = config_for(city, name, untrained.recipe, untrained.settings(), trained_on, seed)
        parameters = sum(parameter.numel() for parameter in untrained.parameters())
        metrics = log | {"parameters": parameters, "device": device_label(where)} | dates_of(split, panel)
        save_model(folder, untrained.cpu(), config, metrics)
        checkpoint.unlink(missing_ok=True)
    return metrics


def forecast(
    city: "City | Path | str",
    model: str = PREFERRED,
    start: "pd.Timestamp | str | None" = None,
    steps: int | None = None,
    samples: int = 100,
    stations: Sequence[str] | None = None,
    device: str = "auto",
    seed: int = 0,
    report: Report = silent,
) -> "Forecast":
    """Forecast a city with a saved model, or with the shipped base model where LEC-Diff has not been trained on it."""
    from lecdiff_core.forecaster import Forecaster

    return Forecaster.load(city, model, device).forecast(start, steps, samples, stations, seed, report)


def benchmark(
    city: "City | Path | str",
    out: Path | str,
    part: str = "test",
    models: Sequence[str] | None = None,
    seeds: int = 3,
    hold_out_stations: float = 0.0,
    history_hours: int | None = None,
    device: str = "auto",
    report: Report = silent,
    base_without: str | None = None,
) -> dict[str, Any]:
    """Measure models on a city by the measurement protocol (docs/measuring.md) and keep the results in a file.

    Results that are there already are not computed again.

    Args:
        city: opened, or its folder.
        out: the file, .json.
        part: "test" (the last 20 %, for tables), "validation" (four expanding folds before it, for choosing) or "zero-shot"
            (nothing is fitted on the city).
        models: names; None = the quick ones.
        seeds: how often each model is trained.
        hold_out_stations: share of stations left out of training and measured alone.
        history_hours: forecasts see only so much past, of the stations held out or else of all; 0 = none: every station in turn
            is told from the others, its surroundings and its place.
        device: "auto", "cpu" or "cuda".
        report: called with what is done, how much there is to do, and words.
        base_without: the network that the base model's numbers are to have seen nothing of.

    Returns:
        What is in the file: `results`, a row a model, seed and dependence of samples with nCRPS (the fair CRPS over the sum of
        the traffic), coverage, errors and seconds; and beside it `left_out` and `notices`.

    Raises:
        UserError: for an unknown part or model, less than 20 days of traffic (3 with "zero-shot"), and a file of something else.

    Examples:
        >>> import tempfile, numpy as np, pandas as pd
        >>> from lecdiff_core import City, benchmark
        >>> times = pd.date_range("2024-03-01", periods=24 * 20, freq="1h", tz="UTC")
        >>> city = City.from_frames(pd.DataFrame({"A": 50 + 40 * np.sin(np.arange(24 * 20) * 2 * np.pi / 24)}, index=times))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     document = benchmark(city, folder + "/test.json", models=["seasonal-naive"], seeds=1, device="cpu")
        >>> [(row["model"], row["seed"], row["dependence"]) for row in document["results"]]
        [('seasonal-naive', 0, 'own'), ('seasonal-naive', 0, 'schaake'), ('seasonal-naive', 0, 'gaussian')]
        >>> bool(abs(document["results"][0]["ncrps"]) < 0.001)
        True
    """
    from lecdiff_core.city.folder import City, named
    from lecdiff_core.evaluation.backtest import benchmark as measure
    from lecdiff_core.evaluation.backtest import unscored
    from lecdiff_core.evaluation.unseen import benchmark_unseen

    city, out = City.of(city), Path(out)
    chosen = None if models is None else tuple(models)
    if history_hours == 0:
        document = benchmark_unseen(city, out, part, chosen, seeds, hold_out_stations, report)
    else:
        document = measure(
            city, out, part, chosen, seeds, hold_out_stations, history_hours, device, report, base_without
        )
    names = unscored(city, part)
    said = f"not scored, as nothing was observed of them in the {part} part: {named(names)}"
    return document | {
        "left_out": names,
        "notices": [f"{len(names):,} of {len(city.station_ids):,} stations are {said}"] if names else [],
    }


def surges(
    city: "City | Path | str",
    out: Path | str,
    model: str = PREFERRED,
    since: "pd.Timestamp | str | None" = None,
    false_alarms_per_day: float = 1.0,
    device: str = "auto",
    report: Report = silent,
) -> dict[str, Any]:
    """Find surges, keep them in the city folder, and write those reported at this rate of false alarms to `out`, .parquet or .csv.

    Returns how many there are and the strongest. An `out` that is the city's own file stays as the search keeps it.
    """
    from lecdiff_core.city.folder import City
    from lecdiff_core.surges import FILED, find_surges
    from lecdiff_core.tables import check_suffix, write_table

    city, out = City.of(city), Path(out)
    check_suffix(out, "surges", "--out")
    if not 0 < false_alarms_per_day <= FILED:
        raise UserError(f"--false-alarms-per-day must be above 0 and at most {FILED:g}, not {false_alarms_per_day:g}")
    detected = find_surges(city, model, since, device, report)
    events = detected.at_most(false_alarms_per_day)
    if out.resolve() != (city.path / SURGES_FILE).resolve():
        write_table(events, out, "surges")
    return {
        "out": str(out),
        "events": len(events),
        "above": int((events["direction"] == "above").sum()),
        "below": int((events["direction"] == "below").sum()),
        "false_alarms_per_day": false_alarms_per_day,
        "searched_from": detected.scores.index[0].isoformat(),
        "searched_to": detected.scores.index[-1].isoformat(),
        "left_out": detected.unjudged,
        "notices": detected.notices,
    }
