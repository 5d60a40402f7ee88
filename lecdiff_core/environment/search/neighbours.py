"""Which stations stand in like surroundings: nearest in embedding space, nearest on the ground, and search by words.

Search is exact: one product of normalised float32 rows, then a partial sort. Similarities are cosines between −1 and 1. A search
by words also counts which of them a station's description has: the encoder knows common surroundings, the words what is rare.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from lecdiff_core.city.folder import City, named
from lecdiff_core.city.layout import CONFIG_FILE, DESCRIPTIONS_FILE, ENCODER_FOLDER, ENVIRONMENT_FILE, WEIGHTS_FILE
from lecdiff_core.environment.descriptions.record import current_descriptions, read_descriptions
from lecdiff_core.environment.embedding.table import EnvironmentTable, read_environment
from lecdiff_core.environment.search.wording import Wording
from lecdiff_core.errors import UserError
from lecdiff_core.storage import read_whole

if TYPE_CHECKING:
    from lecdiff_core.environment.embedding.encoder import Encoder

CITIES_IN_MEMORY = 4
WORDS = 0.5  # what having all words of a query counts beside a cosine; chosen on towns the encoder was trained on
Version = tuple[int, int]  # size and time (ns) of a file


@dataclass(frozen=True)
class _Index:
    """A city's embeddings, ready to be searched."""

    table: EnvironmentTable
    known: np.ndarray  # (n,) rows of the stations whose surroundings are known
    alike_by: np.ndarray  # (n, D) by what they are alike
    seen: np.ndarray  # (n, D) what a text is held against: their images, and the texts of those that have none


_INDICES: dict[Path, tuple[Version, _Index]] = {}
_WORDINGS: dict[Path, tuple[tuple[Version | None, tuple[str, ...]], Wording]] = {}


