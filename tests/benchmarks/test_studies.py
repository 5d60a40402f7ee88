"""The studies of latency and of denoising steps: what is measured, and what is worked out from it."""

import argparse
from pathlib import Path

import pytest

from benchmarks.accuracy import samplers
from benchmarks.speed import latency
from lecdiff_core.demo import generate_town
from lecdiff_core.evaluation.results import LatencyRun, LatencyStudy, SamplerRun

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_latency_is_measured_as_the_app_forecasts(tmp_path: Path) -> None:
    generate_town(tmp_path / "town", stations=12, seed=1, days=latency.DAYS, imagery=False)
    chosen = argparse.Namespace(device="cpu", repeats=2, compile=False)
    runs = [latency.measured_apart(tmp_path / "town", "lec-diff", chosen, single) for single in (False, True)]
    study = LatencyStudy(samples=latency.SAMPLES, steps=latency.STEPS, results=[LatencyRun(**run) for run in runs])
    assert [run.stations for run in study.networks] == [12] and len(study.singles) == 1
    for run in study.results:
        assert run.us_per_station_step == pytest.approx(1e6 * run.seconds / (run.stations * 48), rel=0.01)
        assert run.whole and run.peak_mb and run.peak_mb > 100


def test_what_is_worked_out_says_so() -> None:
    measured = {"model": "timegrad", "device": "CPU", "stations": 20, "seconds": 9.6, "us_per_station_step": 10_000.0}
    larger = latency.worked_out(measured | {"peak_mb": 500, "whole": True}, 2000)
    assert larger["seconds"] == pytest.approx(960) and not larger["whole"] and larger["peak_mb"] is None


def test_the_conclusion_compares_the_default_with_the_most_steps() -> None:
    rows = [
        {"city": "Milan", "sampler": sampler, "steps": steps, "evaluations": steps, "ncrps": ncrps}
        for sampler, steps, ncrps in (("ddim", 8, 0.5), ("dpm-solver", 8, 0.1005), ("dpm-solver", 100, 0.1))
    ]
    said = samplers.conclusion(rows, "dpm-solver", 8)
    assert [(line["above"], line["within_one_percent"]) for line in said] == [(pytest.approx(0.005), True)]
    rows[1]["ncrps"] = 0.102
    assert not samplers.conclusion(rows, "dpm-solver", 8)[0]["within_one_percent"]
    assert SamplerRun.model_validate(rows[0]).ncrps == 0.5
