"""The commands that ask and steer a running process: status, positions, pause, resume, flatten, set-stop."""

import argparse
import os
import shutil
import sys
import tomllib
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Final

import msgspec

from reactor.control.client import Client
from reactor.control.token import read_token
from reactor.errors import ConfigError

Subparsers = Any
DEFAULT_FILE: Final = "reactor.toml"
DEFAULT_PORT: Final = 8080
DEFAULT_URL: Final = f"http://127.0.0.1:{DEFAULT_PORT}"
NOT_READY: Final = 1

WHERE = """
Where: --url or --socket, else REACTOR_HTTP_URL, REACTOR_HTTP_SOCKET or the port in REACTOR_HTTP_PORT, else [http] in the
file that REACTOR_CONFIG names or in reactor.toml here, else http://127.0.0.1:8080.
The token: --token-file, else REACTOR_HTTP_TOKEN or REACTOR_HTTP_TOKEN_FILE.
"""


def add_status_command(subparsers: Subparsers) -> None:
    """Adds `status` to a command line."""
    parser = _parser(
        subparsers,
        "status",
        does="show how the running process stands",
        description="Shows whether everything is guarded, positions, last decisions, alarms, sockets.",
        examples="""\
  reactor status
  reactor status --json
  reactor status --check          exit code 1 when not ready: a container's health check
  reactor status --socket /run/exit-reactor/control.sock""",
    )
    parser.add_argument("--json", action="store_true", help="all of it as JSON")
    parser.add_argument(
        "--check", action="store_true", help="one line; exit code 0 when ready, 1 when not"
    )
    parser.set_defaults(run=_status)


def add_positions_command(subparsers: Subparsers) -> None:
    """Adds `positions` to a command line."""
    parser = _parser(
        subparsers,
        "positions",
        does="show every position, the worst first",
        description="Shows every position: price and its age, stop, next level, protection.",
        examples="  reactor positions\n  reactor positions --json",
    )
    parser.add_argument("--json", action="store_true", help="as JSON")
    parser.set_defaults(run=_positions)


def add_pause_command(subparsers: Subparsers) -> None:
    """Adds `pause` to a command line."""
    _which_command(
        subparsers,
        "pause",
        does="hold rungs, harvests and trailing moves; stops stay on",
        examples="  reactor pause BTCUSDT\n  reactor pause BTCUSDT --side LONG\n  reactor pause all",
    )


def add_resume_command(subparsers: Subparsers) -> None:
    """Adds `resume` to a command line."""
    _which_command(
        subparsers,
        "resume",
        does="end a pause",
        examples="  reactor resume BTCUSDT\n  reactor resume all",
    )


def add_flatten_command(subparsers: Subparsers) -> None:
    """Adds `flatten` to a command line."""
    _which_command(
        subparsers,
        "flatten",
        does="close positions at market, now",
        examples="  reactor flatten BTCUSDT\n  reactor flatten BTCUSDT --side SHORT\n  reactor flatten all",
    )


def add_set_stop_command(subparsers: Subparsers) -> None:
    """Adds `set-stop` to a command line."""
    parser = _parser(
        subparsers,
        "set-stop",
        does="move a position's stop by hand",
        description="Moves a stop. One at or through the price would fire at once: only with --now.",
        examples="""\
  reactor set-stop BTCUSDT 60500
  reactor set-stop BTCUSDT 60500 --side LONG
  reactor set-stop BTCUSDT 62000 --now""",
    )
    parser.add_argument("symbol", metavar="SYMBOL")
    parser.add_argument("price", metavar="PRICE")
    parser.add_argument("--side", choices=("LONG", "SHORT"), help="needed where both are open")
    parser.add_argument("--now", action="store_true", help="even at or through the price")
    parser.add_argument("--json", action="store_true", help="the answer as JSON")
    parser.set_defaults(run=_set_stop)


def add_policy_command(subparsers: Subparsers) -> None:
    """Adds `policy` to a command line."""
    parser = _parser(
        subparsers,
        "policy",
        does="say an exit policy from outside, or take it back",
        description="Overrules the regime until it expires; without --mode and --regime takes it back.",
        examples="""\
  reactor policy BTCUSDT --mode defensive_trail --note FOMC --for 7200
  reactor policy all --regime HIGH_VOL
  reactor policy BTCUSDT""",
    )
    parser.add_argument("symbol", metavar="SYMBOL|all", help="a symbol, or every one")
    parser.add_argument("--side", choices=("LONG", "SHORT"), help="only this side")
    parser.add_argument("--mode", metavar="PLAN", help="the exit mode")
    parser.add_argument("--regime", help="a regime instead of the classifier's")
    parser.add_argument("--note", default="", help="why")
    parser.add_argument("--for", dest="for_s", type=float, metavar="SECONDS", help="until then")
    parser.add_argument("--json", action="store_true", help="the answer as JSON")
    parser.set_defaults(run=_policy)


def _policy(args: argparse.Namespace) -> int:
    symbol = "*" if args.symbol.lower() in {"all", "*"} else args.symbol.upper()
    content = {"symbol": symbol, "side": args.side, "mode": args.mode, "regime": args.regime}
    return _order(args, "policy", {**content, "note": args.note, "for_s": args.for_s})


def _which_command(subparsers: Subparsers, name: str, *, does: str, examples: str) -> None:
    description = f"{does[0].upper()}{does[1:]}."
    parser = _parser(subparsers, name, does=does, description=description, examples=examples)
    parser.add_argument("symbol", metavar="SYMBOL|all", help="a symbol, or every managed position")
    parser.add_argument("--side", choices=("LONG", "SHORT"), help="only this side")
    parser.add_argument("--json", action="store_true", help="the answer as JSON")
    parser.set_defaults(run=_steering(name))


