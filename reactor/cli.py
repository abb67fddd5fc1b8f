"""The `reactor` command: argument parsing and error lines, no logic."""

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any, NoReturn

from reactor import __version__
from reactor.errors import BadInputError

EPILOG = """\
examples:
  reactor replay fixtures/flash_crash.jsonl.zst      what a recorded crash would have decided
  reactor levels --entry 100000 --atr 2000 --side LONG
  reactor tape info fixtures/quiet_day.jsonl.zst

`reactor COMMAND --help` explains each command, with examples.
"""

BAD_INPUT = 2
INTERRUPTED = 130

COMMANDS: dict[str, tuple[str, str, str]] = {
    "replay": (
        "reactor.replay.commands",
        "add_replay_command",
        "play tapes or tick files through the exit machine and print every decision",
    ),
    "sweep": (
        "reactor.sweep.commands",
        "add_sweep_command",
        "try many plan values on recordings, on all cores, trained and tested apart",
    ),
    "levels": ("reactor.replay.commands", "add_levels_command", "print the levels a plan yields"),
    "atr": (
        "reactor.replay.commands",
        "add_atr_command",
        "print the average true range of a candle file",
    ),
    "regime": (
        "reactor.replay.regime_commands",
        "add_regime_command",
        "tell the regime of every candle of a file, or judge exit plans by regime",
    ),
    "tape": (
        "reactor.shell.tape_commands",
        "add_tape_commands",
        "import recordings of other programs, and look into tapes",
    ),
    "demo": (
        "reactor.demo.commands",
        "add_demo_command",
        "see it work, with a simulated exchange and no keys",
    ),
    "record": (
        "reactor.shell.record_commands",
        "add_record_command",
        "record the prices of a live exchange as tapes",
    ),
    "run": ("reactor.commands", "add_run_command", "guard an account"),
    **{
        name: ("reactor.control.commands", f"add_{name.replace('-', '_')}_command", does)
        for name, does in (
            ("status", "show how a running process stands"),
            ("positions", "show every position, its levels and its protection"),
            ("pause", "stop rungs, harvests and trailing moves; stops stay on"),
            ("resume", "end a pause"),
            ("flatten", "close at market, now"),
            ("set-stop", "move a stop by hand"),
            ("policy", "say an exit policy from outside, or take it back"),
        )
    },
    "doctor": (
        "reactor.shell.rest.commands",
        "add_doctor_command",
        "check keys, clock, account, symbols, routes and disk",
    ),
    "explain": (
        "reactor.shell.journal.commands",
        "add_explain_command",
        "print everything that led to a decision",
    ),
    "why": (
        "reactor.shell.journal.commands",
        "add_why_command",
        "print why a position was, or was not, closed in a span of time",
    ),
    "bench": ("reactor.bench.commands", "add_bench_command", "measure decide, decode and replay"),
    "sim": ("reactor.sim.commands", "add_sim_command", "serve a simulated Binance USDⓈ-M exchange"),
}
"""Each command's module, what adds it, and what it does. A command's module is imported when it is asked
for: `reactor levels` has no use for sockets."""


class _Parser(argparse.ArgumentParser):
    """Errors are one line that says how to mend them; options are written out."""

    def __init__(self, **options: Any) -> None:
        # An abbreviation that is unique today is an error when an option is added.
        super().__init__(**{"allow_abbrev": False, **options})

    def error(self, message: str) -> NoReturn:
        sys.stderr.write(_one_line(f"{self.prog}: {message}; see {self.prog} --help"))
        sys.exit(BAD_INPUT)


def parser(command: str | None = None) -> argparse.ArgumentParser:
    """The command tree.

    Args:
        command: the one command that will be run; the others are only named. None for all of them.
    """
    root = _Parser(
        prog="reactor",
        description="Exits for Binance USDⓈ-M futures positions, decided on every tick.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    root.add_argument("--version", action="version", version=f"reactor {__version__}")
    commands: Any = root.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, (module, add, does) in COMMANDS.items():
        if command is None or command == name:
            getattr(import_module(module), add)(commands)
        else:
            commands.add_parser(name, help=does)
    return root


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        arguments: the command line without the program's name; the process's own by default.

    Returns:
        The exit code: 0 done, 1 a difference was found, 2 bad input, 130 interrupted.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        return _run(words)
    except BadInputError as error:
        sys.stderr.write(_one_line(f"reactor: {error}"))
        return BAD_INPUT
    except KeyboardInterrupt:
        sys.stderr.write("reactor: interrupted\n")
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has seen enough (`| head`).
        _drop_output()
        return 0
    except OSError as error:
        # A full disk under the output, most of all. Files that are read have their own messages.
        _drop_output()
        where = f": {error.filename}" if error.filename else ""
        sys.stderr.write(_one_line(f"reactor: {error.strerror or error}{where}"))
        return BAD_INPUT


def _run(words: list[str]) -> int:
    named = next((word for word in words if not word.startswith("-")), "")
    try:
        args = parser(named).parse_args(words)
        code: int = args.run(args)
    finally:
        # Here, where a closed pipe can still be told from an error; help texts end in SystemExit.
        sys.stdout.flush()
    return code


def _drop_output() -> None:
    """Sends what is still buffered nowhere; Python would try to write it once more at exit, and complain."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _one_line(message: str) -> str:
    """A message as one line, whatever it quotes: a file may be named anything."""
    return "".join(char if char.isprintable() else "?" for char in message) + "\n"
