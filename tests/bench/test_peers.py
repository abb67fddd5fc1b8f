"""The comparison with other clients: its arithmetic, its requirements, its command line."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from side_by_side import outcome, peers
from side_by_side.outcome import Measured

ROOT = Path(__file__).resolve().parents[2]


def one(name: str, order: float, floor: float, **named: object) -> Measured:
    return Measured(name, "v", (order,) * 3, (floor,) * 3, **named)  # type: ignore[arg-type]


def test_ratios_are_taken_within_a_round() -> None:
    rounds = [one("ccxt", 300, 100), one("ccxt", 900, 300), one("ccxt", 500, 100)]
    found = outcome.put_together(rounds)
    floor, row = found.rows
    assert row.ratio_p50 == 3.0
    assert (row.us["p50"], row.us["max"], row.orders, row.rounds) == (500, 900, 9, 3)
    assert (floor.name, floor.us["p50"]) == ("floor", 100)
    assert found.noisy


def test_rows_stand_in_the_order_of_the_list_and_failures_keep_their_reason() -> None:
    rounds = [
        Measured("nautilus", failed="cannot be installed: no wheel"),
        one("unicorn", 30, 10, cpu_us=12.0, floor_cpu_us=0.5, lost=1),
        one("exit-reactor", 20, 10),
    ]
    found = outcome.put_together(rounds)
    assert [row.name for row in found.rows] == ["floor", "exit-reactor", "unicorn", "nautilus"]
    unicorn, nautilus = found.rows[2:]
    assert (unicorn.cpu_us, unicorn.cpu_ratio, unicorn.lost) == (12.0, 24.0, 1)
    assert nautilus.failed == "cannot be installed: no wheel"
    assert not found.noisy


def test_a_client_that_failed_once_is_told_by_its_other_rounds() -> None:
    found = outcome.put_together([one("ccxt", 30, 10), Measured("ccxt", failed="did not connect")])
    assert (found.rows[1].failed, found.rows[1].rounds) == ("", 1)


def test_a_poll_waits_evenly_and_is_said_to_be_computed() -> None:
    assert outcome.reaction_us(50, 3000) == 5_003_000
    row = outcome.put_together([Measured("poll-10s", "v", (2000.0, 3000.0, 4000.0))]).rows[0]
    assert row.computed
    assert row.us["p90"] == 9_003_000
    assert row.cpu_us is None


def test_rounds_are_gathered_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "rounds.jsonl"
    assert outcome.read(path) == []
    outcome.append(path, [one("ccxt", 3, 1)])
    outcome.append(path, [Measured("nautilus", failed="no")])
    assert outcome.read(path) == [one("ccxt", 3, 1), Measured("nautilus", failed="no")]
    path.write_text("nonsense\n")
    with pytest.raises(ValueError, match="JSON"):
        outcome.read(path)


def test_every_client_has_a_script_and_pinned_requirements() -> None:
    listed = peers.read_requirements(peers.REQUIREMENTS.read_text("utf-8"))
    wanted = {peer.environment for peer in peers.PEERS} | {peers.POLL_ENVIRONMENT}
    assert set(listed) == wanted
    for peer in peers.PEERS:
        assert (peers.CLIENTS / peer.script).is_file()
    for lines in listed.values():
        assert all(re.search(r"==\S+|python_version", line) for line in lines)


def test_requirements_below_no_heading_belong_to_nobody() -> None:
    assert peers.read_requirements("x==1\n# [a]\n# words\ny==2\n\n# [b]\n") == {
        "a": ["y==2"],
        "b": [],
    }


def run(*words: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, str(ROOT / "benchmarks" / "peers.py"), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def test_the_command_tells_what_it_takes() -> None:
    done = run("--help")
    assert done.returncode == 0
    assert all(name in done.stdout for name in ("--peers", "--rounds", "--json", "nautilus"))


def test_the_command_tells_of_a_file_of_rounds(tmp_path: Path) -> None:
    path = tmp_path / "rounds.jsonl"
    outcome.append(path, [one("ccxt", 3, 1)])
    done = run("--rounds", "0", "--into", str(path), "--json")
    assert done.returncode == 0, done.stderr
    assert '"name":"ccxt"' in done.stdout
    shown = run("--rounds", "0", "--into", str(path))
    assert "ccxt" in shown.stdout


def test_an_unknown_client_is_told_in_a_line() -> None:
    done = run("--peers", "nobody")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("--peers nobody: unknown; there are exit-reactor")
    assert done.stderr.count("\n") == 1
