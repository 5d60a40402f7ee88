"""Teach and measure the classifier of sentences that claim nothing of a place: into assets/sentences and results.

    python -m benchmarks.surroundings.sentence_classes train
    python -m benchmarks.surroundings.sentence_classes measure

Taught by: phrasings of every class (`data/sentences/training.toml`, our own), sentences on chips that are in the project
(demonstration city, `data/instructions`, `data/falsehoods` but `held_out`), and, where the real data are here
(LECDIFF_REAL_DATA), captions by people (RSITMD, UCM) and 417 labelled sentences of a language model (UrbanCLIP). Measured on
sentences that neither the training nor the choice of a threshold saw. Labels of captions are kept by the sentences' hashes,
never the sentences.
"""

import argparse
import hashlib
import json
import random
import re
import time
import tomllib
from collections import defaultdict
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file
from scipy.sparse import csr_matrix
from sklearn.linear_model import LogisticRegression

from benchmarks.record import record
from benchmarks.surroundings.refinement import FALSEHOODS, REPOSITORY, SKIPPED, read_rows, real_data, town_chip
from lecdiff_core.environment.descriptions.offline import describe_offline
from lecdiff_core.environment.refinement.evidence import Evidence
from lecdiff_core.environment.refinement.evidence import measure as measure_chip
from lecdiff_core.environment.refinement.refiner import Rules, default_rules, refine_with
from lecdiff_core.environment.refinement.sentence_classes import (
    CLAIM,
    CLASSES,
    SentenceClassifier,
    features,
)
from lecdiff_core.environment.refinement.sentences import split_sentences

DATA = REPOSITORY / "benchmarks" / "data" / "sentences"
FOLDER = REPOSITORY / "assets" / "sentences"
A_TEMPLATE = 20  # sentences drawn of each
CAPTIONS = 2500  # of people's, for training
SEED = 0
FOLDS = 5
LOST, LOST_PARTS = 0.015, 0.006  # of describers' claims that the thresholds of a sentence and of a part of one may lose
OF_PEOPLE, OF_THE_MODEL = 0.5, 3.0  # weights of captions

OF_THE_IMAGE = ("claims ", "a stadium needs", "an airport needs", "a harbour or beach needs", "a golf course needs")

Labelled = tuple[str, str, float]  # text, class, weight


def main() -> None:
    """Train, or measure what is shipped."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("train", "measure"))
    if parser.parse_args().what == "train":
        train()
    else:
        record("sentence_classes", measure())


def train() -> None:
    """Choose both thresholds on sentences that the fit of a fold did not see, then fit on all and ship."""
    rows = sorted(set(training_rows()))
    random.Random(SEED).shuffle(rows)
    claims = np.empty(len(rows))  # P(claim) of each by a fit without it
    for fold in range(FOLDS):
        classifier = fit([row for index, row in enumerate(rows) if index % FOLDS != fold])
        for index in range(fold, len(rows), FOLDS):
            claims[index] = classifier.probabilities(rows[index][0])[0]
    described = claims[[name == CLAIM and weight != OF_PEOPLE for _, name, weight in rows]]
    least, least_of_part = (round(float(np.quantile(described, lost)), 3) for lost in (LOST, LOST_PARTS))
    classifier = fit(rows)
    FOLDER.mkdir(parents=True, exist_ok=True)
    save_file({"weights": classifier.weights.astype(np.float16)}, FOLDER / "model.safetensors")
    labelled = {"classes": CLASSES, "least": least, "least_of_part": least_of_part, "sentences": len(rows)}
    (FOLDER / "config.json").write_text(json.dumps(labelled, indent=1) + "\n", "utf-8")
    removed = {name: claims[[row[1] == name for row in rows]] < least for name in CLASSES}
    print(labelled, {name: (len(hits), round(float(hits.mean()), 3)) for name, hits in removed.items()})


def fit(rows: list[Labelled]) -> SentenceClassifier:
    """The classifier of some sentences; the classes weigh alike."""
    optimum = [features(text) for text, _, _ in rows]
    lengths = np.cumsum([0, *(len(columns) for columns, _ in optimum)])
    width = int(optimum[0][0].max()) + 1
    matrix = csr_matrix(
        (np.concatenate([v for _, v in optimum]), np.concatenate([c for c, _ in optimum]), lengths), (len(rows), width)
    )
    labels = [CLASSES.index(name) for _, name, _ in rows]
    model = LogisticRegression(C=30.0, max_iter=300, class_weight="balanced", tol=1e-3)
    model.fit(matrix, labels, sample_weight=[weight for _, _, weight in rows])
    return SentenceClassifier(np.vstack([model.coef_.T, model.intercept_]).astype(np.float32), 0.5, 0.5)


def training_rows() -> list[Labelled]:
    """Every labelled sentence that may teach."""
    rows = [(text, name, 1.0) for name, text in phrased(DATA / "training.toml")]
    rows += [(text, CLAIM, 1.0) for text in of_the_project()]
    folder = real_data() / "captions"
    if not folder.exists():
        print(f"{folder} is not here: people's captions and UrbanCLIP's sentences do not teach")
        return rows
    captions = [text for text in people(folder) if not held_out(text)]
    rows += [(text, CLAIM, OF_PEOPLE) for text in random.Random(SEED).sample(captions, CAPTIONS)]
    labels = json.loads((DATA / "urbanclip_training.json").read_text("utf-8"))
    return rows + [(text, labels[key], OF_THE_MODEL) for text in urbanclip(folder) if (key := digest(text)) in labels]


def phrased(file: Path) -> list[tuple[str, str]]:
    """Class and text of the phrasings of a file: its sentences, and what its templates give."""
    labels = tomllib.loads(file.read_text("utf-8"))
    lists = {name: words.split("|") for name, words in labels.pop("lists").items()}
    draw = random.Random(SEED)
    sentences = []
    for name, parts in labels.items():
        sentences += [(name, sentence) for sentence in parts["sentences"] for _ in range(3)]
        sentences += [
            (name, drawn(template, lists, draw)) for template in parts["templates"] for _ in range(A_TEMPLATE)
        ]
    return sentences


def drawn(template: str, lists: dict[str, list[str]], draw: random.Random) -> str:
    """One sentence of a template."""
    while match := re.search(r"\[([^\[\]]*)\]", template):
        template = template[: match.start()] + draw.choice(match[1].split("|")) + template[match.end() :]
    while match := re.search(r"<(\w+)>", template):
        word = draw.choice(lists[match[1].lower()])
        word = word[0].upper() + word[1:] if match[1][0].isupper() else word
        template = template[: match.start()] + word + template[match.end() :]
    text = re.sub(r"\s+([.,])", r"\1", " ".join(template.split()))
    return text[0].upper() + text[1:] if template.endswith((".", "?")) else text


def of_the_project() -> list[str]:
    """Sentences on chips in the project, all of which claim something."""
    lines = (REPOSITORY / "assets" / "demo" / "descriptions.jsonl").read_text("utf-8").splitlines()
    lines += (REPOSITORY / "benchmarks" / "data" / "instructions" / "town-9302.jsonl").read_text("utf-8").splitlines()
    texts = [sentence for line in lines for sentence in split_sentences(json.loads(line)["text"])]
    chips = [town_chip(file.stem) for file in sorted((FALSEHOODS / "towns").glob("*.webp"))]
    texts += [
        sentence for image, metres in chips for seed in range(3) for sentence in describe_offline(image, metres, seed)
    ]
    for name in ("towns", "milan"):
        rows = read_rows(FALSEHOODS / f"{name}.jsonl")
        settled = ("visible", "activity", "water", "vegetation", "land_cover", "layout", "tone", "lines")
        texts += [row["text"] for row in rows if row["half"] != "held_out" and row["kind"] in settled]
    return texts


def people(folder: Path) -> list[str]:
    """Captions by people, each once."""
    lines = [
        line for name in ("rsitmd", "ucm") for line in (folder / f"{name}_captions.jsonl").read_text().splitlines()
    ]
    return sorted({text.strip() for line in lines for text in json.loads(line)["captions"]})


def urbanclip(folder: Path) -> list[str]:
    """Sentences of UrbanCLIP's language model, each once."""
    lines = (folder / "urbanclip_captions.jsonl").read_text().splitlines()
    return sorted({text.strip() for line in lines for text in json.loads(line)["captions"]})


