"""Uploaded files, judged before they are used: their kind and size, what packed ones grow to, the names inside archives.

What an upload says of itself (name, type, sizes in an archive's directory) is not believed. Whatever does not pass raises
UserError, in words for the person who chose the file.
"""

import csv
import gzip
import io
import json
import re
import stat
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import IO, Protocol

import pyarrow as pa
import pyarrow.parquet

from lecdiff_core.city.importers.tables import delimiter, read_header
from lecdiff_core.errors import UserError
from pages.parts.formats import shortened

TRAFFIC = ("csv", "txt", "tsv", "gz", "parquet", "zip")
STATIONS = ("csv", "txt", "tsv", "parquet", "geojson", "json")
RASTER = ("tif", "tiff")
LARGEST_MB = 200  # of one upload
MB = 1024 * 1024
UNPACKED_MB = 2048  # of all that one upload grows to
GROWTH = 200  # times its packed size that honest data grow at most; judged from a few megabytes on
SMALL_MB = 32
MOST_FILES = 400  # in an archive
MOST_ROWS = 200_000_000  # in a Parquet file
GEOJSON_MB = 50
LONGEST_LINE = MB  # of the header
LONGEST_NAME = 80
SHOWN_ROWS = 5
PIECE = 1 << 20
TIFF_MARKS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


class Upload(Protocol):
    """What Streamlit hands over."""

    name: str

    def getbuffer(self) -> memoryview: ...  # noqa: D102


@dataclass(frozen=True)
class Sample:
    """The first rows of a table, as text."""

    name: str
    columns: list[str]
    rows: list[list[str]]


def lay(uploads: Iterable[Upload], folder: Path, allowed: Sequence[str]) -> list[Path]:
    """Write uploads into `folder` under safe names, archives unpacked; returns the files, sorted. Raises UserError."""
    folder.mkdir(parents=True, exist_ok=True)
    for upload in uploads:
        name = safe_name(upload.name, allowed)
        content = upload.getbuffer()
        if content.nbytes > LARGEST_MB * MB:
            raise UserError(f"{name} has {content.nbytes // MB} MB; an upload may have {LARGEST_MB} MB")
        if name.endswith(".zip"):
            _unpack(name, content, folder, [kind for kind in allowed if kind != "zip"])
        else:
            _new(folder, name).write_bytes(content)
    files = sorted(folder.iterdir())
    for file in files:
        _judge(file)
    return files


def safe_name(name: str, allowed: Sequence[str]) -> str:
    """A file name of plain letters for what a person or an archive called `name`. Raises UserError for other kinds."""
    plain = re.sub(r"[^\w.-]+", "_", re.split(r"[/\\]", name)[-1], flags=re.ASCII).lstrip(".-")
    kind = plain.rpartition(".")[2].lower()
    if kind not in allowed or plain.lower() == kind:
        raise UserError(f"“{shortened(name)}” is not a file of these kinds: {', '.join(allowed)}")
    return f"{plain[: -len(kind) - 1][:LONGEST_NAME]}.{kind}"


def sample(file: Path) -> Sample:
    """The columns and the first rows of a table that `lay` has let through. Raises UserError."""
    if file.suffix in (".geojson", ".json"):
        return _features(file)
    columns = read_header(file)
    try:
        rows = _parquet_rows(file) if file.suffix == ".parquet" else _text_rows(file)
    except (OSError, pa.ArrowException, UnicodeDecodeError, csv.Error, EOFError, zlib.error) as error:
        raise UserError(f"{file.name} cannot be read: {' '.join(str(error).split())[:200]}") from error
    return Sample(file.name, columns, [[shortened(cell) for cell in row] for row in rows])


# ---- archives


def _unpack(name: str, content: memoryview, folder: Path, allowed: Sequence[str]) -> None:
    budget = _Budget(name, content.nbytes)
    with _archive_troubles(name), zipfile.ZipFile(io.BytesIO(content)) as archive:
        entries = [entry for entry in archive.infolist() if not entry.is_dir() and not _is_litter(entry.filename)]
        if len(entries) > MOST_FILES:
            raise UserError(f"{name} holds {len(entries):,} files; an archive may hold {MOST_FILES}")
        if not entries:
            raise UserError(f"{name} holds no files")
        for entry in entries:
            _refuse_unsafe(name, entry)
            with archive.open(entry) as packed, _new(folder, _name_inside(entry, allowed)).open("xb") as file:
                for piece in budget.pieces(packed):
                    file.write(piece)


def _is_litter(name: str) -> bool:
    """Whether an archiver left it there by itself."""
    return name.startswith("__MACOSX/") or PurePosixPath(name).name in (".DS_Store", "Thumbs.db")


def _refuse_unsafe(name: str, entry: zipfile.ZipInfo) -> None:
    inside = entry.filename.replace("\\", "/")
    if inside.startswith("/") or ":" in inside or ".." in PurePosixPath(inside).parts:
        raise UserError(f"{name} holds “{shortened(entry.filename)}”, which leads out of the archive; pack it again")
    if stat.S_ISLNK(entry.external_attr >> 16):
        raise UserError(f"{name} holds the link “{shortened(entry.filename)}”; pack the file itself")
    if entry.flag_bits & 1:
        raise UserError(f"{name} is encrypted; pack it again without a password")


