"""The documents say what the code does: generated parts are compared, and every key is described.

`REACTOR_WRITE_DOCS=1 python -m pytest tests/core/test_documents.py` writes the generated parts anew.
"""

import os
import re
from collections.abc import Callable
from decimal import Decimal
from importlib import resources
from pathlib import Path

import pytest

from core.plan_schema import Key, schema_keys
from core.test_plan import RANGES
from reactor.core.decisions import Side
from reactor.core.exact import text
from reactor.core.levels import levels
from reactor.core.lifecycle import transition_diagram, transition_table
from reactor.core.plan import plan_from_toml
from reactor.core.sizing import RuleVerdict
from reactor.errors import PlanError
from reactor.plans import load_plan, shipped_plan_names

DOCS = Path(__file__).parents[2] / "docs"
BLOCK = re.compile(r"<!-- generated: (?P<name>[^>]*) -->\n(?P<body>.*?)<!-- end -->", re.DOTALL)
SIDES: tuple[Side, Side] = ("LONG", "SHORT")


def levels_of_the_shipped_plans() -> str:
    """One table for a calm ATR and one for a wild one, where challenge_100's governor shows."""
    tables = []
    for atr in ("500", "2000"):
        rows = [
            f"At an ATR of {atr}:\n",
            "| plan | side | stop | R | targets | break-even | trail | reward:risk |",
            "|---|---|---|---|---|---|---|---|",
        ]
        for name in shipped_plan_names():
            for side in SIDES:
                found = levels(
                    load_plan(name),
                    side=side,
                    entry=Decimal(100_000),
                    atr=Decimal(atr),
                    tick=Decimal("0.1"),
                )
                targets = ", ".join(
                    f"{text(close * 100)} % at {'–' if price is None else text(price)}"
                    for price, close in found.targets
                )
                shown = [
                    "–" if value is None else text(value)
                    for value in (found.break_even, found.trail)
                ]
                risk = "–" if found.reward_risk is None else f"{found.reward_risk:.2f}"
                rows.append(
                    f"| {name} | {side} | {text(found.stop)} | {text(found.r)} | {targets} |"
                    f" {shown[0]} | {shown[1]} | {risk} |"
                )
        tables.append("\n".join(rows) + "\n")
    return "\n" + "\n".join(tables) + "\n"


def a_sized_ladder() -> str:
    """One position with what is known of it: its rungs, and what became of each rule."""
    known = {"leverage": Decimal(20), "notional": Decimal("88126.16") * Decimal("0.182")}
    rows = ["| side | leverage | targets | rules applied |", "|---|---|---|---|"]
    verdicts: tuple[RuleVerdict, ...] = ()
    for side in SIDES:
        for inputs in ({}, known):
            found = levels(
                load_plan("challenge_100"),
                side=side,
                entry=Decimal("88126.16"),
                atr=Decimal("100.8571"),
                tick=Decimal("0.1"),
                inputs=inputs,
            )
            verdicts = found.rules
            targets = ", ".join(
                f"{text(close * 100)} % at {'–' if price is None else text(price)}"
                for price, close in found.targets
            )
            applied = "; ".join(f"{one.rule}: {one.effect}" for one in verdicts if one.applied)
            leverage = "20" if inputs else "not known"
            rows.append(f"| {side} | {leverage} | {targets} | {applied or 'none'} |")
    rows += ["", "| rule | what it does | applied | why |", "|---|---|---|---|"]
    rows += [
        f"| `{one.rule}` | {one.effect} | {'yes' if one.applied else 'no'} | {one.why} |"
        for one in verdicts
    ]
    return "\n" + "\n".join(rows) + "\n\n"


def the_shipped_plans() -> str:
    files = [
        resources.files("reactor.plans").joinpath(f"{name}.toml").read_text(encoding="utf-8")
        for name in shipped_plan_names()
    ]
    return "\n" + "\n".join(f"```toml\n{file.strip()}\n```\n" for file in files) + "\n"


