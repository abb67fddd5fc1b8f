"""The command ``reactor sim``: choose prices, mode and faults, then serve until told to stop."""

import argparse
import asyncio
import signal
import sys
import time
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reactor.errors import ConfigError, ReactorError

if TYPE_CHECKING:
    import ssl

    from reactor.sim.server import Server

EXAMPLES = """\
examples:
  reactor sim                                   a calm market on a free port
  reactor sim --port 9443 --scenario flash_crash --seed 7
  reactor sim --tape monday.jsonl.zst --speed 10
  reactor sim --tape monday.jsonl.zst --speed 0   as fast as the client reads
  reactor sim --mode hedge --faults faults.json

The first line printed is `listening http://127.0.0.1:PORT`. Point any Binance USDⓈ-M client at that
address (WebSocket: ws://127.0.0.1:PORT). Key `sim-key`, secret `sim-secret`. SIGINT or SIGTERM ends it.
"""
SCENARIOS = (
    "calm",
    "trend",
    "flash_crash",
    "gap",
    "whipsaw",
    "halt",
    "funding_spike",
    "still",
)


def add_sim_command(subparsers: "argparse._SubParsersAction[Any]") -> None:
    """Add ``sim`` to a command line.

    Args:
        subparsers: What ``ArgumentParser.add_subparsers`` returned.
    """
    parser = subparsers.add_parser(
        "sim",
        help="run the simulated exchange",
        description="A Binance USDⓈ-M exchange on loopback for rehearsals, tests and demos.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=0, help="port; 0 takes a free one (default)")
    prices = parser.add_mutually_exclusive_group()
    prices.add_argument("--tape", metavar="FILE", help="play a recording's prices")
    prices.add_argument("--scenario", choices=SCENARIOS, default="calm", help="made-up prices")
    parser.add_argument("--seed", type=int, default=1, help="of everything random (default 1)")
    parser.add_argument("--mode", choices=("one-way", "hedge"), default="one-way")
    parser.add_argument(
        "--speed",
        type=float,
        default=1.0,
        help="prices N times as fast; with --tape 0 is as fast as the client reads",
    )
    parser.add_argument(
        "--step-ms",
        type=int,
        default=200,
        metavar="N",
        help="how often a scenario moves its prices (default 200); 5000 makes a virtual day quick",
    )
    parser.add_argument("--repeat", action="store_true", help="with --speed 0: play it for ever")
    parser.add_argument("--key", default="sim-key", help="API key (default sim-key)")
    parser.add_argument("--secret", default="sim-secret", help="API secret (default sim-secret)")
    parser.add_argument("--ed25519", metavar="PEM", help="the key is Ed25519 with this public key")
    parser.add_argument(
        "--tls-cert", metavar="PEM", help="serve https and wss with this certificate chain"
    )
    parser.add_argument("--tls-key", metavar="PEM", help="its private key")
    parser.add_argument("--wallet", default="100000", metavar="USDT", help="money to begin with")
    parser.add_argument("--faults", metavar="FILE", help="a fault script (JSON)")
    parser.add_argument("--listen-key-minutes", type=float, default=60.0, metavar="N")
    parser.add_argument("--connection-hours", type=float, default=24.0, metavar="N")
    parser.add_argument("--no-limits", action="store_true", help="no rate limits, for benchmarks")
    parser.add_argument(
        "--virtual-time", action="store_true", help="time stands still but for POST /sim/time"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Serve until SIGINT or SIGTERM.

    Returns:
        0 after an orderly stop, 2 for input that cannot be used.
    """
    try:
        server, tls = build(args), _tls(args)
    except ReactorError as error:
        print(f"reactor sim: {error}", file=sys.stderr)
        return 2
    return asyncio.run(_serve(server, args.host, args.port, tls))


def _tls(args: argparse.Namespace) -> "ssl.SSLContext | None":
    """Read certificate and key, for clients that insist on https and wss."""
    if args.tls_cert is None and args.tls_key is None:
        return None
    if args.tls_cert is None or args.tls_key is None:
        raise ConfigError("--tls-cert and --tls-key go together")
    import ssl  # noqa: PLC0415 -- keeps --help quick

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(args.tls_cert, args.tls_key)
    except OSError as error:
        raise ConfigError(
            f"--tls-cert {args.tls_cert}, --tls-key {args.tls_key}: {error.strerror or error}; "
            "both must be PEM files that belong together"
        ) from error
    return context


def build(args: argparse.Namespace) -> "Server":
    """Make the server that the options describe.

    Raises:
        ConfigError: An option cannot be used.
        TapeError: The tape cannot.
    """
    from reactor.sim.clock import RealClock, VirtualClock  # noqa: PLC0415 -- keeps --help quick
    from reactor.sim.server import Server  # noqa: PLC0415 -- keeps --help quick
    from reactor.sim.simulation import Simulation  # noqa: PLC0415

    if not 0 <= args.port <= 65535:
        raise ConfigError(f"--port must be 0 to 65535, not {args.port}")
    now_ms = time.time_ns() // 1_000_000
    clock = VirtualClock(now_ms) if args.virtual_time else RealClock()
    prices, pump, symbols = _prices(args, clock.now_ms())
    simulation = Simulation(
        now_ms=clock.now_ms(), settings=_settings(args), prices=prices, symbols=symbols
    )
    _configure(simulation, args)
    return Server(simulation, clock=clock, pump=pump)


def _settings(args: argparse.Namespace) -> Any:
    from reactor.sim.exchange import Settings  # noqa: PLC0415 -- keeps --help quick

    try:
        wallet = Decimal(args.wallet)
    except InvalidOperation as error:
        raise ConfigError(f"--wallet must be a number, not {args.wallet!r}") from error
    if not wallet.is_finite() or wallet < 0:
        raise ConfigError(f"--wallet must be 0 or more, not {args.wallet}")
    if args.listen_key_minutes <= 0 or args.connection_hours <= 0:
        raise ConfigError("--listen-key-minutes and --connection-hours must be above 0")
    return Settings(
        seed=args.seed,
        hedge=args.mode == "hedge",
        wallet=wallet,
        api_key=args.key,
        api_secret=args.secret,
        listen_key_ms=max(1, int(args.listen_key_minutes * 60_000)),
        connection_ms=max(1, int(args.connection_hours * 3_600_000)),
    )


def _prices(args: argparse.Namespace, now_ms: int) -> tuple[Any, Any, Any]:
    from reactor.sim.scenarios import Scenario  # noqa: PLC0415 -- keeps --help quick
    from reactor.sim.tape_prices import TapePrices, TapePump, symbols_of  # noqa: PLC0415

    if args.speed < 0 or (args.speed == 0 and not args.tape):
        raise ConfigError("--speed must be above 0, or 0 with --tape")
    if not 10 <= args.step_ms <= 60_000:
        raise ConfigError(f"--step-ms must be 10 to 60000, not {args.step_ms}")
    if not args.tape:
        scenario = Scenario(
            args.scenario,
            start_ms=now_ms,
            seed=args.seed,
            speed=args.speed,
            step_ms=args.step_ms,
        )
        return scenario, None, None
    path = Path(args.tape)
    symbols = symbols_of(path)
    if args.speed == 0:
        return None, TapePump(path, repeat=args.repeat), symbols
    return TapePrices(path, start_ms=now_ms, speed=args.speed), None, symbols


def _configure(simulation: Any, args: argparse.Namespace) -> None:
    from reactor.sim import faults, signatures  # noqa: PLC0415 -- keeps --help quick
    from reactor.sim.model import Credential  # noqa: PLC0415

    exchange = simulation.exchange
    if args.ed25519:
        pem = _read(args.ed25519, "--ed25519").decode("utf-8", "replace")
        signatures.load_public_key(pem)
        exchange.add_key(Credential(args.key, "main", "ED25519", pem))
    if args.no_limits:
        limits = exchange.rates.limits
        limits.weight_per_minute = limits.orders_per_minute = limits.orders_per_10s = 1 << 40
    if args.faults:
        simulation.control.arm(faults.read_script(_read(args.faults, "--faults")))


def _read(name: str, option: str) -> bytes:
    try:
        return Path(name).read_bytes()
    except OSError as error:
        raise ConfigError(f"{option} {name}: {error.strerror or error}") from error


async def _serve(server: "Server", host: str, port: int, tls: "ssl.SSLContext | None") -> int:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    try:
        await server.start(host, port, tls=tls)
    except OSError as error:
        print(
            f"reactor sim: cannot listen on {host}:{port}: {error.strerror or error}; "
            "choose another --port",
            file=sys.stderr,
        )
        return 2
    print(f"listening {'https' if tls else 'http'}://{host}:{server.port}", flush=True)
    await stopped.wait()
    await server.stop()
    return 0
