"""How files of a city come onto the disk: whole or not at all, and never outside their folder."""

import errno
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lecdiff_core.errors import UserError

UNFINISHED = ".unfinished-"
ABANDONED_SECONDS = 3600
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
    unfinished = path.with_name(f".{path.stem}{UNFINISHED}{secrets.token_hex(4)}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _sweep(path)
        yield unfinished
        _flush(unfinished)
        unfinished.replace(path)
        _flush(path.parent)
    except OSError as error:
        if error.errno not in DISK_TROUBLE:
            raise
        kept = "; the file that was there is unchanged" if path.is_file() else ""
        raise UserError(f"cannot write {path}: {DISK_TROUBLE[error.errno]}{kept}") from error
    finally:
        with suppress(OSError):
            unfinished.unlink()


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


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sweep(path: Path) -> None:
    for abandoned in path.parent.glob(f".{_literal(path.stem)}{UNFINISHED}*{_literal(path.suffix)}"):
        with suppress(OSError):
            if time.time() - abandoned.stat().st_mtime > ABANDONED_SECONDS:
                abandoned.unlink()


def _literal(text: str) -> str:
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in text)
