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

KINDS = ("image", "text", "unified")
FORECASTER_INPUT = "image"  # which embedding feeds the forecaster where there is no table


@dataclass(frozen=True)
class EnvironmentTable:
    """Embeddings of N stations, each (N, D) float32 with rows of length 1; a row is 0 where a station has no such thing.

    encoder: hash of the encoder that made image and text ("" = none did).  image_sha256: hash of each station's chip ("" = it
    has none).  text_sha256: hash of what was said of each station; empty in tables from before it was kept.
    table: (N, C) float32 rows made from a table of numbers, whose lengths say how much there is (mean square 1); None = there is
    none.  table_method: hash of how they were made.  table_sha256: hash of the table.
    """

    station_ids: tuple[str, ...]
    image: np.ndarray
    text: np.ndarray
    unified: np.ndarray
    encoder: str
    image_sha256: tuple[str, ...]
    text_sha256: tuple[str, ...] = ()
    table: np.ndarray | None = None
    table_method: str = ""
    table_sha256: str = ""

    @property
    def made_by(self) -> str:
        """What tells embeddings that a model can read from those of another encoder or another table."""
        return self.encoder if self.table is None else f"{self.encoder}+{self.table_method}"

    @property
    def known(self) -> np.ndarray:
        """(N,) whether anything is known of a station's surroundings."""
        return np.asarray(self.unified.any(axis=1))

    @property
    def forecaster_input(self) -> str:
        """The kind that feeds the forecaster: the image, the table alone, or where there are both, all in one."""
        if self.table is None:
            return FORECASTER_INPUT
        return "unified" if self.encoder else "table"

    @property
    def alike_kind(self) -> str:
        """The kind by whose cosines stations are alike: the image, else all that is known of them."""
        return "image" if self.table is None and self.image.any() else "unified"

    @property
    def alike_by(self) -> np.ndarray:
        """(N, D) its rows."""
        rows: np.ndarray = getattr(self, self.alike_kind)
        return rows

    def sources(self) -> dict[str, dict[str, str]]:
        """What each embedded station's rows were made from: the hashes of its chip and, where they were kept, its texts."""
        chips = dict(zip(self.station_ids, self.image_sha256, strict=True))
        texts = dict(zip(self.station_ids, self.text_sha256, strict=False))
        return {
            name: {"chip": chip} | ({"text": texts[name]} if name in texts else {})
            for name, chip in chips.items()
            if chip or texts.get(name)
        }

    def rows(self, station_ids: tuple[str, ...], kind: str | None = None) -> np.ndarray:
        """(N, D) embeddings of a kind in the order of `station_ids`; a station without one gets zeros.

        kind: image, text, unified or table; None = what feeds the forecaster. Raises UserError for a table that there is not.
        """
        embeddings: np.ndarray | None = getattr(self, kind or self.forecaster_input)
        if embeddings is None:
            raise UserError("the city has no table of surroundings; give one with `lecdiff embed --from`")
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
            read = EnvironmentTable(
                station_ids=tuple(parse_json(metadata["station_ids"])),
                image=table.get_tensor("image"),
                text=table.get_tensor("text"),
                unified=table.get_tensor("unified"),
                encoder=metadata["encoder"],
                image_sha256=tuple(parse_json(metadata["image_sha256"])),
                text_sha256=tuple(parse_json(metadata.get("text_sha256", "[]"))),
                table=table.get_tensor("table") if "table" in table.keys() else None,  # noqa: SIM118
                table_method=metadata.get("table_method", ""),
                table_sha256=metadata.get("table_sha256", ""),
            )
        _check(read)
        return read
    except (OSError, SafetensorError, KeyError, ValueError, TypeError) as error:
        raise UserError(
            f"{file}: damaged or not an embedding table ({error}); make it again with `lecdiff embed`"
        ) from error


def _check(table: EnvironmentTable) -> None:
    """Raise ValueError where the parts of a table do not belong together."""
    tensors = list(_tensors(table).values())
    shapes = [rows.shape for rows in tensors]
    if any(len(shape) != 2 or shape[0] != len(table.station_ids) for shape in shapes):
        raise ValueError("its embeddings and stations are not equally many")
    if len(table.image_sha256) != len(table.station_ids):
        raise ValueError("its chips and stations are not equally many")
    if len(table.text_sha256) not in (0, len(table.station_ids)):
        raise ValueError("its texts and stations are not equally many")
    if not all(np.isfinite(rows).all() for rows in tensors):
        raise ValueError("it holds numbers that are not finite")


def _tensors(table: EnvironmentTable) -> dict[str, np.ndarray]:
    tensors = {kind: getattr(table, kind) for kind in KINDS}
    return tensors if table.table is None else tensors | {"table": table.table}


def read_panel(city: City, kind: str | None = None) -> tuple[Panel, str | None]:
    """The city's panel with the embeddings it has of a kind (see `EnvironmentTable.rows`), and the hash of what made them.

    Both are None where the city has none.
    """
    table = read_environment(city)
    if table is None:
        return Panel.of(city), None
    return Panel.of(city, table.rows(city.station_ids, kind)), table.made_by


def write_environment(city: City, table: EnvironmentTable) -> Path:
    """Write the embeddings into the city folder."""
    with changing(city.path) as change:
        stage_environment(change, table)
    return city.path / ENVIRONMENT_FILE


def stage_environment(change: Change, table: EnvironmentTable) -> None:
    """Let the embeddings be part of a change of the city folder."""
    tensors = {kind: np.ascontiguousarray(rows, dtype=np.float32) for kind, rows in _tensors(table).items()}
    metadata = {
        "station_ids": json.dumps(table.station_ids),
        "encoder": table.encoder,
        "image_sha256": json.dumps(table.image_sha256),
        "text_sha256": json.dumps(table.text_sha256),
    }
    if table.table is not None:
        metadata |= {"table_method": table.table_method, "table_sha256": table.table_sha256}
    change.file(ENVIRONMENT_FILE).write_bytes(save(tensors, metadata))
