"""Kinds of surroundings: clusters of the image embeddings, named after what their descriptions say, and a 2-D view."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lecdiff_core.city.folder import City
from lecdiff_core.city.layout import DESCRIPTIONS_FILE
from lecdiff_core.environment.descriptions.record import current_descriptions, read_descriptions
from lecdiff_core.environment.embedding.table import read_environment
from lecdiff_core.errors import UserError

SEED = 0
FEWEST, MOST = 4, 10  # clusters that are tried
MOST_FOR_TSNE = 2000
NO_CLUSTER = -1
# Words that say where, how much or how sure, not what stands there.
_SAYING_NOTHING = """
about above across activities activity again all alone along also amid among amount an and any appear appears are area areas
around as at away be because been behind below beneath beside besides between beyond big both bottom broad brown built
busy but by carry central centre centres chip close comes common contrast corner corners cover covers crosses dark day
days daytime dominate dominated dominates down each early east eastern edge edges either else end ends even evening
evenings every everywhere few fill fills find for form forms found from front full go goes going green grey ground half
halves hardly has have here high hours in inside into is it its judged just keep kind land large lead leads least left
less lie lies light likely line little long looks low lower made main mainly make makes many middle minor mix mixed
moderate more morning mornings most mostly much narrow near nearly next night no north northeast northern northwest not
occupied occupies occupy of off on one only onto open or other others out outside over overall pale part parts pattern
patterns people per percent place places put quarter rather red reddish remainder rest right role roughly round row run
running runs same scarce scattered scene see seen set sets several share short side sides sit sits small so some south
southeast southern southwest spread stand standing stands still stretch stretches strip strips such surface surfaces
surround surrounding surrounds take takes than that the their them then there these they thin third this those three
through throughout to together top toward towards traffic turns two under up upon upper use used uses visible visitors way
weekday weekdays weekend weekends well west western what when where which while white whole wide with within without would
year you
"""
# What stands there: such words make the better names.
_THINGS_WORDS = """
airport allotments apartments arena barracks basin beach blocks bridge campus canal carpark cemetery centre
church complex containers courtyards crops docks estate factory farmland fields flats forest gardens greenhouses
halls harbour heath hospital houses housing industry junction lake lawns lots mall market marsh meadows motorway
offices orchards park parking pitches plants pond port quarry quay railway river roundabout runway school
scrubland sea shore slabs sports square stadium station storage supermarket tanks terminal terraces towers tracks
trees village villas vineyards warehouses water wood woodland yards
"""
_EMPTY_WORDS = frozenset(_SAYING_NOTHING.split())
_THINGS = frozenset(word.removesuffix("s") for word in _THINGS_WORDS.split())
TWO_WORDS = 1.3  # weight of a term of two words
OTHER_WORDS = 0.25  # weight of a term that names no thing
_WORD = re.compile(r"[a-z]+(?:-[a-z]+)*")


@dataclass(frozen=True)
class Clusters:
    """labels: (N,) cluster of each of the city's stations, −1 without a chip. names: one a cluster, by label."""

    labels: np.ndarray
    names: tuple[str, ...]


def clusters(city: City, k: int | None = None) -> Clusters:
    """Group the stations by their surroundings: k-means on image embeddings, k by silhouette where it is not given.

    A name joins the terms by which the descriptions of a cluster differ most from the others'. The same embeddings and
    descriptions give the same clusters, the largest first.
    """
    from sklearn.cluster import KMeans

    image, pictured = _pictured(city)
    if k is not None and not 1 <= k <= len(pictured):
        raise UserError(
            f"{k} clusters are not possible; give a number from 1 to {len(pictured)}, the stations with a chip"
        )
    count = k or _best_count(image)
    members = KMeans(count, n_init=10, random_state=SEED).fit_predict(image)
    order = np.argsort(-np.bincount(members, minlength=count), kind="stable")
    labels = np.full(len(city.station_ids), NO_CLUSTER)
    labels[pictured] = np.argsort(order)[members]
    described = current_descriptions(read_descriptions(city.path / DESCRIPTIONS_FILE))
    texts = [" ".join(one.kept_text for one in described.get(station, [])) for station in city.station_ids]
    return Clusters(labels, cluster_names(texts, labels, count))


