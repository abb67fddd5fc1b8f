"""Side by side with other clients: what a quiet tick costs them, and how long a tick takes to become an order.

`python benchmarks/peers.py --help`. Needs a C compiler and, the first time, a package index: each client gets an
environment of its own. See `benchmarks/README.md` for what is compared with what.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import Final

import orjson
from rich.console import Console

from reactor import __version__
from reactor.bench.latency_standin import open_standin
from reactor.errors import ConfigError
from side_by_side import measuring, peers
from side_by_side.outcome import Measured, append, put_together, read

ROUNDS: Final = 5
ORDERS: Final = 25


def main(words: Sequence[str] | None = None) -> int:
    """Runs the comparison.

    Args:
        words: of the command line; this process's where None.

    Returns:
        0; 2 where the command line is wrong or nothing can be measured.
    """
    args = _parser().parse_args(words)
    chosen = [name for name in args.peers.split(",") if name] or peers.names()
    unknown = [name for name in chosen if name not in peers.names()]
    if unknown:
        print(
            f"--peers {unknown[0]}: unknown; there are {', '.join(peers.names())}", file=sys.stderr
        )
        return 2
    if not 0 <= args.rounds <= 1000 or not 1 <= args.orders <= 10_000:
        print("--rounds is 0 to 1000, --orders 1 to 10000", file=sys.stderr)
        return 2
    try:
        before = [] if args.into is None else read(args.into)
        made: list[Measured] = []
        if args.rounds:
            for one in _measure(chosen, args.environments, rounds=args.rounds, orders=args.orders):
                made.append(one)
                if (
                    args.into is not None
                ):  # at once: what was measured is kept, whatever happens next
                    append(args.into, [one])
    except (ConfigError, OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    found = put_together([*before, *made])
    if args.json:
        sys.stdout.buffer.write(orjson.dumps(found.as_json()) + b"\n")
    else:
        found.print(Console() if sys.stdout.isatty() else Console(width=120))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="peers.py",
        description="CPU time of a quiet tick, and tick to order, of this product and other clients.",
    )
    parser.add_argument(
        "--peers", default="", metavar="A,B", help=f"whom: {', '.join(peers.names())} (all)"
    )
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"how many ({ROUNDS})")
    parser.add_argument(
        "--orders", type=int, default=ORDERS, help=f"each client's in a round ({ORDERS})"
    )
    parser.add_argument(
        "--into",
        type=Path,
        metavar="FILE",
        help="add the rounds to FILE and tell of all it holds; --rounds 0 only tells",
    )
    parser.add_argument(
        "--environments",
        type=Path,
        metavar="DIR",
        default=peers.HERE / ".environments",
        help="where the clients' environments are, made where they are not (%(default)s)",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object instead of the table")
    return parser


def _measure(
    chosen: Sequence[str], environments: Path, *, rounds: int, orders: int
) -> Iterator[Measured]:
    by_name = {peer.name: peer for peer in peers.PEERS}
    pythons: dict[str, Path] = {}
    for name in chosen:
        if name == peers.PRODUCT:
            continue
        wanted = by_name[name].environment if name in by_name else peers.POLL_ENVIRONMENT
        try:
            pythons[name] = peers.interpreter(environments, wanted)
        except (RuntimeError, OSError) as error:
            yield _failed(name, error)
    running = [name for name in chosen if name == peers.PRODUCT or name in pythons]
    with tempfile.TemporaryDirectory(prefix="reactor-peers-") as temporary:
        folder = Path(temporary)
        with open_standin(folder) as standin:
            for number in range(rounds):
                shift = number % max(1, len(running))  # who begins changes
                for name in [*running[shift:], *running[:shift]]:
                    _say(f"round {number + 1} of {rounds}: {name}")
                    try:
                        if name == peers.PRODUCT:
                            place = folder / f"product-{number}"
                            one = measuring.measure_product(
                                standin, place, orders=orders, versions=_own_versions()
                            )
                        elif name == peers.POLL:
                            one = measuring.measure_poll(pythons[name], standin, cycles=orders)
                        else:
                            one = measuring.measure(
                                by_name[name], pythons[name], standin, orders=orders
                            )
                    except (RuntimeError, ConfigError) as error:
                        one = _failed(name, error)
                    yield one


def _failed(name: str, error: Exception) -> Measured:
    _say(f"{name}: {error}")
    return Measured(name, failed=str(error))


def _own_versions() -> str:
    packages = [f"{name} {metadata.version(name)}" for name in ("picows", "msgspec", "uvloop")]
    python = ".".join(map(str, sys.version_info[:3]))
    return ", ".join([f"exit-reactor {__version__}", *packages, f"CPython {python}"])


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
