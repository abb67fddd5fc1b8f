"""What `bench latency` found: one JSON object, tables, and a picture."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec
from rich import box
from rich.console import Console
from rich.table import Table

from reactor.bench.latency_product import Stages
from reactor.bench.latency_standin import Pass, Sample
from reactor.bench.latency_ticks import TickCosts
from reactor.bench.measure import NOISE_MAX, environment, percentile

METHOD: Final = """\
A stand-in for the exchange, one thread in C that does not sleep and keeps to a processor of its own, stamps
each tick as it is written and each order as it is read, with CLOCK_MONOTONIC. The floor is a C program (-O2, blocking recv, TCP_NODELAY, HMAC-SHA256 signed,
the same bytes in and out); the product is `reactor run` with journal, tape and metrics, in a process of its
own. Both run in every round, in turn; a ratio is the median round's, percentiles are those of all rounds'
orders. Stages come from the product's own stamps."""

RANKS: Final = {"p50": 50.0, "p90": 90.0, "p99": 99.0, "p999": 99.9, "max": 100.0}


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What one case took.

    Attributes:
        name, what: the case. `transport`, `loop`: of the product.
        us, floor_us: from tick to receipt, by percentile, of the product and the floor.
        ratio_p50, ratio_p99: the median round's ratio of medians; the ratio of all rounds' 99th percentiles.
        spread: the floor's own, over the rounds: 90th less 10th percentile of its medians, over their median.
        floor_medians_us: its medians, round by round.
        stages_us: the product's own stamps, by stage and percentile.
        cpu_us, floor_cpu_us: CPU time for a tick, orders included.
        lost: ticks without an order. `samples`: orders.
        goal, acceptable: what `ratio_p50` should keep to.
        shape_us, floor_shape_us: every order's, sorted: for the picture.
    """

    name: str
    what: str
    transport: str
    loop: str
    us: dict[str, float]
    floor_us: dict[str, float]
    ratio_p50: float
    ratio_p99: float
    spread: float
    floor_medians_us: tuple[float, ...]
    stages_us: dict[str, dict[str, float]]
    cpu_us: float
    floor_cpu_us: float
    lost: int
    samples: int
    goal: float | None
    acceptable: float | None
    shape_us: tuple[float, ...]
    floor_shape_us: tuple[float, ...]

    @property
    def verdict(self) -> str:
        """How it stands to what it should keep to."""
        if self.goal is None or self.acceptable is None:
            return ""
        if self.ratio_p50 <= self.goal:
            return f"goal {self.goal:g} met"
        if self.ratio_p50 <= self.acceptable:
            return f"acceptable ({self.acceptable:g}), goal {self.goal:g}"
        return f"missed: {self.acceptable:g}"


def found(
    *,
    name: str,
    what: str,
    transport: str,
    loop: str,
    goal: float | None,
    acceptable: float | None,
    floor: Sequence[Pass],
    product: Sequence[Pass],
    stages: Mapping[str, Stages],
) -> Found:
    """Puts a case's rounds together; each has at least one order on either side."""
    floor_medians = [_median_us(one) for one in floor]
    ratios = [
        _median_us(ours) / median for ours, median in zip(product, floor_medians, strict=True)
    ]
    ours = _all_us(product)
    theirs = _all_us(floor)
    us, floor_us = _percentiles(ours), _percentiles(theirs)
    return Found(
        name=name,
        what=what,
        transport=transport,
        loop=loop,
        us=us,
        floor_us=floor_us,
        ratio_p50=percentile(ratios, 50),
        ratio_p99=us["p99"] / floor_us["p99"],
        spread=spread_of(floor_medians),
        floor_medians_us=tuple(floor_medians),
        stages_us=_stages(product, stages),
        cpu_us=_cpu_us(product),
        floor_cpu_us=_cpu_us(floor),
        lost=sum(one.lost for one in (*floor, *product)),
        samples=len(ours),
        goal=goal,
        acceptable=acceptable,
        shape_us=tuple(sorted(ours)),
        floor_shape_us=tuple(sorted(theirs)),
    )


def spread_of(medians: Sequence[float]) -> float:
    """How far medians wander: 90th less 10th percentile, over the median."""
    return (percentile(medians, 90) - percentile(medians, 10)) / percentile(medians, 50)


class LatencyOutcome(msgspec.Struct, kw_only=True):
    """The findings of a run."""

    cases: list[Found]
    ticks: TickCosts | None
    rounds: int

    @property
    def noise(self) -> float:
        """The floor's own spread over every round in which it did the same: the commonest tick pattern's."""
        names = {"cold", "burst", "tls", "unrehearsed"}
        medians = [
            m for case in self.cases if case.name not in names for m in case.floor_medians_us
        ]
        if medians:
            return spread_of(medians)
        return max((case.spread for case in self.cases), default=0.0)

    @property
    def noisy(self) -> bool:
        """Whether the floor wandered too far for the figures to be trusted."""
        return self.noise > NOISE_MAX

    def as_json(self) -> dict[str, Any]:
        """The object that `--json` prints."""
        return {
            "bench": "latency",
            "cases": [_case_json(case) for case in self.cases],
            "noisy": self.noisy,
            "noise": round(self.noise, 3),
            "rounds": self.rounds,
            "ticks": None if self.ticks is None else msgspec.to_builtins(self.ticks),
            "method": METHOD.replace("\n", " "),
            "environment": environment() | {"clock": "CLOCK_MONOTONIC"},
        }

    def print(self, console: Console) -> None:
        """Prints the tables."""
        where = environment()
        console.print(
            f"reactor {where['reactor']}, {where['implementation']} {where['python']}, {where['cpu']},"
            f" {where['cpu_count']} cores, load {where['load_average']}",
            highlight=False,
        )
        console.print(METHOD, highlight=False)
        if self.cases:
            console.print(_times(self.cases))
            console.print(_stage_table(self.cases))
        if self.ticks is not None:
            console.print(_tick_table(self.ticks))
        lost = sum(case.lost for case in self.cases)
        if lost:
            console.print(f"{lost} ticks made no order within 0.3 s", highlight=False)
        console.print(
            f"noise {self.noise:.0%} (the floor's own spread over the rounds)"
            + (": this run is noisy; close other programs and repeat it" if self.noisy else ""),
            highlight=False,
        )


