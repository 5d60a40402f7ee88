"""What descriptions cost, in tokens and dollars: estimated before a run from the chips' sizes, counted after it."""

import math
import tomllib
from dataclasses import dataclass
from pathlib import Path

PRICES = Path(__file__).parent / "prices.toml"
LETTERS_A_TOKEN = 4
TILE = 512
LARGEST, SHORTEST = 2048, 768  # an image is first scaled down to fit 2048 × 2048, then to a shorter side of 768


@dataclass(frozen=True)
class Prices:
    """US dollars per million tokens; None where nobody knows. An image is `image_base` + `image_tile` a tile of 512²."""

    input: float | None = None
    output: float | None = None
    image_base: int = 85
    image_tile: int = 170

    def cost(self, tokens_in: float, tokens_out: float) -> float | None:
        """Dollars for so many tokens, or None where a price is not known."""
        if self.input is None or self.output is None:
            return None
        return (tokens_in * self.input + tokens_out * self.output) / 1e6

    def image_tokens(self, width: int, height: int) -> int:
        """Tokens that an image of so many pixels costs."""
        scale = min(1.0, LARGEST / max(width, height))
        scale *= min(1.0, SHORTEST / (min(width, height) * scale))
        across, down = math.ceil(width * scale / TILE), math.ceil(height * scale / TILE)
        return self.image_base + self.image_tile * across * down


@dataclass(frozen=True)
class Estimate:
    """What a run will take; `cost` in dollars is None where the model's price is not known."""

    calls: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    cost: float | None = None

    def __str__(self) -> str:
        price = "price not known" if self.cost is None else f"about {self.cost:.2f} USD"
        return f"{self.calls} calls, about {self.tokens_in:,} + {self.tokens_out:,} tokens, {price}"


def prices_of(model: str) -> Prices:
    """The listed prices of a model; a dated name such as gpt-4o-2024-08-06 has those of its family."""
    table = tomllib.loads(PRICES.read_text(encoding="utf-8"))
    family = max((name for name in table if model == name or model.startswith(f"{name}-20")), key=len, default=None)
    return Prices(**table[family]) if family else Prices()


def text_tokens(text: str) -> int:
    """About how many tokens an English text has."""
    return math.ceil(len(text) / LETTERS_A_TOKEN)