GENERATED: dict[str, Callable[[], str]] = {
    "levels of the shipped plans": levels_of_the_shipped_plans,
    "a sized ladder": a_sized_ladder,
    "the shipped plans": the_shipped_plans,
    "transition diagram": lambda: f"\n```mermaid\n{transition_diagram()}```\n\n",
    "transition table": lambda: f"\n{transition_table()}\n",
}


@pytest.mark.parametrize(
    ("file", "names"),
    [
        ("plans.md", ["levels of the shipped plans", "a sized ladder", "the shipped plans"]),
        ("machine.md", ["transition diagram", "transition table"]),
    ],
)
def test_generated_parts_are_what_the_code_gives(file: str, names: list[str]) -> None:
    path = DOCS / file
    written = path.read_text(encoding="utf-8")
    assert [match["name"] for match in BLOCK.finditer(written)] == names
    if os.environ.get("REACTOR_WRITE_DOCS"):
        written = BLOCK.sub(
            lambda m: f"<!-- generated: {m['name']} -->\n{GENERATED[m['name']]()}<!-- end -->",
            written,
        )
        path.write_text(written, encoding="utf-8")
    for match in BLOCK.finditer(written):
        assert match["body"] == GENERATED[match["name"]](), f"{file}: see the top of this test file"


# Every key ------------------------------------------------------------------------------------------


class Described:
    """One row of a key table: its range and default as written."""

    def __init__(self, cells: list[str]) -> None:
        _, _, self.range, self.default, self.what = cells


def described_keys() -> dict[str, Described]:
    found: dict[str, Described] = {}
    table: str | None = None
    for row in (DOCS / "plans.md").read_text(encoding="utf-8").splitlines():
        heading = re.fullmatch(r"### (?:`\[+(?P<table>[a-z_.]+)\]+`|The plan itself)", row)
        if row.startswith("#"):
            table = (heading["table"] or "") if heading else None
        elif table is not None and row.startswith("| `"):
            cells = [cell.strip() for cell in row.strip("|").split("|")]
            key = cells[0].strip("` ")
            name = f"{table}.{key}" if table else key
            assert name not in found
            found[name] = Described(cells)
    return found


def test_every_key_of_the_schema_is_described_and_no_other() -> None:
    assert set(described_keys()) == {key.name for key in schema_keys()}


def test_every_row_says_what_the_key_does() -> None:
    for key, row in described_keys().items():
        assert len(row.what) > 10, key
        assert row.what.endswith(("…", ".")), key


@pytest.mark.parametrize(
    ("key", "toml", "outside"),
    [(key.replace("[0]", ""), toml, outside[0]) for key, toml, _, outside in RANGES],
)
def test_the_range_that_is_written_is_the_one_that_is_refused(
    key: str, toml: str, outside: str
) -> None:
    with pytest.raises(PlanError) as caught:
        plan_from_toml(toml.format(outside), source="mine.toml")
    _, _, refused = str(caught.value).partition(" is out of range: ")
    if key == "ladder.clamp_pct":
        _, _, refused = str(caught.value).partition(" must be two rising fractions ")
    assert described_keys()[key].range == refused


@pytest.mark.parametrize("key", list(schema_keys()), ids=lambda key: key.name)
def test_the_default_that_is_written_is_the_one_that_is_taken(key: Key) -> None:
    if key.name == "name":
        wanted = "the file's"
    elif key.name == "confirm_ticks":
        wanted = "1; 2 with `book`"
    elif key.needed:
        wanted = "needed"
    elif key.default is None:
        wanted = "–"
    else:
        wanted = f"`{str(key.default).lower()}`"
    assert described_keys()[key.name].default == wanted


def test_the_examples_of_the_documents_are_plans() -> None:
    written = (DOCS / "plans.md").read_text(encoding="utf-8")
    examples = re.findall(r"```toml\n(.*?)```", written, re.DOTALL)
    assert len(examples) == 1 + len(shipped_plan_names())
    for example in examples:
        plan_from_toml(example, source="docs/plans.md")
