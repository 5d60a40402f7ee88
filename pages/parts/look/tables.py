"""Facts and tables as HTML, every cell shown literally."""

from collections.abc import Mapping, Sequence

from markupsafe import Markup

from pages.parts.look.markup import blocks


def facts(named: Mapping[str, str]) -> Markup:
    """Names with their values, side by side as there is room."""
    return blocks.facts(named)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Markup:
    """A table that scrolls by itself where the page is narrow."""
    return blocks.table(head, rows)


def items(lines: Sequence[str]) -> Markup:
    """Lines as a list."""
    return blocks.items(lines)
