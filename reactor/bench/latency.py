"""`reactor bench latency`: from a tick's sending to its order's receipt, beside the least that a C program needs.

Product and floor run in turn, round by round, against one stand-in that stamps ticks and orders with the
monotonic clock. A ratio is taken within its round, and the median round's is told: another program's hold on
the machine weighs on both sides of it.
"""

import contextlib
import tempfile
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Final, cast

import msgspec

from reactor.bench.latency_outcome import Found, LatencyOutcome, found
from reactor.bench.latency_product import Measured, Setup, Stages, open_product
from reactor.bench.latency_standin import Pass, Pattern, StandIn, open_standin
from reactor.bench.latency_ticks import tick_costs
from reactor.errors import ConfigError

ROUNDS: Final = 7

WARM: Final = Pattern(gap_us=1000, quiet=49)
COLD: Final = Pattern(gap_us=20_000, quiet=2)
BURST: Final = Pattern(gap_us=1000, quiet=49, before=50, after=50)

SHIPPED: Final = Setup("shipped")
TLS: Final = Setup("tls", tls=True)
SPINNING: Final = Setup("spinning", is_floor=True)
INTERPRETED: Final = Setup("interpreted", interpreted=True)
BUSY: Final = Setup("busy", busy=True)
PORTABLE: Final = Setup("portable", transport="websockets")
REST: Final = Setup("rest", over="rest")
ASYNCIO: Final = Setup("asyncio", loop="asyncio")
BARE: Final = Setup("bare", bare=True)
UNREHEARSED: Final = Setup("unrehearsed", rehearses=False)


class Case(msgspec.Struct, frozen=True):
    """One thing to measure.

    Attributes:
        name: as `--cases` and `--json` call it. `what`: in words.
        setup: of the product. `pattern`: of the ticks.
        orders: how many in a round.
        goal, acceptable: what the median round's ratio should keep to; None where nothing is claimed.
    """

    name: str
    what: str
    setup: Setup
    pattern: Pattern
    orders: int = 30
    goal: float | None = None
    acceptable: float | None = None


CASES: Final = (
    Case("warm", "a tick every 1 ms", SHIPPED, WARM, goal=1.15, acceptable=1.35),
    Case("cold", "a tick every 20 ms", SHIPPED, COLD, orders=15, goal=2.0, acceptable=2.3),
    Case("burst", "50 quiet ticks before and after it", SHIPPED, BURST, goal=1.5, acceptable=1.8),
    Case("tls", "both sockets encrypted", TLS, WARM, goal=1.5, acceptable=1.7),
    Case("busy", "streams.busy_poll", BUSY, WARM, goal=0.45, acceptable=0.6),
    Case("spinning", "the floor, not sleeping, in the product's place", SPINNING, WARM),
    Case("portable", "the websockets skin", PORTABLE, WARM, goal=1.8, acceptable=2.0),
    Case("rest", "orders over REST", REST, WARM),
    Case("asyncio", "asyncio's own loop", ASYNCIO, WARM),
    Case("interpreted", "REACTOR_COMPILED=0", INTERPRETED, WARM),
    Case("bare", "no tape, no metrics", BARE, WARM),
    Case("unrehearsed", "as cold, rehearse_ms = 0", UNREHEARSED, COLD, orders=15),
)
TICKS: Final = "ticks"
"""The name under which `--cases` knows the CPU time of quiet ticks."""


class Runs(msgspec.Struct):
    """Every round of one case: the floor's passes and the product's."""

    case: Case
    floor: list[Pass]
    product: list[Pass]


def case_names() -> list[str]:
    """What `--cases` may name."""
    return [*(case.name for case in CASES), TICKS]


def chosen_cases(names: Sequence[str]) -> tuple[Case, ...]:
    """The cases of these names; all where none is given.

    Raises:
        ConfigError: one is unknown.
    """
    unknown = [name for name in names if name not in case_names()]
    if unknown:
        raise ConfigError(f"--cases {unknown[0]}: unknown; there are {', '.join(case_names())}")
    return tuple(case for case in CASES if not names or case.name in names)


def bench_latency(
    *, rounds: int = ROUNDS, names: Sequence[str] = (), tell: Callable[[str], None] | None = None
) -> LatencyOutcome:
    """Measures.

    Args:
        rounds: how many rounds count.
        names: of the cases; all where empty.
        tell: told a line as each case begins.

    Raises:
        ConfigError: there is no C compiler, or a program did not come up.
    """
    cases = chosen_cases(names)
    say = tell or (lambda _line: None)
    with tempfile.TemporaryDirectory(prefix="reactor-bench-") as name:
        folder = Path(name)
        with open_standin(folder, tls=any(case.setup.tls for case in cases)) as standin:
            findings = list(_measure(cases, standin, folder, rounds=rounds, say=say))
        costs = None
        if not names or TICKS in names:
            say("CPU time of quiet ticks")
            costs = tick_costs(folder / "costs", rounds=rounds)
    return LatencyOutcome(cases=findings, ticks=costs, rounds=rounds)


def _measure(
    cases: Sequence[Case],
    standin: StandIn,
    folder: Path,
    *,
    rounds: int,
    say: Callable[[str], None],
) -> Iterator[Found]:
    """Case by case; those of one setup share a product, and their rounds are interleaved."""
    for setup, of_setup in groupby(cases, key=lambda case: case.setup):
        together = [Runs(case, [], []) for case in of_setup]
        say(f"{', '.join(runs.case.name for runs in together)}: {rounds} rounds")
        stages = _run_setup(setup, together, standin, folder / setup.name, rounds=rounds)
        for runs in together:
            case = runs.case
            yield found(
                name=case.name,
                what=case.what,
                transport=setup.transport,
                loop=setup.loop,
                goal=case.goal,
                acceptable=case.acceptable,
                floor=runs.floor,
                product=runs.product,
                stages=stages,
            )


def _run_setup(
    setup: Setup, together: list[Runs], standin: StandIn, folder: Path, *, rounds: int
) -> dict[str, Stages]:
    floor_pid = standin.floor(tls=setup.tls)
    product = cast("Measured | None", None)
    with contextlib.ExitStack() as stack:
        product = stack.enter_context(open_product(setup, standin, folder))
        for runs in together:  # what is run for the first time is not counted
            _pass(runs, standin, product, floor_pid, orders=5)
            runs.floor.clear()
            runs.product.clear()
        for _ in range(rounds):
            for runs in together:
                _pass(runs, standin, product, floor_pid, orders=runs.case.orders)
    return product.stages


def _pass(runs: Runs, standin: StandIn, product: Measured, floor_pid: int, *, orders: int) -> None:
    """One round of one case: who begins changes from round to round."""
    pattern = runs.case.pattern

    def floor() -> None:
        runs.floor.append(standin.run("floor", pattern, orders, pid=floor_pid))

    def guarded() -> None:
        runs.product.append(standin.run("product", pattern, orders, pid=product.pid))

    turns = (floor, guarded) if len(runs.floor) % 2 == 0 else (guarded, floor)
    for turn in turns:
        turn()
    if not runs.product[-1].samples or not runs.floor[-1].samples:
        raise ConfigError(
            f"{runs.case.name}: no order came of {orders} ticks; is the machine overloaded?"
        )
