"""What is done differently when a full close does not succeed: a pure function of how often it has failed.

Never gives up: the last steps repeat for ever. Never floods: at least `BETWEEN_MS` lie between two sendings of the
same exit, and the steps that repeat are slower. `docs/orders.md` shows the ladder; a test compares the two.
"""

from typing import Final, Literal

from msgspec import Struct

from reactor.binance.failures import Reaction

Way = Literal["socket", "rest"]
Kind = Literal["market", "half", "limit_ioc", "stop"]

BETWEEN_MS: Final = 250
"""The least time between two sendings of the same exit."""

SLOW_MS: Final = 1000
SLOWEST_MS: Final = 5000


class Step(Struct, frozen=True, gc=False, kw_only=True):
    """How one sending of a full close is done.

    Attributes:
        way: over the WebSocket API's socket where it is ready, or over REST.
        kind: the market order; one of half the quantity; a LIMIT IOC order at the PERCENT_PRICE bound; a
            closePosition stop just beyond the mark price.
        pause_ms: the least time since the exit's last sending.
        alarm: whether a person is told that this does not go on by itself.
    """

    way: Way = "socket"
    kind: Kind = "market"
    pause_ms: int = BETWEEN_MS
    alarm: bool = False


FIRST: Final = Step(pause_ms=0)

LADDER: Final = (
    FIRST,
    Step(),
    Step(way="rest"),
    Step(kind="half"),
    Step(way="rest", kind="limit_ioc"),
    Step(way="rest", kind="stop"),
)
"""By how many sendings in a row filled nothing. The second one depends on the cause: see `escalation`."""

AGAIN: Final = (
    Step(pause_ms=SLOW_MS, alarm=True),
    Step(way="rest", pause_ms=SLOW_MS, alarm=True),
    Step(kind="half", pause_ms=SLOW_MS, alarm=True),
    Step(way="rest", kind="limit_ioc", pause_ms=SLOW_MS, alarm=True),
    Step(way="rest", kind="stop", pause_ms=SLOW_MS, alarm=True),
)
"""After the ladder, round and round; from the second round on with `SLOWEST_MS` between."""

_OVER_REST: Final = frozenset({Reaction.OTHER_ROUTE, Reaction.WAIT_BAN, Reaction.ASK})


def escalation(failures: int, last: Reaction | None) -> Step:
    """How a full close is sent.

    Args:
        failures: how many sendings of this exit in a row have filled nothing, 0 or more.
        last: what the last of them ended with; None where it is not known.

    Returns:
        The step. A key that is not good makes every step a slow one with an alarm: nothing else helps.
    """
    if failures and last is Reaction.HALT:
        way: Way = "rest" if failures % 2 else "socket"
        return Step(way=way, pause_ms=SLOWEST_MS, alarm=True)
    if failures == 1 and last in _OVER_REST:
        return Step(way="rest")
    if failures == 1 and last is Reaction.IOC_AT_BOUND:
        return Step(kind="limit_ioc")
    if failures < len(LADDER):
        return LADDER[failures]
    rounds, place = divmod(failures - len(LADDER), len(AGAIN))
    step = AGAIN[place]
    if rounds:
        return Step(way=step.way, kind=step.kind, pause_ms=SLOWEST_MS, alarm=True)
    return step


def ladder_table() -> str:
    """The ladder as Markdown, for the documentation and the test that keeps it true."""
    lines = [
        "| sendings that filled nothing | over | what | pause | a person |",
        "|---|---|---|---|---|",
    ]
    names = {
        "market": "the whole rest, MARKET",
        "half": "half of it, MARKET",
        "limit_ioc": "LIMIT IOC at the PERCENT_PRICE bound",
        "stop": "closePosition STOP_MARKET just beyond mark",
    }
    rows: list[tuple[str, Step]] = [(str(n), step) for n, step in enumerate(LADDER)]
    rows[1:2] = [
        ("1, unknown or the way was down", escalation(1, Reaction.ASK)),
        ("1, the book was too thin", escalation(1, Reaction.IOC_AT_BOUND)),
        ("1, anything else", escalation(1, Reaction.REFUSED)),
    ]
    first = len(LADDER)
    rows += [(str(n), escalation(n, None)) for n in range(first, first + len(AGAIN))]
    more = first + len(AGAIN)
    rows.append((f"{more} and more: the last {len(AGAIN)} again", escalation(more, None)))
    rows.append(("1 and more, the key is refused: both ways in turn", escalation(2, Reaction.HALT)))
    for when, step in rows:
        told = "told" if step.alarm else ""
        lines.append(f"| {when} | {step.way} | {names[step.kind]} | {step.pause_ms} ms | {told} |")
    return "\n".join(lines) + "\n"
