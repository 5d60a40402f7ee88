"""Benchmark files read back: models with their seeds, and verdicts. README's tables and the accuracy page share it.

A benchmark file is what `lecdiff benchmark` writes; benchmarks/results holds those of the committed tables, and below `peers` the
results of other libraries on the same windows.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from lecdiff_core.bounded import read_json
from lecdiff_core.errors import UserError
from lecdiff_core.names import label_of

SAMPLER_LABELS = {"ancestral": "Ancestral (DDPM)", "ddim": "DDIM", "heun": "Heun", "dpm-solver": "DPM-Solver++"}
CITIES = ("milan", "nanjing", "demo")  # of the committed tables
LATENCY_FILES = ("latency.json", "latency-gpu.json", "peers/latency.json")


class Calibrated(BaseModel):
    """Scores after split-conformal widening."""

    coverage_50: float
    coverage_90: float
    ncrps: float


class HourScore(BaseModel):
    """Scores of one hour of the day."""

    ncrps: float
    nmae: float


class Result(BaseModel):
    """One model and seed on one city, as a benchmark file holds it; what a file may lack is empty here."""

    model_config = ConfigDict(frozen=True, protected_namespaces=())

    model: str
    seed: int = 0
    subset: bool = False  # only the windows that slow models are measured on
    hold_out_stations: float = 0.0
    history_hours: int | None = None
    dependence: str = "own"
    mae: float
    rmse: float
    ncrps: float
    ncrps_by_day: dict[str, float]
    coverage_50: float
    coverage_90: float
    conformal: Calibrated | None = None
    interval_score_90: float | None = None
    energy_score: float | None = None
    pit: list[float] = []
    by_hour: dict[int, HourScore] = {}
    ncrps_by_station: dict[str, float] = {}
    parameters: int | None = None
    train_seconds: float | None = None
    sample_seconds: float | None = None
    peak_mb: float | None = None


class Benchmark(BaseModel):
    """A benchmark file."""

    city: str
    part: str
    device: str = ""
    results: list[Result]


class SamplerRun(BaseModel):
    """One city, sampler and number of steps. evaluations: calls of the network for a sample."""

    city: str
    sampler: str
    steps: int
    evaluations: int
    ncrps: float


class SamplerStudy(BaseModel):
    """nCRPS against denoising steps, on validation data. sampler, steps: the default."""

    sampler: str
    steps: int
    results: list[SamplerRun]

    def default(self, city: str) -> SamplerRun | None:
        """The run of a city with the default sampler and steps."""
        return next((run for run in self._of(city, self.sampler) if run.steps == self.steps), None)

    def most(self, city: str) -> SamplerRun | None:
        """The run of a city with the default sampler and the most steps."""
        return max(self._of(city, self.sampler), key=lambda run: run.steps, default=None)

    def curves(self, city: str) -> dict[str, list[tuple[int, float]]]:
        """Evaluations and nCRPS of each sampler, by evaluations; the default's first."""
        samplers = {run.sampler for run in self.results if run.city == city}
        order = sorted(samplers, key=lambda name: (name != self.sampler, name))
        return {name: sorted((run.evaluations, run.ncrps) for run in self._of(city, name)) for name in order}

    def _of(self, city: str, sampler: str) -> list[SamplerRun]:
        return [run for run in self.results if (run.city, run.sampler) == (city, sampler)]


class LatencyRun(BaseModel):
    """Time and memory of one forecast. whole: measured as it is, not worked out from a part of it.

    seconds: the median of a few.  stolen: share of the processors that a virtual machine's host took meanwhile.
    stations: those forecast.  network: how many there are, where not all of them were asked for.
    """

    model: str
    device: str
    stations: int
    network: int | None = None
    seconds: float
    fastest_seconds: float | None = None
    stolen: float | None = None
    us_per_station_step: float
    peak_mb: float | None = None
    whole: bool = True


class LatencyStudy(BaseModel):
    """Latency against network size: `samples` futures of `steps` steps for every station."""

    samples: int
    steps: int
    results: list[LatencyRun]

    @property
    def networks(self) -> list[LatencyRun]:
        """Forecasts of all stations of a network, the smallest first."""
        runs = [run for run in self.results if run.network in (None, run.stations)]
        return sorted(runs, key=lambda run: run.stations)

    @property
    def singles(self) -> list[LatencyRun]:
        """Forecasts of one station with its neighbourhood, out of a network."""
        return [run for run in self.results if run.stations == 1 and run.network not in (None, 1)]


Form = TypeVar("Form", bound=BaseModel)


class Conditions(NamedTuple):
    """What a comparison holds fixed; the names are those of `Result`."""

    subset: bool = False
    hold_out_stations: float = 0.0
    history_hours: int | None = None
    dependence: str = "own"  # or one that was lent to samples drawn apart (dependence.py)


WHOLE = Conditions()  # every station in training, all that is known of it, every window


