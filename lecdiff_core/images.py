"""Opening images from elsewhere: every way in which one can be bad has a plain reason."""

import hashlib
from io import BytesIO
from pathlib import Path

from PIL import Image

FORMATS = ("JPEG", "PNG", "WEBP")
MIME_TYPES = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp"}
LARGEST_SIDE = 4096


class ImageError(ValueError):
    """The bytes are no usable image; the message says why in a few words, fit for a report."""


class TruncatedImageError(ImageError):
    """The image begins well but its end is missing: half-written, or a transfer that was cut off."""


def read_unchanged(file: Path, sha256: str) -> bytes:
    """The bytes of an image file that are known by their hash. Raises ImageError where others have taken their place."""
    content = file.read_bytes()
    if hashlib.sha256(content).hexdigest() != sha256:
        raise ImageError("the image was replaced meanwhile; run the command again")
    return content


def read_image(content: bytes) -> Image.Image:
    """Decode a JPEG, PNG or WebP whole; `.format` tells which.

    Raises ImageError: empty, no image of these kinds, more than 4,096 pixels a side (a decompression bomb is recognised
    by its header and never unpacked), truncated, damaged.
    """
    if not content:
        raise TruncatedImageError("the file is empty")
    try:
        image = Image.open(BytesIO(content), formats=FORMATS)
    except Image.DecompressionBombError:
        raise ImageError(f"the image has too many pixels (more than {LARGEST_SIDE} a side)") from None
    except (OSError, SyntaxError, ValueError):
        raise ImageError(f"not a JPEG, PNG or WebP image but {_looks_like(content)}") from None
    if max(image.size) > LARGEST_SIDE:
        raise ImageError(f"the image is {image.width}×{image.height} pixels; at most {LARGEST_SIDE} a side are read")
    try:
        image.load()
    except (OSError, SyntaxError, ValueError, EOFError, IndexError) as error:
        if "truncated" in str(error) or not _ends_well(content, image.format):
            raise TruncatedImageError("the image is truncated") from None
        raise ImageError("the image is damaged") from None
    return image


def _ends_well(content: bytes, kind: str | None) -> bool:
    tail = content[-32:]
    return (b"\xff\xd9" in tail) if kind == "JPEG" else (b"IEND" in tail) if kind == "PNG" else True


def _looks_like(content: bytes) -> str:
    head = content[:512].lstrip().lower()
    if head.startswith((b"<!doctype html", b"<html")):
        return "a web page"
    if head.startswith((b"{", b"[")):
        return "JSON text"
    if head.startswith(b"<"):
        return "XML text"
    return "something else"
