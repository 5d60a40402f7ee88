"""The synthetic demo town: land-use plan, aerial rendering, traffic and planted events, and towns of any size.

Everything here is generated from a seed and fictional. `plan` lays out land use, `stations` places base stations, `traffic`
and `events` give them 60 days of traffic, `objects` fills the plan with houses, trees and cars, `painting` draws them and
`imagery` writes tiles and chips. What is planted goes to `truth/`, which nothing that trains or describes may read.
`docs/demo-city.md` describes the process.
"""

from pathlib import Path

from lecdiff_core.demo.town import DEMO_SEED, GENERATOR_VERSION, copy_demo_city, demo_city, generate_town

__all__ = ["DEMO_SEED", "GENERATOR_VERSION", "copy_demo_city", "demo_city", "generate_town"]


def __getattr__(name: str) -> Path:
    if name == "DEMO_CITY":
        return demo_city()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
