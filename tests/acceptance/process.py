"""The guard as its own operating-system process, for scripts that kill it."""

import contextlib
import json
import multiprocessing
import os
import sqlite3
import sys
from collections.abc import Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from reactor.cli import main
from reactor.core.epoch_state import EpochState
from reactor.shell.journal.state import load

from .exchange import Exchange, until
from .live import tables

KEYS = {"BINANCE_API_KEY": "sim-key", "BINANCE_API_SECRET": "sim-secret"}

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


_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload(["reactor.cli", "reactor.bootstrap", "reactor.commands"])


def _reactor_run(folder: str, config: str, log: str) -> None:
    """What a forked process does: the command line's own entry, with a log for its output."""
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.chdir(folder)
    os.environ.update(KEYS)
    sys.exit(main(["run", "--config", config]))


class GuardProcess:
    """`reactor run`, started again and again over the same journal.

    Every run is a process of its own. It is forked from one that has the program's modules loaded already: the
    kill table starts some eighty.

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
        self._process: BaseProcess | None = None

    def begin(self) -> None:
        """Starts it."""
        self.runs += 1
        place = (str(self.folder), str(self._config), str(self._log))
        # A daemon in multiprocessing's sense: it is killed where the script's process ends without killing it.
        self._process = _forks.Process(target=_reactor_run, args=place, daemon=True)
        self._process.start()

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
        return self._process is not None and self._process.is_alive()

    def kill(self) -> None:
        """`kill -9`: nothing that it does from here on can be seen by anybody."""
        if self._process is not None and self._process.is_alive():
            self._process.kill()
            self._process.join()

    def signal_end(self) -> None:
        """SIGTERM."""
        assert self._process is not None
        self._process.terminate()

    async def terminate(self) -> int | None:
        """SIGTERM; answers the exit code."""
        self.signal_end()
        await until(lambda: not self.is_alive, "an orderly end", within_s=20)
        assert self._process is not None
        return self._process.exitcode

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
