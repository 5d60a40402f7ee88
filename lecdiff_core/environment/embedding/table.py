"""`environment.safetensors`: the embeddings of a city's stations, made once a chip and reused by every forecast."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from lecdiff_core.bounded import parse_json
from lecdiff_core.city.folder import City
from lecdiff_core.city.layout import ENVIRONMENT_FILE
from lecdiff_core.city.panel import Panel
from lecdiff_core.errors import UserError
from lecdiff_core.storage import Change, changing, recover

FORECASTER_INPUT = "image"  # which embedding feeds the forecaster


@dataclass(frozen=True)
class EnvironmentTable:
    """Embeddings of N stations, each (N, D) float32 with rows of length 1.

    encoder: hash of the encoder that made them.  image_sha256: hash of each station's chip ("" = it has none, rows are 0).
    text_sha256: hash of what was said of each chip; empty in tables from before it was kept.
    """

    station_ids: tuple[str, ...]
    image: np.ndarray
    text: np.ndarray
    unified: np.ndarray
    encoder: str
    image_sha256: tuple[str, ...]
    text_sha256: tuple[str, ...] = ()

    def sources(self) -> dict[str, dict[str, str]]:
        """What each embedded station's rows were made from: the hashes of its chip and, where they were kept, its texts."""
        chips = {name: {"chip": chip} for name, chip in zip(self.station_ids, self.image_sha256, strict=True) if chip}
        texts = dict(zip(self.station_ids, self.text_sha256, strict=False))
        return {name: source | ({"text": texts[name]} if name in texts else {}) for name, source in chips.items()}

    def rows(self, station_ids: tuple[str, ...], kind: str = FORECASTER_INPUT) -> np.ndarray:
        """(N, D) embeddings in the order of `station_ids`; a station without one gets zeros."""
        embeddings: np.ndarray = getattr(self, kind)
        row = {station: index for index, station in enumerate(self.station_ids)}
        padded = np.vstack([embeddings, np.zeros((1, embeddings.shape[1]), embeddings.dtype)])
        return padded[[row.get(station, len(embeddings)) for station in station_ids]]


def read_environment(city: City) -> EnvironmentTable | None:
    """The city's embeddings, or None where it has none. Raises UserError where the file is damaged."""
    recover(city.path)
    file = city.path / ENVIRONMENT_FILE
    if not file.is_file():
        return None
    try:
        with safe_open(file, framework="numpy") as table:
            metadata = table.metadata() or {}
            found = EnvironmentTable(
                station_ids=tuple(parse_json(metadata["station_ids"])),
                image=table.get_tensor("image"),
                text=table.get_tensor("text"),
                unified=table.get_tensor("unified"),
                encoder=metadata["encoder"],
                image_sha256=tuple(parse_json(metadata["image_sha256"])),
                text_sha256=tuple(parse_json(metadata.get("text_sha256", "[]"))),
            )
        _check(found)
        return found
    except (OSError, SafetensorError, KeyError, ValueError, TypeError) as error:
        raise UserError(
            f"{file}: damaged or not an embedding table ({error}); make it again with `lecdiff embed`"
        ) from error


def _check(table: EnvironmentTable) -> None:
    """Raise ValueError where the parts of a table do not belong together."""
    shapes = [getattr(table, kind).shape for kind in ("image", "text", "unified")]
    if any(len(shape) != 2 or shape[0] != len(table.station_ids) for shape in shapes):
        raise ValueError("its embeddings and stations are not equally many")
    if len(table.image_sha256) != len(table.station_ids):
        raise ValueError("its chips and stations are not equally many")
    if len(table.text_sha256) not in (0, len(table.station_ids)):
        raise ValueError("its texts and stations are not equally many")
    if not all(np.isfinite(getattr(table, kind)).all() for kind in ("image", "text", "unified")):
        raise ValueError("it holds numbers that are not finite")


def read_panel(city: City, kind: str = FORECASTER_INPUT) -> tuple[Panel, str | None]:
    """The city's panel with the embeddings it has of a kind (image, text, unified), and the hash of their encoder.

    Both are None where the city has none.
    """
    table = read_environment(city)
    if table is None:
        return Panel.of(city), None
    return Panel.of(city, table.rows(city.station_ids, kind)), table.encoder


def write_environment(city: City, table: EnvironmentTable) -> Path:
    """Write the embeddings into the city folder."""
    with changing(city.path) as change:
        stage_environment(change, table)
    return city.path / ENVIRONMENT_FILE


def stage_environment(change: Change, table: EnvironmentTable) -> None:
    """Let the embeddings be part of a change of the city folder."""
    tensors = {
        kind: np.ascontiguousarray(getattr(table, kind), dtype=np.float32) for kind in ("image", "text", "unified")
    }
    metadata = {
        "station_ids": json.dumps(table.station_ids),
        "encoder": table.encoder,
        "image_sha256": json.dumps(table.image_sha256),
        "text_sha256": json.dumps(table.text_sha256),
    }
    change.file(ENVIRONMENT_FILE).write_bytes(save(tensors, metadata))
