"""Facts and tables as HTML, every cell shown literally."""

from collections.abc import Mapping, Sequence

from pages.parts.look.formats import escaped


def facts(named: Mapping[str, str]) -> str:
    """Names with their values, side by side as there is room."""
    rows = "".join(f"<div><dt>{escaped(name)}</dt><dd>{escaped(value)}</dd></div>" for name, value in named.items())
    return f'<dl class="lec-facts">{rows}</dl>'


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table that scrolls by itself where the page is narrow."""
    titles = "".join(f"<th>{escaped(cell)}</th>" for cell in head)
    lines = "".join(f"<tr>{''.join(f'<td>{escaped(cell)}</td>' for cell in row)}</tr>" for row in rows)
    body = f"<thead><tr>{titles}</tr></thead><tbody>{lines}</tbody>"
    return f'<div class="lec-scroll"><table class="lec-rows">{body}</table></div>'


def items(lines: Sequence[str]) -> str:
    """Lines as a list."""
    return f'<ul class="lec-list">{"".join(f"<li>{escaped(line)}</li>" for line in lines)}</ul>'
