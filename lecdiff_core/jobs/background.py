"""Steps run in the background: a command of `lecdiff` in a process of its own, recorded in the city folder alone.

CITY/jobs/ID/ holds what was asked (job.json), who does it (process.json), how far it is (progress.json), what it says (log,
result.json) and how it ended (outcome.json). Whoever reads the folder knows the job: another tab, or a server that was
started later. A step that was cut off resumes by running the same command again; what it had finished is in the city folder.

Nothing secret is written there: keys reach a job through the environment only.
"""

import os
import secrets
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import psutil
from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

from lecdiff_core.bounded import MIB, read_bytes, read_json
from lecdiff_core.city.layout import JOBS_FOLDER
from lecdiff_core.errors import INTERRUPTED, NOTHING_MADE, USERS_MISTAKE, UserError
from lecdiff_core.locks import WRITERS, at_work
from lecdiff_core.processes import Process
from lecdiff_core.progress import Report
from lecdiff_core.storage import below, disk_reason, recover, replacing

STEPS = ("import", "imagery", "describe", "embed", "train", "forecast", "benchmark", "surges")
INPUT = "input"  # files that were given to a job; removed when it is done, but kept by a look before an import
LOOK = "--dry-run"
ORDER_FILE, PROCESS_FILE, PROGRESS_FILE, OUTCOME_FILE = "job.json", "process.json", "progress.json", "outcome.json"
STARTER_FILE = "starter.json"  # the process that is just starting the job's own
LOG_FILE, RESULT_FILE, LOCK_FILE = "log", "result.json", ".lock"
PROGRESS_VARIABLE = "LECDIFF_PROGRESS_FILE"  # a step writes its progress to the file that this names
GRACE = 10.0  # seconds that a step has to stop by itself
SECONDS_BETWEEN_WRITES = 0.5
TIME_TO_JUDGE = 3.0  # seconds of progress before the time left is shown
LONGEST_TAIL = 64 * 1024
LARGEST_RECORD = MIB
LONGEST_SECONDS = 1e9

State = Literal["running", "done", "stopped", "failed", "died"]
Record = TypeVar("Record", bound=BaseModel)


class Order(BaseModel):
    """What was asked: a command of `lecdiff` and its options, without the city."""

    model_config = ConfigDict(extra="forbid")

    step: str
    options: list[str]
    asked_at: datetime

    @property
    def is_look(self) -> bool:
        """Whether nothing is to be written but the report, so that the same input is imported afterwards."""
        return self.step == "import" and LOOK in self.options


class Progress(BaseModel):
    """How far a step is; `seconds_left` is None while nobody can tell."""

    done: FiniteFloat
    total: FiniteFloat
    message: str
    seconds_left: Annotated[float, Field(ge=0, le=LONGEST_SECONDS)] | None
    at: datetime

    @property
    def share(self) -> float:
        """0 … 1."""
        return min(1.0, max(0.0, self.done / self.total)) if self.total > 0 else 0.0


class Outcome(BaseModel):
    """How a job ended: the command's exit status."""

    status: int
    at: datetime


@dataclass(frozen=True)
class Job:
    """A job as its folder tells it now."""

    folder: Path
    order: Order
    process: Process | None
    progress: Progress | None
    outcome: Outcome | None
    state: State

    @property
    def id(self) -> str:
        """Name of the job's folder; later jobs sort after earlier ones."""
        return self.folder.name

    @property
    def city(self) -> Path:
        """The city folder it works on; for an import it may not be a city yet."""
        return self.folder.parent.parent

    @property
    def step(self) -> str:
        """The command."""
        return self.order.step

    @property
    def is_look(self) -> bool:
        """Whether it only looks at what an import would make."""
        return self.order.is_look

    @property
    def made_nothing(self) -> bool:
        """Whether it ended without anything of what was asked."""
        return self.outcome is not None and self.outcome.status == NOTHING_MADE

    @property
    def command(self) -> str:
        """The same as one would type it."""
        return shlex.join(["lecdiff", self.step, str(self.city), *self.order.options])

    def log(self, lines: int = 200) -> str:
        """The end of what it said."""
        try:
            with (self.folder / LOG_FILE).open("rb") as file:
                file.seek(0, os.SEEK_END)
                file.seek(max(0, file.tell() - LONGEST_TAIL))
                text = file.read().decode("utf-8", "replace")
        except OSError:
            return ""
        return "\n".join(text.splitlines()[-lines:])

    def problem(self) -> str:
        """Why it failed, in the words of the step; empty where it did not, or ended by a bug, which is in the log."""
        if self.outcome is None or self.outcome.status not in (USERS_MISTAKE, NOTHING_MADE):
            return ""
        last = next((line for line in reversed(self.log().splitlines()) if line.strip()), "")
        return last.removeprefix("lecdiff: ")

    def result(self) -> dict[str, Any]:
        """What the command printed as JSON; empty where it has not."""
        try:
            result = read_json(self.folder / RESULT_FILE)
        except (OSError, ValueError):
            return {}
        return result if isinstance(result, dict) else {}


