"""What a quiet tick costs the live process, from the socket to the engine, beside picows receiving alone.

The stand-in sends as fast as the receiver takes it; the receiver's CPU time, all threads and the kernel's work
on its behalf, is read before and after. One, and a hundred trailing positions over a hundred symbols; with
tape, journal and metrics, and without.
"""

import contextlib
import subprocess
import sys
from pathlib import Path
from typing import Final

import msgspec

from reactor.bench.latency_product import Measured, Setup, open_product
from reactor.bench.latency_standin import StandIn, open_standin
from reactor.bench.measure import percentile

TICKS: Final = 40_000
"""A round's: some hundredths of a second."""

SYMBOLS: Final = 100

ALONE, FULL, BARE, MANY = "picows alone", "product", "without tape and metrics", "100 positions"


class TickCosts(msgspec.Struct, frozen=True):
    """CPU time of a quiet tick.

    Attributes:
        ns: the median round's, by who took the ticks.
        ratios: of the median round, to picows alone; of 100 positions to one.
    """

    ns: dict[str, float]
    ratios: dict[str, float]


def tick_costs(folder: Path, *, rounds: int) -> TickCosts:
    """Measures what a quiet tick costs.

    Args:
        folder: for programs and data; made.
        rounds: how many count.
    """
    folder.mkdir(parents=True)
    (folder / "many").mkdir()
    ns: dict[str, list[float]] = {ALONE: [], FULL: [], BARE: []}
    many: dict[str, list[float]] = {ALONE: [], MANY: []}
    with open_standin(folder) as standin, _counter(standin) as counter:
        for setup, name in ((Setup("full"), FULL), (Setup("bare", bare=True), BARE)):
            with open_product(setup, standin, folder / setup.name) as product:
                _rounds(standin, counter, product, ns, name, rounds)
    setup = Setup("many", symbols=SYMBOLS, bare=True)
    with (
        open_standin(folder / "many", symbols=SYMBOLS) as standin,
        _counter(standin) as counter,
        open_product(setup, standin, folder / "many" / "product") as product,
    ):
        _rounds(standin, counter, product, many, MANY, rounds)
    medians = {name: percentile(values, 50) for name, values in {**ns, **many}.items()}
    medians[ALONE] = percentile(ns[ALONE] + many[ALONE], 50)
    # Each was measured in turn with picows alone: the ratio is taken within a round.
    shares = {
        FULL: _ratio(ns[FULL], ns[ALONE][:rounds]),
        BARE: _ratio(ns[BARE], ns[ALONE][rounds:]),
        MANY: _ratio(many[MANY], many[ALONE]),
    }
    return TickCosts(
        ns={name: round(value, 1) for name, value in medians.items()},
        ratios={
            "quiet tick / picows alone": shares[BARE],
            "quiet tick with tape, journal, metrics / picows alone": shares[FULL],
            "100 positions / 1": shares[MANY] / shares[BARE],
        },
    )


def _ratio(ours: list[float], alone: list[float]) -> float:
    return percentile([one / other for one, other in zip(ours, alone, strict=True)], 50)


def _rounds(
    standin: StandIn,
    counter: "subprocess.Popen[str]",
    product: Measured,
    ns: dict[str, list[float]],
    name: str,
    rounds: int,
) -> None:
    for number in range(rounds + 1):
        alone = standin.flood("count", TICKS, pid=counter.pid)
        ours = standin.flood("product", TICKS, pid=product.pid)
        if number:  # the first is not counted
            ns[ALONE].append(alone.cpu_ns / alone.ticks)
            ns[name].append(ours.cpu_ns / ours.ticks)


@contextlib.contextmanager
def _counter(standin: StandIn):  # type: ignore[no-untyped-def]  # noqa: ANN202 - a context manager of Popen
    command = [sys.executable, "-m", "reactor.bench.latency_count", str(standin.port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - ourselves
        try:
            standin.until_connected(0b100000)
            yield process
        finally:
            process.kill()
