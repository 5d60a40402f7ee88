"""Which command is at work on a city folder, so that two which would disturb each other never run at once.

A step that writes into a city holds its lock while it works; an import holds those of all of them. The system lets a lock go
with the process that holds it, so one that died blocks nobody. Reading a city needs no lock.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout
from pydantic import BaseModel, ValidationError

from lecdiff_core.errors import UserError
from lecdiff_core.processes import Process
from lecdiff_core.storage import created_folder, disk_reason, replacing

IMPORT = "import"
WRITERS = (IMPORT, "imagery", "describe", "embed", "train", "surges")
LARGEST_NOTE = 10_000  # bytes
SECONDS_TO_TAKE = 0.5  # a lock that is just being let go


class Holder(BaseModel):
    """Who is at work on a city folder."""

    step: str
    process: Process
    since: datetime

    def __str__(self) -> str:
        began = f"{self.since.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
        return f"lecdiff {self.step} is at work on it (process {self.process.pid}, since {began})"


@contextmanager
def working(folder: Path, step: str) -> Iterator[None]:
    """Hold a city folder for a step that writes into it; the folder is made, and is removed where nothing was written into it.

    Raises UserError that names the process at work, where that would be disturbed, and where the folder cannot be written.
    """
    holder = Holder(step=step, process=Process.this(), since=datetime.now(UTC))
    with ExitStack() as held:
        try:
            held.enter_context(created_folder(folder))
            for name in _locks(step):
                held.enter_context(_lock(folder, name, holder))
        except OSError as error:
            raise UserError(f"cannot write {folder}: {disk_reason(error)}") from error
        yield


def at_work(folder: Path, step: str) -> Holder | None:
    """Who does what a step would disturb now."""
    holders = (_holder(folder, name) for name in _locks(step))
    return next((holder for holder in holders if holder is not None and holder.process.alive()), None)


def _locks(step: str) -> tuple[str, ...]:
    return WRITERS if step == IMPORT else (step,)


@contextmanager
def _lock(folder: Path, name: str, holder: Holder) -> Iterator[None]:
    """Hold one lock; while it is held a note beside it says by whom. Its file goes when it is let go."""
    file = folder / f".{name}.lock"
    lock = FileLock(file, timeout=SECONDS_TO_TAKE)
    try:
        lock.acquire()
    except Timeout:
        other = _holder(folder, name) or f"another lecdiff {name} is at work on it"
        raise UserError(f"{folder}: {other}; wait for it to end, or stop it") from None
    try:
        with replacing(_note(folder, name)) as unfinished:
            unfinished.write_text(holder.model_dump_json(), encoding="utf-8")
        yield
    finally:
        try:
            with suppress(OSError):
                _note(folder, name).unlink()
                file.unlink()
        finally:
            lock.release()


def _note(folder: Path, name: str) -> Path:
    return folder / f".{name}.holder.json"


def _holder(folder: Path, name: str) -> Holder | None:
    try:
        with _note(folder, name).open("rb") as note:
            return Holder.model_validate_json(note.read(LARGEST_NOTE))
    except (OSError, ValidationError):
        return None
