"""Training of the image–text encoder: bidirectional InfoNCE over the batch, and the caption loss of the uniting decoder.

A pair is a chip and what was said of it. Every step shows a chip turned, mirrored, zoomed into and recoloured, with the words
of direction in its text turned likewise, and the whole text, a few of its sentences or one clause of it, so that a short
query is understood as well as a description. Each step draws from its own random numbers, so a run that was
stopped goes on as if it had not been.
"""

import lecdiff_core.environment.embedding.torchvision_ops  # noqa: F401 (before open_clip)

# isort: split

import hashlib
import json
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from multiprocessing.pool import AsyncResult, Pool
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional

from lecdiff_core.environment.embedding.directions import TURNS, turned
from lecdiff_core.environment.embedding.encoder import Encoder, EncoderConfig, tokenizer_of, tokens_by_length
from lecdiff_core.environment.embedding.vocabulary import domain_merges
from lecdiff_core.progress import Report, silent
from lecdiff_core.storage import replacing

Sentences = tuple[str, ...]
WIDTH = 128
PADDINGS = (32, 64, 96, 128, 160)
CLAUSE = re.compile(r"[,;:—]\s+|\s+(?:and|with|while)\s+")
SHORTEST_CLAUSE = 3  # characters


@dataclass(frozen=True)
class Pair:
    """A chip (square, RGB) and its descriptions, each as its sentences; at least one."""

    chip: Image.Image
    descriptions: tuple[Sentences, ...]


@dataclass(frozen=True)
class Recipe:
    """How an encoder is trained."""

    steps: int = 1000
    rows: int = 96  # pairs a step; every other row is a negative
    learning_rate: float = 1e-3
    backbone_rate: float = 0.3  # times the learning rate, for a pretrained backbone
    weight_decay: float = 0.1
    warm_up: int = 60  # steps
    whole_texts: float = 0.4  # share of rows that show the whole text
    clauses: float = 0.15  # share of rows that show one clause of it
    zoom: float = 0.8  # smallest part of a chip's side that is shown
    positions: int = (
        8  # that chips are shown in: 1 to 4 quarters, or 8 with those mirrored; 1 where directions must stay
    )
    caption_rows: int = 16  # rows a step that enter the caption loss
    caption_weight: float = 1.0
    seed: int = 0
    keep_every: int = 100  # steps between checkpoints