def nearest(embeddings: np.ndarray, query: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k rows of (N, D) `embeddings` most similar to a (D,) query, and their similarities, the most similar first.

    Of equally similar rows, the earlier comes first. Rows and query have length 1.
    """
    similarity = embeddings @ query
    k = min(k, len(similarity))
    if k <= 0:
        return np.zeros(0, np.intp), np.zeros(0, np.float32)
    least = np.partition(similarity, len(similarity) - k)[len(similarity) - k]
    above = np.flatnonzero(similarity > least)
    equal = np.flatnonzero(similarity == least)[: k - len(above)]
    rows = np.concatenate([above, equal])
    rows = rows[np.lexsort((rows, -similarity[rows]))]
    return rows, similarity[rows]


def search(city: City, text: str, top: int = 10) -> list[tuple[str, float]]:
    """The stations whose surroundings fit a text best, with their fit, at most 1.

    Fit: (cosine of the text to the chip + WORDS · share of its words that the description has) / (1 + WORDS). Raises UserError
    for an empty text or without embeddings.
    """
    index = _index(city)
    seen = index.seen @ encode_text(city, text)
    said = _wording(city, index.table).match(text)[index.known]
    fit = (seen + WORDS * said) / (1 + WORDS)
    order = np.lexsort((np.arange(len(fit)), -fit))[: max(top, 0)]
    stations = [index.table.station_ids[row] for row in index.known[order]]
    return list(zip(stations, fit[order].tolist(), strict=True))


def encode_text(city: City, text: str) -> np.ndarray:
    """(D,) embedding of a text by the encoder that made the city's embeddings."""
    if not text.strip():
        raise UserError("the text to search for is empty; say what should stand there, such as: stadium")
    if not _index(city).table.encoder:
        raise UserError(
            f"the embeddings in {city.path} are numbers of a table alone, which no words can find; describe its stations with "
            "`lecdiff describe --provider table`, then embed them again"
        )
    names = ("encoder/config.json", "encoder/model.safetensors", ENVIRONMENT_FILE)
    encoder, index = read_whole(city.path, names, lambda: (city_encoder(city), _index(city)))
    if encoder.identity != index.table.encoder:
        raise UserError(f"the embeddings in {city.path} are not of its encoder; finish them with `lecdiff embed`")
    return encoder.embed_texts([text])[0]


def neighbours(city: City, station_id: str, k: int = 8) -> pd.DataFrame:
    """The k stations most like one in their surroundings: station_id, similarity, distance_m, the most similar first.

    distance_m is NaN where places are not real or not known.
    """
    index = _index(city)
    row = _row(index.table, station_id)
    if row not in index.known:
        raise UserError(f"station {station_id!r} has no chip, so its surroundings are not known; fetch imagery first")
    rows, similarity = nearest(index.alike_by, index.table.alike_by[row], k + 1)
    others = index.known[rows] != row
    stations = [index.table.station_ids[other] for other in index.known[rows][others][: max(k, 0)]]
    return _frame(city, station_id, stations, similarity[others][: max(k, 0)])


def nearest_on_ground(city: City, station_id: str, k: int = 8) -> pd.DataFrame:
    """The k stations nearest to one on the ground, with the same columns; similarity is NaN where a chip is missing.

    Raises UserError where no place is known.
    """
    if not city.has_places:
        raise UserError(f"nothing is known of where the stations of {city.meta.name} stand, so none is the nearest")
    table = _index(city).table
    row = _row(table, station_id)
    others = [station for station in city.station_ids if station != station_id]
    metres = _metres(city, station_id, others)
    order = np.lexsort((np.arange(len(others)), metres))[:k]
    stations = [others[index] for index in order]
    alike_by = table.rows(tuple(stations), table.alike_kind)
    similarity = alike_by @ table.alike_by[row]
    similarity[(alike_by == 0).all(1) | (table.alike_by[row] == 0).all()] = np.nan
    return _frame(city, station_id, stations, similarity)


def city_encoder(city: City) -> "Encoder":
    """The encoder in the city folder, kept in memory while its files stay as they are."""
    folder = city.path.resolve() / ENCODER_FOLDER
    files = [folder / CONFIG_FILE, folder / WEIGHTS_FILE]
    if not all(file.is_file() for file in files):
        raise UserError(f"{city.path} has no encoder; make the embeddings with `lecdiff embed`")
    return _open_encoder(folder, tuple(_version(file) for file in files))


@lru_cache(maxsize=2)
def _open_encoder(folder: Path, version: tuple[Version, ...]) -> "Encoder":  # noqa: ARG001 (part of the key)
    from lecdiff_core.environment.embedding.encoder import Encoder

    return Encoder.open(folder)


def _index(city: City) -> _Index:
    """The city's embeddings, kept in memory while their file stays as it is."""
    file = city.path.resolve() / ENVIRONMENT_FILE
    if not file.is_file():
        raise UserError(f"{city.path} has no embeddings; make them with `lecdiff embed`")
    version = _version(file)
    cached = _INDICES.get(file)
    if cached and cached[0] == version:
        return cached[1]
    table = read_environment(city)
    assert table is not None
    known = np.flatnonzero(table.alike_by.any(axis=1))
    seen = np.where(table.image.any(axis=1, keepdims=True), table.image, table.text)
    index = _Index(table, known, np.ascontiguousarray(table.alike_by[known]), np.ascontiguousarray(seen[known]))
    if len(_INDICES) == CITIES_IN_MEMORY:
        _INDICES.pop(next(iter(_INDICES)), None)
    _INDICES[file] = (version, index)
    return index


def _wording(city: City, table: EnvironmentTable) -> Wording:
    """The words of the stations' descriptions, kept in memory while the file stays as it is."""
    file = city.path.resolve() / DESCRIPTIONS_FILE
    version = _version(file) if file.is_file() else None
    key = (version, table.image_sha256)
    cached = _WORDINGS.get(file)
    if cached and cached[0] == key:
        return cached[1]
    described = current_descriptions(read_descriptions(file))
    texts = [
        " ".join(one.kept_text for one in described.get(station, []) if one.image_sha256 == chip)
        for station, chip in zip(table.station_ids, table.image_sha256, strict=True)
    ]
    wording = Wording(texts)
    if len(_WORDINGS) == CITIES_IN_MEMORY:
        _WORDINGS.pop(next(iter(_WORDINGS)), None)
    _WORDINGS[file] = (key, wording)
    return wording


def _version(file: Path) -> Version:
    return file.stat().st_size, file.stat().st_mtime_ns


def _row(table: EnvironmentTable, station_id: str) -> int:
    try:
        return table.station_ids.index(station_id)
    except ValueError:
        raise UserError(f"no station {station_id!r} is embedded; there are {named(table.station_ids)}") from None


def _frame(city: City, station_id: str, stations: list[str], similarity: np.ndarray) -> pd.DataFrame:
    metres = _metres(city, station_id, stations)
    if not city.has_true_places:
        metres = np.full(len(stations), np.nan)
    return pd.DataFrame({"station_id": stations, "similarity": similarity, "distance_m": metres})


def _metres(city: City, station_id: str, stations: list[str]) -> np.ndarray:
    from pyproj import Geod

    points = city.stations.set_index("station_id").geometry
    absent = [station for station in [station_id, *stations] if station not in points.index]
    if absent:
        raise UserError(f"{named(absent)} is embedded but no station of {city.path}; run `lecdiff embed` again")
    if not city.has_places:
        return np.full(len(stations), np.nan)
    here, there = points[station_id], points[stations]
    same = np.ones(len(stations))
    _, _, metres = Geod(ellps="WGS84").inv(here.x * same, here.y * same, there.x.to_numpy(), there.y.to_numpy())
    return np.asarray(metres, dtype=float)