def digest(text: str) -> str:
    """The start of a sentence's SHA-256, under which its label is kept."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def held_out(text: str) -> bool:
    """Whether a person's caption is kept for measuring: a fifth of them, by hash."""
    return int(digest(text), 16) % 5 == 0


def measure() -> dict[str, Any]:
    """What is removed of each class and hand by patterns alone and with the classifier, whatever an image shows."""
    hands: dict[str, list[tuple[str, str]]] = {"second_phrasing": sorted(set(phrased(DATA / "held_out.toml")))}
    folder = real_data() / "captions"
    if folder.exists():
        labels = json.loads((DATA / "urbanclip_held_out.json").read_text("utf-8"))
        hands["urbanclip"] = [(labels[key], text) for text in urbanclip(folder) if (key := digest(text)) in labels]
        captions = [text for text in people(folder) if held_out(text)]
        hands["people"] = [(CLAIM, text) for text in random.Random(SEED).sample(captions, 1000)]
    with_classifier = default_rules()
    none = SentenceClassifier(np.zeros_like(with_classifier.classes.weights), 0.0, 0.0)
    result: dict[str, Any] = {}
    for hand, rows in hands.items():
        for which, rules in (
            ("patterns", replace(with_classifier, classes=none)),
            ("with_classifier", with_classifier),
        ):
            removed: dict[str, list[bool]] = defaultdict(list)
            for name, text in rows:
                removed[name].append(removed_by_words(text, rules))
            result.setdefault(hand, {})[which] = {name: counted(hits) for name, hits in sorted(removed.items())}
    texts = [text for rows in hands.values() for _, text in rows]
    start = time.perf_counter()
    for text in texts:
        with_classifier.classes.fault(text)
    result["milliseconds_a_sentence"] = round(1000 * (time.perf_counter() - start) / len(texts), 3)
    return result if folder.exists() else result | {"captions": SKIPPED}


def removed_by_words(text: str, rules: Rules) -> bool:
    """Whether a sentence goes for what it says, not for what a chip shows."""
    refined = refine_with(text, _evidence(), rules=rules)
    return not refined.text and not any((part.reason or "").startswith(OF_THE_IMAGE) for part in refined.sentences)


@cache
def _evidence() -> Evidence:
    return measure_chip(*town_chip("201-0"))


def counted(hits: list[bool]) -> dict[str, Any]:
    """Sentences, those removed, their share and its 95 % Wilson interval."""
    return {
        "sentences": len(hits),
        "removed": sum(hits),
        "part": round(sum(hits) / len(hits), 4),
        "interval": wilson(hits),
    }


def wilson(hits: list[bool], z: float = 1.96) -> list[float]:
    """The 95 % Wilson interval of a share (Wilson 1927)."""
    n, p = len(hits), sum(hits) / len(hits)
    centre, half = p + z * z / (2 * n), z * (p * (1 - p) / n + z * z / (4 * n * n)) ** 0.5
    return [round((centre - half) / (1 + z * z / n), 4), round((centre + half) / (1 + z * z / n), 4)]


if __name__ == "__main__":
    main()
