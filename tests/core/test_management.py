"""A dry run's positions: exits happen in our books alone, and the real ones go on."""

from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from core.story import START_NS, SYMBOL, Story, lines
from reactor.core.account import AccountBook
from reactor.core.decisions import Side
from reactor.core.exact import text
from reactor.core.management import Management, VirtualPositions, everything

D = Decimal
SECOND_NS = 1_000_000_000
# A stop 1 % away, a rung of half at +1 %, harvests out of the way.
HALF = "[stop]\npct = 0.01\n[[targets]]\npct = 0.01\nclose = 0.5\n[[targets]]\npct = 0.5\nclose = 0.5\n"


class DryRun:
    """An account book in a dry run, a second between any two reports."""

    def __init__(self, *, start_ns: int = START_NS, on_adopt: Any = None, **more: Any) -> None:
        self.story = Story(HALF)
        self.story.engine._on_adopt = on_adopt
        self.management = Management(virtual=True, **more)
        self.book = AccountBook(self.story.engine, self.management)
        self.now_ns = start_ns

    def report(
        self, amount: str | int, entry: str | int = 100, *, row: str = "BOTH", **more: Any
    ) -> list[str]:
        self.now_ns += 5 * SECOND_NS
        self.story.now_ns = self.now_ns
        said = self.book.on_report(
            symbol=SYMBOL,
            position_side=row,
            amount=D(amount),
            entry=D(entry) if D(amount) else D(0),
            t_event_ms=self.now_ns // 1_000_000,
            t_ns=self.now_ns,
            **more,
        )
        return lines([*said, *self.book.on_time(self.now_ns)])

    def tick(self, *prices: str | int) -> list[str]:
        return self.story.tick(*prices)

    def held(self, side: Side = "LONG") -> str | None:
        machine = self.story.engine.positions.get((SYMBOL, side))
        return None if machine is None else text(machine.orders.quantity)


def test_a_virtual_close_stays_closed_until_the_real_one_is_flat() -> None:
    dry = DryRun()
    dry.report(10)
    assert dry.tick(100, 99) == ["exit stop_loss 10 @ 99 left 0", "closed stop_loss -10"]
    # The real one is still there, is looked at every minute, and even grows.
    assert dry.report(10, snapshot=True) == []
    assert dry.report(12) == []
    assert dry.report(3) == []
    assert dry.held() is None
    assert dry.report(0) == []
    # Flat: what is opened now is another life.
    assert dry.report(5)[0].startswith("opened LONG 5")


def test_a_virtual_partial_close_is_not_undone_by_a_report() -> None:
    dry = DryRun()
    dry.report(10)
    assert dry.tick(100, 101) == ["exit take_profit 5 @ 101 left 5"]
    assert dry.report(10, snapshot=True) == []
    assert dry.held() == "5"


def test_what_others_add_is_added_to_ours() -> None:
    dry = DryRun()
    dry.report(10)
    dry.tick(100, 101)
    dry.report(14)
    assert dry.held() == "9"


def test_what_others_take_comes_off_what_was_taken_virtually_first() -> None:
    dry = DryRun()
    dry.report(10)
    dry.tick(100, 101)
    dry.report(7)
    assert dry.held() == "5"
    dry.report(4)
    assert dry.held() == "4"


def test_a_real_close_ends_the_virtual_position() -> None:
    dry = DryRun()
    dry.report(10)
    dry.tick(100, 101)
    assert dry.report(0) == []
    assert dry.report(0, snapshot=True) == ["closed external ?"]
    assert dry.held() is None


def test_a_real_flip_ends_one_life_and_begins_another() -> None:
    dry = DryRun()
    dry.report(10)
    dry.tick(100, 101)
    said = dry.report(-4, 101)
    assert said[0] == "closed flip ?"
    assert said[1].startswith("opened SHORT 4 @ 101")
    # And one that was closed virtually: only the new one is there.
    dry.tick("102.5")
    assert dry.held("SHORT") is None
    assert [line.split(" stop")[0] for line in dry.report(6, 102)] == ["opened LONG 6 @ 102"]


