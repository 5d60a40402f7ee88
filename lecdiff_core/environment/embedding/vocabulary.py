"""The encoder's vocabulary: open_clip's byte-pair tokens that occur in descriptions of surroundings, and every single byte.

open_clip's tokenizer knows 49,408 tokens, which would make up most of a small model. Of its merges, those are kept that the
training texts use; their words are cut exactly as open_clip cuts them. Any other text falls into smaller known pieces, at
worst into bytes, so nothing is unknown.
"""

import lecdiff_core.environment.embedding.torchvision_ops  # noqa: F401 (before open_clip)

# isort: split

import gzip
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from open_clip.tokenizer import SimpleTokenizer


def domain_merges(texts: Iterable[str], at_least: int = 2) -> tuple[str, ...]:
    """The merges ("first second", in open_clip's order) behind every token that occurs `at_least` times in the texts."""
    full = SimpleTokenizer()
    counts = Counter(token for text in texts for token in full.encode(text))
    parts = {"".join(pair): pair for pair in full.bpe_ranks}
    wanted = [full.decoder[token] for token, count in counts.items() if count >= at_least]
    merges: set[tuple[str, str]] = set()
    while wanted:
        pair = parts.get(wanted.pop())
        if pair and pair not in merges:
            merges.add(pair)
            wanted.extend(pair)
    return tuple(" ".join(pair) for pair in sorted(merges, key=full.bpe_ranks.__getitem__))


def domain_tokenizer(merges: Sequence[str], context: int) -> SimpleTokenizer:
    """open_clip's tokenizer with these merges only; texts are cut after `context` tokens."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "merges.gz"
        file.write_bytes(gzip.compress("\n".join(["merges", *merges]).encode()))
        return SimpleTokenizer(bpe_path=str(file), context_length=context)


def merged(*vocabularies: Sequence[str]) -> tuple[str, ...]:
    """The merges of several vocabularies, in open_clip's order."""
    ranks = SimpleTokenizer().bpe_ranks
    return tuple(
        sorted({merge for one in vocabularies for merge in one}, key=lambda merge: ranks[tuple(merge.split(" "))])
    )
