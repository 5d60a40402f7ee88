"""A description as HTML: what was kept, what the refinement removed and why, both scores, and who wrote it.

The texts come from a model. They are data: every one is escaped, whatever it says.
"""

from lecdiff_core.environment.descriptions.offline import OFFLINE_MODEL
from lecdiff_core.environment.descriptions.record import Description
from lecdiff_core.environment.refinement.sentences import Sentence, split_sentences
from pages.parts.look import formats
from pages.parts.look.formats import escaped

OFFLINE_LABEL = "measured from the image, no language model"
IMAGE_SCORE = "What it says of plants, water, buildings, roofs and lines, compared with what the image measures there."
TEXT_SCORE = "How exactly the kept text names things and places, less what was removed and what contradicts itself."


def text(description: Description) -> str:
    """Every sentence in its order: kept ones plain, shortened ones marked, removed ones struck through with the reason."""
    said = set(split_sentences(description.text))
    parts = " ".join(_sentence(sentence, sentence.text in said) for sentence in description.sentences)
    return f'<p class="lec-description">{parts}</p>'


def _sentence(sentence: Sentence, whole: bool) -> str:
    shown = escaped(sentence.text)
    if not sentence.kept:
        reason = escaped(sentence.reason or "no reason was recorded")
        return f'<del title="Removed: {reason}">{shown}</del> <span class="lec-reason">Removed: {reason}.</span>'
    if whole:
        return f"<span>{shown}</span>"
    return f'<span class="lec-shortened" title="Shortened: a part of this sentence was removed">{shown}</span>'


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


def scores(description: Description) -> str:
    """Both scores as bars, with what they mean."""
    rows = (
        (description.image_score, "Agreement with the image", IMAGE_SCORE),
        (description.text_score, "Detail and consistency of the text", TEXT_SCORE),
    )
    return f'<div class="lec-scores">{"".join(_score(*row) for row in rows)}</div>'


def _score(score: float | None, name: str, meaning: str) -> str:
    value = "not judged yet" if score is None else formats.share(score)
    return (
        f'<div><p><span>{name}</span><b>{value}</b></p><div class="lec-bar"><i style="width:{100 * (score or 0):.0f}%">'
        f'</i></div><p class="lec-sub">{meaning}</p></div>'
    )


def source(description: Description) -> str:
    """Who wrote it, by which instruction."""
    if description.model == OFFLINE_MODEL:
        writer = f"<b>{OFFLINE_LABEL}</b> ({escaped(description.model)})"
        return f'<p class="lec-made">Text {writer}</p>'
    return (
        f'<p class="lec-made">Written by the language model <b>{escaped(description.model)}</b> from the image, '
        f"instruction {escaped(description.prompt_version)}</p>"
    )