def test_in_hedge_mode_the_always_flat_row_of_the_symbol_says_nothing() -> None:
    dry = DryRun()
    dry.report(10, row="LONG")
    dry.report(-3, row="SHORT")
    dry.tick(100, 99)
    assert (dry.held("LONG"), dry.held("SHORT")) == (None, "1.5")
    dry.report(0, row="BOTH")
    assert dry.report(10, row="LONG") == []
    assert dry.held("LONG") is None
    dry.report(0, row="LONG")
    assert dry.report(2, row="LONG")[0].startswith("opened LONG 2")


def test_an_unmanaged_position_is_shown_as_it_is_and_may_become_ours() -> None:
    def small(_symbol: str, _side: Side, quantity: Decimal, entry: Decimal) -> bool:
        return quantity * entry <= 500

    dry = DryRun(manages=small)
    assert dry.report(10) == []
    assert dry.report(8) == []
    assert dry.book.unmanaged[SYMBOL, "LONG"].quantity == 8
    assert dry.book.virtual() == {}
    assert dry.report(5)[0].startswith("opened LONG 5")
    assert dry.book.unmanaged == {}
    # Looked at when its epoch opens: from then on it is ours, whatever its size becomes.
    dry.report(50)
    assert dry.held() == "50"


def test_growth_while_the_first_price_is_awaited_is_not_forgotten() -> None:
    dry = DryRun(on_adopt="from_price")
    assert dry.report(10, snapshot=True) == []
    assert dry.report(13, snapshot=True) == []
    assert [line.split(" stop")[0] for line in dry.tick(100)] == ["opened LONG 13 @ 100"]
    dry.report(14)
    assert dry.held() == "14"


def test_a_position_that_closes_while_its_first_price_is_awaited_never_opens() -> None:
    dry = DryRun(on_adopt="from_price")
    dry.report(10, snapshot=True)
    dry.report(0)
    assert dry.tick(100) == []
    assert dry.book.virtual() == {}


def test_a_restart_knows_what_was_closed_virtually() -> None:
    before = DryRun()
    before.report(10)
    before.tick(100, 99)
    after = DryRun(start_ns=before.now_ns)
    after.book.know_virtual(before.book.virtual())
    assert after.report(10, snapshot=True) == []
    assert after.held() is None
    after.report(0)
    assert after.report(1)[0].startswith("opened LONG 1")


def test_a_live_session_has_no_virtual_sizes() -> None:
    story = Story(HALF)
    book = AccountBook(story.engine)
    book.know_virtual({(SYMBOL, "LONG"): D(3)})
    assert book.virtual() == {}
    assert everything(SYMBOL, "LONG", D(1), D(1))


sizes = st.integers(min_value=1, max_value=20)


@given(sizes, st.lists(st.tuples(st.sampled_from("rtc"), sizes), max_size=20))
def test_a_virtual_position_is_never_larger_than_the_real_one_nor_negative(
    first: int, happens: list[tuple[str, int]]
) -> None:
    """Reports, virtual takes and virtual closes in any order."""
    virtual = VirtualPositions()
    real = D(first)
    held: Decimal | None = virtual.size(SYMBOL, "LONG", real, None)
    assert held == real
    for kind, size in happens:
        if kind == "r":
            real = D(size)
            found = virtual.size(SYMBOL, "LONG", real, held)
            if held is None:
                assert found == 0
            else:
                held = found
        elif kind == "t" and held is not None:
            held = max(held - size, D(0)) or None
        elif kind == "c":
            held = None
        assert held is None or 0 < held <= real
    assert (SYMBOL, "LONG") in virtual
    virtual.forget(SYMBOL, "LONG")
    assert (SYMBOL, "LONG") not in virtual
