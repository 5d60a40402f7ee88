"""How files of a city come onto the disk: whole or not at all, and never outside their folder.

`replacing` is for one file. `changing` is for several that belong together: they are written into a hidden folder, one rename
of which, to `.change`, is the moment from which the change counts; only then are they put in place. A writer that ends before
that moment has changed nothing, one that ends after it leaves `.change`, which the next reader of the folder puts in place
(`recover`). `read_whole` reads such files all of one change.
"""

import errno
import json
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import psutil
from filelock import FileLock, Timeout

from lecdiff_core.bounded import read_json
from lecdiff_core.errors import UserError

UNFINISHED = ".unfinished-"
CHANGE, CHANGE_LOCK = ".change", ".change.lock"
NEW, GONE_FILE = "new", "gone.json"  # in a change: the files to come under their names, and the names that go
ABANDONED_SECONDS = 3600
PATIENCE_SECONDS = 60.0  # for another process that puts a change in place
TURNS = 20  # how often a folder that keeps changing is read again
TURN_SECONDS = 0.05
TURNS_BESIDE_WRITERS = 3
LONGEST_PID = 10  # digits
DISK_TROUBLE = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EROFS: "the disk is read-only",
    errno.EACCES: "writing there is not allowed",
    errno.EPERM: "writing there is not allowed",
    errno.ENOTDIR: "a part of the path is a file, not a folder",
    errno.EISDIR: "a folder of that name is in the way",
    errno.EEXIST: "a file of that name is in the way",
    errno.ENAMETOOLONG: "the name is too long",
}


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; what was written there becomes `path` when the block ends.

    The data are on the disk before the name changes, so a kill or a power cut leaves the old file or the new one, never
    half of one. On any exception the temporary file is removed and the old file stays. The temporary name keeps the
    suffix of `path`, hidden behind a dot; parent folders are made. Temporary files that killed writers left behind more
    than an hour ago are removed.

    Raises UserError where the disk refuses (full, read-only, no permission); any other exception passes through.
    """
    path = Path(path)
    unfinished = path.with_name(f".{path.stem}{UNFINISHED}{_token()}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _sweep(path.parent, f".{path.stem}", path.suffix)
        yield unfinished
        _flush(unfinished)
        unfinished.replace(path)
        _flush(path.parent)
    except OSError as error:
        if error.errno not in DISK_TROUBLE:
            raise
        unchanged = "; the file that was there is unchanged" if path.is_file() else ""
        raise UserError(f"cannot write {path}: {DISK_TROUBLE[error.errno]}{unchanged}") from error
    finally:
        with suppress(OSError):
            unfinished.unlink()


class Change:
    """Files that become a folder's together; made by `changing`. Names are paths inside the folder."""

    def __init__(self, folder: Path, staging: Path) -> None:
        self._folder, self._staging = folder, staging
        self.root = staging / NEW  # stands for the folder while the change is written
        self._gone: list[str] = []

    def file(self, name: str) -> Path:
        """Where to write what will be the folder's file `name`; parent folders are made."""
        staged = self.root / self._inside(name)
        staged.parent.mkdir(parents=True, exist_ok=True)
        return staged

    def remove(self, name: str) -> None:
        """Let the folder's file `name` go, if it is there."""
        self._gone.append(self._inside(name))

    def _inside(self, name: str) -> str:
        return below(self._folder, name).relative_to(self._folder.resolve()).as_posix()

    def seal(self) -> None:
        """Force all of it to disk. Raises OSError where that fails, or a file could not come to its place."""
        (self._staging / GONE_FILE).write_text(json.dumps(self._gone), encoding="utf-8")
        for staged in _staged(self._staging):
            target = self._folder / self._inside(staged.relative_to(self.root).as_posix())
            if target.is_dir():
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(target))
            parent = next(folder for folder in target.parents if folder.exists())
            if not parent.is_dir():
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(target))
            if not os.access(parent, os.W_OK | os.X_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(parent))
        for path in sorted(self._staging.rglob("*"), reverse=True):
            _flush(path)
        _flush(self._staging)


