"""A text cut into sentences, and what refinement says of each."""

import re

from pydantic import BaseModel, ConfigDict


class Sentence(BaseModel):
    """One sentence of a description: whether the refinement kept it, and if not, why."""

    model_config = ConfigDict(extra="forbid")

    text: str
    kept: bool = True
    reason: str | None = None


_SENTENCE_END = re.compile(r"(?<=[.!?])[\"')\]]*\s+(?=[\"'(\[]?[A-Z0-9])")
_ABBREVIATION = re.compile(r"\b(?:e\.g|i\.e|approx|ca|cf|St|Mt|No|vs|etc|[A-Z])\.$")


def split_sentences(text: str) -> list[str]:
    """Cut a text into sentences at ends of lines and at `.`, `!` or `?` before a capital or a digit."""
    sentences: list[str] = []
    for line in text.splitlines():
        start = 0
        for end in _SENTENCE_END.finditer(line):
            candidate = line[start : end.end()].strip()
            if candidate and not _ABBREVIATION.search(candidate):
                sentences.append(candidate)
                start = end.end()
        if rest := line[start:].strip():
            sentences.append(rest)
    return sentences
