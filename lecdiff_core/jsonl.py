"""Files of one JSON object a line that grow while a long run works: nothing that was appended is lost.

A line is forced to disk before the run goes on. A run that is cut off leaves at most one torn last line, which is
skipped when reading and removed by the next append.
"""

import os
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import IO, TypeVar

from pydantic import BaseModel, ValidationError

from lecdiff_core.bounded import read_bytes
from lecdiff_core.errors import UserError
from lecdiff_core.storage import disk_reason

LARGEST_FILE, LONGEST_LINE = 2**30, 2**20  # bytes
ROOM_FOR_A_RECORD = 2**16  # bytes
Record = TypeVar("Record", bound=BaseModel)


def read_records(path: Path, kind: type[Record]) -> list[Record]:
    """Read every line as a `kind`, in order; no file is no records.

    A torn last line is skipped; any other line that does not fit raises UserError with its row.
    """
    if not path.exists():
        return []
    try:
        lines = read_bytes(path, LARGEST_FILE).split(b"\n")
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read: {error}") from None
    records: list[Record] = []
    for row, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        if len(line) > LONGEST_LINE:
            raise UserError(f"{path}, row {row}: the line is longer than a record can be; correct or delete that line")
        try:
            records.append(kind.model_validate_json(line))
        except ValidationError as error:
            if row == len(lines):
                break
            problem = error.errors()[0]
            where = ".".join(map(str, problem["loc"])) or "the line"
            raise UserError(f"{path}, row {row}: {where}: {problem['msg']}; correct or delete that line") from None
    return records


def append_record(path: Path, record: BaseModel) -> None:
    """Add one line and force it to disk. Raises UserError where the disk refuses; a torn line is removed by the next append."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a+b") as file:
            _mend_tail(file, type(record))
            file.write(record.model_dump_json().encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise UserError(f"cannot write {path}: {disk_reason(error)}") from error


class Room:
    """Room on the disk for records to come, held by a file beside `path` that gives way once the disk is full.

    So what was under way when it filled can still be appended. Raises UserError where there is no such room, or `path` cannot
    be appended to.
    """

    def __init__(self, path: Path, records: int) -> None:
        self._file = path.with_name(f".{path.stem}.room")
        try:
            with path.open("ab") if path.exists() else nullcontext(), self._file.open("wb") as file:
                file.write(os.urandom(records * ROOM_FOR_A_RECORD))
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            self.give_way()
            raise UserError(f"cannot write {path}: {disk_reason(error)}") from error

    def give_way(self) -> None:
        """Let the room go."""
        with suppress(OSError):
            self._file.unlink()


def _mend_tail(file: IO[bytes], kind: type[BaseModel]) -> None:
    """End a whole last line that lacks its line break; cut off one that is torn."""
    if not (size := file.seek(0, os.SEEK_END)):
        return
    file.seek(size - 1)
    if file.read(1) == b"\n":
        return
    file.seek(0)
    content = file.read()
    start = content.rfind(b"\n") + 1
    try:
        kind.model_validate_json(content[start:])
    except ValidationError:
        file.truncate(start)
    else:
        file.write(b"\n")
