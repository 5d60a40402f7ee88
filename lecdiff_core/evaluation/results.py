"""Benchmark files read back: models with their seeds, and verdicts. README's tables and the accuracy page share it.

A benchmark file is what `lecdiff benchmark` writes; benchmarks/results holds those of the committed tables, and below `peers` the
results of other libraries on the same windows. Files of version 1 of the measurement protocol are read, too; what they lack is
empty.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from lecdiff_core.bounded import read_json
from lecdiff_core.errors import UserError
from lecdiff_core.evaluation.metrics import bootstrap_interval
from lecdiff_core.models.names import NAMES, OURS, label_of

SAMPLER_LABELS = {"ancestral": "Ancestral (DDPM)", "ddim": "DDIM", "heun": "Heun", "dpm-solver": "DPM-Solver++"}
CITIES = ("milan", "nanjing", "demo", "lte-year", "town-300")  # of the committed tables
# Cities by the name of their file that are of one network, which counts once; any other is a network of its own.
NETWORKS = {
    "milan": "Milan",
    "milan-grid400-a": "Milan",
    "milan-grid400-b": "Milan",
    "demo": "generated",
    "town-300": "generated",
}
LEAST_NETWORKS = 6  # for a difference over cities to be a win
SCORES = ("step", "day_peak", "day_total", "area_5", "area_20", "area_20_peak", "area_all")
LATENCY_FILES = ("latency.json", "latency-gpu.json", "peers/latency.json")


class Calibrated(BaseModel):
    """Scores after online calibration (conformal.py)."""

    coverage_50: float
    coverage_90: float
    ncrps: float


class HourScore(BaseModel):
    """Scores of one hour of the day."""

    ncrps: float
    nmae: float


class Score(BaseModel):
    """The scores of one kind of value. Coverage is made from the counts by day."""

    ncrps: float
    coverage_50: float
    coverage_90: float
    scored: int
    ncrps_by_day: dict[str, float] = {}
    inside_50_by_day: dict[str, int] = {}
    inside_90_by_day: dict[str, int] = {}
    count_by_day: dict[str, int] = {}
    coverage_50_interval: tuple[float, float] | None = None
    coverage_90_interval: tuple[float, float] | None = None


class Covered(BaseModel):
    """How many observations lay inside the central 50 % and 90 %, of how many."""

    inside_50: int
    inside_90: int
    count: int

    def __add__(self, other: "Covered") -> "Covered":
        return Covered(
            inside_50=self.inside_50 + other.inside_50,
            inside_90=self.inside_90 + other.inside_90,
            count=self.count + other.count,
        )


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
    step: Score | None = None
    day_peak: Score | None = None
    day_total: Score | None = None
    area_5: Score | None = None
    area_20: Score | None = None
    area_20_peak: Score | None = None
    area_all: Score | None = None
    energy_path: float | None = None
    energy_block_20: float | None = None
    twcrps_95: float | None = None
    coverage_by_hour: dict[int, Covered] = {}
    coverage_by_lead: dict[int, Covered] = {}
    coverage_by_decile: dict[int, Covered] = {}
    coverage_by_station: dict[str, Covered] = {}
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
        """A score after online calibration, mean over seeds; None where it was not measured."""
        values = [getattr(run.conformal, score) for run in self.runs if run.conformal]
        return float(np.mean(values)) if values else None

    @property
    def by_day(self) -> dict[str, float]:
        """nCRPS of the days that all seeds have, mean over seeds."""
        return _mean_by_day([run.ncrps_by_day for run in self.runs])

    def scores(self, name: str) -> list[Score]:
        """One of SCORES, a seed each; empty where a seed lacks it."""
        scores = [score for run in self.runs if (score := getattr(run, name))]
        return scores if len(scores) == len(self.runs) else []

    def ncrps(self, name: str) -> float:
        """nCRPS of one of SCORES, mean over seeds; NaN where a seed lacks it."""
        if name == "step":
            return self.mean("ncrps")
        scores = self.scores(name)
        return float(np.mean([score.ncrps for score in scores])) if scores else float("nan")

    def ncrps_by_day(self, name: str) -> dict[str, float]:
        """nCRPS of one of SCORES on the days that all seeds have, mean over seeds; empty where a seed lacks it."""
        return self.by_day if name == "step" else _mean_by_day([score.ncrps_by_day for score in self.scores(name)])

    def coverage(self, name: str, width: int = 90) -> float:
        """Share of one of SCORES inside its central 50 % or 90 %, mean over seeds; NaN where a seed lacks it."""
        if name == "step":
            return self.mean(f"coverage_{width}")
        scores = self.scores(name)
        return float(np.mean([getattr(score, f"coverage_{width}") for score in scores])) if scores else float("nan")

    def coverage_interval(self, name: str, width: int = 90) -> tuple[float, float] | None:
        """The 95 % interval of a coverage by a bootstrap of days, stations and seeds together; None without counts by day."""
        scores = self.scores(name)
        days = sorted({day for score in scores for day in score.count_by_day})
        inside, count = (
            np.array([sum(getattr(score, part).get(day, 0) for score in scores) for day in days], float)
            for part in (f"inside_{width}_by_day", "count_by_day")
        )
        return bootstrap_interval(inside, count) if days else None

    def misses(self, name: str, width: int = 90) -> bool:
        """Whether what an interval promises lies outside of what its coverage may be."""
        interval = self.coverage_interval(name, width)
        return interval is not None and not interval[0] <= width / 100 <= interval[1]

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


def _mean_by_day(seeds: list[dict[str, float]]) -> dict[str, float]:
    days = sorted(set.intersection(*map(set, seeds))) if seeds else []
    return {day: float(np.mean([by_day[day] for by_day in seeds])) for day in days}


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


@dataclass(frozen=True)
class Standing:
    """One model beside another over cities.

    change: of the nCRPS relative to the other's, mean over networks; negative is better.  error: its standard error over networks.
    """

    outcome: Literal["win", "loss", "ahead", "behind"]
    change: float
    error: float
    networks: int


def read_benchmark(file: Path) -> Benchmark:
    """A benchmark file. Raises UserError with file and place where it is none."""
    return _read(file, Benchmark)


def read_sampler_study(file: Path) -> SamplerStudy:
    """What benchmarks/accuracy/samplers.py wrote. Raises UserError with file and place where it is something else."""
    return _read(file, SamplerStudy)


def read_latency_study(folder: Path) -> LatencyStudy | None:
    """What benchmarks/speed/latency.py and benchmarks/peers/latency.py wrote on CPU and GPU; None where none did.

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
        raise UserError(f"{file.name}: not such a result ({place}: {first['msg'].lower()}); measure again") from error
    except (OSError, ValueError) as error:
        raise UserError(f"{file.name}: cannot be read ({error}); measure again") from error


