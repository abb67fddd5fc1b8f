"""The `reactor` command: argument parsing and error lines, no logic."""

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from reactor import __version__
from reactor.bench.commands import add_bench_command
from reactor.errors import BadInputError
from reactor.replay.commands import add_atr_command, add_levels_command, add_replay_command
from reactor.shell.tape_commands import add_tape_commands
from reactor.sim.commands import add_sim_command

EPILOG = """\
examples:
  reactor replay fixtures/flash_crash.jsonl.zst      what a recorded crash would have decided
  reactor levels --entry 100000 --atr 2000 --side LONG
  reactor tape info fixtures/quiet_day.jsonl.zst

`reactor COMMAND --help` explains each command, with examples.
"""

BAD_INPUT = 2


class _Parser(argparse.ArgumentParser):
    """Errors are one line that says how to mend them."""

    def error(self, message: str) -> NoReturn:
        sys.stderr.write(f"{self.prog}: {message}; see {self.prog} --help\n")
        sys.exit(BAD_INPUT)


def parser() -> argparse.ArgumentParser:
    """The whole command tree."""
    root = _Parser(
        prog="reactor",
        description="Exits for Binance USDⓈ-M futures positions, decided on every tick.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    root.add_argument("--version", action="version", version=f"reactor {__version__}")
    commands: Any = root.add_subparsers(title="commands", metavar="COMMAND", required=True)
    add_replay_command(commands)
    add_levels_command(commands)
    add_atr_command(commands)
    add_tape_commands(commands)
    add_bench_command(commands)
    add_sim_command(commands)
    return root


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        arguments: the command line without the program's name; the process's own by default.

    Returns:
        The exit code: 0 done, 1 a difference was found, 2 bad input, 130 interrupted.
    """
    args = parser().parse_args(arguments)
    try:
        code: int = args.run(args)
        sys.stdout.flush()
    except BadInputError as error:
        sys.stderr.write(f"reactor: {error}\n")
        return BAD_INPUT
    except KeyboardInterrupt:
        sys.stderr.write("reactor: interrupted\n")
        return 130
    except BrokenPipeError:
        # Whoever read our output has seen enough (`| head`). Python must not say so at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return code
