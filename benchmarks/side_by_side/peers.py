"""Who takes part, and the environment that each runs in."""

import subprocess
import sys
from pathlib import Path
from typing import Final, NamedTuple

HERE: Final = Path(__file__).resolve().parent.parent
CLIENTS: Final = HERE / "clients"
REQUIREMENTS: Final = HERE / "requirements.txt"

MARKET, PRIVATE, ORDERS = 64, 128, 256
"""The sockets below /other, as `StandIn.until_connected` counts them."""

Environments = dict[str, list[str]]


class Peer(NamedTuple):
    """One client, as it takes part.

    Attributes:
        name: as `--peers` and `--json` call it.
        environment: the heading of its requirements.
        script: of `clients/`. `arguments`: after the port.
        sockets: what it has open when it is ready.
        note: what it does, or leaves out, beside watching a price and sending an order.
    """

    name: str
    environment: str
    script: str
    arguments: tuple[str, ...]
    sockets: int
    note: str


FLOOR: Final = "floor"
PRODUCT: Final = "exit-reactor"
POLL: Final = "poll-10s"

PEERS: Final = (
    Peer(
        "python-binance",
        "python-binance",
        "with_python_binance.py",
        ("ws",),
        MARKET | ORDERS,
        "socket manager, order over the WebSocket API; no stop, no state",
    ),
    Peer(
        "python-binance-rest",
        "python-binance",
        "with_python_binance.py",
        ("rest",),
        MARKET,
        "the same, order over REST",
    ),
    Peer(
        "ccxt",
        "ccxt",
        "with_ccxt.py",
        ("ws",),
        MARKET | ORDERS,
        "watch_trades, create_order_ws; unified structures of every trade; no stop, no state",
    ),
    Peer("ccxt-rest", "ccxt", "with_ccxt.py", ("rest",), MARKET, "the same, create_order"),
    Peer(
        "unicorn",
        "unicorn",
        "with_unicorn.py",
        (),
        MARKET | ORDERS,
        "callback of a stream, order over its WebSocket API stream; no stop, no state",
    ),
    Peer(
        "cryptofeed",
        "cryptofeed",
        "with_cryptofeed.py",
        (),
        MARKET,
        "callback of a feed, place_order over REST, which cannot be reduce-only; no stop, no state",
    ),
    Peer(
        "nautilus",
        "nautilus",
        "with_nautilus.py",
        (),
        MARKET | PRIVATE,
        "live adapter, emulated STOP_MARKET and TRAILING_STOP_MARKET, order over REST, fills booked",
    ),
)
POLL_ENVIRONMENT: Final = "poll"


def names() -> list[str]:
    """What `--peers` may name."""
    return [PRODUCT, *(peer.name for peer in PEERS), POLL]


def read_requirements(text: str) -> Environments:
    """The requirements below each heading.

    Args:
        text: lines; a heading is a comment with a name in brackets.
    """
    found: Environments = {}
    lines: list[str] = []
    for line in map(str.strip, text.splitlines()):
        if line.startswith("# [") and line.endswith("]"):
            lines = found[line[3:-1]] = []
        elif line and not line.startswith("#"):
            lines.append(line)
    return found


def interpreter(folder: Path, environment: str, *, python: str = sys.executable) -> Path:
    """The interpreter of an environment, made and filled where it is not.

    Args:
        folder: of all environments; they are kept from run to run.
        environment: a heading of the requirements.
        python: the interpreter to make it with.

    Raises:
        RuntimeError: it cannot be made or filled; what pip said last.
    """
    wanted = read_requirements(REQUIREMENTS.read_text("utf-8"))[environment]
    home = folder / environment
    found, mark = home / "bin" / "python", home / "installed.txt"
    if mark.exists() and mark.read_text("utf-8").splitlines() == wanted:
        return found
    for command in (
        [python, "-m", "venv", "--clear", str(home)],
        [
            str(found),
            "-m",
            "pip",
            "install",
            "--quiet",
            "--only-binary",
            "nautilus_trader",
            *wanted,
        ],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - as listed in this folder
        if done.returncode:
            said = (done.stderr or done.stdout).strip().splitlines() or ["pip ended without a word"]
            raise RuntimeError(f"cannot be installed: {said[-1][:300]}")
    mark.write_text("".join(f"{line}\n" for line in wanted), "utf-8")
    return found
