"""The demonstration, as a newcomer runs it: a process of its own, for a few seconds."""

import re
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest

from reactor.cli import main
from reactor.core.plan import plan_from_toml
from reactor.demo.run import Options
from reactor.demo.trader import Trader
from reactor.sim.clock import VirtualClock
from reactor.sim.exchange import Settings
from reactor.sim.scenarios import Scenario
from reactor.sim.server import Server
from reactor.sim.simulation import Simulation

ROOT = Path(__file__).parents[2]


def test_it_guards_exits_and_leaves_a_recording_that_replays(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "session"
    words = ["demo", "--seconds", "8", "--port", "0", "--out", str(out)]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "reactor", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    opened, guarded = map(
        int, re.findall(r"(\d+) positions opened .*, (\d+) guarded", done.stdout)[0]
    )
    assert guarded == opened >= 4
    assert " guarded: " in done.stdout
    assert (
        main(["replay", *map(str, sorted((out / "tapes").glob("*.zst"))), "--verify", "--json"])
        == 0
    )
    assert capsys.readouterr().out.count('"type":"opened"') == guarded


def test_its_plan_is_one() -> None:
    toml = (ROOT / "reactor" / "demo" / "demo.toml").read_text(encoding="utf-8")
    assert plan_from_toml(toml, source="demo").name == "demo"


def trades(seed: int, times: int) -> list[str]:
    now_ms = 1_795_000_000_000
    simulation = Simulation(
        now_ms=now_ms,
        settings=Settings(seed=seed, api_key="sim-key", api_secret="sim-secret"),
        prices=Scenario("calm", start_ms=now_ms, seed=seed),
    )
    server = Server(simulation, clock=VirtualClock(now_ms))
    trader = Trader(server, seed=seed)
    for _ in range(times):
        trader.trade()
    state = trader._state()
    return [
        f"{trader.opened} {trader.added} {trader.closed}",
        *(
            f"{name} {amount}"
            for name, amount in state["accounts"]["main"]["positions"].items()
            if Decimal(amount)
        ),
    ]


def test_the_trader_opens_adds_and_closes() -> None:
    opened, added, closed = map(int, trades(3, 60)[0].split())
    assert opened >= 4
    assert added >= 1
    assert closed >= 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--seconds", "0"], "--seconds must be above 0"),
        (["--port", "70000"], "--port must be 0 to 65535"),
        (["--plan", "none", "--seconds", "1", "--port", "0"], "there is no plan 'none'"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["demo", *words]) == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1


def test_the_options_have_defaults_that_show_something() -> None:
    assert Options().scenario == "whipsaw"
