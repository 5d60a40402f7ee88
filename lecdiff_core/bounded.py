"""Files of others are bounded in size, depth and digits before anything is made of them.

Each function raises OSError where a file cannot be read and ValueError, whose text says why, where it is not what it should be.
"""

import json
import stat
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

if TYPE_CHECKING:
    import pyarrow.parquet as pq

MIB = 2**20
LARGEST = 64 * MIB  # bytes of a file of records: results, a model's config with its station ids
DEEPEST = 32  # objects and lists within each other
LARGEST_WHOLE = 2**128  # the state of a random generator is as large, and a float holds it
BYTES_A_VALUE = 8  # of a table in memory, with what reading it takes beside the values


def read_bytes(file: Path, largest: int = LARGEST) -> bytes:
    """A regular file of at most `largest` bytes."""
    with file.open("rb") as opened:
        if not stat.S_ISREG(file.stat().st_mode):
            raise ValueError("it is not a regular file")
        content = opened.read(largest + 1)
    if len(content) > largest:
        raise ValueError(f"it is larger than {_size(largest)}")
    return content


def read_json(file: Path, largest: int = LARGEST) -> Any:
    """What a JSON file says."""
    return parse_json(read_bytes(file, largest))


def parse_json(content: bytes | str) -> Any:
    """What a JSON text says."""
    return _parse(json.loads, content.decode("utf-8") if isinstance(content, bytes) else content)


def parse_toml(content: bytes) -> dict[str, Any]:
    """What a TOML text says."""
    table: dict[str, Any] = _parse(tomllib.loads, content.decode("utf-8"))
    return table


def _parse(parse: Callable[[str], Any], text: str) -> Any:
    try:
        parsed = parse(text)
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    waiting = [(parsed, 0)]
    while waiting:
        value, depth = waiting.pop()
        if depth > DEEPEST:
            raise ValueError("it is nested too deep")
        if isinstance(value, int) and abs(value) >= LARGEST_WHOLE:
            raise ValueError("a number in it has too many digits")
        if isinstance(value, dict | list):
            waiting += [(item, depth + 1) for item in (value.values() if isinstance(value, dict) else value)]
    return parsed


def check_table(metadata: "pq.FileMetaData") -> None:
    """Refuse a Parquet file which, by what it says of itself, would not fit into this machine's memory."""
    needed = metadata.num_rows * max(metadata.num_columns, 1) * BYTES_A_VALUE
    if needed > psutil.virtual_memory().total:
        shape = f"{metadata.num_rows:,} rows of {metadata.num_columns:,} columns"
        raise ValueError(f"it says that it holds {shape}, more than this machine's memory")


def _size(count: int) -> str:
    return f"{count // MIB} MiB" if count >= MIB else f"{count // 1024} KiB"
