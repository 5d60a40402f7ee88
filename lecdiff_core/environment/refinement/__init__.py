"""Rule-based refinement of descriptions: regular filters, fact verification against the chip, and a dual score."""

from lecdiff_core.environment.refinement.refiner import Refinement, refine

__all__ = ["Refinement", "refine"]