# ---- what a folder tells


def jobs(city: Path) -> list[Job]:
    """The jobs of a city folder, the newest first."""
    folders = sorted((city / JOBS_FOLDER).glob(f"[!.]*/{ORDER_FILE}"), reverse=True)
    return [job for file in folders if (job := read_job(file.parent)) is not None]


def find(city: Path, job_id: str) -> Job:
    """One job. Raises UserError where there is none of that id."""
    folder = below(city / JOBS_FOLDER, job_id)
    job = read_job(folder) if folder.parent == (city / JOBS_FOLDER).resolve() else None
    if job is None:
        raise UserError(f"there is no job {job_id!r} in {city.name} any more")
    return job


def running(city: Path, step: str) -> Job | None:
    """The job that does this step now."""
    return next((job for job in jobs(city) if job.step == step and job.state == "running"), None)


def read_job(folder: Path) -> Job | None:
    """The job in a folder; None where the folder holds none."""
    order = _read(folder / ORDER_FILE, Order)
    if order is None or order.step not in STEPS:
        return None
    process = _read(folder / PROCESS_FILE, Process)
    starter = process or _read(folder / STARTER_FILE, Process)
    alive = starter is not None and starter.alive()
    # Read after the process was looked at: a step that ends in between has left its outcome by now.
    outcome = _read(folder / OUTCOME_FILE, Outcome)
    return Job(folder, order, process, _read(folder / PROGRESS_FILE, Progress), outcome, _state(alive, outcome))


def _state(alive: bool, outcome: Outcome | None) -> State:
    if outcome is None:
        return "running" if alive else "died"
    return "done" if outcome.status == 0 else "stopped" if outcome.status == INTERRUPTED else "failed"


def _read(file: Path, kind: type[Record]) -> Record | None:
    try:
        return kind.model_validate_json(read_bytes(file, LARGEST_RECORD))
    except (OSError, ValueError):
        return None


def _write(file: Path, record: BaseModel) -> None:
    with replacing(file) as unfinished:
        unfinished.write_text(record.model_dump_json() + "\n", encoding="utf-8")


# ---- what a person does


def new_folder(city: Path) -> Path:
    """A folder for a job to come, whose files can be laid into its `input`; it counts as a job only once it is started."""
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S-%f")
    folder = Path(city).resolve() / JOBS_FOLDER / f"{stamp}-{secrets.token_hex(3)}"
    (folder / INPUT).mkdir(parents=True)
    return folder


def start(city: Path, step: str, options: Sequence[str] = (), folder: Path | None = None) -> Job:
    """Run `lecdiff STEP CITY OPTIONS` in the background; relative paths in the options count from the job's folder.

    folder: where the job's input lies already, from `new_folder`. Earlier jobs of the same step, which have ended, are
    forgotten. Raises UserError where the step is at work on this city already, or would disturb one that is.
    """
    if step not in STEPS:
        raise UserError(f"{step!r} cannot run in the background; the steps are {', '.join(STEPS)}")
    city = Path(city).resolve()
    with _starting(city, step):
        for job in jobs(city):
            if job.step == step:
                shutil.rmtree(job.folder, ignore_errors=True)
        folder = folder or new_folder(city)
        return _launch(folder, Order(step=step, options=list(options), asked_at=datetime.now(UTC)))


def resume(job: Job) -> Job:
    """Run the same command again; what the step had finished is not done twice. Raises UserError as `start` does."""
    with _starting(job.city, job.step):
        return _launch(job.folder, find(job.city, job.id).order)


def cancel(job: Job, grace: float = GRACE) -> Job:
    """Stop a job as Ctrl-C does; after `grace` seconds end its processes. Returns the job as it is then."""
    with _alone(job.city):
        process = find(job.city, job.id).process
    if process is not None:
        _signal(process, signal.SIGTERM)
        if not _gone(process, grace):
            _signal(process, signal.SIGKILL)
            _gone(process, grace)
    with _alone(job.city):
        if find(job.city, job.id).state == "died":
            _write(job.folder / OUTCOME_FILE, Outcome(status=INTERRUPTED, at=datetime.now(UTC)))
        return find(job.city, job.id)


def forget(job: Job) -> None:
    """Remove a job that has ended, and the folder of an import that never became a city. Raises UserError while it runs."""
    with _alone(job.city):
        if find(job.city, job.id).state == "running":
            raise UserError(f"{job.step} is still running on {job.city.name}; stop it first")
        discard(job.folder)


