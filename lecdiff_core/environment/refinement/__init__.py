"""Rule-based refinement of descriptions: regular filters, fact verification against the chip, and a dual score.

`refine` is loaded when it is first used: who only reads sentences (`sentences.py`) need not load what measures chips.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lecdiff_core.environment.refinement.refiner import Refinement, refine

__all__ = ["Refinement", "refine"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from lecdiff_core.environment.refinement import refiner

    return getattr(refiner, name)
