"""A description as HTML: what was kept, what the refinement removed and why, both scores, and who wrote it.

The texts come from a model. They are data: every one is escaped, whatever it says.
"""

from markupsafe import Markup

from lecdiff_core.environment.descriptions.offline import OFFLINE_MODEL
from lecdiff_core.environment.descriptions.record import Description
from lecdiff_core.environment.refinement.sentences import split_sentences
from pages.parts.look import formats
from pages.parts.look.markup import blocks, stations

OFFLINE_LABEL = "measured from the image, no language model"
IMAGE_SCORE = "What it says of plants, water, buildings, roofs and lines, compared with what the image measures there."
TEXT_SCORE = "How exactly the kept text names things and places, less what was removed and what contradicts itself."


def text(description: Description) -> Markup:
    """Every sentence in its order: kept ones plain, shortened ones marked, removed ones struck through with the reason."""
    said = set(split_sentences(description.text))
    return stations.description([(sentence, sentence.text in said) for sentence in description.sentences])


def first_sentence(description: Description) -> str:
    """The first sentence that was kept; empty where none was."""
    return next((sentence.text for sentence in description.sentences if sentence.kept), "")


def summary(description: Description) -> str:
    """What the refinement did, in words."""
    removed = sum(not sentence.kept for sentence in description.sentences)
    if not description.kept_text:
        return "Nothing of this description was kept."
    if not removed:
        return "Refinement kept every sentence."
    return f"Refinement removed {removed} of {len(description.sentences)} parts; only the rest is used."


def scores(description: Description) -> Markup:
    """Both scores as bars, with what they mean."""
    named = (
        (description.image_score, "Agreement with the image", IMAGE_SCORE),
        (description.text_score, "Detail and consistency of the text", TEXT_SCORE),
    )
    return stations.scores([(_score(score), _percent(score), name, meaning) for score, name, meaning in named])


def _score(score: float | None) -> str:
    return "not judged yet" if score is None else formats.share(score)


def _percent(score: float | None) -> str:
    return f"{100 * (score or 0):.0f}"


def source(description: Description) -> Markup:
    """Who wrote it, by which instruction."""
    offline = OFFLINE_LABEL if description.model == OFFLINE_MODEL else ""
    return stations.source(description.model, description.prompt_version, offline)


def whole(description: Description) -> Markup:
    """All of it: the text, what the refinement did, both scores and the source."""
    return text(description) + blocks.paragraph(summary(description), "sub") + scores(description) + source(description)
