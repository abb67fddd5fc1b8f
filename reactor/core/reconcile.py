"""What the exchange says against what is known: a pure difference, found after every start and every gap.

A snapshot is as old as its question. What was heard since then is younger and stands; what the snapshot says
of it is called stale and looked at again. The difference says what happened while nobody listened, and what
has to be asked for before it is fully known: fills that price a reduction, orders whose outcome is open, the
position mode. Applying it is the account book's business (positions) and the hard stops' (stops).
"""

from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum

import msgspec

from reactor.core.account_known import FLAT_LAG_NS
from reactor.core.decisions import Side
from reactor.core.exact import text

Key = tuple[str, Side]

RACE_NS = 1_000_000_000
"""How long before a question something heard may still be younger than the answer: REST lags the stream."""


class Kind(StrEnum):
    """What differs."""

    OPENED = "opened"
    GROWN = "grown"
    REDUCED = "reduced"
    CLOSED = "closed"
    FLIPPED = "flipped"
    ENTRY_MOVED = "entry_moved"
    STALE = "stale"
    ORDER_FILLED = "order_filled"
    ORDER_LAPSED = "order_lapsed"
    ORDER_WORKING = "order_working"
    ORDER_ABSENT = "order_absent"
    ORDER_UNASKED = "order_unasked"
    STOP_MISSING = "stop_missing"
    STOP_DUPLICATED = "stop_duplicated"
    STOP_TRIGGERED = "stop_triggered"
    STOP_WRONG = "stop_wrong"
    STOP_ORPHANED = "stop_orphaned"
    FOREIGN_INSTANCE = "foreign_instance"
    BLOCKING_ORDER = "blocking_order"
    MODE_CHANGED = "mode_changed"
    SYMBOL_GONE = "symbol_gone"
    SYMBOL_HALTED = "symbol_halted"


class Need(StrEnum):
    """What has to be asked for because of a difference."""

    TRADES = "trades"
    MODE = "mode"
    ORDER = "order"
    AGAIN = "again"


class KnownPosition(msgspec.Struct, frozen=True, kw_only=True):
    """A guarded position as our books have it.

    Attributes:
        quantity, entry: as the exchange last reported them.
        heard_ns: when it was last reported. `t_ms`: the exchange's time of that report; 0 where unknown.
        orders: client ids of exits whose outcome is open, slice by slice.
    """

    quantity: Decimal
    entry: Decimal
    heard_ns: int = 0
    t_ms: int = 0
    orders: tuple[str, ...] = ()


class KnownStop(msgspec.Struct, frozen=True, kw_only=True):
    """A hard stop, or one part of a split one: its id, trigger and quantity, and since when it is confirmed.

    One that is not `needed` stands until another has replaced it: whether it is there is nobody's concern.
    """

    client_id: str
    trigger: Decimal
    quantity: Decimal
    confirmed_ns: int
    needed: bool = True


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """What is known here. `ended_ns`: when positions that are flat by now became so; `stops`: all parts."""

    hedge: bool
    instance: str
    positions: Mapping[Key, KnownPosition] = {}
    ended_ns: Mapping[Key, int] = {}
    stops: Mapping[Key, tuple[KnownStop, ...]] = {}


class SeenPosition(msgspec.Struct, frozen=True, kw_only=True):
    """A position row of the exchange's, open ones only. `t_ms`: when it last changed; 0 where unknown."""

    symbol: str
    side: Side
    quantity: Decimal
    entry: Decimal
    t_ms: int = 0


class SeenOrder(msgspec.Struct, frozen=True, kw_only=True):
    """An order that was asked for by its id; `status` is the exchange's, or `absent`."""

    symbol: str
    client_id: str
    status: str
    filled: Decimal = Decimal(0)


class SeenStop(msgspec.Struct, frozen=True, kw_only=True):
    """An open conditional order.

    Attributes:
        status: NEW, TRIGGERING, TRIGGERED …
        instance: the instance in its id; empty where it is none of this system's.
        is_own_epoch: whether its id says that it belongs to the position's open epoch.
    """

    symbol: str
    side: Side
    client_id: str
    status: str
    trigger: Decimal
    quantity: Decimal
    instance: str = ""
    is_own_epoch: bool = False


