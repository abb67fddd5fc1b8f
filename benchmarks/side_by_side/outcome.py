"""What the comparison found: rounds on file, one JSON object, a table."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
from rich import box
from rich.console import Console
from rich.table import Table

from reactor.bench.latency_outcome import RANKS, spread_of
from reactor.bench.measure import NOISE_MAX, environment, percentile
from side_by_side.peers import FLOOR, PEERS, POLL, PRODUCT

POLL_S: Final = 10.0
"""How often the earlier system asked."""

METHOD: Final = """\
One stand-in for the exchange stamps each tick as it is written and each order as it is read, with
CLOCK_MONOTONIC. Each client runs alone in a process of its own, in turn, with the C floor beside it in every
round: ticks every 1 ms, every 60th through the stop. A ratio is the median round's, to the floor of the same
round; percentiles are those of all rounds' orders. CPU is the process's, all threads and the kernel's work on
its behalf, for a quiet tick of a flood of 20 000, until the client has acted on the one after the last. The
10 s poll is computed: a price waits up to 10 s for the next question (evenly), plus a measured cycle."""


class Measured(msgspec.Struct, frozen=True):
    """One client's round.

    Attributes:
        name: the client. `versions`: what it runs on.
        order_us: tick to order's receipt, each; of the poll: a cycle's, from its question to the order's answer.
        floor_us: the floor's beside it.
        cpu_us, floor_cpu_us: CPU time of a quiet tick at saturation; None for the poll.
        lost: ticks that should have made an order and did not.
        failed: why there is nothing of it; "" where there is.
    """

    name: str
    versions: str = ""
    order_us: tuple[float, ...] = ()
    floor_us: tuple[float, ...] = ()
    cpu_us: float | None = None
    floor_cpu_us: float | None = None
    lost: int = 0
    failed: str = ""


class Row(msgspec.Struct, frozen=True):
    """One client, over all rounds.

    Attributes:
        name, versions, note: as in `Measured` and `Peer`.
        us: tick to order, by percentile. `ratio_p50`: the median round's, to the floor.
        cpu_us: the median round's. `cpu_ratio`: to the floor's, likewise.
        orders: how many. `lost`: ticks without one. `rounds`: how many there were.
        computed: whether the percentiles are computed rather than measured.
        failed: why there is nothing.
    """

    name: str
    versions: str
    note: str
    us: dict[str, float]
    ratio_p50: float | None
    cpu_us: float | None
    cpu_ratio: float | None
    orders: int
    lost: int
    rounds: int
    computed: bool
    failed: str


NOTES: Final = {
    FLOOR: "C, -O2, blocking: the least that does it; no guard",
    PRODUCT: "stop, ladder, break-even and trailing; journal, tape and metrics on",
    POLL: "asks for positions every 10 s, sells where the mark price is through; no tick is seen between",
} | {peer.name: peer.note for peer in PEERS}


class Outcome(msgspec.Struct, frozen=True):
    """All rows, the floor's first."""

    rows: tuple[Row, ...]
    noise: float

    @property
    def noisy(self) -> bool:
        """Whether the floor wandered too far for the figures to be trusted."""
        return self.noise > NOISE_MAX

    def as_json(self) -> dict[str, Any]:
        """The object that `--json` prints."""
        return {
            "bench": "peers",
            "clients": [msgspec.to_builtins(row) for row in self.rows],
            "noise": round(self.noise, 3),
            "noisy": self.noisy,
            "method": METHOD.replace("\n", " "),
            "environment": environment() | {"clock": "CLOCK_MONOTONIC"},
        }

    def print(self, console: Console) -> None:
        """Prints the table."""
        where = environment()
        console.print(
            f"{where['cpu']}, {where['cpu_count']} cores, load {where['load_average']}",
            highlight=False,
        )
        console.print(METHOD, highlight=False)
        table = Table(box=box.SIMPLE)
        for name in ("client", "p50 µs", "p90", "p99", "to floor", "CPU/tick µs", "orders", "lost"):
            table.add_column(name, justify="left" if name == "client" else "right")
        for row in self.rows:
            if row.failed:
                table.add_row(row.name, row.failed)
                continue
            table.add_row(
                row.name + (" (computed)" if row.computed else ""),
                *(f"{row.us[rank]:,.0f}" for rank in ("p50", "p90", "p99")),
                "" if row.ratio_p50 is None else f"{row.ratio_p50:,.2f}",
                "" if row.cpu_us is None else f"{row.cpu_us:.2f}",
                str(row.orders),
                str(row.lost),
            )
        console.print(table)
        for row in self.rows:
            console.print(f"{row.name}: {row.note}. {row.versions}", highlight=False)
        console.print(
            f"noise {self.noise:.0%} (the floor's own spread over the rounds)"
            + (": this run is noisy; close other programs and repeat it" if self.noisy else ""),
            highlight=False,
        )


