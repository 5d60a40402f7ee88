"""What is wrong in an import, gathered, so that all of it is told at once and in one line."""

from collections.abc import Iterator
from contextlib import contextmanager

from lecdiff_core.errors import UserError

SHOWN = 8


class Problems:
    """UserErrors by what they are about, the first of each."""

    def __init__(self) -> None:
        self.told: dict[object, str] = {}

    @contextmanager
    def of(self, *about: object) -> Iterator[None]:
        """Keep a UserError of what follows, and go on behind it."""
        try:
            yield
        except UserError as error:
            self.told.setdefault(about, str(error))

    def settle(self) -> None:
        """Raise all that was gathered as one UserError."""
        texts = list(dict.fromkeys(self.told.values()))
        if len(texts) == 1:
            raise UserError(texts[0])
        if texts:
            more = f"; and {len(texts) - SHOWN} more" if len(texts) > SHOWN else ""
            shown = "; ".join(f"({number}) {text}" for number, text in enumerate(texts[:SHOWN], start=1))
            raise UserError(f"{len(texts)} things are wrong: {shown}{more}")
