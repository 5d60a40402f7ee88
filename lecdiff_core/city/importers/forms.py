"""Files of any form opened as tables: text in any encoding, Parquet, workbooks, packed or not, in folders named KEY=VALUE.

What a file is, its content says, not its name. What cannot be read in place is laid into a room (a temporary folder) first.
"""

import gzip
import io
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from glob import glob
from itertools import count
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet

from lecdiff_core.city.folder import named
from lecdiff_core.city.importers import spreadsheets
from lecdiff_core.city.importers.archives import ON_DISK, gunzip, names, unpack
from lecdiff_core.city.importers.columns import ColumnRole, recognised
from lecdiff_core.city.importers.encodings import UTF8, encoding_of
from lecdiff_core.city.importers.shapes import Fits, Shape, shape_of
from lecdiff_core.errors import UserError

TEXTS = {".csv", ".txt", ".tsv", ".tab"}
PARQUET = {".parquet", ".pq"}
TABLE_SUFFIXES = {*TEXTS, *PARQUET, *spreadsheets.SUFFIXES, ".gz", ".zip"}
GZIP, ZIP, OLE, PARQUET_MARK = b"\x1f\x8b", b"PK", b"\xd0\xcf\x11\xe0", b"PAR1"
FIRST_PART = 4 << 20  # bytes, in which the shape of a text is looked for
SAMPLE = 100  # rows
EMPTY_PARTITION = "__HIVE_DEFAULT_PARTITION__"
FORMS = "CSV, Parquet or Excel"


@dataclass(frozen=True, eq=False)
class Table:
    """A table that can be read.

    path: where its content lies.  label: how messages name it.  header: names of its columns.  keys: further columns that have
    one value, which its folders say.  shape, encoding, packed: of a text; shape is None for Parquet.  stem: its name without
    endings.  notices: what was decided on opening it.
    """

    path: Path
    label: str
    header: tuple[str, ...]
    stem: str
    keys: Mapping[str, str] = field(default_factory=dict)
    shape: Shape | None = None
    encoding: str = UTF8
    packed: bool = False
    notices: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.label

    @property
    def name(self) -> str:
        """The label without folders."""
        return PurePosixPath(self.label).name

    @property
    def columns(self) -> list[str]:
        """Names of all columns, those of its folders last."""
        return [*self.header, *(key for key in self.keys if key not in self.header)]

    def rows(self, count: int) -> list[list[str]]:
        """The first rows as texts."""
        keys = [self.keys[key] for key in self.columns[len(self.header) :]]
        if self.shape is not None:
            width = len(self.header)
            return [[*row[:width], *[""] * (width - len(row)), *keys] for row in self.shape.sample[:count]]
        with pa.parquet.ParquetFile(self.path) as table:
            batch = next(table.iter_batches(count), None)
        columns = [column.to_pylist() for column in batch.columns] if batch is not None else []
        return [["" if cell is None else str(cell) for cell in row] + keys for row in zip(*columns, strict=True)]

    def cells(self, name: str) -> list[str]:
        """The first cells of a column as texts, without empty ones."""
        if name not in self.header:
            return [self.keys[name]]
        at = self.header.index(name)
        if self.shape is not None:
            values = [row[at].strip() for row in self.shape.sample if at < len(row)]
        else:
            with pa.parquet.ParquetFile(self.path) as table:
                batch = next(table.iter_batches(SAMPLE, columns=[name]), None)
            values = [] if batch is None else [str(cell) for cell in batch.column(0).to_pylist() if cell is not None]
        return [cell for cell in values if cell]


def open_tables(
    path: Path | str, room: Path, roles_sought: Sequence[ColumnRole], header: Sequence[str] | None = None
) -> list[Table]:
    """The tables that `path` means: a file, the tables of a folder or of an archive, or a pattern such as `data/*.txt`.

    room: a folder for what must be unpacked.  roles_sought: the columns looked for, which tell headers from titles and sheets from
    each other.  header: names of the columns of text files without a header line. Raises UserError that names the file.
    """
    numbers, room = count(), Path(tempfile.mkdtemp(dir=room))
    opener = _Opener(room, lambda cells: recognised(cells, roles_sought), header, numbers.__next__)
    tables = []
    for file in files_of(path):
        with read_troubles(file):
            tables += opener.open(file, str(file), _keys(file.parts[:-1]))
    return tables


class read_troubles:
    """What the machine says of a file that cannot be read, as a UserError."""

    def __init__(self, file: object) -> None:
        self.file = file

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, FileNotFoundError):
            raise UserError(f"{self.file} cannot be read: there is no such file") from error
        if isinstance(error, OSError) and error.strerror:
            raise UserError(f"{self.file} cannot be read: {error.strerror}") from error
        if isinstance(error, UnicodeError):
            raise UserError(
                f"{self.file} cannot be read: its letters are of no known form; save it as UTF-8"
            ) from error
        if isinstance(error, OSError | pa.ArrowException | EOFError):
            raise UserError(f"{self.file} cannot be read: it is damaged, or no {FORMS} table") from error


def files_of(path: Path | str) -> list[Path]:
    """Files that `path` means, sorted by name: a file, all tables of a folder, or a pattern."""
    path = Path(path)
    if path.is_file():
        return [path]
    files = sorted(_below(path) if path.is_dir() else filter(_is_table, map(Path, glob(str(path)))))  # noqa: PTH207
    if files:
        return files
    if not path.is_dir():
        raise UserError(f"{path} cannot be read: there is no such file")
    deeper = sorted({str(file.parent.relative_to(path)) for file in path.rglob("*") if _is_table(file)})
    hint = f"; tables lie below, in {named(deeper, 3)}: give a pattern such as '{path}/*/*'" if deeper else ""
    raise UserError(f"{path} cannot be read: it holds no {', '.join(sorted(TABLE_SUFFIXES))} file{hint}")