def put_together(rounds: Iterable[Measured]) -> Outcome:
    """The rows of all rounds.

    Args:
        rounds: in any order; a client's last failure is told where nothing of it was measured.
    """
    by_name: dict[str, list[Measured]] = {}
    for one in rounds:
        by_name.setdefault(one.name, []).append(one)
    beside = [one for of in by_name.values() for one in of if one.floor_us]
    rows = [_floor_row(beside)] if beside else []
    known = [PRODUCT, *(peer.name for peer in PEERS), POLL]
    ordered = sorted(
        by_name, key=lambda name: (name not in known, known.index(name) if name in known else 0)
    )
    rows += [_row(name, by_name[name]) for name in ordered]
    medians = [percentile(one.floor_us, 50) for one in beside]
    return Outcome(tuple(rows), spread_of(medians) if medians else 0.0)


def append(path: Path, rounds: Sequence[Measured]) -> None:
    """Adds rounds to a file, a line each."""
    with path.open("ab") as file:
        file.writelines(msgspec.json.encode(one) + b"\n" for one in rounds)


def read(path: Path) -> list[Measured]:
    """The rounds of a file; none where it is not there.

    Raises:
        ValueError: a line is none of them.
    """
    if not path.exists():
        return []
    decode = msgspec.json.Decoder(Measured).decode
    return [decode(line) for line in path.read_bytes().splitlines() if line]


def reaction_us(rank: float, cycle_us: float) -> float:
    """What a poll takes to react: the wait of this rank until the next question, plus one cycle.

    Args:
        rank: percentile, above 0, up to 100.
        cycle_us: from the question's sending to the order's answer.
    """
    return rank / 100 * POLL_S * 1e6 + cycle_us


def _floor_row(beside: Sequence[Measured]) -> Row:
    times = [value for one in beside for value in one.floor_us]
    cpu = [one.floor_cpu_us for one in beside if one.floor_cpu_us is not None]
    return Row(
        FLOOR,
        "",
        NOTES[FLOOR],
        _percentiles(times),
        1.0,
        percentile(cpu, 50) if cpu else None,
        1.0,
        len(times),
        0,
        len(beside),
        computed=False,
        failed="",
    )


def _row(name: str, of: Sequence[Measured]) -> Row:
    good = [one for one in of if one.order_us]
    last = of[-1]
    if not good:
        why = last.failed or "no order came"
        return Row(
            name, last.versions, NOTES.get(name, ""), {}, None, None, None, 0, 0, 0,
            computed=False, failed=why,
        )  # fmt: skip
    times = [value for one in good for value in one.order_us]
    poll = name == POLL
    if poll:
        cycle_us = percentile(times, 50)
        us = {rank: reaction_us(value, cycle_us) for rank, value in RANKS.items()}
    else:
        us = _percentiles(times)
    ratios = [
        percentile(one.order_us, 50) / percentile(one.floor_us, 50) for one in good if one.floor_us
    ]
    cpu = [one.cpu_us for one in good if one.cpu_us is not None]
    cpu_ratios = [
        one.cpu_us / one.floor_cpu_us
        for one in good
        if one.cpu_us is not None and one.floor_cpu_us is not None
    ]
    return Row(
        name,
        good[-1].versions,
        NOTES.get(name, ""),
        us,
        percentile(ratios, 50) if ratios else None,
        percentile(cpu, 50) if cpu else None,
        percentile(cpu_ratios, 50) if cpu_ratios else None,
        len(times),
        sum(one.lost for one in good),
        len(good),
        computed=poll,
        failed="",
    )


def _percentiles(values: Sequence[float]) -> dict[str, float]:
    return {name: round(percentile(values, rank), 1) for name, rank in RANKS.items()}