def cluster_names(texts: Sequence[str], labels: np.ndarray, count: int) -> tuple[str, ...]:
    """A name for each of `count` clusters from the texts of its stations: "Detached houses · gardens".

    A term (one or two words) weighs its share of the cluster's texts times the logarithm of how much more common it is there
    than elsewhere, and less where it names no thing. A cluster whose texts say nothing is numbered.
    """
    terms = [_terms(text) for text in texts]
    names: list[str] = []
    for label in range(count):
        inside = [terms[index] for index in np.flatnonzero(labels == label) if terms[index]]
        outside = [terms[index] for index in np.flatnonzero((labels != label) & (labels >= 0)) if terms[index]]
        best = _telling(inside, outside)
        name = " · ".join(best)
        name = name[:1].upper() + name[1:] if name else f"Surroundings {label + 1}"
        names.append(name if name not in names else f"{name} ({label + 1})")
    return tuple(names)


def projection(city: City) -> np.ndarray:
    """(N, 2) float32 view of the image embeddings between −1 and 1; NaN for stations without a chip. Always the same.

    t-SNE up to 2,000 stations, the first two principal components beyond.
    """
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    image, pictured = _pictured(city)
    view = np.full((len(city.station_ids), 2), np.nan, np.float32)
    if len(pictured) < 3:
        view[pictured] = np.linspace(-1, 1, len(pictured))[:, None]
        return view
    if len(pictured) > MOST_FOR_TSNE or len(pictured) < 10:
        flat = PCA(2, random_state=SEED).fit_transform(image)
    else:
        perplexity = min(30.0, (len(pictured) - 1) / 3)
        flat = TSNE(2, perplexity=perplexity, init="pca", random_state=SEED).fit_transform(image)
    flat = flat - (flat.max(0) + flat.min(0)) / 2
    view[pictured] = flat / max(float(np.abs(flat).max()), 1e-12)
    return view


def _pictured(city: City) -> tuple[np.ndarray, np.ndarray]:
    """(n, D) image embeddings of the stations that have a chip, and the stations' places in the city."""
    table = read_environment(city)
    if table is None:
        raise UserError(f"{city.path} has no embeddings; make them with `lecdiff embed`")
    alike_by = table.rows(city.station_ids, table.alike_kind)
    pictured = np.flatnonzero(np.any(alike_by != 0, axis=1))
    if not len(pictured):
        raise UserError(f"no station of {city.path} has an embedded chip; fetch imagery, then run `lecdiff embed`")
    return alike_by[pictured], pictured


def _best_count(image: np.ndarray) -> int:
    from sklearn.cluster import KMeans
    from sklearn.metrics import silhouette_score

    distinct = len(np.unique(image, axis=0))
    counts = range(FEWEST, min(MOST, distinct - 1) + 1)
    if not counts:
        return 1
    scores = {}
    for count in counts:
        labels = KMeans(count, n_init=4, random_state=SEED).fit_predict(image)
        scores[count] = silhouette_score(image, labels, sample_size=min(len(image), 2000), random_state=SEED)
    return max(scores, key=lambda count: scores[count])


def _terms(text: str) -> set[str]:
    """Its telling words, and pairs of them that stand side by side."""
    terms: set[str] = set()
    for clause in re.split(r"[.,;:()]", text.lower()):
        words = _WORD.findall(clause)
        telling = [word not in _EMPTY_WORDS and len(word) > 2 for word in words]
        terms |= {word for word, tells in zip(words, telling, strict=True) if tells}
        terms |= {f"{a} {b}" for a, b, x, y in zip(words, words[1:], telling, telling[1:], strict=False) if x and y}
    return terms


def _telling(inside: list[set[str]], outside: list[set[str]], most: int = 2) -> list[str]:
    def share(term: str, texts: list[set[str]]) -> float:
        return (sum(term in text for text in texts) + 0.5) / (len(texts) + 1)

    scores = {}
    for term in sorted(set().union(*inside)):
        here, elsewhere = share(term, inside), share(term, outside)
        thing = 1.0 if _stem(term.split()[-1]) in _THINGS else OTHER_WORDS
        scores[term] = here * np.log(here / elsewhere) * thing * (TWO_WORDS if " " in term else 1.0)
    chosen: list[str] = []
    for term in sorted(scores, key=lambda term: (-scores[term], term)):
        stems = {_stem(word) for word in term.split()}
        if len(chosen) == most or scores[term] <= 0:
            break
        if not any(stems & {_stem(word) for word in one.split()} for one in chosen):
            chosen.append(term)
    return chosen


def _stem(word: str) -> str:
    return word.removesuffix("s")
