"""The command `reactor demo`."""

import argparse
from pathlib import Path
from typing import Any

from reactor.errors import ConfigError

EXAMPLES = """\
examples:
  reactor demo                          until Ctrl-C; the page is at http://127.0.0.1:8080
  reactor demo --seconds 60             one minute, then a summary
  reactor demo --scenario flash_crash --seed 7
  reactor demo --plan challenge_100 --out session
  reactor replay session/tapes/*.zst --verify     the same decisions once more, from the recording

The exchange is simulated, on this machine; no key is needed and nothing leaves it.
"""

SCENARIOS = ("calm", "trend", "flash_crash", "gap", "whipsaw", "halt", "funding_spike")


def add_demo_command(subparsers: "argparse._SubParsersAction[Any]") -> None:
    """Adds `demo` to a command line."""
    parser = subparsers.add_parser(
        "demo",
        help="see it work, with a simulated exchange and no keys",
        description="A simulated exchange, somebody who trades on it, and the live process in front of it.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--scenario", choices=SCENARIOS, default="whipsaw", help="made-up prices")
    parser.add_argument("--seed", type=int, default=1, help="of prices and trader (default 1)")
    parser.add_argument("--plan", metavar="NAME", help="a plan by name or file; default: its own")
    parser.add_argument("--seconds", type=float, metavar="N", help="end after so long")
    parser.add_argument("--port", type=int, metavar="P", help="of page and API; default 8080")
    parser.add_argument("--out", type=Path, metavar="DIR", help="keep journal and tapes there")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Runs the demonstration."""
    from reactor.demo.run import Options  # noqa: PLC0415 - keeps --help quick
    from reactor.demo.run import run as run_demo  # noqa: PLC0415 - see above

    if args.seconds is not None and not 0 < args.seconds < float("inf"):
        raise ConfigError(f"--seconds must be above 0, not {args.seconds}")
    if args.port is not None and not 0 <= args.port <= 65535:
        raise ConfigError(f"--port must be 0 to 65535, not {args.port}")
    return run_demo(
        Options(
            scenario=args.scenario,
            seed=args.seed,
            plan=args.plan,
            seconds=args.seconds,
            port=args.port,
            out=args.out,
        )
    )
