"""Jobs in the background: real processes on a small city, seen through nothing but the city folder."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lecdiff_core import api, locks
from lecdiff_core.city.folder import City
from lecdiff_core.errors import UserError
from lecdiff_core.jobs import background
from lecdiff_core.jobs.background import Job
from lecdiff_core.processes import Process
from tests.jobs import slow_step

PATIENCE = 120.0
SECRET = "sk-very-secret-0123456789"


def wait(job: Job, until: Callable[[Job], object]) -> Job:
    """Look at the folder until something is so."""
    deadline = time.monotonic() + PATIENCE
    while not until(job := background.find(job.city, job.id)):
        assert time.monotonic() < deadline, f"{job.state}: {job.log()}"
        time.sleep(0.1)
    return job


def ended(job: Job) -> bool:
    return job.state != "running"


def moving(job: Job) -> bool:
    assert job.state == "running", job.log()
    return job.progress is not None and job.progress.done > 0


@pytest.fixture
def city(little_city: City) -> Iterator[Path]:
    """A small city; whatever still works on it at the end is ended."""
    yield little_city.path
    for job in background.jobs(little_city.path):
        if job.state == "running":
            background.cancel(job, grace=5)


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every job counts to a hundred."""
    monkeypatch.setattr(background.subprocess, "Popen", slow_step.popen)


def test_start_progress_cancel_resume(city: Path, slow: None) -> None:
    job = wait(background.start(city, "train"), lambda job: job.progress and job.progress.done >= 12)
    assert job.state == "running" and 0 < job.progress.share < 1 and "so far" in job.progress.message
    assert psutil.Process(job.process.pid).nice() >= 10
    for step in ("train", "import"):
        with pytest.raises(UserError, match="train is running on little already"):
            background.start(city, step)
    with pytest.raises(UserError, match="still running"):
        background.forget(job)
    beside = background.start(city, "embed")
    stopped = background.cancel(job)
    assert stopped.state == "stopped" and not stopped.process.alive()
    assert background.find(city, beside.id).state == "running"
    background.cancel(beside)
    kept = int((city / slow_step.KEPT).read_text())
    resumed = background.resume(stopped)
    assert (resumed.id, resumed.order) == (job.id, job.order) and resumed.process != job.process
    assert wait(resumed, lambda job: job.progress).progress.done >= kept >= 10
    with pytest.raises(UserError, match="already"):
        background.resume(stopped)
    background.cancel(resumed)
    again = background.start(city, "train")
    assert [one.id for one in background.jobs(city)] == [again.id, beside.id] != [job.id, beside.id]
    background.forget(background.cancel(again))
    assert [one.id for one in background.jobs(city)] == [beside.id]


def test_a_job_that_died_is_seen_to_be_dead_and_can_be_resumed(city: Path, slow: None) -> None:
    job = wait(background.start(city, "train"), moving)
    os.killpg(job.process.pid, signal.SIGKILL)
    died = wait(job, ended)
    assert died.state == "died" and died.outcome is None
    resumed = background.resume(died)
    assert wait(resumed, moving).state == "running"
    assert wait(resumed, ended).state == "done"


