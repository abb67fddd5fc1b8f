"""A Dockerfile's instructions, and what `.dockerignore` lets through: as much as this project's files use."""

import fnmatch
import shlex
from pathlib import Path
from typing import NamedTuple


class Instruction(NamedTuple):
    """One instruction: its word in capitals, and the rest with continued lines joined."""

    word: str
    rest: str


class Stage(NamedTuple):
    """What stands between one FROM and the next."""

    base: str
    name: str
    instructions: list[Instruction]

    def all_of(self, word: str) -> list[str]:
        """The rests of every instruction of this kind."""
        return [instruction.rest for instruction in self.instructions if instruction.word == word]

    def last(self, word: str) -> str:
        """The one that counts where a later one overrules an earlier."""
        return self.all_of(word)[-1]


class Copy(NamedTuple):
    """A COPY: sources, destination, and the stage it takes from."""

    sources: list[str]
    destination: str
    stage: str


def stages(text: str) -> list[Stage]:
    """Every stage of a Dockerfile."""
    found: list[Stage] = []
    for instruction in _instructions(text):
        if instruction.word == "FROM":
            base, *named = instruction.rest.split()
            found.append(Stage(base, named[1] if named else "", []))
        else:
            found[-1].instructions.append(instruction)
    return found


def _instructions(text: str) -> list[Instruction]:
    rows = [row for row in text.splitlines() if row.strip() and not row.lstrip().startswith("#")]
    joined = "\n".join(rows).replace("\\\n", " ")
    parts = [row.strip().partition(" ") for row in joined.splitlines()]
    return [Instruction(word.upper(), " ".join(rest.split())) for word, _, rest in parts]


def copy_of(rest: str) -> Copy:
    """The parts of a COPY."""
    words = shlex.split(rest)
    options = dict(word[2:].split("=") for word in words if word.startswith("--"))
    *sources, destination = [word for word in words if not word.startswith("--")]
    return Copy(sources, destination, options.get("from", ""))


def is_ignored(path: str, ignore: list[str]) -> bool:
    """Whether `.dockerignore` keeps a file out: the last rule that matches it or a folder above it wins."""
    parts = Path(path).parts
    above = ["/".join(parts[: depth + 1]) for depth in range(len(parts))]
    ignored = False
    for rule in ignore:
        pattern = rule.removeprefix("!").removeprefix("**/")
        names = [Path(name).name for name in above] if "**/" in rule else above
        if any(fnmatch.fnmatchcase(name, pattern) for name in names):
            ignored = not rule.startswith("!")
    return ignored


def context(root: Path) -> list[str]:
    """The files that a build would be sent."""
    text = (root / ".dockerignore").read_text(encoding="utf-8")
    rules = [row for row in text.splitlines() if row and not row.startswith("#")]
    names = (path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())
    return sorted(name for name in names if not is_ignored(name, rules))
