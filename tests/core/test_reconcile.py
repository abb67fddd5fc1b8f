"""What the exchange says against what is known: one scenario a row, and laws over drawn books."""

import random
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.story import START_NS, plan
from reactor.core.account import AccountBook
from reactor.core.decisions import Side
from reactor.core.engine import Engine
from reactor.core.management import Management
from reactor.core.reconcile import (
    RACE_NS,
    Difference,
    Kind,
    Known,
    KnownPosition,
    KnownStop,
    Need,
    SeenOrder,
    SeenPosition,
    SeenResting,
    SeenStop,
    Snapshot,
    diff,
    needs,
)

D = Decimal
ASKED_NS = START_NS + 3600 * RACE_NS
LONG: tuple[str, Side] = ("BTCUSDT", "LONG")
SHORT: tuple[str, Side] = ("BTCUSDT", "SHORT")


def ours(quantity: str = "2", entry: str = "100", **more: Any) -> KnownPosition:
    return KnownPosition(quantity=D(quantity), entry=D(entry), **more)


def row(
    quantity: str = "2",
    entry: str = "100",
    *,
    side: Side = "LONG",
    symbol: str = "BTCUSDT",
    t_ms: int = 0,
) -> SeenPosition:
    return SeenPosition(symbol=symbol, side=side, quantity=D(quantity), entry=D(entry), t_ms=t_ms)


def known(**more: Any) -> Known:
    return Known(**{"hedge": False, "instance": "me", **more})


def seen(*positions: SeenPosition, **more: Any) -> Snapshot:
    return Snapshot(**{"asked_ns": ASKED_NS, "positions": positions, **more})


def kinds(found: tuple[Difference, ...]) -> list[tuple[Kind, str, Side | None]]:
    return [(one.kind, one.symbol, one.side) for one in found]


# Positions --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "rows", "kind", "says", "needed"),
    [
        ({}, [row()], Kind.OPENED, "2 @ 100 is open", set()),
        ({LONG: ours()}, [row("3", "101")], Kind.GROWN, "grew from 2 to 3", {Need.TRADES}),
        ({LONG: ours()}, [row("1.5")], Kind.REDUCED, "shrank from 2 to 1.5", {Need.TRADES}),
        ({LONG: ours()}, [], Kind.CLOSED, "2 was closed", {Need.TRADES}),
        ({LONG: ours()}, [row("2", "99")], Kind.ENTRY_MOVED, "from 100 to 99", {Need.TRADES}),
        ({LONG: ours()}, [row("1", side="SHORT")], Kind.FLIPPED, "became SHORT 1", {Need.TRADES}),
        ({SHORT: ours()}, [row("1")], Kind.FLIPPED, "became LONG 1", {Need.TRADES}),
    ],
)
def test_what_became_of_a_position(
    before: dict[tuple[str, Side], KnownPosition],
    rows: list[SeenPosition],
    kind: Kind,
    says: str,
    needed: set[Need],
) -> None:
    (one,) = diff(known(positions=before), seen(*rows))
    assert one.kind is kind
    assert says in one.text
    assert one.text.startswith("BTCUSDT ")
    assert one.needs == needed


def test_what_is_the_same_is_no_difference() -> None:
    assert diff(known(positions={LONG: ours("2.0", "1E+2")}), seen(row())) == ()


def test_in_hedge_mode_a_side_that_closes_and_one_that_opens_are_no_flip() -> None:
    found = diff(known(hedge=True, positions={LONG: ours()}), seen(row("1", side="SHORT")))
    assert kinds(found) == [(Kind.CLOSED, *LONG), (Kind.OPENED, *SHORT)]


def test_in_hedge_mode_a_side_that_closed_beside_its_open_twin_is_closed() -> None:
    books = {LONG: ours(), SHORT: ours("5")}
    found = diff(known(hedge=True, positions=books), seen(row("5", side="SHORT")))
    assert kinds(found) == [(Kind.CLOSED, *LONG)]


