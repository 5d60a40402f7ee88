"""The measurements that the accuracy page shows, of the open city and shipped; read again when a file changed."""

from pathlib import Path

import streamlit as st

from lecdiff_core.assets import assets_folder, results_folder
from lecdiff_core.city.folder import City
from lecdiff_core.city.layout import benchmark_file
from lecdiff_core.evaluation import results
from lecdiff_core.evaluation.results import Benchmark, LatencyStudy, SamplerStudy
from lecdiff_core.models.names import OURS
from pages.parts.data import cities
from pages.parts.data.cities import Stamp

DEMO = "demo"  # the shipped results of the shipped city


def of_city(city: City) -> Benchmark | None:
    """Results of the open city, from its folder; those that are shipped for the shipped city. Raises UserError."""
    file = benchmark_file(city.path, "test")
    if file.is_file():
        return _benchmark(file, cities.stamp(file))
    if city.path.resolve() == (assets_folder() / DEMO).resolve():
        return shipped(DEMO)
    return None


def station_errors(city: City) -> dict[str, float]:
    """Error of each station of the open city under LEC-Diff; empty where it was not measured. Raises UserError."""
    found = of_city(city)
    ours = results.models(found.results).get(OURS) if found else None
    known = set(city.station_ids)
    return {name: error for name, error in ours.by_station.items() if name in known} if ours else {}


def version(city: City) -> Stamp:
    """Changes when the measurements of the open city do."""
    folder = results_folder()
    return cities.stamp(benchmark_file(city.path, "test"), folder / f"{DEMO}.json", folder / "peers" / f"{DEMO}.json")


def shipped(name: str) -> Benchmark | None:
    """The committed results of a city, with those of other libraries. Raises UserError."""
    folder = results_folder()
    return _shipped(folder, name, cities.stamp(folder / f"{name}.json", folder / "peers" / f"{name}.json"))


def surroundings() -> Benchmark | None:
    """What knowing the surroundings adds, on the demo city. Raises UserError."""
    file = results_folder() / "environment_effect.json"
    return _benchmark(file, cities.stamp(file)) if file.is_file() else None


def samplers() -> SamplerStudy | None:
    """Error against denoising steps. Raises UserError."""
    file = results_folder() / "samplers.json"
    return _samplers(file, cities.stamp(file)) if file.is_file() else None


def latency() -> LatencyStudy | None:
    """Latency against network size. Raises UserError."""
    folder = results_folder()
    return _latency(folder, cities.stamp(*(folder / name for name in results.LATENCY_FILES)))


@st.cache_resource(max_entries=16, show_spinner=False)
def _benchmark(file: Path, changed: Stamp) -> Benchmark:  # noqa: ARG001 (part of the key)
    return results.read_benchmark(file)


@st.cache_resource(max_entries=16, show_spinner=False)
def _shipped(folder: Path, name: str, changed: Stamp) -> Benchmark | None:  # noqa: ARG001
    return results.read_committed(folder, name)


@st.cache_resource(max_entries=2, show_spinner=False)
def _samplers(file: Path, changed: Stamp) -> SamplerStudy:  # noqa: ARG001
    return results.read_sampler_study(file)


@st.cache_resource(max_entries=2, show_spinner=False)
def _latency(folder: Path, changed: Stamp) -> LatencyStudy | None:  # noqa: ARG001
    return results.read_latency_study(folder)
