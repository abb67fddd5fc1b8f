"""The golden decisions against plain arithmetic, line for line: entries, ATRs, levels, every move, every result."""

import json
from pathlib import Path
from typing import Any

import pytest
from golden_walk import Walk, exact, read_lines

FIXTURES = Path(__file__).parents[2] / "fixtures"

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


@pytest.mark.parametrize("name", WHOLE)
def test_plain_arithmetic_says_the_same(name: str) -> None:
    found = Walk(read_lines(FIXTURES / WHOLE[name])).run()
    wanted = golden(name)
    for mine, theirs in zip(found, wanted, strict=False):
        assert mine == theirs
    assert len(found) == len(wanted)