def test_a_mode_that_changed_says_how_rows_are_read() -> None:
    """Known as one-way with a LONG; the account is in hedge mode now and holds a SHORT."""
    found = diff(known(positions={LONG: ours()}), seen(row("1", side="SHORT"), hedge=True))
    assert kinds(found) == [
        (Kind.MODE_CHANGED, "", None),
        (Kind.CLOSED, *LONG),
        (Kind.OPENED, *SHORT),
    ]
    assert found[0].needs == {Need.MODE}
    assert "hedge mode" in found[0].text
    (back,) = diff(known(hedge=True), seen(hedge=False))
    assert "one-way mode" in back.text


# Which of the two is older ----------------------------------------------------------------------------


@pytest.mark.parametrize("quantity", ["1", "3"])
def test_what_was_heard_since_the_question_stands(quantity: str) -> None:
    heard = ours(heard_ns=ASKED_NS - RACE_NS + 1)
    (one,) = diff(known(positions={LONG: heard}), seen(row(quantity)))
    assert one.kind is Kind.STALE
    assert one.needs == {Need.AGAIN}


def test_what_was_heard_well_before_the_question_does_not() -> None:
    heard = ours(heard_ns=ASKED_NS - RACE_NS)
    assert kinds(diff(known(positions={LONG: heard}), seen(row("1")))) == [(Kind.REDUCED, *LONG)]


def test_a_position_just_heard_of_is_not_closed_by_an_answer_without_it() -> None:
    heard = ours(heard_ns=ASKED_NS)
    assert kinds(diff(known(positions={LONG: heard}), seen())) == [(Kind.STALE, *LONG)]


