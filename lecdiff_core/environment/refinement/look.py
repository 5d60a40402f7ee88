"""The encoder's look: does a sentence fit this chip worse than it fits other chips?

How well a sentence fits is its cosine to the chip, against those to reference chips: z, so many deviations above their mean. An
encoder recognises some chips and is blind to others; how sure it is of one is the highest z of reference captions. Only where it is
sure, and z is low, does a sentence go. Reference embeddings and both thresholds belong to one encoder (`assets/look`,
`benchmarks/surroundings/looking.py`); with any other there is no look.
"""

import re
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from safetensors import safe_open

from lecdiff_core.assets import assets_folder
from lecdiff_core.environment.refinement.claims import claim_rules, find_places

if TYPE_CHECKING:
    from lecdiff_core.environment.embedding.encoder import Encoder

FILE = "references.safetensors"
# What an encoder of images and captions does not judge: what is not there, how much, what is likely, who comes when.
_NOT_SEEN = re.compile(
    r"\b(?:no|not|none|never|without|hardly|scarcely|barely|few|little|absent|lacks?|free of|likely|probably|perhaps|suggests?"
    r"|would|plausible|expected|activity|traffic|commut\w+|residents?|people|visitors|evenings?|daytime|weekdays?|weekends?|nights?"
    r"|percent|per cent)\b|%",
    re.IGNORECASE,
)


def is_judged(sentence: str) -> bool:
    """Whether a sentence says of something seen that it is there, wherever, which is what an encoder of captions can tell.

    What stands in a part of the chip is measured, and captions hardly say it.
    """
    return _NOT_SEEN.search(sentence) is None and not find_places(sentence, claim_rules())[0]


@dataclass(frozen=True)
class Look:
    """An encoder with what it is held against.

    images: (M, D) embeddings of reference chips.  texts: (K, D) of reference captions.  sure: how sure of a chip it must be.
    least: z under which a sentence does not fit.
    """

    encoder: "Encoder"
    images: np.ndarray
    texts: np.ndarray
    sure: float
    least: float

    def at(self, image: Image.Image) -> "Looked":
        """What the encoder sees in a chip."""
        return Looked(self, self.encoder.embed_images([image.convert("RGB")])[0])

    def fit(self, texts: np.ndarray, image: np.ndarray) -> np.ndarray:
        """(n,) z of (n, D) texts at a (D,) image."""
        others = texts @ self.images.T
        return np.asarray((texts @ image - others.mean(1)) / np.maximum(others.std(1), 1e-6))


@dataclass(frozen=True)
class Looked:
    """A chip that was looked at; `embedding` is (D,)."""

    look: Look
    embedding: np.ndarray

    @cached_property
    def sureness(self) -> float:
        """The highest z of the reference captions at this chip."""
        return float(self.look.fit(self.look.texts, self.embedding).max())

    def doubt(self, sentence: str) -> str | None:
        """Why a sentence does not fit the chip; None where it does, or where the encoder cannot tell."""
        if not is_judged(sentence) or self.sureness < self.look.sure:
            return None
        text = self.look.encoder.embed_texts([sentence])
        if self.look.fit(text, self.embedding)[0] >= self.look.least:
            return None
        better = float(((text @ self.look.images.T)[0] > float(text[0] @ self.embedding)).mean())
        return f"does not look so: it fits {better:.0%} of other images better"


@cache
def default_look() -> Look | None:
    """The shipped encoder's look; None where its references are of another encoder."""
    from lecdiff_core.environment.embedding.encoder import DEFAULT, find_encoder

    encoder = find_encoder(DEFAULT)
    return None if encoder is None else open_look(encoder, assets_folder() / "look" / FILE)


def open_look(encoder_folder: Path, references: Path) -> Look | None:
    """The look of an encoder with the references of a file; None where they are of another one, or there is no such file."""
    from lecdiff_core.environment.embedding.encoder import Encoder, encoder_identity

    if not references.is_file():
        return None
    with safe_open(references, framework="numpy") as content:
        metadata = content.metadata()
        if metadata["encoder"] != encoder_identity(encoder_folder):
            return None
        images, texts = (content.get_tensor(name).astype(np.float32) for name in ("images", "texts"))
    return Look(Encoder.open(encoder_folder), images, texts, float(metadata["sure"]), float(metadata["least"]))
