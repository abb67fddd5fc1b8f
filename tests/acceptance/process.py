"""The guard as its own operating-system process, for scripts that kill it."""

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from reactor.core.epoch_state import EpochState
from reactor.shell.journal.state import load

from .exchange import Exchange, until
from .live import tables

READY = ("(stop_loss)", "(break_even)", "(trailing_stop)", "no position is open")
"""What the start-up print says last, of each position or of none."""


def toml(value: dict[str, Any]) -> str:
    """A configuration file of these tables."""
    lines = [
        f"{key} = {json.dumps(one)}" for key, one in value.items() if not isinstance(one, dict)
    ]
    for name, table in value.items():
        if isinstance(table, dict) and all(isinstance(one, dict) for one in table.values()):
            for part, inner in table.items():
                lines += [f"[{name}.{part}]", toml(inner)]
        elif isinstance(table, dict):
            lines += [f"[{name}]", toml(table)]
    return "\n".join(lines)


class GuardProcess:
    """`reactor run`, started again and again over the same journal.

    Attributes:
        folder: holds the configuration, the journal, the tapes and what each run printed.
        runs: how often it was started.
    """

    def __init__(self, exchange: Exchange, folder: Path, **config: Any) -> None:
        self.exchange = exchange
        self.folder = folder
        self.runs = 0
        folder.mkdir(parents=True, exist_ok=True)
        self._config = folder / "reactor.toml"
        self._config.write_text(toml(tables(folder, exchange, **config)), encoding="utf-8")
        self._process: subprocess.Popen[bytes] | None = None

    def begin(self) -> None:
        """Starts it."""
        self.runs += 1
        keys = {"BINANCE_API_KEY": "sim-key", "BINANCE_API_SECRET": "sim-secret"}
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "reactor", "run", "--config", str(self._config)],
                cwd=self.folder,
                env={**os.environ, **keys},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    async def start(self) -> None:
        """Starts it, and waits until it has told where every position stands."""
        self.begin()

        def ready() -> bool:
            assert self.is_alive, f"it ended by itself: {self.said}"
            return any(word in self.said for word in READY)

        await until(ready, "the start-up print")

    @property
    def _log(self) -> Path:
        return self.folder / f"run{self.runs}.log"

    @property
    def said(self) -> str:
        """What the present run has printed."""
        return self._log.read_text(encoding="utf-8") if self._log.exists() else ""

    @property
    def is_alive(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        """`kill -9`: nothing that it does from here on can be seen by anybody."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    async def terminate(self) -> int:
        """SIGTERM; answers the exit code."""
        process = self._process
        assert process is not None
        process.send_signal(signal.SIGTERM)
        await until(lambda: process.poll() is not None, "an orderly end", within_s=20)
        return process.returncode

    # Its journal ------------------------------------------------------------------------------

    @property
    def journal(self) -> Path:
        """The journal's file."""
        return self.folder / "data" / "reactor.db"

    @contextlib.contextmanager
    def held_journal(self) -> Iterator[None]:
        """Somebody else writes to the journal: nothing that the guard decides meanwhile gets into it."""
        connection = sqlite3.connect(self.journal, isolation_level=None)
        try:
            connection.execute("BEGIN IMMEDIATE")
            yield
        finally:
            connection.close()

    def epochs(self) -> dict[str, EpochState]:
        """The open epochs as the journal has them, by symbol."""
        if not self.journal.exists():
            return {}
        connection = sqlite3.connect(self.journal)
        try:
            return {state.symbol: state for state in load(connection).open_epochs}
        except sqlite3.OperationalError:
            return {}  # it is just being made
        finally:
            connection.close()
