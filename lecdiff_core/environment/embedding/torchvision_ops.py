"""Makes `import torchvision` work beside any build of torch; import this module before open_clip.

torchvision's compiled extension is built for one build of torch. Beside another one (a CPU-only torch, say) it cannot be
loaded, and torchvision then fails on import because it looks for the operators `nms` and `qnms` of that extension. open_clip
needs torchvision's image transforms only, which are plain Python; so where the extension cannot be loaded, the two
operators are declared by their schema, and nothing that is used here ever calls them.
"""

import importlib.machinery
import importlib.util
from pathlib import Path

import torch

SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"


def _extension() -> Path | None:
    package = importlib.util.find_spec("torchvision")
    if package is None or package.origin is None:
        return None
    folder = Path(package.origin).parent
    names = [f"_C{suffix}" for suffix in importlib.machinery.EXTENSION_SUFFIXES] + ["_C.so", "_C.pyd"]
    return next((folder / name for name in names if (folder / name).is_file()), None)


def _declare_missing_operators() -> torch.library.Library | None:
    """Declare what torchvision looks for on import; returns the object that keeps the declarations alive."""
    extension = _extension()
    try:
        if extension is not None:
            torch.ops.load_library(str(extension))
            return None
    except OSError:
        pass
    library = torch.library.Library("torchvision", "FRAGMENT")
    for operator in ("nms", "qnms"):
        library.define(f"{operator}{SCHEMA}")
    return library


DECLARED = _declare_missing_operators()