class SeenResting(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody's resting order that would close a position of ours before our own exit could."""

    symbol: str
    side: Side
    client_id: str
    quantity: Decimal


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """What the exchange answered.

    Attributes:
        asked_ns: when the first question left: no answer is older than that by more than the exchange's lag.
        positions: the open ones. `stops`: open conditional orders of this system's prefix, or None if not asked.
        orders: those that were asked for by id. `resting`: other people's closing orders.
        hedge: the position mode; None if not asked.
        halted, gone: symbols that do not trade now, and symbols that are not listed any more.
    """

    asked_ns: int
    positions: tuple[SeenPosition, ...] = ()
    stops: tuple[SeenStop, ...] | None = None
    orders: tuple[SeenOrder, ...] = ()
    resting: tuple[SeenResting, ...] = ()
    hedge: bool | None = None
    halted: frozenset[str] = frozenset()
    gone: frozenset[str] = frozenset()


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that differs.

    Attributes:
        text: for people. `needs`: what to ask because of it.
        client_id: of the order or stop that it is about.
    """

    kind: Kind
    symbol: str
    side: Side | None
    text: str
    client_id: str = ""
    needs: frozenset[Need] = frozenset()


def diff(known: Known, seen: Snapshot) -> tuple[Difference, ...]:
    """Everything in which the exchange differs from what is known, in a fixed order.

    Args:
        known: our books.
        seen: the exchange's answers.
    """
    found: list[Difference] = []
    if seen.hedge is not None and seen.hedge != known.hedge:
        mode = "hedge" if seen.hedge else "one-way"
        found.append(_new(Kind.MODE_CHANGED, "", None, f"the account is in {mode} mode now"))
    _positions(known, seen, found)
    _orders(known, seen, found)
    if seen.stops is not None:
        _stops(known, seen.stops, seen.asked_ns, found)
    for order in sorted(
        seen.resting, key=lambda order: (order.symbol, order.side, order.client_id)
    ):
        if (order.symbol, order.side) in known.positions:
            what = f"a resting order of {text(order.quantity)} may refuse our close"
            found.append(_new(Kind.BLOCKING_ORDER, order.symbol, order.side, what, order.client_id))
    for symbol, side in sorted(known.positions):
        if symbol in seen.gone:
            found.append(_new(Kind.SYMBOL_GONE, symbol, side, "is not listed any more"))
        elif symbol in seen.halted:
            found.append(_new(Kind.SYMBOL_HALTED, symbol, side, "does not trade now"))
    return tuple(found)


def needs(differences: tuple[Difference, ...]) -> Mapping[Need, frozenset[str]]:
    """What has to be asked for, and of which symbols."""
    wanted: dict[Need, set[str]] = {}
    for difference in differences:
        for need in difference.needs:
            wanted.setdefault(need, set()).add(difference.symbol)
    return {need: frozenset(symbols) for need, symbols in wanted.items()}


def _positions(known: Known, seen: Snapshot, found: list[Difference]) -> None:
    rows: dict[Key, SeenPosition] = {(row.symbol, row.side): row for row in seen.positions}
    hedge = known.hedge if seen.hedge is None else seen.hedge
    for key in sorted({*known.positions, *rows}):
        ours, theirs = known.positions.get(key), rows.get(key)
        symbol, side = key
        if _is_stale(known, key, theirs, seen.asked_ns, hedge=hedge):
            if (theirs and theirs.quantity) != (ours and ours.quantity):
                what = "the answer may be older than what the stream said since"
                found.append(_new(Kind.STALE, symbol, side, what, needs={Need.AGAIN}))
        elif theirs is None:
            assert ours is not None
            flipped = None if hedge else rows.get((symbol, _other(side)))
            if flipped is not None and (symbol, flipped.side) not in known.positions:
                what = f"became {flipped.side} {text(flipped.quantity)}"
                found.append(_new(Kind.FLIPPED, symbol, side, what, needs={Need.TRADES}))
            else:
                what = f"{text(ours.quantity)} was closed"
                wanted = {Need.TRADES}
                if ours.heard_ns > seen.asked_ns - FLAT_LAG_NS:
                    wanted.add(Need.AGAIN)  # Without a fill that says so it is not believed yet.
                found.append(_new(Kind.CLOSED, symbol, side, what, needs=wanted))
        elif ours is not None:
            _sizes(symbol, side, ours, theirs, found)
        elif hedge or (symbol, _other(side)) not in known.positions:
            # In one-way mode the side that it was is told as flipped.
            what = f"{text(theirs.quantity)} @ {text(theirs.entry)} is open, and was not known"
            ended_ns = known.ended_ns.get(key)
            is_doubtful = ended_ns is not None and ended_ns > seen.asked_ns - FLAT_LAG_NS
            again = {Need.AGAIN} if is_doubtful else set()
            found.append(_new(Kind.OPENED, symbol, side, what, needs=again))


def _is_stale(
    known: Known, key: Key, theirs: SeenPosition | None, asked_ns: int, *, hedge: bool
) -> bool:
    """Whether the answer may say what was before what is known.

    Where both carry the exchange's time, that decides. A flat position carries none: there, only what was
    heard well before the question is surely older than the answer.
    """
    symbol, side = key
    ours = known.positions.get(key)
    if theirs is not None and ours is not None and theirs.t_ms and ours.t_ms:
        return theirs.t_ms < ours.t_ms
    heard_ns = 0
    # In one-way mode both sides are one row of the exchange's.
    for name in (side,) if hedge else (side, _other(side)):
        position = known.positions.get((symbol, name))
        ended_ns = known.ended_ns.get((symbol, name), 0)
        heard_ns = max(heard_ns, ended_ns if position is None else position.heard_ns)
    return heard_ns > asked_ns - RACE_NS


def _sizes(
    symbol: str, side: Side, ours: KnownPosition, theirs: SeenPosition, found: list[Difference]
) -> None:
    change = f"from {text(ours.quantity)} to {text(theirs.quantity)}"
    if theirs.quantity > ours.quantity:
        found.append(_new(Kind.GROWN, symbol, side, f"grew {change}", needs={Need.TRADES}))
    elif theirs.quantity < ours.quantity:
        found.append(_new(Kind.REDUCED, symbol, side, f"shrank {change}", needs={Need.TRADES}))
    elif theirs.entry != ours.entry:
        what = f"its entry moved from {text(ours.entry)} to {text(theirs.entry)}"
        found.append(_new(Kind.ENTRY_MOVED, symbol, side, what, needs={Need.TRADES}))


_STATUSES: Mapping[str, Kind] = {
    "FILLED": Kind.ORDER_FILLED,
    "CANCELED": Kind.ORDER_LAPSED,
    "EXPIRED": Kind.ORDER_LAPSED,
    "EXPIRED_IN_MATCH": Kind.ORDER_LAPSED,
    "REJECTED": Kind.ORDER_LAPSED,
    "NEW": Kind.ORDER_WORKING,
    "PARTIALLY_FILLED": Kind.ORDER_WORKING,
    "absent": Kind.ORDER_ABSENT,
}


def _orders(known: Known, seen: Snapshot, found: list[Difference]) -> None:
    told = {order.client_id: order for order in seen.orders}
    for (symbol, side), position in sorted(known.positions.items()):
        for client_id in position.orders:
            order = told.get(client_id)
            kind = Kind.ORDER_UNASKED
            what = "the outcome of an exit of ours is open"
            if order is not None:
                kind = _STATUSES.get(order.status, kind)
                what = f"an exit of ours is {order.status.lower()}, filled {text(order.filled)}"
            wanted = {Need.ORDER} if kind in {Kind.ORDER_UNASKED, Kind.ORDER_ABSENT} else set()
            if kind in {Kind.ORDER_FILLED, Kind.ORDER_LAPSED}:
                wanted = {Need.TRADES}
            found.append(_new(kind, symbol, side, what, client_id, needs=wanted))


def _stops(
    known: Known, stops: tuple[SeenStop, ...], asked_ns: int, found: list[Difference]
) -> None:
    for key in sorted({*known.stops, *((stop.symbol, stop.side) for stop in stops)}):
        symbol, side = key
        mine: list[SeenStop] = []
        for stop in sorted(stops, key=lambda stop: stop.client_id):
            if (stop.symbol, stop.side) != key or not stop.instance:
                continue
            if stop.instance != known.instance:
                what = "a hard stop of another instance stands on this account"
                found.append(_new(Kind.FOREIGN_INSTANCE, symbol, side, what, stop.client_id))
            elif not stop.is_own_epoch or key not in known.positions:
                what = "a hard stop of an epoch that is over stands"
                found.append(_new(Kind.STOP_ORPHANED, symbol, side, what, stop.client_id))
            else:
                mine.append(stop)
        _own_stops(symbol, side, known.stops.get(key, ()), mine, asked_ns, found)


def _own_stops(
    symbol: str,
    side: Side,
    wanted: tuple[KnownStop, ...],
    mine: list[SeenStop],
    asked_ns: int,
    found: list[Difference],
) -> None:
    standing = {stop.client_id: stop for stop in mine}
    for part in wanted:
        stop = standing.pop(part.client_id, None)
        if stop is None:
            if part.needed and part.confirmed_ns <= asked_ns - RACE_NS:
                what = f"the hard stop at {text(part.trigger)} does not stand"
                found.append(
                    _new(Kind.STOP_MISSING, symbol, side, what, part.client_id, needs={Need.AGAIN})
                )
        elif stop.status in {"TRIGGERING", "TRIGGERED"}:
            what = f"the hard stop at {text(stop.trigger)} was triggered"
            found.append(_new(Kind.STOP_TRIGGERED, symbol, side, what, stop.client_id))
        elif stop.trigger != part.trigger or stop.quantity != part.quantity:
            what = (
                f"the hard stop stands at {text(stop.trigger)} for {text(stop.quantity)},"
                f" not at {text(part.trigger)} for {text(part.quantity)}"
            )
            found.append(_new(Kind.STOP_WRONG, symbol, side, what, stop.client_id))
    for stop in standing.values():
        if wanted and stop.status == "NEW":
            what = f"a second hard stop at {text(stop.trigger)} stands"
            found.append(_new(Kind.STOP_DUPLICATED, symbol, side, what, stop.client_id))


def _other(side: Side) -> Side:
    return "SHORT" if side == "LONG" else "LONG"


def _new(
    kind: Kind,
    symbol: str,
    side: Side | None,
    what: str,
    client_id: str = "",
    *,
    needs: set[Need] | None = None,
) -> Difference:
    who = f"{symbol} {side}: " if side is not None else ""
    if kind is Kind.MODE_CHANGED:
        needs = {Need.MODE}
    return Difference(
        kind=kind,
        symbol=symbol,
        side=side,
        text=f"{who}{what}",
        client_id=client_id,
        needs=frozenset(needs or ()),
    )
