"""Errors of an import, collected so that all of them are reported at once, in one line."""

from collections.abc import Iterator
from contextlib import contextmanager

from lecdiff_core.errors import UserError

SHOWN = 8


class Problems:
    """UserErrors by subject, the first of each."""

    def __init__(self) -> None:
        self.messages: dict[object, str] = {}

    @contextmanager
    def collect(self, *about: object) -> Iterator[None]:
        """Collect a UserError of the block, and go on after it."""
        try:
            yield
        except UserError as error:
            self.messages.setdefault(about, str(error))

    def raise_all(self) -> None:
        """Raise all collected errors as one UserError."""
        texts = list(dict.fromkeys(self.messages.values()))
        if len(texts) == 1:
            raise UserError(texts[0])
        if texts:
            more = f"; and {len(texts) - SHOWN} more" if len(texts) > SHOWN else ""
            shown = "; ".join(f"({number}) {text}" for number, text in enumerate(texts[:SHOWN], start=1))
            raise UserError(f"{len(texts)} things are wrong: {shown}{more}")
