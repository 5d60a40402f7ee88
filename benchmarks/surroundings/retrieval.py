"""Retrieval between chips and several captions of each: recall at 1, 5 and 10 both ways, and their mean."""

import numpy as np

DEPTHS = (1, 5, 10)


def retrieval(images: np.ndarray, texts: np.ndarray, own: np.ndarray) -> dict[str, dict[str, float]]:
    """Recall in percent, of rows of length 1; `own` is the image that each text belongs to.

    An image counts as right with any of its captions, a caption with its image. Of those that tie with the right one, as the very
    same caption of another image does, half count as before it.
    """
    similarity = images @ texts.T
    right = own[None] == np.arange(len(images))[:, None]
    best = np.where(right, similarity, -np.inf).max(1)
    others = np.where(right, -np.inf, similarity)
    to_image = similarity.T.copy()
    owns = to_image[np.arange(len(own)), own].copy()
    to_image[np.arange(len(own)), own] = -np.inf
    return {"image_to_text": _recalls(_ranks(others, best)), "text_to_image": _recalls(_ranks(to_image, owns))}


def mean_recall(recalls: dict[str, dict[str, float]]) -> float:
    """The mean of the six recalls, in percent."""
    return float(np.mean([value for way in recalls.values() for value in way.values()]))


def _ranks(others: np.ndarray, right: np.ndarray) -> np.ndarray:
    """(n,) the rank of the right one among a row of others, from 1."""
    return 1 + (others > right[:, None]).sum(1) + (others == right[:, None]).sum(1) / 2


def _recalls(rank: np.ndarray) -> dict[str, float]:
    return {f"recall@{depth}": 100 * float((rank <= depth).mean()) for depth in DEPTHS}
