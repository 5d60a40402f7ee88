"""Which descriptions have the words of a query: exact where an embedding of text is vague, as for things that are rare."""

import re
from collections.abc import Iterable, Sequence

import numpy as np

_WORD = re.compile(r"[^\W_]+")
_NOTHING = frozenset(re.findall(r"\w+", "a an and at beside by for from in is near next of on or over the to with"))


class Wording:
    """The words of N texts, by word: an inverted index."""

    def __init__(self, texts: Sequence[str]) -> None:
        rows: dict[str, list[int]] = {}
        for row, text in enumerate(texts):
            for word in set(words(text)):
                rows.setdefault(word, []).append(row)
        self.count = len(texts)
        self.rows = {word: np.array(positions) for word, positions in rows.items()}

    def match(self, query: str) -> np.ndarray:
        """(N,) float32 from 0 to 1: the share of the query's words that each text has, words weighed by their rarity.

        A word that no text has counts nowhere; the weight of one that n of N texts have is log(1 + N / n).
        """
        share = np.zeros(self.count, np.float32)
        known = [word for word in dict.fromkeys(words(query)) if word in self.rows]
        weights = [np.log1p(self.count / len(self.rows[word])) for word in known]
        for word, weight in zip(known, weights, strict=True):
            share[self.rows[word]] += weight / sum(weights)
        return share


def words(text: str) -> Iterable[str]:
    """The words of a text that say something, in lower case and without a plural's s."""
    for match in _WORD.finditer(text.lower()):
        if match[0] not in _NOTHING:
            yield match[0] if match[0].endswith("ss") else match[0].removesuffix("s")