def test_what_does_not_stop_by_itself_is_ended(city: Path, slow: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEAF", "deaf")
    job = wait(background.start(city, "train"), moving)
    stopped = background.cancel(job, grace=0.5)
    assert stopped.state == "stopped" and not stopped.process.alive()


def test_a_number_given_out_again_is_never_killed(city: Path, slow: None) -> None:
    """The job's process is long gone, and its number belongs to somebody else now."""
    stranger = slow_step.real_popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
    try:
        job = wait(background.start(city, "train"), moving)
        background.cancel(job)
        (job.folder / "outcome.json").unlink()
        there = Process.of(stranger.pid)
        earlier = Process(pid=there.pid, started=f"{there.started}0")
        (job.folder / "process.json").write_text(earlier.model_dump_json())
        assert there.alive() and not earlier.alive()
        assert background.find(city, job.id).state == "died"
        assert background.cancel(job).state == "stopped"
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


WATCH = """
import sys
from pathlib import Path
from lecdiff_core.jobs import background
job, = background.jobs(Path(sys.argv[1]))
print(job.state, job.progress.message)
if len(sys.argv) > 2:
    print(background.cancel(job).state)
"""
STARTS = f"""
import sys
from pathlib import Path
sys.path.append({str(Path(__file__).parents[2])!r})
from tests.jobs import slow_step
from lecdiff_core.jobs import background
background.subprocess.Popen = slow_step.popen
print(background.start(Path(sys.argv[1]), "train").id)
"""


def python(program: str, *words: object) -> list[str]:
    done = subprocess.run([sys.executable, "-c", program, *map(str, words)], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_a_job_outlives_the_server_that_started_it_and_is_known_to_the_next(city: Path) -> None:
    (job_id,) = python(STARTS, city)  # that process has ended by now
    wait(background.find(city, job_id), moving)
    assert [one.id for one in background.jobs(city)] == [job_id]
    state, stopped = python(WATCH, city, "cancel")
    assert state.startswith("running counting") and stopped == "stopped"
    assert background.find(city, job_id).state == "stopped"


def test_two_tabs_start_at_once_and_one_wins(city: Path) -> None:
    program = [sys.executable, "-c", STARTS, str(city)]
    both = [subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate() for process in both]
    assert sorted(process.returncode for process in both) == [0, 1]
    assert sum("is running on little already" in error for _, error in said) == 1
    assert len(background.jobs(city)) == 1


def test_a_training_started_in_a_terminal_is_named(city: Path) -> None:
    other, told = (
        holding(city, "train"),
        r"little: lecdiff train is at work on it \(process \d+, since .* UTC\); wait for it",
    )
    try:
        with pytest.raises(UserError, match=told):
            background.start(city, "train")
        with pytest.raises(UserError, match=told):
            background.start(city, "import")
        with pytest.raises(UserError, match=told):
            api.train(City.open(city), "climatology", device="cpu")
        assert background.jobs(city) == []
    finally:
        other.kill()
        other.wait()
    api.train(City.open(city), "climatology", device="cpu")  # who died blocks nobody
    assert locks.at_work(city, "train") is None


def holding(city: Path, step: str) -> subprocess.Popen:
    """A process that is at work on a city."""
    words = [sys.executable, "-c", HOLDS, str(city), step]
    process = slow_step.real_popen(words, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "at work\n"
    return process


HOLDS = """
import sys, time
from pathlib import Path
from lecdiff_core.locks import working
with working(Path(sys.argv[1]), sys.argv[2]):
    print("at work", flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize(("holder", "asks", "goes"), [
    ("import", "train", False), ("import", "embed", False), ("train", "import", False), ("surges", "import", False),
    ("describe", "describe", False), ("train", "embed", True), ("imagery", "surges", True),
])  # fmt: skip
def test_steps_that_would_disturb_each_other_do_not_run_together(
    city: Path, holder: str, asks: str, goes: bool
) -> None:
    other = holding(city, holder)
    try:
        if goes:
            with locks.working(city, asks):
                assert locks.at_work(city, asks).process == Process.this()
        else:
            with pytest.raises(UserError, match=f"lecdiff {holder} is at work on it"), locks.working(city, asks):
                pass
    finally:
        other.kill()
        other.wait()


def test_a_lock_leaves_nothing_behind(tmp_path: Path) -> None:
    with locks.working(tmp_path / "not" / "there", "import"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_process_is_known_whatever_the_clock_says(monkeypatch: pytest.MonkeyPatch) -> None:
    this = Process.this()
    monkeypatch.setattr(psutil.Process, "create_time", lambda _: 0.0)
    monkeypatch.setattr(time, "time", lambda: 0.0)
    assert this.alive() and Process.this() == this


def test_a_job_counts_as_running_while_its_process_is_being_started(city: Path) -> None:
    folder = background.new_folder(city)
    order = background.Order(step="train", options=[], asked_at=datetime.now(UTC))
    (folder / "job.json").write_text(order.model_dump_json())
    (folder / "starter.json").write_text(Process.this().model_dump_json())
    assert background.read_job(folder).state == "running"
    (folder / "starter.json").write_text(Process(pid=os.getpid(), started="earlier").model_dump_json())
    assert background.read_job(folder).state == "died"


def test_a_job_does_what_the_command_does_and_keeps_what_it_was_given_until_it_is_done(tmp_path: Path) -> None:
    city = tmp_path / "new"
    options = ["--traffic=input/t.csv", "--stations=input/s.csv", "--name=New <b>town</b>", "--interval=1h"]

    def ordered(rows: str) -> Job:
        folder = background.new_folder(city)
        (folder / "input" / "t.csv").write_text(f"station_id,timestamp,traffic\na,2024-01-01T00:00,1\n{rows}")
        (folder / "input" / "s.csv").write_text("station_id,lon,lat\na,9.1,45.4\n")
        assert background.jobs(city) == []
        return wait(background.start(city, "import", options, folder), ended)

    wrong = ordered("a,2024-01-01T01:00,-5\n")
    assert wrong.problem() == (
        "input/t.csv, row 2, column traffic: the value is negative (-5); give a number of at least 0, "
        "or leave the cell empty where it is missing"
    )
    assert (wrong.state, wrong.outcome.status, wrong.result()) == ("failed", 2, {})
    assert (wrong.folder / "input" / "t.csv").is_file()
    assert "Traceback" not in wrong.log()
    background.forget(wrong)
    assert not city.exists()
    done = ordered("a,2024-01-01T01:00,5\na,2024-01-01T02:00,6\n")
    assert done.state == "done" and done.result()["steps"] == 3
    assert (
        done.command
        == f"lecdiff import {city} --traffic=input/t.csv --stations=input/s.csv '{options[2]}' --interval=1h"
    )
    assert City.open(city).meta.name == "New <b>town</b>"
    assert not (done.folder / "input").exists()
    background.forget(done)
    assert City.open(city).meta.name == "New <b>town</b>"


def test_a_secret_reaches_the_step_and_nothing_else(city: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    job = background.start(city, "describe", ["--provider=openai"])
    assert SECRET not in str(psutil.Process(job.process.pid).cmdline())
    job = wait(job, ended)
    for file in job.folder.rglob("*"):
        assert not file.is_file() or SECRET.encode() not in file.read_bytes(), file


@pytest.mark.parametrize("job_id", ["", ".", "..", "../../secret", "/etc", "no-such-job", "a\x00b"])
def test_no_id_leads_out_of_the_jobs(city: Path, job_id: str) -> None:
    with pytest.raises(UserError):
        background.find(city, job_id)


@given(content=st.one_of(st.binary(max_size=80), st.just(b'{"step": "rm", "options": [], "asked_at": "2026-01-01"}')))
def test_damaged_records_are_no_jobs(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    city = tmp_path_factory.mktemp("damaged")
    folder = background.new_folder(city)
    (folder / "job.json").write_bytes(content)
    (folder / "process.json").write_bytes(content)
    assert background.jobs(city) == []


def test_only_steps_run(city: Path) -> None:
    with pytest.raises(UserError, match="cannot run in the background"):
        background.start(city, "app")


def test_progress_tells_the_time_left_by_the_present_stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr(background.time, "monotonic", lambda: clock[0])
    report = background.report_to(tmp_path / "progress.json")
    told = []
    for seconds, done, total in [
        (0, 40, 100),
        (1, 41, 100),
        (4, 45, 100),
        (1, 0, 10),
        (0.1, 1, 10),
        (3.9, 5, 10),
        (0, 10, 10),
    ]:
        clock[0] += seconds
        report(done, total, f"{done} of {total}")
        told.append(json.loads((tmp_path / "progress.json").read_text()))
    assert [one["seconds_left"] for one in told] == [None, None, 55.0, None, None, 4.0, 0.0]
    assert told[4]["message"] == "0 of 10"  # too soon after the last
    assert told[-1]["message"] == "10 of 10"