def small_encoder(texts: Sequence[str], seed: int = 0, device: torch.device | None = None) -> Encoder:
    """An untrained CoCa of about 3 million parameters, with the vocabulary of `texts`."""
    merges = domain_merges(texts)
    vocabulary = 2 * 256 + len(merges) + 2
    text = {"context_length": PADDINGS[-1], "vocab_size": vocabulary, "width": WIDTH, "heads": WIDTH // 32}
    config = EncoderConfig(
        name="lecdiff-small",
        model={
            "embed_dim": WIDTH,
            "vision_cfg": {
                "image_size": 96,
                "patch_size": 16,
                "width": WIDTH,
                "head_width": 32,
                "layers": 4,
                "patch_dropout": 0.25,
                "output_tokens": True,
            },
            "text_cfg": {**text, "layers": 2, "embed_cls": True, "output_tokens": True},
            "multimodal_cfg": {**text, "layers": 2},
        },
        stem=(24, 48, 96, 128),
        image_size=96,
        mean=(0.48, 0.48, 0.39),
        std=(0.17, 0.16, 0.16),
        merges=merges,
        paddings=PADDINGS,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Encoder(config, device)


def train_encoder(
    encoder: Encoder,
    pairs: Sequence[Pair],
    recipe: Recipe,
    checkpoint: Path | None = None,
    report: Report = silent,
    processes: int = 0,
) -> None:
    """Train the encoder in place, from scratch or from the weights it has.

    With a `checkpoint` file, the state is kept every few steps and a run with the same pairs and recipe goes on from there.
    `processes`: how many prepare texts beside a fast device; the weights do not depend on it.
    """
    chips = torch.cat([encoder.pixels([pair.chip]).mul(255).to(torch.uint8) for pair in pairs]).to(encoder.device)

    def see(rows: Rows, random: np.random.Generator) -> Seen:
        return encoder.image_features(_pixels(chips, rows, recipe, random))

    shower = Shower(encoder.config, [pair.descriptions for pair in pairs], recipe)
    train_seen(encoder, shower, see, checkpoint, _digest(pairs), report, processes)


def train_seen(
    encoder: Encoder,
    shower: "Shower",
    see: "See",
    checkpoint: Path | None = None,
    source: str = "",
    report: Report = silent,
    processes: int = 0,
) -> None:
    """Train on what `see` gives of the rows that `shower` draws; `source` names the chips, for the checkpoint."""
    model, recipe = encoder.model, shower.recipe
    optimizer = _optimizer(encoder, recipe)
    key = _key(encoder, shower, source)
    first = _resume(checkpoint, key, model, optimizer) if checkpoint else 0
    model.train()
    try:
        with torch.random.fork_rng(), shown(shower, first, processes) as rows_of_steps:
            for step, rows in enumerate(rows_of_steps, start=first):
                for group in optimizer.param_groups:
                    group["lr"] = group["rate"] * _schedule(step, recipe)
                torch.manual_seed(recipe.seed * 1_000_003 + step)
                random = np.random.default_rng((recipe.seed, step))
                loss = _loss(encoder, see(rows, random), rows, recipe, random)
                optimizer.zero_grad()
                loss.backward()
                torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
                with torch.no_grad():
                    model.logit_scale.clamp_(0, np.log(100))
                if checkpoint and (step + 1) % recipe.keep_every == 0:
                    _keep(checkpoint, key, step + 1, model, optimizer)
                report(step + 1, recipe.steps, f"loss {loss.item():.3f}")
    finally:
        model.requires_grad_(False).eval()
        for parameter in model.parameters():
            parameter.grad = None
    if checkpoint:
        checkpoint.unlink(missing_ok=True)


def _optimizer(encoder: Encoder, recipe: Recipe) -> torch.optim.Optimizer:
    """AdamW: a pretrained backbone learns slower, vectors and scalars are not decayed, what is frozen is left out."""
    encoder.model.requires_grad_(True)
    backbone = "visual.trunk." if encoder.config.backbone else None
    if backbone:
        encoder.model.visual.freeze()
    groups: dict[tuple[bool, bool], list[Tensor]] = {}
    for name, weight in encoder.model.named_parameters():
        if weight.requires_grad:
            slow = backbone is not None and name.startswith(backbone)
            groups.setdefault((slow, weight.ndim > 1), []).append(weight)
    return torch.optim.AdamW(
        [
            {
                "params": weights,
                "weight_decay": recipe.weight_decay if decayed else 0.0,
                "rate": recipe.learning_rate * (recipe.backbone_rate if slow else 1.0),
            }
            for (slow, decayed), weights in groups.items()
        ],
        lr=recipe.learning_rate,
        betas=(0.9, 0.98),
    )


class Rows(NamedTuple):
    """What one step shows: which pairs, how each is turned, and the texts by length (see `Encoder.tokens`)."""

    pairs: np.ndarray
    quarters: np.ndarray
    mirrored: np.ndarray
    texts: list[tuple[list[int], np.ndarray]]


Seen = tuple[Tensor, Tensor | None]  # latents (n, D) of length 1, and the tokens that the decoder attends to
See = Callable[[Rows, np.random.Generator], Seen]


class Shower:
    """Draws the rows of a step; the same step of the same descriptions and recipe always shows the same.

    kinds: a number a pair, where pairs of a kind are to come together, `together` at a time, as negatives that are hard to tell
    apart, in every other pass over the pairs.
    """

    def __init__(
        self,
        config: EncoderConfig,
        descriptions: Sequence[tuple[Sentences, ...]],
        recipe: Recipe,
        kinds: np.ndarray | None = None,
        together: int = 32,
    ) -> None:
        self.config, self.tokenizer = config, tokenizer_of(config)
        self.descriptions, self.recipe = descriptions, recipe
        self.kinds, self.together = kinds, together

    def rows(self, step: int) -> Rows:
        """The rows of a step."""
        recipe, count = self.recipe, len(self.descriptions)
        rows = min(recipe.rows, count)
        per_epoch = max(1, count // rows)
        order = self._order(step // per_epoch)
        chosen = order[(step % per_epoch) * rows :][:rows]
        random = np.random.default_rng((recipe.seed, step, 1))
        quarters = random.integers(0, min(recipe.positions, TURNS), rows)
        mirrored = random.integers(0, 2 if recipe.positions > TURNS else 1, rows).astype(bool)
        texts = [
            turned(_excerpt(self.descriptions[pair], recipe, random), int(quarter), bool(mirror))
            for pair, quarter, mirror in zip(chosen, quarters, mirrored, strict=True)
        ]
        tokens = tokens_by_length(self.tokenizer, self.config.paddings, texts)
        return Rows(chosen, quarters, mirrored, [(which, numbers.numpy()) for which, numbers in tokens])

    def _order(self, epoch: int) -> np.ndarray:
        """The pairs in the order in which they come in a pass over them."""
        random = np.random.default_rng((self.recipe.seed, 7, epoch))
        order = random.permutation(len(self.descriptions))
        if self.kinds is None or epoch % 2 == 0:
            return order
        ranks = random.permutation(self.kinds.max() + 1)[self.kinds[order]]
        runs = np.array_split(order[np.argsort(ranks, kind="stable")], max(1, len(order) // self.together))
        return np.concatenate([runs[index] for index in random.permutation(len(runs))])


@contextmanager
def shown(shower: Shower, first: int, processes: int) -> Iterator[Iterable[Rows]]:
    """The rows of the steps from `first` on, drawn here or ahead of time in other processes."""
    steps = range(first, shower.recipe.steps)
    if not processes:
        yield map(shower.rows, steps)
        return
    given = (shower.config, shower.descriptions, shower.recipe, shower.kinds, shower.together)
    with get_context("spawn").Pool(processes, _begin_showing, given) as pool:
        yield _ahead(pool, steps, 4 * processes)


def _ahead(pool: Pool, steps: Iterable[int], count: int) -> Iterator[Rows]:
    """Rows in order, `count` of them asked for before they are needed."""
    waiting: deque[AsyncResult[Rows]] = deque()
    for step in steps:
        waiting.append(pool.apply_async(_show, (step,)))
        if len(waiting) > count:
            yield waiting.popleft().get()
    while waiting:
        yield waiting.popleft().get()


_shower: Shower


def _begin_showing(*given: Any) -> None:
    global _shower
    torch.set_num_threads(1)
    _shower = Shower(*given)


def _show(step: int) -> Rows:
    return _shower.rows(step)


def _pixels(chips: Tensor, rows: Rows, recipe: Recipe, random: np.random.Generator) -> Tensor:
    pixels = chips[torch.from_numpy(rows.pairs).to(chips.device)].float() / 255
    return _recolour(_moved(pixels, rows.quarters, rows.mirrored, recipe.zoom, random), random)


def _excerpt(descriptions: tuple[Sentences, ...], recipe: Recipe, random: np.random.Generator) -> str:
    """The whole of a description, some of its sentences in any order, or one clause."""
    sentences = descriptions[random.integers(len(descriptions))]
    draw = random.random()
    if draw < recipe.whole_texts:
        return " ".join(sentences)
    if draw > 1 - recipe.clauses:
        sentence = sentences[random.integers(len(sentences))]
        clauses = [part for part in CLAUSE.split(sentence.rstrip(".")) if len(part) >= SHORTEST_CLAUSE]
        return str(clauses[random.integers(len(clauses))]) if clauses else sentence
    count = random.integers(1, len(sentences) + 1)
    return " ".join(sentences[index] for index in random.permutation(len(sentences))[:count])


def _moved(
    pixels: Tensor, quarters: np.ndarray, mirrored: np.ndarray, zoom: float, random: np.random.Generator
) -> Tensor:
    """Each chip mirrored left to right or not, turned clockwise by quarters, and a square part of it enlarged."""
    angle = torch.from_numpy(quarters * (np.pi / 2))
    part = torch.from_numpy(random.uniform(zoom, 1.0, len(quarters)))
    shift = torch.from_numpy(random.uniform(-1, 1, (len(quarters), 2))) * (1 - part)[:, None]
    flip = torch.from_numpy(np.where(mirrored, -1.0, 1.0))
    # From a place in the result back to its source: undo the turn (rows point down), then the mirror.
    rows = torch.stack(
        [
            torch.stack([flip * angle.cos() * part, flip * angle.sin() * part, shift[:, 0]], 1),
            torch.stack([-angle.sin() * part, angle.cos() * part, shift[:, 1]], 1),
        ],
        1,
    )
    grid = functional.affine_grid(rows.float().to(pixels.device), list(pixels.shape), align_corners=False)
    return functional.grid_sample(pixels, grid, padding_mode="reflection", align_corners=False)


def _recolour(pixels: Tensor, random: np.random.Generator) -> Tensor:
    """Contrast, saturation, brightness and a slight cast, each chip its own."""

    def draw(low: float, high: float, channels: int = 1) -> Tensor:
        values = random.uniform(low, high, (len(pixels), channels, 1, 1))
        return torch.from_numpy(values).float().to(pixels.device)

    grey = pixels.mean(1, keepdim=True)
    pixels = grey + (pixels - grey) * draw(0.7, 1.3)
    middle = pixels.mean((1, 2, 3), keepdim=True)
    pixels = middle + (pixels - middle) * draw(0.8, 1.2)
    return (pixels * draw(0.85, 1.15) * draw(0.94, 1.06, 3)).clamp(0, 1)


def _loss(encoder: Encoder, seen: Seen, shown: Rows, recipe: Recipe, random: np.random.Generator) -> Tensor:
    image, patches = seen
    latents = torch.empty_like(image)
    groups: list[tuple[Tensor, Tensor, Any]] = []
    texts = np.zeros(len(image), np.int64)
    for which, tokens in shown.texts:
        given = torch.from_numpy(tokens).to(encoder.device)
        latent, states = encoder.text_features(given)
        rows = torch.tensor(which, device=encoder.device)
        latents = latents.index_copy(0, rows, latent)
        texts[which] = [hash(row.tobytes()) for row in tokens]
        groups.append((rows, given, states))
    contrast = _contrast(image, latents, encoder.model.logit_scale.exp(), torch.from_numpy(texts).to(image.device))
    if patches is None:
        return contrast
    sizes = np.array([len(rows) for rows, _, _ in groups], float)
    rows, given, states = groups[random.choice(len(groups), p=sizes / sizes.sum())]
    few = slice(0, recipe.caption_rows)
    united = encoder.united_states(patches[rows[few]], states[few, :-1])
    logits = united @ encoder.model.text_decoder.text_projection
    caption = functional.cross_entropy(logits.flatten(0, 1), given[few, 1:].flatten(), ignore_index=0)
    return contrast + recipe.caption_weight * caption


def _contrast(image: Tensor, text: Tensor, scale: Tensor, texts: Tensor) -> Tensor:
    """Bidirectional InfoNCE; another row with the very same text is no negative."""
    same = (texts[:, None] == texts[None]) & ~torch.eye(len(texts), dtype=torch.bool, device=texts.device)
    logits = (scale * image @ text.T).masked_fill(same, float("-inf"))
    own = torch.arange(len(texts), device=texts.device)
    return (functional.cross_entropy(logits, own) + functional.cross_entropy(logits.T, own)) / 2


def _schedule(step: int, recipe: Recipe) -> float:
    """Linear warm-up, then half a cosine to zero."""
    if step < recipe.warm_up:
        return (step + 1) / recipe.warm_up
    return 0.5 * (1 + np.cos(np.pi * (step - recipe.warm_up) / max(1, recipe.steps - recipe.warm_up)))


def _key(encoder: Encoder, shower: Shower, source: str) -> str:
    digest = hashlib.sha256(json.dumps([asdict(shower.recipe), shower.descriptions, source]).encode())
    digest.update(encoder.config.model_dump_json(exclude={"trained_on"}).encode())
    return digest.hexdigest()


def _digest(pairs: Sequence[Pair]) -> str:
    digest = hashlib.sha256()
    for pair in pairs:
        digest.update(pair.chip.tobytes())
    return digest.hexdigest()


def _keep(checkpoint: Path, key: str, step: int, model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> None:
    tensors = {f"model.{name}": tensor.contiguous() for name, tensor in model.state_dict().items()}
    for index, weight in enumerate(_weights(optimizer)):
        for moment in ("exp_avg", "exp_avg_sq"):
            if weight in optimizer.state:
                tensors[f"{moment}.{index}"] = optimizer.state[weight][moment]
    with replacing(checkpoint) as unfinished:
        save_file(tensors, unfinished, {"key": key, "step": str(step)})


def _resume(checkpoint: Path, key: str, model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> int:
    """Restore the state and return the step to go on with; 0 where there is none of the same pairs and recipe."""
    if not checkpoint.is_file():
        return 0
    with safe_open(checkpoint, framework="pt") as saved:
        metadata = saved.metadata() or {}
        if metadata.get("key") != key:
            return 0
        step = int(metadata["step"])
        names = set(saved.keys())
        model.load_state_dict({name[6:]: saved.get_tensor(name) for name in names if name.startswith("model.")})
        for index, weight in enumerate(_weights(optimizer)):
            if f"exp_avg.{index}" in names:
                moments = {
                    moment: saved.get_tensor(f"{moment}.{index}").to(weight) for moment in ("exp_avg", "exp_avg_sq")
                }
                optimizer.state[weight] = {"step": torch.tensor(float(step)), **moments}
    return step


def _weights(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    return [weight for group in optimizer.param_groups for weight in group["params"]]
