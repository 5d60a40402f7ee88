"""The image–text encoder: two unimodal transformers with [CLS] tokens, and a decoder whose cross-attention unites them.

Any model of open_clip fits. What the product ships is a small CoCa (Yu et al., 2022, arXiv:2205.01917) with a convolutional
patch embedding (Xiao et al., 2021, arXiv:2106.14881) and a vocabulary of the domain, trained from scratch; `contrastive`
trains it. An encoder is a folder: `config.json` (an `EncoderConfig`) and `model.safetensors`.
"""

import lecdiff_core.environment.embedding.torchvision_ops  # noqa: F401 (before open_clip)

# isort: split

import hashlib
import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import open_clip
import torch
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn
from torch.nn import functional

from lecdiff_core.assets import assets_folder
from lecdiff_core.city.layout import CONFIG_FILE, WEIGHTS_FILE
from lecdiff_core.environment.embedding.tower import ConvolutionalTower
from lecdiff_core.environment.embedding.vocabulary import domain_tokenizer
from lecdiff_core.errors import UserError
from lecdiff_core.storage import Change, changing, read_whole

DEFAULT = "default"
SHIPPED = {DEFAULT: "encoder", "clean": "encoders/clean"}  # folders of assets, by name
LARGEST_WIDTH, MOST_LAYERS = 100_000, 128
ROWS = 64  # images or texts that go through the model at once

Triple = tuple[float, float, float]
Files = tuple[bytes, bytes]  # an encoder's config.json and model.safetensors


class EncoderConfig(BaseModel):
    """What `config.json` says of an encoder."""

    model_config = ConfigDict(extra="forbid")

    format: Literal[1] = 1
    name: str = Field(min_length=1)
    model: str | dict[str, Any]  # an open_clip model, or the arguments of open_clip's CoCa
    stem: tuple[int, ...] = ()  # channels of the 3 × 3 convolutions of stride 2 in place of the patch embedding
    backbone: str = (
        ""  # a timm EfficientNet in place of the image transformer (`tower.py`); its weights are in the file
    )
    frozen: int = Field(default=0, ge=0, le=MOST_LAYERS)  # stages of the backbone that training leaves as they are
    statistics_share: float = Field(
        default=0.0, ge=0, le=1
    )  # of the squared length of an image's row, for its statistics
    image_size: int = Field(ge=16, le=1024)
    mean: Triple
    std: Triple
    merges: tuple[str, ...] | None = None  # of the byte-pair vocabulary; None: the open_clip model's own tokenizer
    paddings: tuple[int, ...] = ()  # a text is padded to the first of these lengths that holds it; none: the context
    trained_on: dict[str, Any] = {}  # towns, texts, steps, machine: for people, read by no code

    @field_validator("model")
    @classmethod
    def _of_sane_size(cls, value: str | dict[str, Any]) -> str | dict[str, Any]:
        parts = [value] if isinstance(value, dict) else []
        for part in parts:
            parts += [inner for inner in part.values() if isinstance(inner, dict)]
            for name, number in part.items():
                largest = MOST_LAYERS if name == "layers" else LARGEST_WIDTH
                if isinstance(number, int | float) and not abs(number) <= largest:
                    raise ValueError(f"{name} is beyond {largest}")
        return value