def test_a_position_that_just_ended_is_not_opened_by_an_older_answer() -> None:
    gone = known(ended_ns={LONG: ASKED_NS - RACE_NS // 2})
    assert kinds(diff(gone, seen(row()))) == [(Kind.STALE, *LONG)]
    assert kinds(diff(known(ended_ns={LONG: 1}), seen(row()))) == [(Kind.OPENED, *LONG)]


def test_in_one_way_mode_both_sides_are_one_row_and_go_stale_together() -> None:
    flipped = known(positions={SHORT: ours(heard_ns=ASKED_NS)})
    assert kinds(diff(flipped, seen(row()))) == [(Kind.STALE, *LONG), (Kind.STALE, *SHORT)]
    hedged = known(hedge=True, positions={SHORT: ours(heard_ns=ASKED_NS)})
    assert kinds(diff(hedged, seen(row()))) == [(Kind.OPENED, *LONG), (Kind.STALE, *SHORT)]


def test_what_agrees_is_not_stale_however_young() -> None:
    assert diff(known(positions={LONG: ours(heard_ns=ASKED_NS)}), seen(row())) == ()


@pytest.mark.parametrize(
    ("t_ms", "kind"), [(4999, Kind.STALE), (5000, Kind.REDUCED), (5001, Kind.REDUCED)]
)
@pytest.mark.parametrize("heard_ns", [ASKED_NS, 1])
def test_where_both_carry_the_exchanges_time_that_decides(
    t_ms: int, kind: Kind, heard_ns: int
) -> None:
    heard = ours(heard_ns=heard_ns, t_ms=5000)
    found = diff(known(positions={LONG: heard}), seen(row("1", t_ms=t_ms)))
    assert kinds(found) == [(kind, *LONG)]


# Our orders -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "kind", "needed"),
    [
        ("FILLED", Kind.ORDER_FILLED, {Need.TRADES}),
        ("CANCELED", Kind.ORDER_LAPSED, {Need.TRADES}),
        ("EXPIRED", Kind.ORDER_LAPSED, {Need.TRADES}),
        ("EXPIRED_IN_MATCH", Kind.ORDER_LAPSED, {Need.TRADES}),
        ("REJECTED", Kind.ORDER_LAPSED, {Need.TRADES}),
        ("NEW", Kind.ORDER_WORKING, set()),
        ("PARTIALLY_FILLED", Kind.ORDER_WORKING, set()),
        ("absent", Kind.ORDER_ABSENT, {Need.ORDER}),
        ("SOMETHING_NEW", Kind.ORDER_UNASKED, {Need.ORDER}),
    ],
)
def test_what_became_of_an_exit_while_nobody_listened(
    status: str, kind: Kind, needed: set[Need]
) -> None:
    order = SeenOrder(symbol="BTCUSDT", client_id="exit", status=status, filled=D("0.5"))
    (one,) = diff(known(positions={LONG: ours(orders=("exit",))}), seen(row(), orders=(order,)))
    assert (one.kind, one.client_id) == (kind, "exit")
    assert one.needs == needed
    assert status.lower() in one.text
    assert "filled 0.5" in one.text


def test_an_exit_that_nobody_asked_for_is_to_be_asked_for() -> None:
    (one,) = diff(known(positions={LONG: ours(orders=("exit",))}), seen(row()))
    assert one.kind is Kind.ORDER_UNASKED
    assert one.needs == {Need.ORDER}


def test_every_slice_of_an_exit_is_told_apart() -> None:
    orders = tuple(
        SeenOrder(symbol="BTCUSDT", client_id=name, status=status)
        for name, status in (("b", "NEW"), ("a", "FILLED"))
    )
    found = diff(known(positions={LONG: ours(orders=("a", "b"))}), seen(row(), orders=orders))
    assert [(one.kind, one.client_id) for one in found] == [
        (Kind.ORDER_FILLED, "a"),
        (Kind.ORDER_WORKING, "b"),
    ]


# Hard stops -------------------------------------------------------------------------------------------


def stop(client_id: str = "s0", trigger: str = "90", quantity: str = "2", **more: Any) -> SeenStop:
    fields: dict[str, Any] = {
        "symbol": "BTCUSDT",
        "side": "LONG",
        "client_id": client_id,
        "status": "NEW",
        "trigger": D(trigger),
        "quantity": D(quantity),
        "instance": "me",
        "is_own_epoch": True,
    }
    return SeenStop(**{**fields, **more})


def part(client_id: str = "s0", trigger: str = "90", quantity: str = "2", **more: Any) -> KnownStop:
    return KnownStop(
        **{
            "client_id": client_id,
            "trigger": D(trigger),
            "quantity": D(quantity),
            "confirmed_ns": 1,
            **more,
        }
    )


ONE = (part(),)
SPLIT = (part("s0", quantity="1.5"), part("s1", quantity="0.5"))


@pytest.mark.parametrize(
    ("wanted", "stops", "expected"),
    [
        (ONE, [stop()], []),
        (ONE, [], [(Kind.STOP_MISSING, "s0")]),
        (ONE, [stop(), stop("s9")], [(Kind.STOP_DUPLICATED, "s9")]),
        (ONE, [stop("s9")], [(Kind.STOP_MISSING, "s0"), (Kind.STOP_DUPLICATED, "s9")]),
        (ONE, [stop(), stop("s9", status="TRIGGERED")], []),
        (ONE, [stop(status="TRIGGERING")], [(Kind.STOP_TRIGGERED, "s0")]),
        (ONE, [stop(status="TRIGGERED")], [(Kind.STOP_TRIGGERED, "s0")]),
        (ONE, [stop(trigger="89")], [(Kind.STOP_WRONG, "s0")]),
        (ONE, [stop(quantity="1")], [(Kind.STOP_WRONG, "s0")]),
        (SPLIT, [stop("s1", quantity="0.5"), stop("s0", quantity="1.5")], []),
        (SPLIT, [stop("s0", quantity="1.5")], [(Kind.STOP_MISSING, "s1")]),
        (ONE, [stop(), stop("x", is_own_epoch=False)], [(Kind.STOP_ORPHANED, "x")]),
        (ONE, [stop(), stop("x", instance="other")], [(Kind.FOREIGN_INSTANCE, "x")]),
        (ONE, [stop(), stop("theirs", instance="")], []),
        ((part(), part("old", needed=False)), [stop()], []),
        ((part(), part("old", needed=False)), [stop(), stop("old")], []),
        ((part("new", needed=False),), [stop("new")], []),
        # What was confirmed since the question cannot be in its answer.
        ((part(confirmed_ns=ASKED_NS),), [], []),
        # Not known to stand, but of this epoch: whoever keeps the stops takes it over.
        ((), [stop()], []),
    ],
)
def test_the_hard_stops_of_a_position(
    wanted: tuple[KnownStop, ...], stops: list[SeenStop], expected: list[tuple[Kind, str]]
) -> None:
    books = known(positions={LONG: ours()}, stops={LONG: wanted} if wanted else {})
    found = diff(books, seen(row(), stops=tuple(stops)))
    assert [(one.kind, one.client_id) for one in found] == expected
    assert needs(found).get(Need.AGAIN, frozenset()) == (
        {"BTCUSDT"} if any(kind is Kind.STOP_MISSING for kind, _ in expected) else set()
    )


def test_stops_that_were_not_asked_for_are_not_missing() -> None:
    assert diff(known(positions={LONG: ours()}, stops={LONG: ONE}), seen(row())) == ()


def test_a_stop_of_a_position_that_is_not_there_is_an_orphan() -> None:
    found = diff(known(), seen(stops=(stop(side="SHORT"),)))
    assert kinds(found) == [(Kind.STOP_ORPHANED, *SHORT)]


# Other people's orders, and the contract --------------------------------------------------------------


def test_a_resting_order_that_closes_a_position_of_ours_may_refuse_our_close() -> None:
    resting = tuple(
        SeenResting(symbol="BTCUSDT", side=side, client_id="web", quantity=D(1))
        for side in ("LONG", "SHORT")
    )
    (one,) = diff(known(positions={LONG: ours()}), seen(row(), resting=resting))
    assert (one.kind, one.client_id) == (Kind.BLOCKING_ORDER, "web")


@pytest.mark.parametrize(
    ("more", "kind"),
    [
        ({"halted": frozenset({"BTCUSDT"})}, Kind.SYMBOL_HALTED),
        ({"gone": frozenset({"BTCUSDT"})}, Kind.SYMBOL_GONE),
        (
            {"gone": frozenset({"BTCUSDT"}), "halted": frozenset({"BTCUSDT"})},
            Kind.SYMBOL_GONE,
        ),
    ],
)
def test_a_contract_that_does_not_trade_is_told_of_its_positions(
    more: dict[str, Any], kind: Kind
) -> None:
    assert kinds(diff(known(positions={LONG: ours()}), seen(row(), **more))) == [(kind, *LONG)]
    assert diff(known(), seen(**more)) == ()


def test_needs_are_gathered_by_symbol() -> None:
    books = {LONG: ours(), ("ETHUSDT", "LONG"): ours()}
    found = diff(known(positions=books), seen())
    assert needs(found) == {Need.TRADES: {"BTCUSDT", "ETHUSDT"}}
    assert needs(()) == {}


# Laws -------------------------------------------------------------------------------------------------

SIDES: tuple[Side, Side] = ("LONG", "SHORT")
SYMBOLS = ("BTCUSDT", "ETHUSDT", "XRPUSDT")
amounts = st.integers(min_value=-3, max_value=3)
one_way = st.dictionaries(st.sampled_from(SYMBOLS), amounts)
sizes = st.tuples(st.integers(0, 3), st.integers(0, 3))
hedged = st.dictionaries(st.sampled_from(SYMBOLS), sizes)


def rows_of(book: dict[str, int] | dict[str, tuple[int, int]], entry: int) -> list[SeenPosition]:
    rows: list[SeenPosition] = []
    for symbol, amount in book.items():
        pair = amount if isinstance(amount, tuple) else (max(amount, 0), max(-amount, 0))
        for side, size in zip(SIDES, pair, strict=True):
            if size:
                rows.append(row(str(size), str(entry), side=side, symbol=symbol))
    return rows


class Books:
    """An account book, told of positions as a live session tells it, and asked as the reconciler asks it."""

    def __init__(self, *, hedge: bool) -> None:
        mine = plan("[stop]\npct = 0.5\n")
        self.engine = Engine(plan_for=lambda _symbol, _side: mine, on_adopt="from_price")
        self.book = AccountBook(self.engine, Management(reported=True))
        self.hedge = hedge

    def take(self, rows: list[SeenPosition], t_ns: int) -> None:
        listed: set[tuple[str, str]] = set()
        for one in rows:
            position_side = one.side if self.hedge else "BOTH"
            listed.add((one.symbol, position_side))
            self.book.on_report(
                symbol=one.symbol,
                position_side=position_side,
                amount=one.quantity if one.side == "LONG" else -one.quantity,
                entry=one.entry,
                t_event_ms=one.t_ms or None,
                t_ns=t_ns,
                snapshot=True,
                asked_ns=t_ns,
            )
        self.book.on_snapshot_end(None, listed=listed, t_ns=t_ns, asked_ns=t_ns)

    def known(self) -> Known:
        return known(
            hedge=self.hedge,
            positions={
                key: KnownPosition(
                    quantity=one.quantity, entry=one.entry, heard_ns=one.heard_ns, t_ms=one.t_ms
                )
                for key, one in self.book.reported().items()
            },
            ended_ns=self.book.ended_ns,
        )


@given(
    st.booleans().flatmap(
        lambda hedge: st.tuples(st.just(hedge), *[hedged if hedge else one_way] * 2)
    )
)
def test_a_snapshot_that_was_applied_leaves_no_difference(drawn: tuple[bool, Any, Any]) -> None:
    hedge, first, second = drawn
    books = Books(hedge=hedge)
    for number, (book, entry) in enumerate(((first, 100), (second, 101)), 1):
        rows = rows_of(book, entry)
        t_ns = START_NS + number * 60 * RACE_NS
        asked = Snapshot(asked_ns=t_ns, positions=tuple(rows))
        before = diff(books.known(), asked)
        assert bool(before) == (state(books) != state_of(rows))
        books.take(rows, t_ns)
        assert diff(books.known(), asked) == ()
        assert state(books) == state_of(rows)
        # Heard again by an overlapping socket, or asked again: nothing changes.
        epochs = books.engine.epochs
        books.take(rows, t_ns + 1)
        assert books.engine.epochs == epochs


def state(books: Books) -> dict[tuple[str, Side], tuple[Decimal, Decimal]]:
    return {key: (one.quantity, one.entry) for key, one in books.book.reported().items()}


def state_of(rows: list[SeenPosition]) -> dict[tuple[str, Side], tuple[Decimal, Decimal]]:
    return {(one.symbol, one.side): (one.quantity, one.entry) for one in rows}


@given(one_way, one_way, st.integers(), st.lists(st.sampled_from("abcdef"), unique=True))
def test_the_order_of_rows_does_not_matter(
    mine: dict[str, int], theirs: dict[str, int], seed: int, names: list[str]
) -> None:
    books = known(
        positions={(one.symbol, one.side): ours(str(one.quantity)) for one in rows_of(mine, 100)},
        stops={LONG: tuple(part(name) for name in names[::2])},
    )
    rows = rows_of(theirs, 100)
    stops = [stop(name, trigger=str(90 + ord(name) % 2)) for name in names]
    resting = [
        SeenResting(symbol="BTCUSDT", side="LONG", client_id=name, quantity=D(1)) for name in names
    ]
    plain = diff(books, seen(*rows, stops=tuple(stops), resting=tuple(resting)))
    mixed = random.Random(seed)
    for some in (rows, stops, resting):
        mixed.shuffle(some)
    assert diff(books, seen(*rows, stops=tuple(stops), resting=tuple(resting))) == plain
