"""Names of files in a city folder stand in one module."""

import ast
from pathlib import Path

import pytest

from lecdiff_core.city import layout

ROOT = Path(__file__).resolve().parents[2]
NAMES = {name: value for name, value in vars(layout).items() if name.isupper() and isinstance(value, str)}
FILES = {value for name, value in NAMES.items() if name.endswith("_FILE")}
FOLDERS = {part for name, value in NAMES.items() if name.endswith("_FOLDER") for part in value.split("/")}
SOURCES = sorted(
    file
    for file in [ROOT / "app.py", *(ROOT / "lecdiff_core").rglob("*.py"), *(ROOT / "pages").rglob("*.py")]
    if file != Path(layout.__file__)
)


def spelt(file: Path) -> set[str]:
    """Names of the layout that a module writes out: whole, as the end of a path, or joined to one."""
    tree = ast.parse(file.read_text("utf-8"))
    texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    joined = {
        node.right.value
        for node in ast.walk(tree)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div) and isinstance(node.right, ast.Constant)
    }
    return (texts & FILES) | (joined & FOLDERS)


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: str(file.relative_to(ROOT)))
def test_no_other_module_spells_them(file: Path) -> None:
    # The shipped encoder lies beside the demo city, not in a city's folder.
    shipped = {layout.ENCODER_FOLDER} if file.parts[-2:] == ("embedding", "encoder.py") else set()
    assert spelt(file) <= shipped


def test_the_documentation_names_every_file() -> None:
    told = (ROOT / "docs" / "city-folder.md").read_text("utf-8")
    shown = {name for name in FILES if not name.startswith(".") and name != layout.UNFINISHED_FILE}
    assert {name for name in shown if name not in told} == set()