class Encoder:
    """An encoder in memory. Open one with `Encoder.open`, make an untrained one with `Encoder(config)`."""

    def __init__(self, config: EncoderConfig, device: torch.device | None = None) -> None:
        self.config = config
        self.device = device or torch.device("cpu")
        self.model: Any = _build(config).to(self.device)
        self.model.requires_grad_(False).eval()
        self.tokenizer = tokenizer_of(config)
        self.identity = ""  # SHA-256 of configuration and weights, as opened or saved

    @classmethod
    def open(cls, folder: Path, device: torch.device | None = None) -> "Encoder":
        """Read an encoder from its folder. Raises UserError where a file is missing or does not fit."""
        return cls.of(read_files(folder), folder, device)

    @classmethod
    def of(cls, files: Files, folder: Path, device: torch.device | None = None) -> "Encoder":
        """An encoder from the bytes of its two files; `folder` is named in errors. Raises UserError where they do not fit."""
        config_bytes, weights = files
        config = _parse(config_bytes, folder)
        try:
            tensors = {name: tensor.float() for name, tensor in load(weights).items()}
            _check_tensors(config, tensors)
            encoder = cls(config, device)
            encoder.model.load_state_dict(tensors)
        except (SafetensorError, RuntimeError, ValueError) as error:
            first = " ".join(str(error).split())[:160]
            raise UserError(f"{folder / WEIGHTS_FILE}: damaged, or not of this {CONFIG_FILE} ({first})") from None
        encoder.identity = identity(config_bytes, weights)
        return encoder

    def save(self, folder: Path) -> None:
        """Write configuration and weights (in half precision) into `folder`."""
        files = self.files()
        with changing(folder) as change:
            stage_encoder(change, "", files)
        self.identity = identity(*files)

    def files(self) -> Files:
        """The bytes of configuration and weights (in half precision), as a folder holds them."""
        tensors = {name: tensor.half().contiguous().cpu() for name, tensor in self.model.state_dict().items()}
        return (json.dumps(self.config.model_dump(mode="json"), ensure_ascii=False) + "\n").encode(), save(tensors)

    @cached_property
    def width(self) -> int:
        """D, the length of an embedding."""
        return self.embed_texts([""]).shape[1]

    @property
    def unites(self) -> bool:
        """Whether the model has the cross-attention that makes a unified representation."""
        return hasattr(self.model, "text_decoder")

    def embed_images(self, images: Sequence[Image.Image]) -> np.ndarray:
        """(n, D) float32, rows of length 1."""
        return self._image_features(images)[0]

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        """(n, D) float32, rows of length 1; a text's row does not depend on those beside it."""
        rows: dict[int, np.ndarray] = {}
        with torch.inference_mode():
            for which, tokens in self.tokens(texts):
                for part in range(0, len(which), ROWS):
                    latent = self.text_features(tokens[part : part + ROWS].to(self.device))[0]
                    rows.update(zip(which[part : part + ROWS], self._text_rows(latent), strict=True))
        return _stack(rows)

    def embed_pairs(self, images: Sequence[Image.Image], texts: Sequence[str]) -> tuple[np.ndarray, ...]:
        """Image, text and unified embeddings of n pairs, each (n, D) float32 with rows of length 1.

        Unified: the last state of the decoder, in which the text attends to the image, averaged over the text's tokens
        before the projection to the vocabulary. A model without such a decoder gives the mean of image and text.
        """
        image, patches, statistics = self._image_features(images)
        text: dict[int, np.ndarray] = {}
        unified: dict[int, np.ndarray] = {}
        with torch.inference_mode():
            for which, tokens in self.tokens(texts):
                for part in range(0, len(which), ROWS):
                    rows = which[part : part + ROWS]
                    given = tokens[part : part + ROWS].to(self.device)
                    latent, states = self.text_features(given)
                    text.update(zip(rows, self._text_rows(latent), strict=True))
                    if patches is None:
                        both = functional.normalize(latent + torch.from_numpy(image[rows]).to(self.device), dim=-1)
                    else:
                        both = self._unify(patches[rows], states, given)
                        both = (
                            both
                            if statistics is None
                            else beside_statistics(both, statistics[rows], self.config.statistics_share)
                        )
                    unified.update(zip(rows, both.cpu().numpy(), strict=True))
        return image, _stack(text), _stack(unified)

    def tokens(self, texts: Sequence[str]) -> list[tuple[list[int], Tensor]]:
        """The texts by the length they are padded to: which they are, and their (n, length) token numbers."""
        return tokens_by_length(self.tokenizer, self.config.paddings, texts)

    def pixels(self, images: Sequence[Image.Image]) -> Tensor:
        """(n, 3, size, size) float32 between 0 and 1: the middle square of each image, resized."""
        return torch.stack([_square(image, self.config.image_size) for image in images])

    def image_features(self, pixels: Tensor) -> tuple[Tensor, Tensor | None]:
        """(n, D) of length 1, and the image's tokens where the model gives them; `pixels` lie between 0 and 1."""
        scaled = self.scaled(pixels)
        if self.unites:
            latent, patches = self.model.visual(scaled)[:2]
            return functional.normalize(latent, dim=-1), patches
        return self.model.encode_image(scaled, normalize=True), None

    def scaled(self, pixels: Tensor) -> Tensor:
        """Pixels between 0 and 1 as the image tower wants them."""
        mean, std = (torch.tensor(three, device=pixels.device)[:, None, None] for three in self._scale)
        return (pixels - mean) / std

    def text_features(self, tokens: Tensor) -> tuple[Tensor, Tensor | None]:
        """(n, D) of length 1, and the states of the text's tokens where the model gives them."""
        if self.unites:
            latent, states = self.model.text(tokens)
            return functional.normalize(latent, dim=-1), states
        return self.model.encode_text(tokens, normalize=True), None

    def united_states(self, patches: Tensor, states: Tensor) -> Tensor:
        """(n, L, width) last states of the decoder: the text's L states after attending to the image's patches."""
        decoder = self.model.text_decoder
        mask = decoder.attn_mask[: states.shape[1], : states.shape[1]]
        for block, cross in zip(decoder.resblocks, decoder.cross_attn, strict=True):
            states = cross(block(states, attn_mask=mask), k_x=patches, v_x=patches)
        return decoder.ln_final(states)

    @property
    def _scale(self) -> tuple[Triple, Triple]:
        return self.config.mean, self.config.std

    def _image_features(self, images: Sequence[Image.Image]) -> tuple[np.ndarray, Tensor | None, Tensor | None]:
        """(n, D) rows of length 1, the images' tokens and their statistics, where the model gives them."""
        rows, patches, statistics = [], [], []
        with torch.inference_mode():
            for part in range(0, len(images), ROWS):
                pixels = self.pixels(images[part : part + ROWS]).to(self.device)
                if self.config.backbone:
                    latent, tokens, numbers = self.model.visual(self.scaled(pixels))
                    rows.append(
                        beside_statistics(functional.normalize(latent, dim=-1), numbers, self.config.statistics_share)
                    )
                    statistics.append(numbers)
                else:
                    latent, tokens = self.image_features(pixels)
                    rows.append(latent)
                patches.append(tokens)
        if not rows:
            return np.zeros((0, self.width), np.float32), None, None
        return (
            torch.cat(rows).cpu().numpy().astype(np.float32),
            None if patches[0] is None else torch.cat(patches),
            torch.cat(statistics) if statistics else None,
        )

    def _text_rows(self, latent: Tensor) -> np.ndarray:
        """(n, D): texts have no statistics, zeros stand in their place."""
        padding = self.model.visual.statistics_mean.numel() + 1 if self.config.backbone else 0
        return functional.pad(latent, (0, padding)).cpu().numpy()

    def _unify(self, patches: Tensor, states: Tensor | None, tokens: Tensor) -> Tensor:
        assert states is not None
        said = (tokens != 0).unsqueeze(-1)
        pooled = (self.united_states(patches, states) * said).sum(1) / said.sum(1)
        return functional.normalize(pooled, dim=-1)