@contextmanager
def changing(folder: Path) -> Iterator[Change]:
    """Yield a `Change` whose files become files of `folder`, all at once, when the block ends; `folder` is made.

    On any exception before that the folder is as it was, and gone where it was not there. Raises UserError where the disk
    refuses; where it does so while the files, complete already, are put in place, the error says that this is left to do.
    """
    folder = Path(folder)
    staging = folder / f"{CHANGE}{UNFINISHED}{_token()}"
    there, complete = folder.exists(), False
    try:
        with created_folder(folder):
            _sweep(folder, CHANGE)
            change = Change(folder, staging)
            try:
                change.root.mkdir(parents=True)
                yield change
                change.seal()
                with _alone(folder):
                    _put_in_place(folder)
                    staging.replace(folder / CHANGE)
                    complete = True
                    _flush(folder)
                    _put_in_place(folder)
            finally:
                shutil.rmtree(staging, ignore_errors=True)
    except OSError as error:
        if complete:
            raise UserError(
                f"{folder}: all of the change is on the disk, but its files could not be put in place ({disk_reason(error)}); "
                "the next command that opens the folder does that"
            ) from error
        if error.errno not in DISK_TROUBLE:
            raise
        unchanged = "; the files that were there are unchanged" if there else ""
        raise UserError(f"cannot write {_meant(error, staging)}: {DISK_TROUBLE[error.errno]}{unchanged}") from error


@contextmanager
def created_folder(folder: Path) -> Iterator[None]:
    """Make a folder and those above it; they go again where the block leaves nothing in them."""
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    finally:
        with suppress(OSError):
            for path in made:
                path.rmdir()


def refuse_unwritable(folder: Path) -> None:
    """Raise UserError where files could not come into `folder`, which need not be there yet; nothing is made to find out."""
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not there.is_dir():
        raise UserError(f"cannot write {folder}: {DISK_TROUBLE[errno.ENOTDIR]}")
    if not os.access(there, os.W_OK | os.X_OK):
        raise UserError(f"cannot write {folder}: {DISK_TROUBLE[errno.EACCES]}")


def recover(folder: Path) -> None:
    """Put a complete change of `folder` in place whose writer has ended, and wait for one who is at work.

    Raises UserError where there is such a change and the folder cannot be written.
    """
    problem: OSError | None = None
    for _ in range(TURNS):
        if not (folder / CHANGE).is_dir():
            return
        try:
            with _alone(folder):
                _put_in_place(folder)
        except OSError as error:  # where another writes and this process may not, the change goes away by itself
            problem = error
            time.sleep(TURN_SECONDS)
    if problem is not None:
        raise UserError(
            f"{folder}: a change of its files is complete but not yet in place, and cannot be put there ({disk_reason(problem)}); "
            "open the folder once where it can be written"
        ) from problem


Content = TypeVar("Content")


def read_whole(folder: Path, names: Sequence[str], read: Callable[[], Content]) -> Content:
    """What `read` makes of the files `names` of `folder`, which it reads all of one change.

    Where they change meanwhile it reads again, whether or not it failed, and where they do so again and again it lets writers wait.
    Raises what `read` raises, and UserError where they never rest in a folder that cannot be written.
    """
    for turn in range(TURNS):
        recover(folder)
        with ExitStack() as held:
            if turn >= TURNS_BESIDE_WRITERS:
                with suppress(OSError):  # where this process may not write it goes on as before
                    held.enter_context(_alone(folder))
                    _put_in_place(folder)
            before = _identities(folder, names)
            try:
                content = read()
            except Exception:
                if _at_rest(folder, names, before):
                    raise
            else:
                if _at_rest(folder, names, before):
                    return content
        time.sleep(turn * TURN_SECONDS)
    raise UserError(f"{folder}: its files keep changing while they are read; try again when they are no longer written")


def holds_nothing(folder: Path) -> bool:
    """Whether a folder is empty, but for what a change left in it that never was complete."""
    return all(entry.name.startswith(f"{CHANGE}.") for entry in folder.iterdir())


def below(root: Path, name: str) -> Path:
    """The path `name` inside `root`, links followed. Raises UserError where that would lie outside `root`."""
    root = Path(root).resolve()
    try:
        path = (root / name).resolve()
    except (ValueError, OSError) as error:
        raise UserError(f"{name!r} is not a usable file name") from error
    if not path.is_relative_to(root):
        raise UserError(f"{name!r} leads out of the folder {root.name}; name something inside it")
    return path


