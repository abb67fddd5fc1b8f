"""How the benchmarks measure: the same work in turns, as ratios within one run.

Absolute times say more about the machine and its other programs than about this one. So every figure
stands beside a yardstick that runs in the same rounds (A B C, A B C, …), and a ratio is taken round by
round before its median is. The clock is the thread's CPU time: another program's turn on the processor is
not counted, though its hold on the caches is. How far the yardstick itself wanders over the rounds is the
run's noise; a run above `NOISE_MAX` says of itself that it is noisy.
"""

import gc
import os
import platform
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from time import thread_time_ns
from typing import NamedTuple

import msgspec

from reactor import __version__

Work = Callable[[], object]

NOISE_MAX = 0.15
"""Spread of the yardstick (90th less 10th percentile, over the median) above which a run is noisy."""

VERSIONS_SHOWN = ("msgspec", "orjson", "numpy", "backports.zstd")
"""The libraries whose speed is part of the figures."""


class Case(NamedTuple):
    """One thing to measure.

    Attributes:
        name: what it is called in tables and in `--json`.
        units: how many ticks, frames or calls one piece of work does; times are per unit.
        make: sets up one round, untimed, and answers with the work to time.
    """

    name: str
    units: int
    make: Callable[[], Work]


class Timing(msgspec.Struct, frozen=True):
    """What one case took.

    Attributes:
        name: the case.
        p50_ns, p99_ns: per unit, over `samples` rounds or single calls.
        samples: how many.
    """

    name: str
    p50_ns: float
    p99_ns: float
    samples: int


class Rounds:
    """Times per unit of several cases, round by round."""

    def __init__(self, ns: dict[str, list[float]]) -> None:
        self._ns = ns

    def median_ns(self, name: str) -> float:
        """The median round of a case, per unit."""
        return percentile(self._ns[name], 50)

    def ratio(self, name: str, to: str) -> float:
        """How many times longer a unit of one case takes than one of another: the median round's."""
        pairs = zip(self._ns[name], self._ns[to], strict=True)
        return percentile([one / other for one, other in pairs], 50)

    def noise(self, yardstick: str) -> float:
        """How far the yardstick wandered: 90th less 10th percentile, over the median."""
        ns = self._ns[yardstick]
        return (percentile(ns, 90) - percentile(ns, 10)) / percentile(ns, 50)

    def timings(self) -> list[Timing]:
        """Every case, in the order of measuring."""
        return [timing(name, ns) for name, ns in self._ns.items()]


def interleave(cases: Sequence[Case], *, rounds: int) -> Rounds:
    """Runs every case once a round, in turns, after one round that is not counted.

    Args:
        cases: what to measure; names are unique.
        rounds: how many rounds count, at least 1.
    """
    ns: dict[str, list[float]] = {case.name: [] for case in cases}
    # What the cases stand on is old by now, as it would be in a running process: not collected again.
    gc.collect()
    gc.freeze()
    try:
        for number in range(rounds + 1):
            for case in cases:
                work = case.make()
                gc.collect()
                started_ns = thread_time_ns()
                work()
                elapsed_ns = thread_time_ns() - started_ns
                if number > 0:
                    ns[case.name].append(elapsed_ns / case.units)
    finally:
        gc.unfreeze()
    return Rounds(ns)


def timing(name: str, ns: Sequence[float]) -> Timing:
    """The percentiles of one case's samples."""
    return Timing(name, round(percentile(ns, 50), 1), round(percentile(ns, 99), 1), len(ns))


def percentile(values: Sequence[float], rank: float) -> float:
    """The smallest value that `rank` % of the values do not exceed (nearest rank).

    Args:
        values: at least one.
        rank: above 0, up to 100.
    """
    ordered = sorted(values)
    place = -(-len(ordered) * rank // 100)
    return ordered[max(int(place), 1) - 1]


def timer_cost_ns() -> float:
    """What reading the clock twice adds to a single call's time."""
    samples = []
    for _ in range(2000):
        started_ns = thread_time_ns()
        samples.append(float(thread_time_ns() - started_ns))
    return percentile(samples, 50)


def environment() -> dict[str, object]:
    """What the figures depend on besides the product: machine, interpreter, libraries, settings."""
    return {
        "reactor": __version__,
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "system": f"{platform.system()} {platform.machine()}",
        "cpu": _cpu_name(),
        "cpu_count": os.cpu_count(),
        "load_average": [round(load, 2) for load in os.getloadavg()],
        "gc": "on, run before each round" if gc.isenabled() else "off",
        "clock": "thread CPU time",
        "versions": {name: _version(name) for name in VERSIONS_SHOWN},
    }


def _cpu_name() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor() or "unknown"
    rows = (line.partition(":") for line in text.splitlines())
    names = (value.strip() for key, _, value in rows if key.strip() == "model name")
    return next(names, platform.processor() or "unknown")


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
