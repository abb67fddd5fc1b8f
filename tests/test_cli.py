"""The command line as its users meet it: help, mistakes, closed pipes, interrupts."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import reactor
from reactor.cli import COMMANDS, main, parser

Capture = pytest.CaptureFixture[str]

MODULE = (sys.executable, "-m", "reactor")
ROOT = Path(__file__).parents[1]
T0_NS = 1_790_000_000_000_000_000


def started(*words: str) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "80"}
    return subprocess.Popen(
        [*MODULE, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    )


def leaf_commands() -> Iterator[tuple[str, ...]]:
    """Every command that does something, with its words."""
    for name in COMMANDS:
        tree = parser(name)
        groups: Any
        (groups,) = [action for action in tree._actions if hasattr(action, "add_parser")]
        command = groups.choices[name]
        inner: list[Any] = [action for action in command._actions if hasattr(action, "add_parser")]
        yield (name,)
        for group in inner:
            yield from ((name, word) for word in group.choices)


def stopped(capfd: Capture, *words: str) -> tuple[object, str, str]:
    """Runs what ends in argparse's own exit."""
    capfd.readouterr()
    with pytest.raises(SystemExit) as caught:
        main(words)
    return caught.value.code, *capfd.readouterr()


# Help ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [(), *leaf_commands()], ids="_".join)
def test_every_command_explains_itself_with_examples(
    words: tuple[str, ...], capfd: Capture
) -> None:
    code, out, err = stopped(capfd, *words, "--help")
    assert (code, err) == (0, "")
    assert "examples:" in out
    assert f"  reactor {' '.join(words)}".rstrip() in out


def test_the_help_names_every_command(capfd: Capture) -> None:
    _, out, _ = stopped(capfd, "--help")
    for name, (_, _, does) in COMMANDS.items():
        assert name in out.split()
        assert does[:30] in out


def test_the_version(capfd: Capture) -> None:
    assert stopped(capfd, "--version") == (0, f"reactor {reactor.__version__}\n", "")


# Mistakes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ((), "COMMAND"),
        (("replai",), "invalid choice"),
        (("replay",), "required: TAPE"),
        (("replay", "x.jsonl", "--jsn"), "unrecognized arguments: --jsn"),
        (("replay", "x.jsonl", "--verif"), "unrecognized arguments: --verif"),
        (("replay", "x.jsonl", "--speed", "x"), "invalid float value"),
        (("levels",), "required: --entry, --atr, --side"),
        (("levels", "--entry"), "expected one argument"),
        (("atr",), "required: FILE.csv"),
        (("tape",), "required"),
        (("tape", "import", "x"), "required"),
        (("--json", "replay"), "required"),
    ],
)
def test_a_mistake_is_one_line_that_points_to_the_help(
    words: tuple[str, ...], why: str, capfd: Capture
) -> None:
    code, out, err = stopped(capfd, *words)
    assert (code, out) == (2, "")
    (said,) = err.splitlines()
    assert said.startswith("reactor")
    assert why in said
    assert said.endswith("--help")


@pytest.mark.parametrize("name", ["two\nlines.jsonl", "\x1b[31mred.jsonl", "tab\t.jsonl", "\udcff"])
def test_a_file_may_be_named_anything_and_the_error_is_still_one_line(
    name: str, tmp_path: Path, capfd: Capture
) -> None:
    assert main(["replay", str(tmp_path / name)]) == 2
    out, err = capfd.readouterr()
    (said,) = err.splitlines()
    assert (out, said.isprintable()) == ("", True)
    assert "no such file" in said
    code, _, err = stopped(capfd, "replay", "x", f"--{name}")
    assert code == 2
    assert len(err.splitlines()) == 1


# Output -------------------------------------------------------------------------------------------