def beside_statistics(rows: Tensor, statistics: Tensor, share: float) -> Tensor:
    """Rows (n, D) of length 1 with standardised statistics (n, S) beside them: (n, D + S + 1) of length 1.

    `share` of the squared length is the statistics'. They stand there in one fixed scale, so that a linear model reads them as
    they are, and a last number makes up the length; statistics too long for that are shortened.
    """
    numbers = statistics / (2 * statistics.shape[1] ** 0.5)
    numbers = numbers / torch.linalg.vector_norm(numbers, dim=1, keepdim=True).clamp_min(1)
    rest = (1 - numbers.square().sum(1, keepdim=True)).clamp_min(0).sqrt()
    return torch.cat([rows * (1 - share) ** 0.5, numbers * share**0.5, rest * share**0.5], 1)


def find_encoder(name: str) -> Path | None:
    """The folder that `--encoder NAME` means: a shipped one (`default`, `clean`), else a folder; None for an open_clip model."""
    if name in SHIPPED:
        return assets_folder() / SHIPPED[name]
    folder = Path(name).expanduser()
    return folder if (folder / CONFIG_FILE).is_file() else None


def from_open_clip(name: str) -> Encoder:
    """A model of open_clip as `MODEL/TAG` (its pretrained tag, downloaded) or `MODEL/FILE` (weights on this machine).

    FILE is a safetensors file or a PyTorch checkpoint, which is read as tensors only. Raises UserError: no such model, tag
    or file, no network, or weights that do not fit.
    """
    model, _, weights = name.partition("/")
    known = open_clip.list_models()
    if model not in known:
        raise UserError(
            f"{name!r} is no encoder: give {', '.join(SHIPPED)}, a folder with {CONFIG_FILE} and {WEIGHTS_FILE}, or an open_clip "
            "model with its weights, such as ViT-B-32/laion2b_s34b_b79k or ViT-B-32/RemoteCLIP-ViT-B-32.pt"
        )
    tags = open_clip.list_pretrained_tags_by_model(model)
    if weights not in tags and not Path(weights).is_file():
        raise UserError(f"{model} has no weights {weights!r}: give a file, or one of {', '.join(tags) or '(no tags)'}")
    try:
        made = open_clip.create_model(model, pretrained=weights, device="cpu")
    except Exception as error:
        first = " ".join(str(error).split())[:200]
        raise UserError(f"{name}: the weights cannot be loaded ({first}); check the network or the file") from error
    preprocessing = open_clip.get_model_preprocess_cfg(made)
    size = preprocessing["size"]
    config = EncoderConfig(
        name=f"{model}/{Path(weights).name}",
        model=model,
        image_size=size if isinstance(size, int) else size[0],
        mean=preprocessing["mean"],
        std=preprocessing["std"],
    )
    encoder = Encoder(config)
    encoder.model.load_state_dict(made.state_dict())
    return encoder


