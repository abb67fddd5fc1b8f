"""The golden decisions against plain arithmetic, line for line: entries, ATRs, levels, every move, every result."""

import json
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from golden_walk import Walk, read_lines

FIXTURES = Path(__file__).parents[2] / "fixtures"
NUMBERS = {"quantity", "entry", "atr", "stop", "price", "remaining", "realized", "r_multiple"}

WHOLE = {
    "quiet_day": "quiet_day.jsonl.zst",
    "trend": "trend.jsonl.zst",
    "flash_crash": "flash_crash.jsonl.zst",
    "whipsaw": "whipsaw.jsonl.gz",
    "hedge_pair": "hedge_pair.jsonl.zst",
    "session": "session.jsonl.zst",
}
"""All but the damaged one: a walk in plain JSON is for tapes that can be read as such."""


def golden(name: str) -> list[dict[str, Any]]:
    text = (FIXTURES / "golden" / f"{name}.jsonl").read_text(encoding="utf-8")
    return [exact(json.loads(row)) for row in text.splitlines()[:-1]]


def exact(line: dict[str, Any]) -> dict[str, Any]:
    """A golden line with its numbers as fractions."""
    for key in NUMBERS & set(line):
        line[key] = None if line[key] is None else Fraction(Decimal(line[key]))
    if "targets" in line:
        line["targets"] = [
            [Fraction(Decimal(price)), Fraction(Decimal(close))] for price, close in line["targets"]
        ]
    return line


@pytest.mark.parametrize("name", WHOLE)
def test_plain_arithmetic_says_the_same(name: str) -> None:
    found = Walk(read_lines(FIXTURES / WHOLE[name])).run()
    wanted = golden(name)
    for mine, theirs in zip(found, wanted, strict=False):
        assert mine == theirs
    assert len(found) == len(wanted)