@dataclass(frozen=True)
class Model:
    """All seeds of one model under the same conditions."""

    name: str
    runs: tuple[Result, ...]

    @property
    def label(self) -> str:
        """Its name for people."""
        return label_of(self.name)

    def mean(self, score: str) -> float:
        """A score's mean over seeds; NaN where a seed lacks it."""
        return float(np.mean([np.nan if (value := getattr(run, score)) is None else value for run in self.runs]))

    def spread(self, score: str) -> float | None:
        """A score's standard deviation over seeds; None for a single seed."""
        values = [getattr(run, score) for run in self.runs]
        return float(np.std(values, ddof=1)) if len(values) > 1 and None not in values else None

    def widened(self, score: str) -> float | None:
        """A score after conformal widening, mean over seeds; None where it was not measured."""
        values = [getattr(run.conformal, score) for run in self.runs if run.conformal]
        return float(np.mean(values)) if values else None

    @property
    def by_day(self) -> dict[str, float]:
        """nCRPS of the days that all seeds have, mean over seeds."""
        days = sorted(set.intersection(*(set(run.ncrps_by_day) for run in self.runs)))
        return {day: float(np.mean([run.ncrps_by_day[day] for run in self.runs])) for day in days}

    @property
    def by_hour(self) -> dict[int, float]:
        """nCRPS of each hour of the day that all seeds have, mean over seeds."""
        hours = sorted(set.intersection(*(set(run.by_hour) for run in self.runs)))
        return {hour: float(np.mean([run.by_hour[hour].ncrps for run in self.runs])) for hour in hours}

    @property
    def by_station(self) -> dict[str, float]:
        """nCRPS of each station, of the first seed that has them."""
        return next((run.ncrps_by_station for run in self.runs if run.ncrps_by_station), {})

    @property
    def pit(self) -> np.ndarray:
        """Shares of the observations by their rank in the forecast, (bins,), mean over seeds; empty where not measured."""
        shares = [run.pit for run in self.runs if run.pit]
        return np.mean(shares, axis=0) if shares and len({len(share) for share in shares}) == 1 else np.empty(0)


@dataclass(frozen=True)
class Verdict:
    """One model against another by the paired test of the measurement protocol.

    difference, error: mean over days of the difference in nCRPS, and its standard error.  change: of the whole nCRPS, relative
    to the other's; negative is better.
    """

    outcome: Literal["win", "tie", "loss"]
    difference: float
    error: float
    change: float


def read_benchmark(file: Path) -> Benchmark:
    """A benchmark file. Raises UserError with file and place where it is none."""
    return _read(file, Benchmark)


def read_sampler_study(file: Path) -> SamplerStudy:
    """What benchmarks/samplers.py wrote. Raises UserError with file and place where it is something else."""
    return _read(file, SamplerStudy)


def read_latency_study(folder: Path) -> LatencyStudy | None:
    """What benchmarks/latency.py and benchmarks/peers/latency.py wrote on CPU and GPU; None where none did.

    Raises UserError with file and place where a file is something else.
    """
    files = [file for name in LATENCY_FILES if (file := folder / name).is_file()]
    read = [_read(file, LatencyStudy) for file in files]
    return read[0].model_copy(update={"results": [run for part in read for run in part.results]}) if read else None


def _read(file: Path, form: type[Form]) -> Form:
    try:
        return form.model_validate(read_json(file))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the whole"
        raise UserError(f"{file.name}: not such a result ({place}: {first['msg'].lower()}); measure anew") from error
    except (OSError, ValueError) as error:
        raise UserError(f"{file.name}: cannot be read ({error}); measure anew") from error


def read_committed(folder: Path, city: str) -> Benchmark | None:
    """A city of the committed tables, with the results of other libraries; None where it was not measured."""
    files = [file for file in (folder / f"{city}.json", folder / "peers" / f"{city}.json") if file.is_file()]
    if not files:
        return None
    read = [read_benchmark(file) for file in files]
    return read[0].model_copy(update={"results": [result for part in read for result in part.results]})


def models(results: Iterable[Result], conditions: Conditions = WHOLE) -> dict[str, Model]:
    """The models measured under these conditions, by name, the best nCRPS first."""
    runs: dict[str, list[Result]] = {}
    for result in results:
        if conditions == (result.subset, result.hold_out_stations, result.history_hours, result.dependence):
            runs.setdefault(result.model, []).append(result)
    found = [Model(name, tuple(sorted(of, key=lambda run: run.seed))) for name, of in runs.items()]
    return {model.name: model for model in sorted(found, key=lambda model: model.mean("ncrps"))}


def verdict(mine: Model, other: Model) -> Verdict:
    """Mine against the other: more than two standard errors of the paired daily difference is a win or a loss, else a tie."""
    difference, error = paired_difference(mine.by_day, other.by_day)
    change = mine.mean("ncrps") / other.mean("ncrps") - 1
    if not abs(difference) > 2 * error:  # also where a single day gives no error
        return Verdict("tie", difference, error, change)
    return Verdict("win" if difference < 0 else "loss", difference, error, change)


def paired_difference(mine: dict[str, float], other: dict[str, float]) -> tuple[float, float]:
    """Mean over days of the difference of two `ncrps_by_day`, and its standard error."""
    days = sorted(mine.keys() & other.keys())
    difference = np.array([mine[day] - other[day] for day in days])
    if len(difference) < 2:
        return (float(difference.mean()) if len(difference) else float("nan")), float("nan")
    return float(difference.mean()), float(difference.std(ddof=1) / np.sqrt(len(difference)))
