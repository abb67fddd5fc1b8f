"""Rows: what is put on the loop as it is, and becomes text and numbers only in the writer's thread."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec

from reactor.audit import Decided, Happening, OrderAnswered, OrderSent, PositionSeen
from reactor.core.decisions import Closed, Side, StopMoved
from reactor.core.epoch_state import EpochState, to_json

_ENCODER = msgspec.json.Encoder()
_SECRETS = frozenset({"apiKey", "signature", "listenKey"})

Values = tuple[Any, ...]


class Row(NamedTuple):
    """One statement to be; `encode` makes its values of `arguments`."""

    sql: str
    encode: Callable[..., Values]
    arguments: tuple[Any, ...]


def text(value: Any) -> str:
    """A value as JSON; decimals as their text."""
    return _ENCODER.encode(value).decode()


class Levels(msgspec.Struct, frozen=True, kw_only=True):
    """Where everything of a position stood before a decision, in prices: what `explain` shows.

    Attributes:
        rungs: each one's price (None while it waits for an ATR), the fraction it closes, whether it was
            taken, and the price that is held back.
        next_harvest: the profit step that comes next. `through`: ticks in a row through the stop.
    """

    quantity: Decimal
    initial_quantity: Decimal
    entry: Decimal
    price: Decimal | None
    stop: Decimal
    stop_kind: str
    stop_held: Decimal | None
    through: int
    r: Decimal
    atr: Decimal | None
    level_atr: Decimal | None
    high_volatility: bool
    peak: Decimal | None
    rungs: tuple[tuple[Decimal | None, Decimal, bool, Decimal | None], ...]
    harvests_taken: int
    break_even_due: bool
    time_stop_ns: int | None
    liquidation_price: Decimal | None
    paused: bool
    orders: str


def levels(state: EpochState) -> Levels:
    """A state's levels as prices."""
    stop_price = state.stop_price
    return Levels(
        quantity=state.quantity,
        initial_quantity=state.initial_quantity,
        entry=state.entry,
        price=state.price(state.rules.x),
        stop=stop_price,
        stop_kind=state.stop.kind.value,
        stop_held=state.price(state.stop.held),
        through=state.rules.through,
        r=state.rules.r,
        atr=state.rules.atr,
        level_atr=state.rules.level_atr,
        high_volatility=state.rules.high_volatility,
        peak=state.price(state.peak),
        rungs=tuple(
            (state.price(rung.x), rung.close, rung.taken, state.price(rung.held))
            for rung in state.ladder.rungs
        ),
        harvests_taken=state.ladder.harvests_taken,
        break_even_due=state.break_even.due,
        time_stop_ns=state.rules.time_stop_ns,
        liquidation_price=state.guards.liquidation_price,
        paused=state.rules.paused,
        orders=state.orders.state.value,
    )


# What is written once -----------------------------------------------------------------------------