def read_committed(folder: Path, city: str) -> Benchmark | None:
    """A city of the committed tables, with the results of other libraries; None where it was not measured."""
    files = [file for file in (folder / f"{city}.json", folder / "peers" / f"{city}.json") if file.is_file()]
    if not files:
        return None
    read = [read_benchmark(file) for file in files]
    return read[0].model_copy(update={"results": [result for part in read for result in part.results]})


def models(results: Iterable[Result], conditions: Conditions = WHOLE) -> dict[str, Model]:
    """The models measured under these conditions, by name, the best nCRPS first.

    Where LEC-Diff was measured by version 2 of the protocol, what only version 1 measured is left out, but for other libraries'
    models (`older`), which take hours to measure.
    """
    runs: dict[str, list[Result]] = {}
    for result in results:
        if conditions == (result.subset, result.hold_out_stations, result.history_hours, result.dependence):
            runs.setdefault(result.model, []).append(result)
    measured = [Model(name, tuple(sorted(of, key=lambda run: run.seed))) for name, of in runs.items()]
    by_name = {model.name: model for model in sorted(measured, key=lambda model: model.mean("ncrps"))}
    libraries = {name for name, named in NAMES.items() if named.role == "library"}
    return {name: model for name, model in by_name.items() if not older(by_name, name) or name in libraries}


def older(models: Mapping[str, Model], name: str) -> bool:
    """Whether LEC-Diff was measured by version 2 of the protocol and this model by version 1."""
    return OURS in models and models[OURS].runs[0].step is not None and models[name].runs[0].step is None


def verdict(mine: Model, other: Model, score: str = "step") -> Verdict:
    """Mine against the other: more than two standard errors of the paired daily difference is a win or a loss, else a tie."""
    difference, error = paired_difference(mine.ncrps_by_day(score), other.ncrps_by_day(score))
    change = mine.ncrps(score) / other.ncrps(score) - 1
    if not abs(difference) > 2 * error:  # also where a single day gives no error
        return Verdict("tie", difference, error, change)
    return Verdict("win" if difference < 0 else "loss", difference, error, change)


def paired_difference(mine: Mapping[str, float], other: Mapping[str, float]) -> tuple[float, float]:
    """Mean over days of the difference of two `ncrps_by_day`, and its standard error.

    Forecasts of a day's last origins reach into the next, so that neighbouring days are not independent: the error is that of Newey
    & West (1987) with one day's lag, and never less than without, as a handful of days can seem to make up for one another.
    """
    days = sorted(mine.keys() & other.keys())
    difference = np.array([mine[day] - other[day] for day in days])
    if len(difference) < 2:
        return (float(difference.mean()) if len(difference) else float("nan")), float("nan")
    centred = difference - difference.mean()
    following = np.diff(np.array(days, "datetime64[D]")) == np.timedelta64(1, "D")
    lagged = float((centred[:-1] * centred[1:])[following].sum())
    variance = (float((centred**2).sum()) + max(lagged, 0.0)) / (
        len(difference) - 1
    )  # Bartlett's weight of one lag is a half
    return float(difference.mean()), float(np.sqrt(variance / len(difference)))


def mean_over_networks(values: Mapping[str, float]) -> float:
    """Mean of values by the name of a city's file, each network counted alike."""
    return float(np.mean(_by_network(values)))


def over_cities(changes: Mapping[str, float]) -> Standing:
    """From the relative differences in each city (`Verdict.change`), by the name of its file, each network counted alike.

    A win or a loss only with six networks or more, beyond the 97.5 % quantile of Student's t with n - 1 degrees of freedom.
    """
    from scipy.special import stdtrit

    by_network = _by_network(changes)
    count, change = len(by_network), float(np.mean(by_network))
    error = float(np.std(by_network, ddof=1) / np.sqrt(count)) if count > 1 else float("nan")
    sure = count >= LEAST_NETWORKS and abs(change) > stdtrit(count - 1, 0.975) * error
    if change < 0:
        return Standing("win" if sure else "ahead", change, error, count)
    return Standing("loss" if sure else "behind", change, error, count)


def _by_network(values: Mapping[str, float]) -> np.ndarray:
    networks: dict[str, list[float]] = {}
    for city, value in values.items():
        networks.setdefault(NETWORKS.get(city, city), []).append(value)
    return np.array([np.mean(of) for of in networks.values()])


def pooled(coverages: Iterable[Mapping[int, Covered]]) -> dict[int, Covered]:
    """Counts by hour, lead or decile added up over seeds and cities."""
    counted: dict[int, Covered] = {}
    for coverage in coverages:
        for number, counts in coverage.items():
            counted[number] = counted[number] + counts if number in counted else counts
    return dict(sorted(counted.items()))