def encoder_identity(folder: Path) -> str:
    """SHA-256 (hex) of an encoder's configuration and weights. Raises UserError where one is missing."""
    return identity(*read_files(folder))


def identity(config_bytes: bytes, weights: bytes) -> str:
    """SHA-256 (hex) that tells one encoder from another."""
    return hashlib.sha256(hashlib.sha256(config_bytes).digest() + hashlib.sha256(weights).digest()).hexdigest()


def stage_encoder(change: Change, name: str, files: Files) -> None:
    """Let an encoder's two files be part of a change; they come into the sub-folder `name`."""
    for file, content in zip((CONFIG_FILE, WEIGHTS_FILE), files, strict=True):
        change.file(f"{name}/{file}".lstrip("/")).write_bytes(content)


def copy_encoder(source: Path, target: Path) -> str:
    """Copy an encoder's folder where `target` does not hold the same one already; return its identity."""
    files = read_files(source)
    wanted = identity(*files)
    try:
        present = encoder_identity(target)
    except UserError:
        present = ""
    if present != wanted:
        with changing(target) as change:
            stage_encoder(change, "", files)
    return wanted


def read_config(folder: Path) -> EncoderConfig:
    """What `config.json` says. Raises UserError where it is missing or not understood."""
    return _parse(_bytes(folder / CONFIG_FILE), folder)


def read_files(folder: Path) -> Files:
    """The bytes of an encoder's configuration and weights, both of one change. Raises UserError where one is missing."""
    names = CONFIG_FILE, WEIGHTS_FILE
    return read_whole(folder, names, lambda: (_bytes(folder / CONFIG_FILE), _bytes(folder / WEIGHTS_FILE)))


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:
        raise UserError(
            f"{file} is missing: not an encoder's folder; make the embeddings with `lecdiff embed`"
        ) from None


