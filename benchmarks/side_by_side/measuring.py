"""One round: each client alone on the machine with the stand-in, and the floor beside each."""

import contextlib
import select
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from reactor.bench.latency_product import Setup, open_product
from reactor.bench.latency_standin import Pass, Pattern, StandIn, Who
from side_by_side.outcome import Measured
from side_by_side.peers import CLIENTS, POLL, PRODUCT, Peer

SPACED: Final = Pattern(gap_us=1000, quiet=59)
"""A tick every 1 ms, every 60th makes an order: no client's own limit of orders (20 a second) is reached."""

WARM_UP: Final = 8
FLOOD: Final = 20_000
START_S: Final = 60.0


def measure(peer: Peer, python: Path, standin: StandIn, *, orders: int) -> Measured:
    """One round of another client.

    Args:
        peer: which.
        python: of its environment.
        standin: what it connects to.
        orders: how many count.

    Raises:
        RuntimeError: it did not come up.
    """
    command = [str(python), str(CLIENTS / peer.script), str(standin.port), *peer.arguments]
    with _running(command) as (process, versions):
        _connected(standin, peer.sockets, process)
        standin.first_ticks("other")
        time.sleep(0.5)
        return _passes(peer.name, standin, "other", process.pid, orders, versions)


def measure_product(standin: StandIn, folder: Path, *, orders: int, versions: str) -> Measured:
    """One round of the product, as `bench latency` runs it."""
    with open_product(Setup("product"), standin, folder) as product:
        return _passes(PRODUCT, standin, "product", product.pid, orders, versions)


def measure_poll(python: Path, standin: StandIn, *, cycles: int) -> Measured:
    """One round of the model of the earlier system: its cycles, without the wait between them."""
    command = [str(python), str(CLIENTS / "with_poll.py"), str(standin.port), str(cycles + WARM_UP)]
    with _running(command) as (process, versions):
        assert process.stdout is not None
        cycle_us = [int(process.stdout.readline()) / 1000 for _ in range(cycles + WARM_UP)]
    return Measured(POLL, versions, tuple(cycle_us[WARM_UP:]))


def _passes(
    name: str, standin: StandIn, who: Who, pid: int, orders: int, versions: str
) -> Measured:
    floor_pid = standin.floor()
    standin.run(who, SPACED, WARM_UP, pid=pid)
    standin.run("floor", SPACED, WARM_UP, pid=floor_pid)
    floor = standin.run("floor", SPACED, orders, pid=floor_pid)
    ours = standin.run(who, SPACED, orders, pid=pid)
    standin.flood(who, FLOOD // 4, pid=pid)
    flood = standin.flood(who, FLOOD, pid=pid)
    floor_flood = standin.flood("floor", FLOOD, pid=floor_pid)
    if not ours.samples or not floor.samples:
        raise RuntimeError("no order came within 0.3 s of any tick")
    return Measured(
        name,
        versions,
        _us(ours),
        _us(floor),
        cpu_us=_cpu_us(flood),
        floor_cpu_us=_cpu_us(floor_flood),
        lost=ours.lost,
    )


def _us(one: Pass) -> tuple[float, ...]:
    return tuple(round(sample.receipt_ns / 1000, 1) for sample in one.samples)


def _cpu_us(one: Pass) -> float:
    return round(one.cpu_ns / one.ticks / 1000, 3)


@contextlib.contextmanager
def _running(command: list[str]) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """A client that has said it is ready, and the versions it said."""
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(  # noqa: S603 - a script of this folder
            command, stdout=subprocess.PIPE, stderr=errors, stdin=subprocess.DEVNULL, text=True
        )
        try:
            yield process, _versions(process)
        except (OSError, RuntimeError, ValueError) as error:
            errors.seek(0)
            said = errors.read().strip().splitlines()
            raise RuntimeError(f"{error}: {said[-1][:300] if said else 'no word'}") from error
        finally:
            process.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()


def _versions(process: "subprocess.Popen[str]") -> str:
    end_s = time.monotonic() + START_S
    assert process.stdout is not None
    while time.monotonic() < end_s:
        ready, _, _ = select.select([process.stdout], [], [], 1.0)
        if ready:
            line = process.stdout.readline()
            if line.startswith("ready "):
                return line.removeprefix("ready ").strip()
            if not line:
                break
    raise RuntimeError("did not come up")


def _connected(standin: StandIn, sockets: int, process: "subprocess.Popen[str]") -> None:
    end_s = time.monotonic() + START_S
    while standin.connected() & sockets != sockets:
        if process.poll() is not None or time.monotonic() > end_s:
            raise RuntimeError("did not connect")
        time.sleep(0.05)