def _below(folder: Path) -> Iterator[Path]:
    for child in folder.iterdir():
        if child.is_dir() and "=" in child.name:
            yield from _below(child)
        elif _is_table(child):
            yield child


def _is_table(file: Path) -> bool:
    return file.is_file() and file.suffix.lower() in TABLE_SUFFIXES and not file.name.startswith((".", "_"))


def _keys(folders: Sequence[str]) -> dict[str, str]:
    """What folders named KEY=VALUE say."""
    pairs = [folder.partition("=")[::2] for folder in folders if "=" in folder]
    return {unquote(key): "" if value == EMPTY_PARTITION else unquote(value) for key, value in pairs if key}


@dataclass(frozen=True)
class _Opener:
    room: Path
    fits: Fits
    header: Sequence[str] | None
    number: Callable[[], int]
    within: bool = False  # of an archive

    def open(self, file: Path, label: str, keys: Mapping[str, str]) -> list[Table]:
        with file.open("rb") as content:
            mark = content.read(4)
        if mark.startswith((ZIP, OLE)):
            book = (
                mark.startswith(OLE)
                or Path(label).suffix.lower() in spreadsheets.SUFFIXES
                or self._is_workbook(file, label)
            )
            return self._book(file, label, keys) if book else self._archive(file, label, keys)
        if mark.startswith(GZIP):
            return self._packed(file, label, keys)
        if mark == PARQUET_MARK:
            return [Table(file, label, tuple(pa.parquet.read_schema(file).names), _stem(label), keys)]
        suffix = Path(label).suffix.lower()
        if suffix in PARQUET or suffix in spreadsheets.SUFFIXES or suffix in (".zip", ".gz"):
            raise UserError(f"{label} cannot be read: it is no {suffix} file, or damaged; save it again")
        return [self._text(file, label, keys, packed=False)]

    def _is_workbook(self, file: Path, label: str) -> bool:
        return any(name.startswith("xl/workbook") for name in names(file, label))

    def _book(self, file: Path, label: str, keys: Mapping[str, str]) -> list[Table]:
        if file.read_bytes()[:2] == ZIP:
            unpack(file, label, ON_DISK, dict[str, Path]().get)
        sheets = spreadsheets.read_sheets(file, label, self.fits)
        several = len(sheets) > 1
        tables = []
        for sheet, content in sheets:
            laid = self.room / f"{self.number()}.parquet"
            pa.parquet.write_table(content, laid)
            name = f"{label}, sheet {sheet!r}" if several else label
            tables.append(Table(laid, name, tuple(content.column_names), _stem(label), keys))
        if several:
            notice = f"{label}: the sheets {named([sheet for sheet, _ in sheets])} are read as one table"
            tables[0] = replace(tables[0], notices=(notice,))
        return tables

    def _archive(self, file: Path, label: str, keys: Mapping[str, str]) -> list[Table]:
        if self.within:
            raise UserError(f"{label} is an archive within an archive; unpack the outer one")
        laid: dict[str, Path] = {}

        def place(name: str) -> Path | None:
            inside = PurePosixPath(name)
            if inside.suffix.lower() not in TABLE_SUFFIXES or inside.name.startswith((".", "_")):
                return None
            laid[name] = self.room / f"{self.number()}{inside.suffix.lower()}"
            return laid[name]

        unpack(file, label, ON_DISK, place)
        if not laid:
            raise UserError(f"{label} holds no {', '.join(sorted(TABLE_SUFFIXES - {'.zip'}))} file")
        inner, tables = replace(self, within=True), []
        for name in sorted(laid):
            with read_troubles(f"{label}: {name}"):
                tables += inner.open(laid[name], f"{label}: {name}", {**keys, **_keys(PurePosixPath(name).parts[:-1])})
        return tables

    def _packed(self, file: Path, label: str, keys: Mapping[str, str]) -> list[Table]:
        start = next(gunzip(file, label, ON_DISK), b"")[:4]
        if not start.startswith((ZIP, GZIP, PARQUET_MARK)):
            return [self._text(file, label, keys, packed=True)]
        if self.within or start.startswith(GZIP):
            raise UserError(f"{label} is packed more than once; unpack it")
        laid = self.room / f"{self.number()}"
        with laid.open("wb") as written:
            for piece in gunzip(file, label, ON_DISK):
                written.write(piece)
        return replace(self, within=True).open(laid, label.removesuffix(".gz"), keys)

    def _text(self, file: Path, label: str, keys: Mapping[str, str], packed: bool) -> Table:
        def content() -> Iterator[bytes]:
            return gunzip(file, label, ON_DISK) if packed else _pieces(file)

        encoding, notice = encoding_of(content, label)
        with gzip.open(file, "rb") if packed else file.open("rb") as start:
            part = start.read(FIRST_PART)
        text = io.TextIOWrapper(io.BytesIO(part), encoding, errors="replace", newline="").read().removeprefix("\ufeff")
        if len(part) == FIRST_PART:
            whole = text.rfind("\n") + 1
            if not whole:
                raise UserError(f"{label} is not a table: its first line does not end")
            text = text[:whole]
        shape = shape_of(text, label, self.fits, self.header)
        return Table(
            file, label, shape.header, _stem(label), keys, shape, encoding, packed, (notice,) if notice else ()
        )


def _pieces(file: Path) -> Iterator[bytes]:
    with file.open("rb") as content:
        while piece := content.read(1 << 20):
            yield piece


def _stem(label: str) -> str:
    name = PurePosixPath(label.rpartition(": ")[2]).name
    while PurePosixPath(name).suffix.lower() in TABLE_SUFFIXES:
        name = PurePosixPath(name).stem
    return name
