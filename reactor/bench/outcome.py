"""What a benchmark found, as one JSON object and as tables for people."""

import math
from typing import Any

import msgspec
from rich import box
from rich.console import Console
from rich.table import Table

from reactor.bench.measure import NOISE_MAX, Timing, environment


class Ratio(msgspec.Struct, frozen=True):
    """One figure that holds on any machine.

    Attributes:
        name: what is over what.
        value: measured in this run.
        at_most, at_least: what it should keep to; None where nothing is claimed.
    """

    name: str
    value: float
    at_most: float | None = None
    at_least: float | None = None

    @property
    def kept(self) -> bool:
        """Whether it keeps to its bound."""
        low = -math.inf if self.at_least is None else self.at_least
        high = math.inf if self.at_most is None else self.at_most
        return low <= self.value <= high

    @property
    def bound(self) -> str:
        """The bound as people read it."""
        if self.at_most is not None:
            return f"≤ {self.at_most:g}"
        return "" if self.at_least is None else f"≥ {self.at_least:g}"


class Outcome(msgspec.Struct, kw_only=True):
    """A benchmark's findings.

    Attributes:
        name: which benchmark.
        method: what was run and how it was timed.
        timings: every case.
        ratios: the figures that matter.
        noise: spread of the yardstick over the rounds, as a fraction.
        figures: single numbers under the keys that `--json` gives them.
    """

    name: str
    method: str
    timings: list[Timing]
    ratios: list[Ratio]
    noise: float
    figures: dict[str, object]

    @property
    def noisy(self) -> bool:
        """Whether the yardstick wandered too far for the figures to be trusted."""
        return self.noise > NOISE_MAX

    def as_json(self) -> dict[str, Any]:
        """The object that `--json` prints."""
        return {
            "bench": self.name,
            **self.figures,
            "ratios": {ratio.name: round(ratio.value, 3) for ratio in self.ratios},
            "bounds": {ratio.name: ratio.bound for ratio in self.ratios if ratio.bound},
            "bounds_kept": all(ratio.kept for ratio in self.ratios),
            "cases": [msgspec.to_builtins(case) for case in self.timings],
            "noise": round(self.noise, 3),
            "noisy": self.noisy,
            "method": self.method.replace("\n", " "),
            "environment": environment(),
        }

    def print(self, console: Console) -> None:
        """Prints the tables."""
        where = environment()
        console.print(
            f"reactor {where['reactor']}, {where['implementation']} {where['python']}, {where['cpu']},"
            f" {where['cpu_count']} cores, load {where['load_average']}, garbage collector"
            f" {where['gc']}, clock: {where['clock']}",
            highlight=False,
        )
        console.print(self.method, highlight=False)
        console.print(self._timings_table())
        if self.ratios:
            console.print(self._ratios_table())
        for name, value in self.figures.items():
            console.print(f"{name}: {_number(value)}", highlight=False)
        console.print(
            f"noise {self.noise:.0%}"
            + (": this run is noisy; close other programs and repeat it" if self.noisy else ""),
            highlight=False,
        )

    def _timings_table(self) -> Table:
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        table.add_column("case")
        for name in ("median", "p99", "samples"):
            table.add_column(name, justify="right")
        for case in self.timings:
            table.add_row(case.name, _time(case.p50_ns), _time(case.p99_ns), f"{case.samples:,}")
        return table

    def _ratios_table(self) -> Table:
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        table.add_column("ratio")
        table.add_column("measured", justify="right")
        table.add_column("bound")
        for ratio in self.ratios:
            verdict = "" if ratio.kept else "  missed"
            table.add_row(ratio.name, f"{ratio.value:.2f}", ratio.bound + verdict)
        return table


def _time(ns: float) -> str:
    if ns < 1_000:
        return f"{ns:,.1f} ns"
    return f"{ns / 1_000:,.2f} µs" if ns < 1_000_000 else f"{ns / 1_000_000:,.2f} ms"


def _number(value: object) -> str:
    return f"{value:,}" if isinstance(value, int | float) else str(value)