def _at_rest(folder: Path, names: Sequence[str], before: list[tuple[int, int, int] | None]) -> bool:
    """Whether nothing changed since the files were as `before`. A pending one is looked for first: its end is seen in the files."""
    return not (folder / CHANGE).is_dir() and _identities(folder, names) == before


def _identities(folder: Path, names: Sequence[str]) -> list[tuple[int, int, int] | None]:
    """What tells each file from another one put in its place; None for one that is not there."""
    identities: list[tuple[int, int, int] | None] = []
    for name in names:
        try:
            state = (folder / name).stat()
            identities.append((state.st_ino, state.st_size, state.st_mtime_ns))
        except OSError:
            identities.append(None)
    return identities


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Only one at a time puts changes of a folder in place; the lock's file goes with the last of them."""
    lock = FileLock(folder / CHANGE_LOCK, timeout=PATIENCE_SECONDS)
    try:
        with lock:
            try:
                yield
            finally:
                with suppress(OSError):
                    (folder / CHANGE_LOCK).unlink()
    except Timeout:
        raise UserError(f"{folder}: another process is changing its files; try again when it is done") from None


def _put_in_place(folder: Path) -> None:
    """Do what `.change` says and remove it, under the lock; doing it again, wherever it was cut off, gives the same."""
    change = folder / CHANGE
    if not change.is_dir():
        return
    for name in _gone(change / GONE_FILE):
        below(folder, name).unlink(missing_ok=True)
    parents = set()
    for staged in _staged(change):
        target = below(folder, staged.relative_to(change / NEW).as_posix())
        target.parent.mkdir(parents=True, exist_ok=True)
        staged.replace(target)
        parents |= {target.parent, target.parent.parent}
    for parent in parents:
        _flush(parent)
    (change / GONE_FILE).unlink(missing_ok=True)
    shutil.rmtree(change)
    _flush(folder)


def _staged(change: Path) -> list[Path]:
    return sorted(path for path in (change / NEW).rglob("*") if not path.is_dir())


def _gone(file: Path) -> list[str]:
    """The names that a change removes. Without the list they are removed already, and the change is all but over."""
    try:
        names = read_json(file)
    except FileNotFoundError:
        return []
    except ValueError:
        raise UserError(f"{file} is damaged; remove {file.parent} if you did not mean to change the folder") from None
    return [name for name in names if isinstance(name, str)] if isinstance(names, list) else []


def _meant(error: OSError, staging: Path) -> Path:
    """The file of the folder, or the folder, that an error in its staging is about."""
    named = Path(error.filename) if isinstance(error.filename, str) else staging
    inside = named.relative_to(staging / NEW) if named.is_relative_to(staging / NEW) else None
    return staging.parent / inside if inside else staging.parent if named.is_relative_to(staging) else named


def disk_reason(error: OSError) -> str:
    """Why the disk refused, in plain words."""
    return DISK_TROUBLE.get(error.errno or 0) or error.strerror or str(error)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _token() -> str:
    """Tells this writer's files from those of others: its process, and something that no other has."""
    return f"{os.getpid()}-{secrets.token_hex(4)}"


def _sweep(folder: Path, name: str, suffix: str = "") -> None:
    """Remove what writers of a name left unfinished more than an hour ago, if their process is gone."""
    for abandoned in folder.glob(f"{_literal(name)}{UNFINISHED}*{_literal(suffix)}"):
        with suppress(OSError):
            written = max(path.stat().st_mtime for path in (abandoned, *abandoned.rglob("*")))
            if time.time() - written > ABANDONED_SECONDS and not _at_work(abandoned):
                shutil.rmtree(abandoned) if abandoned.is_dir() else abandoned.unlink()


def _at_work(unfinished: Path) -> bool:
    writer = unfinished.name.partition(UNFINISHED)[2].partition("-")[0]
    return writer.isdecimal() and len(writer) < LONGEST_PID and psutil.pid_exists(int(writer))


def _literal(text: str) -> str:
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in text)