def _parse(config_bytes: bytes, folder: Path) -> EncoderConfig:
    try:
        return EncoderConfig.model_validate_json(config_bytes)
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(map(str, problem["loc"])) or "the file"
        raise UserError(f"{folder / CONFIG_FILE}: {where}: {problem['msg']}") from None


def _build(config: EncoderConfig) -> Any:
    try:
        if isinstance(config.model, str):
            return open_clip.create_model(config.model, device="cpu", load_weights=False)
        model = open_clip.CoCa(**config.model)
        model.text.correct_cls_mask = True
        projection = model.text_decoder.text_projection
        nn.init.normal_(projection, std=projection.shape[0] ** -0.5)  # open_clip leaves it as the memory was
        if config.backbone:
            sizes = config.model["embed_dim"], config.model["text_cfg"]["width"]
            model.visual = ConvolutionalTower(config.backbone, *sizes, config.frozen)
        elif config.stem:
            model.visual.conv1 = _stem(config.stem, config.model["vision_cfg"]["width"])
    except (TypeError, ValueError, RuntimeError, AssertionError, KeyError) as error:
        raise UserError(f"the encoder {config.name!r} cannot be built: {' '.join(str(error).split())[:200]}") from error
    return model


def _check_tensors(config: EncoderConfig, tensors: dict[str, Tensor]) -> None:
    """Raise ValueError unless these are the tensors of the model that `config` describes, and numbers; nothing is allocated."""
    if not all(bool(tensor.isfinite().all()) for tensor in tensors.values()):
        raise ValueError("it holds numbers that are not finite")
    if isinstance(config.model, str):
        return
    with torch.device("meta"):
        wanted = {name: tensor.shape for name, tensor in _build(config).state_dict().items()}
    if wanted != {name: tensor.shape for name, tensor in tensors.items()}:
        raise ValueError("its tensors have other names or shapes")


def _stem(channels: Sequence[int], width: int) -> nn.Sequential:
    """Convolutions of stride 2 that together take one step a patch, and a projection to the transformer's width."""
    layers: list[nn.Module] = []
    before = 3
    for after in channels:
        layers += [nn.Conv2d(before, after, 3, 2, 1, bias=False), nn.GroupNorm(8, after), nn.GELU()]
        before = after
    return nn.Sequential(*layers, nn.Conv2d(before, width, 1))


def tokens_by_length(tokenizer: Any, paddings: Sequence[int], texts: Sequence[str]) -> list[tuple[list[int], Tensor]]:
    """The texts by the length they are padded to (see `Encoder.tokens`)."""
    if not texts:
        return []
    tokens = tokenizer(list(texts))
    paddings = paddings or (tokens.shape[1],)
    last = ((tokens != 0) * torch.arange(1, tokens.shape[1] + 1)).amax(1)
    lengths = torch.tensor(paddings)[torch.searchsorted(torch.tensor(paddings), last)]
    groups = [(length, torch.nonzero(lengths == length)[:, 0]) for length in paddings]
    return [(which.tolist(), tokens[which, :length]) for length, which in groups if len(which)]


def tokenizer_of(config: EncoderConfig) -> Any:
    """What cuts texts into an encoder's tokens."""
    if config.merges is None:
        return open_clip.get_tokenizer(config.model)
    assert isinstance(config.model, dict)
    return domain_tokenizer(config.merges, config.model["text_cfg"]["context_length"])


def _square(image: Image.Image, size: int) -> Tensor:
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    small = image.convert("RGB").resize((size, size), Image.Resampling.BICUBIC, (left, top, left + side, top + side))
    return torch.from_numpy(np.asarray(small, np.float32).transpose(2, 0, 1) / 255)


def _stack(rows: dict[int, np.ndarray]) -> np.ndarray:
    return np.stack([rows[index] for index in range(len(rows))]).astype(np.float32)
