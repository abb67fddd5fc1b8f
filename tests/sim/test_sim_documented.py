"""docs/simulator.md names every endpoint, method, fault, door and code that there is."""

import re
from pathlib import Path

from reactor.sim import refusals, rest
from reactor.sim.commands import SCENARIOS
from reactor.sim.faults import KINDS, FaultRule
from reactor.sim.scenarios import SHAPES
from reactor.sim.ws_api import METHODS

from .trading_desk import Desk

TEXT = (Path(__file__).parents[2] / "docs/simulator.md").read_text()
WORDS = set(re.findall(r"[\w./-]+", TEXT))


def test_faults_and_their_keys() -> None:
    assert [kind for kind in sorted(KINDS) if f"`{kind}`" not in TEXT] == []
    assert [key for key in FaultRule.__struct_fields__ if key not in WORDS] == []


def test_endpoints() -> None:
    missing = [
        path
        for _, path in rest.table()
        if not {path, path.removeprefix("/fapi/"), path.split("/", 3)[3]} & WORDS
    ]
    assert missing == []


def test_websocket_api_methods() -> None:
    assert [m for m in METHODS if m not in WORDS and m.rsplit(".", 1)[-1] not in WORDS] == []


def test_doors(desk: Desk) -> None:
    doors = desk.simulation.control._doors
    assert [path for _, path in doors if path not in WORDS] == []


def test_codes() -> None:
    text = TEXT
    for first, last in re.findall(r"-(\d{4})\s+to\s+-(\d{4})", TEXT):
        text += " ".join(f"-{code}" for code in range(int(first), int(last) + 1))
    assert [code for code in refusals.TABLE if str(code) not in text] == []


def test_scenarios() -> None:
    assert set(SCENARIOS) == set(SHAPES)
    assert [name for name in SCENARIOS if f"`{name}`" not in TEXT] == []
