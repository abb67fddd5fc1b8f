"""`reactor bench`: arguments in, tables or one JSON object out."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import orjson
from rich.console import Console

from reactor.errors import ConfigError

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[Any]  # noqa: SLF001 - argparse names it no other way

_EXAMPLES = """\
examples:
  reactor bench decide
  reactor bench decode --json
  reactor bench replay
  reactor bench replay --tape btc.jsonl.zst
  reactor bench replay --memory --size 5GB
  reactor bench latency --picture latency.svg
  reactor bench latency --cases warm,burst --rounds 3 --json
  reactor bench sim
  reactor bench network --environment sim:http://127.0.0.1:8123

Every figure is measured beside a yardstick in the same run; ratios can be compared between machines,
absolute times cannot. A run whose yardstick wanders by more than 15 % says that it is noisy.
"""

_WIDTH_UNSEEN = 120  # columns where output goes to a file or a pipe


class _Found(Protocol):
    """What every benchmark answers with."""

    def as_json(self) -> dict[str, Any]: ...

    def print(self, console: Console) -> None: ...


def add_bench_command(subparsers: "Subparsers") -> None:
    """Adds `bench` with its own commands to the command line."""
    bench = subparsers.add_parser(
        "bench",
        help="measure ticks, frames and replays on this machine",
        description="Measure ticks, frames and replays on this machine.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = bench.add_subparsers(metavar="COMMAND", required=True)
    _add(commands, "decide", "what a tick costs the engine, quiet or deciding", _run_decide)
    _add(commands, "decode", "what a frame costs from bytes to the engine", _run_decode)
    replay = _add(commands, "replay", "how fast recordings go through the engine", _run_replay)
    replay.add_argument(
        "--tape", type=Path, metavar="TAPE", help="a recording with trades (default: made-up lines)"
    )
    replay.add_argument(
        "--ticks", type=int, default=20_000_000, help="of the calm walk (default 20000000)"
    )
    replay.add_argument(
        "--memory", action="store_true", help="replay one long tape and watch the memory instead"
    )
    replay.add_argument("--size", default="1GB", help="of that tape, unpacked (default 1GB)")
    latency = _add(commands, "latency", "how long a tick takes to its order", _run_latency)
    latency.add_argument("--cases", default="", metavar="A,B", help="only these (default: all)")
    _add(commands, "sim", "what the simulated exchange serves a fast client", _run_sim)
    network = _add(commands, "network", "what lies between here and the exchange", _run_network)
    network.add_argument(
        "--environment", default="mainnet", metavar="NAME", help="mainnet, demo or sim:URL"
    )
    network.add_argument(
        "--no-loopback", action="store_true", help="without the simulated exchange beside it"
    )
    latency.add_argument("--picture", type=Path, metavar="FILE", help="draw the distribution: .svg")


def _add(
    commands: "Subparsers", name: str, does: str, run: Callable[[argparse.Namespace], int]
) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = commands.add_parser(
        name,
        help=does,
        description=f"Measure {does}.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("--rounds", type=int, help="how many rounds count (default: enough)")
    command.add_argument("--json", action="store_true", help="one JSON object")
    command.set_defaults(run=run)
    return command


# The benchmarks are imported where they run: no other command pays for them.


def _run_decide(args: argparse.Namespace) -> int:
    from reactor.bench import decide  # noqa: PLC0415 - see above

    return _show(args, decide.bench_decide(rounds=_rounds(args, decide.ROUNDS)))


def _run_decode(args: argparse.Namespace) -> int:
    from reactor.bench import decode  # noqa: PLC0415 - see above

    return _show(args, decode.bench_decode(rounds=_rounds(args, decode.ROUNDS)))


def _run_replay(args: argparse.Namespace) -> int:
    if args.memory:
        from reactor.bench import memory  # noqa: PLC0415 - see above

        return _show(args, memory.bench_memory(memory.parse_size(args.size)))
    from reactor.bench import replay  # noqa: PLC0415 - see above

    if not 1000 <= args.ticks <= 10**9:
        raise ConfigError(f"--ticks {args.ticks} is out of range: 1000 to 1000000000")
    rounds = _rounds(args, replay.ROUNDS)
    return _show(args, replay.bench_replay(tape=args.tape, rounds=rounds, tick_count=args.ticks))


def _run_latency(args: argparse.Namespace) -> int:
    from reactor.bench import latency, latency_picture  # noqa: PLC0415 - see above

    found = latency.bench_latency(
        rounds=_rounds(args, latency.ROUNDS),
        names=[name for name in args.cases.split(",") if name],
        tell=lambda line: print(line, file=sys.stderr, flush=True),
    )
    if args.picture is not None:
        try:
            args.picture.write_text(latency_picture.drawn(found.cases), encoding="utf-8")
        except OSError as error:
            raise ConfigError(f"--picture {args.picture}: {error.strerror or error}") from None
    return _show(args, found)


def _run_sim(args: argparse.Namespace) -> int:
    from reactor.bench import sim  # noqa: PLC0415 - see above

    return _show(args, sim.bench_sim(rounds=min(_rounds(args, sim.ROUNDS), 100)))


def _run_network(args: argparse.Namespace) -> int:
    from reactor.bench import network  # noqa: PLC0415 - see above

    rounds = min(_rounds(args, network.ROUNDS), 100)
    found = network.bench_network(
        name=args.environment, rounds=rounds, beside_loopback=not args.no_loopback
    )
    return _show(args, found)


def _rounds(args: argparse.Namespace, default: int) -> int:
    rounds: int = default if args.rounds is None else args.rounds
    if not 1 <= rounds <= 100_000:
        raise ConfigError(f"--rounds {rounds} is out of range: 1 to 100000")
    return rounds


def _show(args: argparse.Namespace, found: _Found) -> int:
    if args.json:
        sys.stdout.buffer.write(orjson.dumps(found.as_json()) + b"\n")
    else:
        found.print(Console() if sys.stdout.isatty() else Console(width=_WIDTH_UNSEEN))
    return 0
