"""The language instruction a model is given with a chip: a file a person can read and edit, with its version.

The shipped ones lie in `instructions/`. A file begins with TOML between two lines of `+++` (name, version, detail,
expected_tokens); the rest is the instruction, in which {metres} stands for the side of the chip.
"""

import hashlib
import tomllib
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lecdiff_core.errors import UserError

FOLDER = Path(__file__).parent / "instructions"
MARK = "+++"
LONGEST = 20_000


class Instruction(BaseModel):
    """One instruction; `expected_tokens` is the usual length of an answer, for estimates."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_]{0,39}$")
    version: int = Field(ge=1)
    detail: str
    expected_tokens: int = Field(ge=1, le=5000)
    text: str = Field(min_length=1, max_length=LONGEST)

    @property
    def prompt_version(self) -> str:
        """Name, version and the start of the text's SHA-256: an edited text is never mistaken for the old one."""
        return f"{self.name}-{self.version}-{hashlib.sha256(self.text.encode()).hexdigest()[:8]}"

    def for_chip(self, metres: float) -> str:
        """The instruction for a chip of so many metres a side."""
        return self.text.replace("{metres}", f"{metres:.0f}")


def instruction_names() -> list[str]:
    """Names of the shipped instructions."""
    return sorted(file.stem for file in FOLDER.glob("*.md"))


def load_instruction(name: str) -> Instruction:
    """Read a shipped instruction by its name, or one's own by the path of its `.md` file. Raises UserError."""
    path = Path(name) if name.endswith(".md") else FOLDER / f"{name}.md"
    if not name.endswith(".md") and name not in instruction_names():
        raise UserError(
            f"there is no instruction {name!r}; there are {', '.join(instruction_names())}, or give a .md file"
        )
    try:
        content = path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        raise UserError(f"the instruction {path} cannot be read; give a text file in UTF-8") from None
    before, _, rest = content.partition(f"{MARK}\n")
    head, mark, text = rest.partition(f"\n{MARK}\n")
    if before.strip() or not mark:
        raise UserError(
            f"{path}: it must begin with name, version, detail, expected_tokens between two lines of {MARK}"
        )
    try:
        return Instruction(**tomllib.loads(head), text=text.strip())
    except (tomllib.TOMLDecodeError, TypeError) as error:
        raise UserError(f"{path}: its head is not TOML: {error}") from None
    except ValidationError as error:
        first = error.errors()[0]
        raise UserError(f"{path}, {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