def _parser(
    subparsers: Subparsers, name: str, *, does: str, description: str, examples: str
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = subparsers.add_parser(
        name,
        help=does,
        description=description,
        epilog=f"examples:\n{examples}\n{WHERE}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--url", metavar="URL", help=f"of the running process ({DEFAULT_URL})")
    where.add_argument("--socket", metavar="PATH", help="its Unix socket")
    parser.add_argument("--token-file", metavar="FILE", help="holds the token")
    return parser


def _client(args: argparse.Namespace) -> Client:
    url, unix_socket = _where(args, os.environ)
    token = read_token(os.environ, token_file=args.token_file)
    return Client(url=url, unix_socket=unix_socket, token=token)


def _where(args: argparse.Namespace, variables: Mapping[str, str]) -> tuple[str, str | None]:
    """URL, and the Unix socket where that counts instead: what is said here, then the process's own configuration."""
    if args.socket or args.url:
        return args.url or DEFAULT_URL, args.socket
    url, unix_socket = variables.get("REACTOR_HTTP_URL"), variables.get("REACTOR_HTTP_SOCKET")
    if unix_socket or url:
        return url or DEFAULT_URL, unix_socket
    http = _http_table(Path(variables.get("REACTOR_CONFIG") or DEFAULT_FILE))
    port = variables.get("REACTOR_HTTP_PORT") or http.get("port") or DEFAULT_PORT
    if "REACTOR_HTTP_PORT" not in variables and isinstance(http.get("socket"), str):
        return DEFAULT_URL, http["socket"]
    host = variables.get("REACTOR_HTTP_HOST") or http.get("host") or "127.0.0.1"
    # One that listens everywhere listens here, too.
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, host)  # noqa: S104 - it is not listened on
    return f"http://{host}:{port}", None


def _http_table(path: Path) -> dict[str, Any]:
    """`[http]` of the configuration; a file that is none is the process's to complain about."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8")).get("http")
    except (OSError, ValueError, RecursionError):
        return {}
    return table if isinstance(table, dict) else {}


def _status(args: argparse.Namespace) -> int:
    client = _client(args)
    if args.check:
        return _check(client)
    _, answer = client.ask("GET", "/api/v1/status")
    if args.json:
        _write(answer)
    else:
        _show(answer, positions_only=False)
    return 0


def _check(client: Client) -> int:
    try:
        status, answer = client.ask("GET", "/readyz")
        state = msgspec.json.decode(answer)
        reasons = "; ".join(
            f"{reason.get('symbol', '')} {reason.get('side', '')} {reason['text']}".strip()
            for reason in state.get("reasons", ())
        )
        is_ready = status == 200 and state["ready"] is True
    except ConfigError as error:
        # An engine takes 2 for reserved: whatever keeps the answer away is "not ready".
        is_ready, reasons = False, str(error)
    except (msgspec.DecodeError, KeyError, TypeError, AttributeError):
        is_ready, reasons = False, f"what answers at {client.where} is no Exit Reactor"
    print("ready" if is_ready else f"not ready: {reasons}".rstrip(": "))
    return 0 if is_ready else NOT_READY


def _positions(args: argparse.Namespace) -> int:
    client = _client(args)
    if args.json:
        _write(client.ask("GET", "/api/v1/positions")[1])
    else:
        _show(client.ask("GET", "/api/v1/status")[1], positions_only=True)
    return 0


def _steering(name: str) -> Callable[[argparse.Namespace], int]:
    def run(args: argparse.Namespace) -> int:
        is_all = args.symbol.lower() == "all"
        content: dict[str, Any] = {"all": True} if is_all else {"symbol": args.symbol.upper()}
        if args.side:
            content["side"] = args.side
        return _order(args, name, content)

    return run


def _set_stop(args: argparse.Namespace) -> int:
    try:
        price = Decimal(args.price)
    except InvalidOperation:
        raise ConfigError(f"PRICE {args.price!r} is not a number") from None
    content: dict[str, Any] = {"symbol": args.symbol.upper(), "price": price, "now": args.now}
    if args.side:
        content["side"] = args.side
    return _order(args, "set-stop", content)


def _order(args: argparse.Namespace, command: str, content: dict[str, Any]) -> int:
    _, answer = _client(args).ask("POST", f"/api/v1/{command}", content)
    if args.json:
        _write(answer)
    else:
        print(msgspec.json.decode(answer)["text"])
    return 0


def _write(answer: bytes) -> None:
    sys.stdout.write(answer.decode() + "\n")


def _show(answer: bytes, *, positions_only: bool) -> None:
    # Here: a health check every few seconds has no use for tables.
    from rich.console import Console  # noqa: PLC0415

    from reactor.watch.tables import positions_table, screen  # noqa: PLC0415
    from reactor.watch.view import Status  # noqa: PLC0415

    try:
        status = msgspec.json.decode(answer, type=Status)
    except msgspec.DecodeError as error:
        raise ConfigError(f"the answer cannot be read (another version?): {error}") from None
    width = shutil.get_terminal_size((160, 24)).columns
    console = Console(width=width, highlight=False)
    if not positions_only:
        console.print(screen(status, width=width))
    elif status.positions:
        console.print(positions_table(status, width=width))
    else:
        console.print("no open positions")
