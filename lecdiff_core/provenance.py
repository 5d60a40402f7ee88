"""What a product was made from, and whether that still is what there is: the one judgement for all that is derived.

Chips, descriptions, embeddings, models, forecasts, surges and measurements each record a `Source` as they are made: hashes of what
was read for them, and the numbers of the methods it went through. Beside what would be read now it says whether they are current.
When a file changed is asked nowhere, so copying, touching or checking out a folder changes nothing.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lecdiff_core.bounded import parse_json

Source = Mapping[str, Any]  # plain JSON values by what they are of
METADATA_KEY = b"lecdiff.source"  # of a Parquet file


def is_current(made_from: Source, now: Source) -> bool | None:
    """Whether what was made from `made_from` is of all that `now` names.

    None where that is not known: nothing differs, but the product does not tell all of it.
    """
    recorded = [name for name in now if name in made_from]
    if any(made_from[name] != now[name] for name in recorded):
        return False
    return True if len(recorded) == len(now) else None


def digest(content: bytes | np.ndarray | None) -> str | None:
    """SHA-256 (hex) of what was read; None of nothing."""
    if content is None:
        return None
    return hashlib.sha256(
        content if isinstance(content, bytes) else np.ascontiguousarray(content).tobytes()
    ).hexdigest()


def stamped(table: pa.Table, source: Source) -> pa.Table:
    """A table that tells, in its Parquet file's metadata, what it was made from."""
    known = table.schema.metadata or {}
    return table.replace_schema_metadata(known | {METADATA_KEY: json.dumps(source).encode()})


def source_of(metadata: Mapping[bytes, bytes] | None) -> dict[str, Any]:
    """What a Parquet file's metadata tell of its making; empty where they tell nothing."""
    try:
        source = parse_json((metadata or {})[METADATA_KEY])
    except (KeyError, ValueError):
        return {}
    return source if isinstance(source, dict) else {}


def source_in(file: Path) -> dict[str, Any]:
    """What a Parquet file tells of its making; empty where it tells nothing or cannot be read."""
    try:
        return source_of(pq.read_schema(file).metadata)
    except (OSError, pa.ArrowException, ValueError):
        return {}
