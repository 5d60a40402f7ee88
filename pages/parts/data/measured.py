"""The measurements that the accuracy page shows, of the open city and shipped; read again when a file changed."""

from pathlib import Path

from lecdiff_core.assets import assets_folder, results_folder
from lecdiff_core.city.folder import City
from lecdiff_core.city.layout import benchmark_file
from lecdiff_core.evaluation import results
from lecdiff_core.evaluation.results import Benchmark, LatencyStudy, SamplerStudy
from lecdiff_core.models.names import OURS
from pages.parts.data.reading import Stamp, read_once, stamp

DEMO = "demo"  # the shipped results of the shipped city


def of_city(city: City) -> Benchmark | None:
    """Results of the open city, from its folder; those that are shipped for the shipped city. Raises UserError."""
    file = benchmark_file(city.path, "test")
    if file.is_file():
        return _benchmark(file)
    if city.path.resolve() == (assets_folder() / DEMO).resolve():
        return shipped(DEMO)
    return None


def station_errors(city: City) -> dict[str, float]:
    """Error of each station of the open city under LEC-Diff; empty where it was not measured. Raises UserError."""
    benchmark = of_city(city)
    ours = results.models(benchmark.results).get(OURS) if benchmark else None
    known = set(city.station_ids)
    return {name: error for name, error in ours.by_station.items() if name in known} if ours else {}


def version(city: City) -> Stamp:
    """Changes when the measurements of the open city do."""
    return stamp(benchmark_file(city.path, "test"), *_shipped_files(results_folder(), DEMO))


def shipped(name: str) -> Benchmark | None:
    """The committed results of a city, with those of other libraries. Raises UserError."""
    return _shipped(results_folder(), name)


def surroundings() -> Benchmark | None:
    """What knowing the surroundings adds, on the demo city. Raises UserError."""
    file = results_folder() / "environment_effect.json"
    return _benchmark(file) if file.is_file() else None


def history_effect() -> Benchmark | None:
    """What surroundings are worth by the length of a station's history, on the demo city. Raises UserError."""
    file = results_folder() / "history_effect.json"
    return _benchmark(file) if file.is_file() else None


def samplers() -> SamplerStudy | None:
    """Error against denoising steps. Raises UserError."""
    file = results_folder() / "samplers.json"
    return _samplers(file) if file.is_file() else None


def latency() -> LatencyStudy | None:
    """Latency against network size. Raises UserError."""
    return _latency(results_folder())


def _shipped_files(folder: Path, name: str) -> list[Path]:
    return [folder / f"{name}.json", folder / "peers" / f"{name}.json"]


@read_once(_shipped_files, entries=16)
def _shipped(folder: Path, name: str) -> Benchmark | None:
    return results.read_committed(folder, name)


@read_once(lambda file: [file], entries=16)
def _benchmark(file: Path) -> Benchmark:
    return results.read_benchmark(file)


@read_once(lambda file: [file], entries=2)
def _samplers(file: Path) -> SamplerStudy:
    return results.read_sampler_study(file)


@read_once(lambda folder: [folder / name for name in results.LATENCY_FILES], entries=2)
def _latency(folder: Path) -> LatencyStudy | None:
    return results.read_latency_study(folder)
