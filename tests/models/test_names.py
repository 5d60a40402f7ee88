"""What is written once: names of models, and what Esri asks for."""

import ast
from pathlib import Path

import pytest

from lecdiff_core.environment.imagery import terms
from lecdiff_core.models.names import ABLATIONS, NAMES, OURS, PAPER, PREFERRED, YARDSTICKS

ROOT = Path(__file__).resolve().parents[2]
# Where models are built by their names, and where they are named for people.
HOMES = {ROOT / "lecdiff_core" / "models" / "names.py", ROOT / "lecdiff_core" / "models" / "catalogue.py"}
SOURCES = sorted({ROOT / "app.py", *(ROOT / "lecdiff_core").rglob("*.py"), *(ROOT / "pages").rglob("*.py")} - HOMES)


def texts(file: Path) -> set[str]:
    tree = ast.parse(file.read_text("utf-8"))
    return {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: str(file.relative_to(ROOT)))
def test_no_other_module_names_a_model(file: Path) -> None:
    assert not texts(file) & NAMES.keys()
    assert not texts(file) & {named.label for named in NAMES.values()} - {"LEC-Diff"}


def test_nobody_else_says_what_esri_asks_for() -> None:
    said = {terms.IMAGERY_NAME, terms.POWERED_BY_ESRI, terms.ESRI_SOURCES}
    home = Path(terms.__file__)
    for file in SOURCES:
        told = texts(file)
        assert file == home or not (told & said or any("automated fetching of ArcGIS" in text for text in told)), file


def test_roles() -> None:
    assert PREFERRED == OURS and NAMES[PAPER].role == "form"
    assert set(YARDSTICKS) == {"seasonal-naive", "climatology", "adaptive-climatology"}
    assert all(NAMES[name].change for name in ABLATIONS)