def _case_json(case: Found) -> dict[str, Any]:
    rounded = {name: round(value, 2) for name, value in case.us.items()}
    floor = {name: round(value, 2) for name, value in case.floor_us.items()}
    return {
        "name": case.name,
        "what": case.what,
        "transport": case.transport,
        "loop": case.loop,
        **{f"{name}_us": value for name, value in rounded.items()},
        **{f"floor_{name}_us": value for name, value in floor.items()},
        "ratio_p50": round(case.ratio_p50, 3),
        "ratio_p99": round(case.ratio_p99, 3),
        "goal": case.goal,
        "acceptable": case.acceptable,
        "floor_spread": round(case.spread, 3),
        "stages_us": case.stages_us,
        "cpu_us_per_tick": round(case.cpu_us, 2),
        "floor_cpu_us_per_tick": round(case.floor_cpu_us, 2),
        "samples": case.samples,
        "lost": case.lost,
    }


def _median_us(one: Pass) -> float:
    return percentile([sample.receipt_ns / 1000 for sample in one.samples], 50)


def _all_us(passes: Sequence[Pass]) -> list[float]:
    return [sample.receipt_ns / 1000 for one in passes for sample in one.samples]


def _percentiles(values: Sequence[float]) -> dict[str, float]:
    return {name: percentile(values, rank) for name, rank in RANKS.items()}


def _cpu_us(passes: Sequence[Pass]) -> float:
    return sum(one.cpu_ns for one in passes) / max(1, sum(one.ticks for one in passes)) / 1000


_STAGES: Final[dict[str, Callable[[Sample, Stages], int]]] = {
    "tick_to_receive": lambda sample, at: at.received_ns - sample.tick_ns,
    "tick_to_decision": lambda sample, at: at.decided_ns - sample.tick_ns,
    "receive_to_decision": lambda _, at: at.decided_ns - at.received_ns,
    "decision_to_wire": lambda _, at: at.sent_ns - at.decided_ns,
    "tick_to_receipt": lambda sample, _: sample.receipt_ns,
}


def _stages(product: Sequence[Pass], stages: Mapping[str, Stages]) -> dict[str, dict[str, float]]:
    """The product's stamps beside the stand-in's. Both read the same machine's wall clock for these."""
    pairs = [
        (sample, stages[sample.client_id])
        for one in product
        for sample in one.samples
        if sample.client_id in stages
    ]
    if not pairs:
        return {}
    return {
        name: {
            rank: round(value, 2)
            for rank, value in _percentiles([take(*pair) / 1000 for pair in pairs]).items()
        }
        for name, take in _STAGES.items()
    }


def _times(cases: Sequence[Found]) -> Table:
    table = Table(
        box=box.SIMPLE_HEAD, pad_edge=False, title="tick to receipt, µs", title_justify="left"
    )
    table.add_column("case")
    for name in ("p50", "p90", "p99", "p99.9", "max", "floor p50", "p99", "ratio p50", "p99"):
        table.add_column(name, justify="right")
    table.add_column("CPU µs/tick (floor)", justify="right")
    table.add_column("target")
    for case in cases:
        times = [f"{case.us[rank]:,.0f}" for rank in RANKS]
        floor = [f"{case.floor_us[rank]:,.0f}" for rank in ("p50", "p99")]
        ratios = [f"{case.ratio_p50:.2f}", f"{case.ratio_p99:.2f}"]
        cpu = f"{case.cpu_us:.1f} ({case.floor_cpu_us:.1f})"
        table.add_row(case.name, *times, *floor, *ratios, cpu, case.verdict)
    return table


def _stage_table(cases: Sequence[Found]) -> Table:
    table = Table(
        box=box.SIMPLE_HEAD, pad_edge=False, title="stages, µs: p50 / p99", title_justify="left"
    )
    table.add_column("case")
    for name in _STAGES:
        table.add_column(name.replace("_", " "), justify="right")
    for case in cases:
        stages = [case.stages_us.get(name) for name in _STAGES]
        cells = ["-" if at is None else f"{at['p50']:,.0f} / {at['p99']:,.0f}" for at in stages]
        table.add_row(case.name, *cells)
    return table


def _tick_table(ticks: TickCosts) -> Table:
    table = Table(
        box=box.SIMPLE_HEAD, pad_edge=False, title="CPU of a quiet tick", title_justify="left"
    )
    table.add_column("who, or ratio")
    table.add_column("measured", justify="right")
    for name, value in ticks.ns.items():
        table.add_row(name, f"{value:,.0f} ns")
    for name, value in ticks.ratios.items():
        table.add_row(name, f"{value:.2f}")
    return table
