"""What every client of the comparison is given: the same symbol, stop, size and credentials."""

import sys
from importlib import metadata
from typing import Final

SYMBOL: Final = "BTCUSDT"
STOP: Final = 59_700.0
"""A last price at or below it makes the order."""
QUANTITY: Final = "0.1"
KEY, SECRET = "sim-key", "sim-secret"  # the simulator's own, which are no secret


def ready(*packages: str) -> None:
    """Says, on one line, that the client waits for ticks, and which versions it runs on.

    Args:
        packages: names of distributions; the interpreter's version is added.
    """
    versions = [f"{name} {metadata.version(name)}" for name in packages]
    python = ".".join(map(str, sys.version_info[:3]))
    print("ready", ", ".join([*versions, f"CPython {python}"]), flush=True)