def test_levels_and_atr_print_what_was_asked_for(tmp_path: Path, capfd: Capture) -> None:
    words = ["levels", "--entry", "98750", "--atr", "1250", "--side", "LONG", "--json"]
    assert main(words) == 0
    assert json.loads(capfd.readouterr().out) == {
        "plan": "trend_follow",
        "side": "LONG",
        "entry": "98750",
        "atr": "1250",
        "stop": "96875",
        "r": "1875",
        "targets": [["102500", "0.5"], ["104375", "0.5"]],
        "break_even": "98848.75",
        "trail": "1500",
        "reward_risk": "3.00",
        "high_volatility": False,
    }
    candles = tmp_path / "x.csv"
    candles.write_text(
        "close,open_time_ms,low,high,open\n2,0,1,2,1\n3,60000,2,4,2\n3,120000,3,3,3\n"
    )
    assert main(["atr", str(candles), "--period", "1"]) == 0
    assert capfd.readouterr().out == "60000,2.0\n120000,0.0\n"
    assert main(["atr", str(candles), "--period", "2", "--method", "sma"]) == 0
    assert capfd.readouterr().out == "120000,1.0\n"
    assert main(["atr", str(candles)]) == 0
    assert capfd.readouterr().out == ""


@pytest.fixture(name="tape", scope="module")
def _tape(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three thousand new best prices: three thousand lines of a trailing stop."""
    folder = tmp_path_factory.mktemp("tapes")
    lines = ['{"tape":1}']
    for n in range(3000):
        frame = f'{{"e":"aggTrade","s":"BTCUSDT","p":"{100 + n / 1000:.3f}","a":{n},"T":{n}}}'
        lines.append(f'{{"t":{T0_NS + n * 1_000_000_000},"c":"market","m":{frame}}}')
    (folder / "x.jsonl").write_text("\n".join(lines) + "\n")
    (folder / "plan.toml").write_text(
        '[stop]\npct = 0.01\n[trailing]\nactivate = "in_profit"\npct = 0.001\n'
    )
    return folder / "x.jsonl"


def replay_words(tape: Path) -> list[str]:
    plan = str(tape.with_name("plan.toml"))
    asked = ["--plan", plan, "--position", "BTCUSDT:LONG:1@100", "--trigger", "last"]
    return ["replay", str(tape), *asked]


@pytest.mark.parametrize("more", [["--json"], []], ids=["json", "table"])
def test_a_reader_that_has_seen_enough_is_no_error(more: list[str], tape: Path) -> None:
    with started(*replay_words(tape), *more) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        if more:
            # More than a pipe holds is still to come.
            assert process.stdout.readline().startswith(b'{"type":"opened"')
        process.stdout.close()
        assert process.wait(timeout=60) == 0
        assert process.stderr.read() == b""


def test_help_into_a_closed_pipe_is_no_error() -> None:
    with started("replay", "--help") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.wait(timeout=60) == 0
        assert process.stderr.read() == b""


def test_a_full_disk_under_the_output_is_one_line(tape: Path) -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("needs /dev/full")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with full.open("wb") as out:
        ran = subprocess.run(
            [*MODULE, *replay_words(tape), "--json"],
            stdout=out,
            stderr=subprocess.PIPE,
            env=environment,
            check=False,
        )
    assert (ran.returncode, ran.stderr) == (2, b"reactor: No space left on device\n")


def test_an_interrupt_is_one_line_and_130(tape: Path) -> None:
    with started(*replay_words(tape), "--json", "--speed", "1") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        # The first line comes at once although the recording has most of an hour before it.
        assert json.loads(process.stdout.readline())["type"] == "opened"
        time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 130
        assert process.stderr.read() == b"reactor: interrupted\n"


def test_standard_output_of_json_is_json_and_nothing_else(tape: Path, capfd: Capture) -> None:
    damaged = tape.with_name("damaged.jsonl")
    damaged.write_bytes(tape.read_bytes() + b"torn\n" * 5)
    words = replay_words(damaged)
    assert main([*words, "--json", "--atr", "NOSUCH=1"]) == 0
    out, err = capfd.readouterr()
    lines = [json.loads(line) for line in out.splitlines()]
    assert {line["type"] for line in lines} == {"opened", "stop", "summary"}
    assert len(err.splitlines()) == 6
