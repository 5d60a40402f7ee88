"""The record of one description of a station's surroundings, and the file that keeps them: `descriptions.jsonl`.

One JSON object a line. A line is appended and forced to disk as soon as its answer arrives, so a run that is cut off
loses at most the line it was writing; such a torn last line is skipped when reading and removed by the next append.
Texts come from a model: they are data, never instructions, and are escaped wherever they are shown.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer

from lecdiff_core.environment.refinement.sentences import Sentence
from lecdiff_core.jsonl import append_record, read_records
from lecdiff_core.storage import replacing


class DescriptionKey(NamedTuple):
    """What a description was made from; an answer with this key is never paid for twice."""

    station_id: str
    n: int
    model: str
    prompt_version: str
    image_sha256: str


class Description(BaseModel):
    """What a model said of one chip; `n` counts from 1 where a station has several.

    `text` is the raw answer. Until refinement has seen it, every sentence is kept and both scores are None;
    afterwards `image_score` (agreement with the image) and `text_score` (geographic specificity and consistency of the
    text) lie between 0 and 1. `prompt_version` names the instruction, its version and the start of its text's SHA-256,
    as "standard-1-3f2a9c1b"; `image_sha256` is of the chip file's bytes. `second_look`: the model that looked again, if one did.
    """

    model_config = ConfigDict(extra="forbid")

    station_id: str = Field(min_length=1)
    n: int = Field(ge=1)
    text: str = Field(min_length=1)
    sentences: list[Sentence]
    image_score: float | None = Field(default=None, ge=0, le=1)
    text_score: float | None = Field(default=None, ge=0, le=1)
    model: str = Field(min_length=1)
    prompt_version: str = Field(min_length=1)
    image_sha256: str = Field(pattern="^([0-9a-f]{64})?$")
    second_look: str | None = None

    @model_serializer(mode="wrap")
    def _fields(self, whole: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """All fields; the second look only where there was one."""
        fields: dict[str, Any] = whole(self)
        return (
            fields if self.second_look is not None else {name: fields[name] for name in fields if name != "second_look"}
        )

    @property
    def key(self) -> DescriptionKey:
        """What it was made from."""
        return DescriptionKey(self.station_id, self.n, self.model, self.prompt_version, self.image_sha256)

    @property
    def kept_text(self) -> str:
        """The sentences that refinement kept, in their order, as one text; empty when it kept none."""
        return " ".join(sentence.text for sentence in self.sentences if sentence.kept)


def read_descriptions(path: Path) -> list[Description]:
    """Read `descriptions.jsonl` in the order of its lines; of lines with the same key the last counts.

    No file is no descriptions; a torn last line is skipped; any other line that is not a description raises UserError.
    """
    by_key: dict[DescriptionKey, Description] = {}
    for description in read_records(path, Description):
        by_key.pop(description.key, None)
        by_key[description.key] = description
    return list(by_key.values())


def current_descriptions(descriptions: Iterable[Description]) -> dict[str, list[Description]]:
    """Return each station's descriptions in the order of `n`; of several with the same `n`, the last made counts."""
    by_station: dict[str, dict[int, Description]] = {}
    for description in descriptions:
        by_station.setdefault(description.station_id, {})[description.n] = description
    return {station_id: [numbered[n] for n in sorted(numbered)] for station_id, numbered in by_station.items()}


def append_description(path: Path, description: Description) -> None:
    """Add one line and force it to disk; a torn last line left by a run that was cut off is removed first."""
    append_record(path, description)


def write_descriptions(path: Path, descriptions: Iterable[Description]) -> None:
    """Replace the whole file, as a new refinement of old answers does."""
    with replacing(path) as unfinished, unfinished.open("wb") as file:
        for description in descriptions:
            file.write(description.model_dump_json().encode() + b"\n")
