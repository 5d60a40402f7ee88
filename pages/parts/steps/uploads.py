"""Uploaded files, judged before they are used: their kind and size, what packed ones grow to, the names inside archives.

What an upload says of itself (name, type, sizes in an archive's directory) is not believed. Whatever does not pass raises
UserError, in words for the person who chose the file.
"""

import json
import re
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol

import pyarrow as pa
import pyarrow.parquet

from lecdiff_core.city.importers import archives, forms
from lecdiff_core.city.importers.archives import MB, Limits
from lecdiff_core.city.importers.importing import roles_of_any_file
from lecdiff_core.errors import UserError
from pages.parts.look.formats import shortened

TABLES = ("csv", "txt", "tsv", "tab", "parquet", "pq", "xlsx", "xlsm", "xlsb", "xls", "ods")
TRAFFIC = (*TABLES, "gz", "zip")
STATIONS = (*TABLES, "gz", "geojson", "json")
RASTER = ("tif", "tiff")
LARGEST_MB = 200  # of one upload
UNPACKED_MB = 2048  # of all that one upload grows to
UPLOADS = Limits(UNPACKED_MB, files=400, instead="import it with lecdiff import")
MOST_ROWS = 200_000_000  # in a Parquet file
GEOJSON_MB = 50
LONGEST_LINE = MB  # of the header
LONGEST_NAME = 80
SHOWN_ROWS = 5
TIFF_MARKS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
KEY_VALUE = re.compile(r"[\w.-]+=[\w.%-]+", re.ASCII)


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
    files = sorted(file for file in folder.rglob("*") if file.is_file())
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
    with tempfile.TemporaryDirectory() as room:
        table = forms.open_tables(file, Path(room), roles_of_any_file())[0]
        rows = table.rows(SHOWN_ROWS)
    return Sample(file.name, table.columns, [[shortened(cell) for cell in row] for row in rows])


# ---- archives


def _unpack(name: str, content: memoryview, folder: Path, allowed: Sequence[str]) -> None:
    """Folders become part of a file's name, so that files of one name stay apart; those named KEY=VALUE stay folders."""

    def place(inside: str) -> Path:
        *folders, own = PurePosixPath(inside).parts
        partitions = [part for part in folders if KEY_VALUE.fullmatch(part)]
        flat = "_".join([*(part for part in folders if part not in partitions), own])
        target = folder.joinpath(*partitions)
        target.mkdir(parents=True, exist_ok=True)
        return _new(target, safe_name(flat, allowed))

    with tempfile.NamedTemporaryFile(suffix=".zip") as packed:
        packed.write(content)
        packed.flush()
        archives.unpack(Path(packed.name), name, UPLOADS, place)


def _new(folder: Path, name: str) -> Path:
    if (folder / name).exists():
        raise UserError(f"there are two files named {name}; rename one")
    return folder / name


# ---- files


def _judge(file: Path) -> None:
    kind = file.suffix.removeprefix(".")
    if kind in ("geojson", "json"):
        _judge_geojson(file)
    elif kind in RASTER:
        with file.open("rb") as content:
            if content.read(4) not in TIFF_MARKS:
                raise UserError(f"{file.name} is not a GeoTIFF")
    else:
        _judge_table(file)


def _judge_table(file: Path) -> None:
    """A packed file must unpack to a bounded size, and a table must begin with a line."""
    with file.open("rb") as content:
        start = content.read(LONGEST_LINE)
    if start.startswith(forms.PARQUET_MARK) or file.suffix in forms.PARQUET:
        _judge_parquet(file)
    elif start.startswith(forms.GZIP) or file.suffix == ".gz":
        for _ in archives.gunzip(file, file.name, UPLOADS):
            pass
    elif start.startswith(forms.ZIP):
        archives.unpack(file, file.name, UPLOADS, dict[str, Path]().get)
    elif len(start) == LONGEST_LINE and not {b"\n"[0], b"\r"[0]} & set(start) and not start.startswith(forms.OLE):
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


def _features(file: Path) -> Sample:
    """What the first features of a GeoJSON file say of themselves."""
    features = json.loads(file.read_bytes()).get("features")
    first = features[:SHOWN_ROWS] if isinstance(features, list) else []
    candidates = [one.get("properties") for one in first if isinstance(one, dict)]
    properties_of_each: list[dict] = [one for one in candidates if isinstance(one, dict)]
    columns = list(dict.fromkeys(str(name) for properties in properties_of_each for name in properties))
    if not columns:
        raise UserError(f"{file.name} has no features with properties, so no station has an id")
    return Sample(
        file.name, columns, [[shortened(one.get(name, "")) for name in columns] for one in properties_of_each]
    )