def discard(folder: Path) -> None:
    """Remove a job's folder, and the city folder where it holds nothing else."""
    shutil.rmtree(folder)
    city = folder.parent.parent
    recover(city)
    left = {entry.name for entry in (*city.iterdir(), *folder.parent.iterdir()) if not entry.name.startswith(".")}
    if left <= {JOBS_FOLDER}:
        shutil.rmtree(city)


@contextmanager
def _alone(city: Path) -> Iterator[None]:
    """Only one at a time starts, resumes or removes jobs of a city."""
    try:
        (city / JOBS_FOLDER).mkdir(parents=True, exist_ok=True)
        with FileLock(city / JOBS_FOLDER / LOCK_FILE, timeout=GRACE):
            yield
    except Timeout:
        raise UserError(f"another job of {city.name} is just being started; try again") from None
    except OSError as error:
        raise UserError(f"cannot write {city / JOBS_FOLDER}: {error.strerror}") from error


@contextmanager
def _starting(city: Path, step: str) -> Iterator[None]:
    """Nothing else starts meanwhile, and nothing runs that the step would disturb."""
    with _alone(city):
        for job in jobs(city):
            if job.state == "running" and (job.step == step or "import" in (job.step, step)):
                raise UserError(f"{job.step} is running on {city.name} already; wait for it to end, or stop it")
        if step in WRITERS and (other := at_work(city, step)) is not None:
            raise UserError(f"{city.name}: {other}; wait for it to end, or stop it")
        yield


def _launch(folder: Path, order: Order) -> Job:
    """Start the process of a job and write down which one it is. It outlives this process and its terminal."""
    for name in (PROCESS_FILE, PROGRESS_FILE, OUTCOME_FILE):
        (folder / name).unlink(missing_ok=True)
    _write(folder / STARTER_FILE, Process.this())
    try:
        _write(folder / ORDER_FILE, order)
        process = _spawn(folder)
        try:
            with suppress(psutil.NoSuchProcess):
                _write(folder / PROCESS_FILE, Process.of(process.pid))
        except UserError:  # nobody could stop a process of which nothing is written down
            process.kill()
            raise
        finally:
            threading.Thread(target=process.wait, daemon=True).start()  # collects it when it ends
    except OSError as error:
        raise UserError(f"cannot start a job in {folder}: {disk_reason(error)}") from error
    finally:
        (folder / STARTER_FILE).unlink(missing_ok=True)
    return find(folder.parent.parent, folder.name)


def _spawn(folder: Path) -> "subprocess.Popen[bytes]":
    # -P: nothing that lies in the job's folder is ever taken for a module.
    words = [sys.executable, "-P", "-m", "lecdiff_core.jobs.worker", str(folder)]
    package = str(Path(__file__).resolve().parents[2])
    paths = [package, *filter(None, [os.environ.get("PYTHONPATH")])]
    with (folder / RESULT_FILE).open("wb") as result, (folder / LOG_FILE).open("ab") as log:
        return subprocess.Popen(  # noqa: S603 (a list of words, all of them ours)
            words,
            cwd=folder,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=result,
            stderr=log,
            start_new_session=True,
        )


def _signal(process: Process, number: signal.Signals) -> None:
    """Send a signal to the process and all that it started, if it is still the one that is meant."""
    with suppress(ProcessLookupError):
        if process.alive() and os.getpgid(process.pid) == process.pid:
            os.killpg(process.pid, number)


def _gone(process: Process, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while process.alive():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


# ---- what the job's own process asks and writes


def is_job() -> bool:
    """Whether this process works for a page's visitor, and not for who typed its command."""
    return PROGRESS_VARIABLE in os.environ


def end(folder: Path, status: int) -> None:
    """Write down how a job ended; what was given to it is no longer needed once it is done."""
    _write(folder / OUTCOME_FILE, Outcome(status=status, at=datetime.now(UTC)))
    order = _read(folder / ORDER_FILE, Order)
    if status == 0 and not (order is not None and order.is_look):
        shutil.rmtree(folder / INPUT, ignore_errors=True)


def report_to(file: Path) -> Report:
    """A report that keeps the present progress in `file`, at most twice a second."""
    written, first = 0.0, (0.0, 0.0, 0.0)  # when and with what the present stage began: seconds, done, total

    def report(done: float, total: float, message: str) -> None:
        nonlocal written, first
        now = time.monotonic()
        if total != first[2] or done < first[1] or not written:
            first = (now, done, total)
        if now - written < SECONDS_BETWEEN_WRITES and done < total:
            return
        written = now
        left = _seconds_left(now - first[0], done - first[1], total - done)
        progress = Progress(done=done, total=total, message=message, seconds_left=left, at=datetime.now(UTC))
        with suppress(UserError):  # a full disk is reported by the step itself
            _write(file, progress)

    return report


def _seconds_left(seconds: float, done: float, ahead: float) -> float | None:
    return min(seconds * ahead / done, LONGEST_SECONDS) if seconds >= TIME_TO_JUDGE and done > 0 else None
