"""Archives: what a zip or gzip file grows to is bounded, and the names inside are never believed."""

import gzip
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from lecdiff_core.errors import UserError

MB = 1024 * 1024
PIECE = 1 << 20
GROWTH = 200  # times its packed size that honest data grow at most; judged from a few megabytes on
SMALL_MB = 32
SHOWN = 60  # letters of a name in a message


@dataclass(frozen=True)
class Limits:
    """How much an archive may hold, and what to do where it holds more."""

    unpacked_mb: int
    files: int
    instead: str


ON_DISK = Limits(unpacked_mb=65_536, files=20_000, instead="unpack it and import the folder")


class Budget:
    """Counts what an archive grows to while it is unpacked."""

    def __init__(self, name: str, packed: int, limits: Limits) -> None:
        self.name, self.packed, self.limits, self.grown = name, packed, limits, 0

    def pieces(self, source: IO[bytes] | gzip.GzipFile) -> Iterator[bytes]:
        """The unpacked content. Raises UserError where it grows beyond what data do."""
        while piece := source.read(PIECE):
            self.grown += len(piece)
            if self.grown > self.limits.unpacked_mb * MB:
                raise UserError(f"{self.name} unpacks to more than {self.limits.unpacked_mb} MB; {self.limits.instead}")
            if self.grown > max(SMALL_MB * MB, GROWTH * self.packed):
                raise UserError(f"{self.name} unpacks to over {GROWTH} times its size, as no traffic data do")
            yield piece


def unpack(file: Path, name: str, limits: Limits, place: Callable[[str], Path | None]) -> None:
    """Unpack a zip. `place` says where a member of this name goes; where it says None, it is read for its size alone.

    Raises UserError: not a zip, encrypted, links, names that lead out, too many files, too large.
    """
    budget = Budget(name, file.stat().st_size, limits)
    with _troubles(name), zipfile.ZipFile(file) as archive:
        for entry in _entries(archive, name, limits):
            target = place(entry.filename.replace("\\", "/"))
            with archive.open(entry) as packed:
                if target is None:
                    for _ in budget.pieces(packed):
                        pass
                    continue
                with target.open("xb") as written:
                    for piece in budget.pieces(packed):
                        written.write(piece)


def names(file: Path, name: str) -> list[str]:
    """Names of the members of a zip, without what archivers leave there by themselves. Raises UserError."""
    with _troubles(name), zipfile.ZipFile(file) as archive:
        return [entry.filename for entry in _wanted(archive)]


def _wanted(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    return [entry for entry in archive.infolist() if not entry.is_dir() and not _is_litter(entry.filename)]


def _entries(archive: zipfile.ZipFile, name: str, limits: Limits) -> list[zipfile.ZipInfo]:
    entries = _wanted(archive)
    if len(entries) > limits.files:
        raise UserError(f"{name} holds {len(entries):,} files; an archive may hold {limits.files}")
    if not entries:
        raise UserError(f"{name} holds no files")
    for entry in entries:
        _refuse_unsafe(name, entry)
    return entries


def _is_litter(name: str) -> bool:
    """Whether an archiver left it there by itself."""
    return name.startswith("__MACOSX/") or PurePosixPath(name).name in (".DS_Store", "Thumbs.db")


def _refuse_unsafe(name: str, entry: zipfile.ZipInfo) -> None:
    inside, shown = entry.filename.replace("\\", "/"), repr(entry.filename[:SHOWN])
    if inside.startswith("/") or ":" in inside or ".." in PurePosixPath(inside).parts:
        raise UserError(f"{name} holds {shown}, which leads out of the archive; pack it again")
    if stat.S_ISLNK(entry.external_attr >> 16):
        raise UserError(f"{name} holds the link {shown}; pack the file itself")
    if entry.flag_bits & 1:
        raise UserError(f"{name} is encrypted; pack it again without a password")


@contextmanager
def _troubles(name: str) -> Iterator[None]:
    try:
        yield
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise UserError(
            f"{name} is not an archive that can be unpacked, or damaged; save it again, or pack it as a plain zip"
        ) from error


def gunzip(file: Path, name: str, limits: Limits) -> Iterator[bytes]:
    """The unpacked content of a gzip file, a piece at a time. Raises UserError: damaged, or too large."""
    budget = Budget(name, file.stat().st_size, limits)
    try:
        with gzip.open(file, "rb") as content:
            yield from budget.pieces(content)
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{name} cannot be read: it is damaged, or not a gzip file") from error