def _name_inside(entry: zipfile.ZipInfo, allowed: Sequence[str]) -> str:
    """Folders become part of the name, so that files of one name in several folders stay apart."""
    return safe_name(entry.filename.replace("\\", "/").replace("/", "_"), allowed)


@contextmanager
def _archive_troubles(name: str) -> Iterator[None]:
    try:
        yield
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise UserError(f"{name} is not an archive that can be unpacked; pack it again as a plain zip") from error


def _new(folder: Path, name: str) -> Path:
    if (folder / name).exists():
        raise UserError(f"there are two files named {name}; rename one")
    return folder / name


class _Budget:
    """Counts what an upload grows to while it is unpacked."""

    def __init__(self, name: str, packed: int) -> None:
        self.name, self.packed, self.grown = name, packed, 0

    def pieces(self, source: IO[bytes] | gzip.GzipFile) -> Iterator[bytes]:
        """The unpacked content. Raises UserError where it grows beyond what data do."""
        while piece := source.read(PIECE):
            self.grown += len(piece)
            if self.grown > UNPACKED_MB * MB:
                raise UserError(f"{self.name} unpacks to more than {UNPACKED_MB} MB; import it with lecdiff import")
            if self.grown > max(SMALL_MB * MB, GROWTH * self.packed):
                raise UserError(f"{self.name} unpacks to over {GROWTH} times its size, as no traffic data do")
            yield piece


# ---- files


def _judge(file: Path) -> None:
    kind = file.suffix.removeprefix(".")
    if kind == "parquet":
        _judge_parquet(file)
    elif kind in ("geojson", "json"):
        _judge_geojson(file)
    elif kind in RASTER:
        with file.open("rb") as content:
            if content.read(4) not in TIFF_MARKS:
                raise UserError(f"{file.name} is not a GeoTIFF")
    else:
        _judge_text(file)


def _judge_text(file: Path) -> None:
    """A gzipped file must unpack to a bounded size, and a table must begin with a line."""
    packed = file.suffix == ".gz"
    budget = _Budget(file.name, file.stat().st_size)
    try:
        with gzip.open(file, "rb") if packed else file.open("rb") as content:
            start = content.read(LONGEST_LINE)
            if packed:
                for _ in budget.pieces(content):
                    pass
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{file.name} cannot be unpacked: it is damaged, or not a gzip file") from error
    if b"\0" in start:
        raise UserError(f"{file.name} is not text; give CSV or Parquet")
    if len(start) == LONGEST_LINE and b"\n" not in start:
        raise UserError(f"{file.name} is not a table: its first line does not end")


def _judge_parquet(file: Path) -> None:
    try:
        metadata = pa.parquet.read_metadata(file)
    except (OSError, pa.ArrowException) as error:
        raise UserError(f"{file.name} is not a Parquet file, or damaged") from error
    size = sum(metadata.row_group(index).total_byte_size for index in range(metadata.num_row_groups))
    if metadata.num_rows > MOST_ROWS or size > UNPACKED_MB * MB:
        raise UserError(
            f"{file.name} holds {metadata.num_rows:,} rows, {size // MB:,} MB unpacked: too much for an upload; "
            "import it with lecdiff import"
        )


def _judge_geojson(file: Path) -> None:
    """Only GeoJSON: the library that reads it would open other formats under this name, some of which lead elsewhere."""
    if file.stat().st_size > GEOJSON_MB * MB:
        raise UserError(f"{file.name} has more than {GEOJSON_MB} MB; give stations as CSV or Parquet")
    try:
        content = json.loads(file.read_bytes())
    except (ValueError, RecursionError) as error:
        raise UserError(f"{file.name} is not GeoJSON, or damaged") from error
    if not (isinstance(content, dict) and content.get("type") == "FeatureCollection"):
        raise UserError(f"{file.name} is not a GeoJSON FeatureCollection")


# ---- a look inside


def _parquet_rows(file: Path) -> list[list[str]]:
    with pa.parquet.ParquetFile(file) as table:
        batch = next(table.iter_batches(SHOWN_ROWS), None)
        columns = [[] if batch is None else column.to_pylist() for column in (batch.columns if batch else [])]
    return [["" if cell is None else str(cell) for cell in row] for row in zip(*columns, strict=True)]


def _text_rows(file: Path) -> list[list[str]]:
    with gzip.open(file, "rb") if file.suffix == ".gz" else file.open("rb") as content:
        lines = [content.readline(LONGEST_LINE).decode("utf-8-sig") for _ in range(SHOWN_ROWS + 1)]
    rows = csv.reader((line for line in lines if line.strip()), delimiter=delimiter(file))
    return list(islice(rows, 1, None))


def _features(file: Path) -> Sample:
    """What the first features of a GeoJSON file say of themselves."""
    features = json.loads(file.read_bytes()).get("features")
    first = features[:SHOWN_ROWS] if isinstance(features, list) else []
    told = [one.get("properties") for one in first if isinstance(one, dict)]
    found: list[dict] = [one for one in told if isinstance(one, dict)]
    columns = list(dict.fromkeys(str(name) for properties in found for name in properties))
    if not columns:
        raise UserError(f"{file.name} has no features with properties, so no station has an id")
    return Sample(file.name, columns, [[shortened(one.get(name, "")) for name in columns] for one in found])