_DECISION = (
    "INSERT INTO decisions (id, t_ns, symbol, side, epoch, kind, body, levels, seen)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)


def decision(what: Decided, *, before: EpochState | None, seen: PositionSeen | None) -> Row:
    """A decision, with the levels that it was made of."""
    return Row(_DECISION, _decision, (what, before, seen))


def _decision(what: Decided, before: EpochState | None, seen: PositionSeen | None) -> Values:
    decided = what.decision
    kind = type(decided).__struct_config__.tag
    if isinstance(decided, StopMoved):
        # There may be thousands of them a day, and they say all that moved.
        before = seen = None
    return (
        what.id,
        decided.t_ns,
        decided.symbol,
        decided.side,
        decided.epoch,
        kind,
        text(decided),
        None if before is None else text(levels(before)),
        None if seen is None else text(seen),
    )


_ORDER = (
    "INSERT INTO orders (t_ns, symbol, side, order_id, client_id, purpose, over, params, t_event_ns,"
    " t_recv_ns, t_decided_ns, t_sent_ns) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)


def order(what: OrderSent, *, t_ns: int) -> Row:
    """An order request; credentials in its parameters are left out."""
    return Row(_ORDER, _order, (what, t_ns))


def _order(what: OrderSent, t_ns: int) -> Values:
    params = {key: "…" if key in _SECRETS else value for key, value in what.params.items()}
    return (
        t_ns,
        what.symbol,
        what.side,
        what.order_id,
        what.client_id,
        what.purpose,
        what.over,
        text(params),
        what.t_event_ns,
        what.t_recv_ns,
        what.t_decided_ns,
        what.t_sent_ns,
    )


_OUTCOME = (
    "INSERT INTO outcomes (t_ns, symbol, side, client_id, outcome, filled, average_price, code, text)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)


def outcome(what: OrderAnswered, *, t_ns: int) -> Row:
    """What became of an order."""
    return Row(_OUTCOME, _outcome, (what, t_ns))


def _outcome(what: OrderAnswered, t_ns: int) -> Values:
    average = None if what.average_price is None else str(what.average_price)
    return (
        t_ns,
        what.symbol,
        what.side,
        what.client_id,
        what.outcome,
        str(what.filled),
        average,
        what.code,
        what.text,
    )


_HAPPENING = "INSERT INTO happenings (t_ns, kind, symbol, side, body) VALUES (?, ?, ?, ?, ?)"


def happening(what: Happening, *, t_ns: int) -> Row:
    """Anything else that happened."""
    return Row(_HAPPENING, _happening, (what, t_ns))


def _happening(what: Happening, t_ns: int) -> Values:
    symbol, side = getattr(what, "symbol", ""), getattr(what, "side", "")
    return t_ns, type(what).__struct_config__.tag, symbol, side, text(what)


# What is overwritten: the newest of each key counts -----------------------------------------------

_EPOCH = (
    "INSERT INTO epochs (symbol, side, epoch, opened_ns, changed_ns, plan, state)"
    " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (symbol, side, epoch) DO UPDATE SET"
    " opened_ns = excluded.opened_ns, changed_ns = excluded.changed_ns, plan = excluded.plan,"
    " state = excluded.state"
)


def epoch(state: EpochState, *, t_ns: int) -> Row:
    """An open epoch as it stands."""
    return Row(_EPOCH, _epoch, (state, t_ns))


def _epoch(state: EpochState, t_ns: int) -> Values:
    blob = to_json(state).decode()
    name = state.plan.name
    return state.symbol, state.side, state.epoch, state.opened_ns, t_ns, name, blob


_EPOCH_END = (
    "INSERT INTO epochs (symbol, side, epoch, opened_ns, changed_ns, plan, ended_ns, cause, realized,"
    " r_multiple) VALUES (?, ?, ?, 0, ?, '', ?, ?, ?, ?) ON CONFLICT (symbol, side, epoch) DO UPDATE SET"
    " changed_ns = excluded.changed_ns, ended_ns = excluded.ended_ns, cause = excluded.cause,"
    " realized = excluded.realized, r_multiple = excluded.r_multiple"
)


def epoch_end(what: Closed, *, t_ns: int) -> Row:
    """An epoch's end."""
    return Row(_EPOCH_END, _epoch_end, (what, t_ns))


def _epoch_end(what: Closed, t_ns: int) -> Values:
    realized = None if what.realized is None else str(what.realized)
    multiple = None if what.r_multiple is None else str(what.r_multiple)
    reason = what.reason.value
    return what.symbol, what.side, what.epoch, t_ns, what.t_ns, reason, realized, multiple


_HARD_STOP = "INSERT OR REPLACE INTO hard_stops (symbol, side, t_ns, state) VALUES (?, ?, ?, ?)"
_NO_HARD_STOP = "DELETE FROM hard_stops WHERE symbol = ? AND side = ?"


def hard_stop(symbol: str, side: Side, state: Any, *, t_ns: int) -> Row:
    """How the exchange-side stop of a position stands; None where there is none any more."""
    if state is None:
        return Row(_NO_HARD_STOP, _as_they_are, (symbol, side))
    return Row(_HARD_STOP, _hard_stop, (symbol, side, t_ns, state))


def _hard_stop(symbol: str, side: Side, t_ns: int, state: Any) -> Values:
    return symbol, side, t_ns, text(state)


_TRADE = (
    "INSERT INTO trades (symbol, trade_id, t_ms) VALUES (?, ?, ?) ON CONFLICT (symbol) DO UPDATE SET"
    " trade_id = max(trade_id, excluded.trade_id), t_ms = max(t_ms, excluded.t_ms)"
)


def trade(symbol: str, trade_id: int, t_ms: int) -> Row:
    """The last trade of the account that is known."""
    return Row(_TRADE, _as_they_are, (symbol, trade_id, t_ms))


_META = "INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)"
_NO_META = "DELETE FROM meta WHERE key = ?"


def meta(key: str, value: str | None) -> Row:
    """A named text; None takes it away."""
    if value is None:
        return Row(_NO_META, _as_they_are, (key,))
    return Row(_META, _as_they_are, (key, value))


_SAMPLE = (
    "INSERT OR REPLACE INTO samples (symbol, side, minute_ns, epoch, body) VALUES (?, ?, ?, ?, ?)"
)


def sample(symbol: str, side: Side, minute_ns: int, number: int, body: Any) -> Row:
    """A minute's nearest approaches."""
    return Row(_SAMPLE, _sample, (symbol, side, minute_ns, number, body))


def _sample(symbol: str, side: Side, minute_ns: int, number: int, body: Any) -> Values:
    return symbol, side, minute_ns, number, text(body)


def _as_they_are(*arguments: Any) -> Values:
    return arguments
