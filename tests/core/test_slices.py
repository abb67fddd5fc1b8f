"""An exit that was cut into several orders has one outcome: that of all of them together."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reactor.core.lifecycle import Event
from reactor.core.slices import EXITS_KEPT, Slices

D = Decimal
E = Event
OVER = (E.FILLED, E.LAPSED, E.REJECTED, E.FOUND_ABSENT)


def cut(*quantities: str) -> Slices:
    slices = Slices()
    for number, quantity in enumerate(quantities):
        slices.sent("x", f"x{number}", D(quantity))
    return slices


def tell(slices: Slices, *news: tuple[int, Event, str]) -> tuple[Event, str]:
    """The last news' meaning for the exit."""
    found = (E.UNKNOWN, D(-1))
    for number, event, filled in news:
        found = slices.news("x", f"x{number}", event, D(filled))
    return found[0], str(found[1])


@pytest.mark.parametrize(
    ("news", "expected"),
    [
        # Nobody knows while a slice has said nothing, or works.
        ([(0, E.FILLED, "6")], (E.ACCEPTED, "6")),
        ([(0, E.REJECTED, "0")], (E.ACCEPTED, "0")),
        ([(0, E.FILLED, "6"), (1, E.ACCEPTED, "0")], (E.ACCEPTED, "6")),
        ([(0, E.LAPSED, "1"), (1, E.FOUND_OPEN, "2")], (E.ACCEPTED, "3")),
        ([(0, E.ACCEPTED, "0"), (1, E.ACCEPTED, "0")], (E.ACCEPTED, "0")),
        # One that is unknown makes the exit unknown, and is asked about until it is known.
        ([(0, E.UNKNOWN, "0")], (E.UNKNOWN, "0")),
        ([(0, E.FILLED, "6"), (1, E.UNKNOWN, "0")], (E.UNKNOWN, "6")),
        ([(0, E.UNKNOWN, "0"), (1, E.FILLED, "4")], (E.UNKNOWN, "4")),
        ([(0, E.UNKNOWN, "0"), (1, E.FILLED, "4"), (0, E.FOUND_OPEN, "2")], (E.ACCEPTED, "6")),
        ([(0, E.UNKNOWN, "0"), (1, E.FILLED, "4"), (0, E.FOUND_ABSENT, "0")], (E.LAPSED, "4")),
        # All over.
        ([(0, E.FILLED, "6"), (1, E.FILLED, "4")], (E.FILLED, "10")),
        ([(0, E.FILLED, "0"), (1, E.FILLED, "0")], (E.FILLED, "10")),
        ([(0, E.FILLED, "6"), (1, E.LAPSED, "1")], (E.LAPSED, "7")),
        ([(0, E.FILLED, "6"), (1, E.REJECTED, "0")], (E.LAPSED, "6")),
        ([(0, E.LAPSED, "0"), (1, E.LAPSED, "0")], (E.LAPSED, "0")),
        ([(0, E.LAPSED, "2"), (1, E.LAPSED, "1")], (E.LAPSED, "3")),
        ([(0, E.REJECTED, "0"), (1, E.REJECTED, "0")], (E.REJECTED, "0")),
        ([(0, E.FOUND_ABSENT, "0"), (1, E.FOUND_ABSENT, "0")], (E.FOUND_ABSENT, "0")),
        ([(0, E.REJECTED, "0"), (1, E.FOUND_ABSENT, "0")], (E.LAPSED, "0")),
        # Late news: what is over is not open again, and what is filled stays filled.
        ([(0, E.FILLED, "6"), (1, E.FILLED, "4"), (0, E.ACCEPTED, "0")], (E.FILLED, "10")),
        ([(0, E.FILLED, "6"), (1, E.FILLED, "4"), (1, E.UNKNOWN, "0")], (E.FILLED, "10")),
        ([(0, E.LAPSED, "2"), (0, E.ACCEPTED, "1"), (1, E.FILLED, "4")], (E.LAPSED, "6")),
        # The answer says rejected, the stream knew better: the later of two ends stands.
        ([(0, E.FILLED, "6"), (1, E.REJECTED, "0"), (1, E.FILLED, "4")], (E.FILLED, "10")),
    ],
)
def test_what_two_slices_of_six_and_four_add_up_to(
    news: list[tuple[int, Event, str]], expected: tuple[Event, str]
) -> None:
    assert tell(cut("6", "4"), *news) == expected


@pytest.mark.parametrize("event", list(Event))
def test_an_exit_in_one_order_is_as_its_order(event: Event) -> None:
    assert tell(cut("6"), (0, event, "2")) == (event, "2")


def test_orders_that_are_not_known_are_as_they_are() -> None:
    assert Slices().news("x", "x0", E.FILLED, D(1)) == (E.FILLED, D(1))
    assert cut("6", "4").news("x", "x7", E.LAPSED, D(1)) == (E.LAPSED, D(1))


def test_the_same_slice_again_changes_nothing() -> None:
    slices = cut("6", "4")
    tell(slices, (0, E.FILLED, "6"))
    slices.sent("x", "x0", D(6))
    assert slices.ids("x") == ("x0", "x1")
    assert tell(slices, (1, E.FILLED, "4")) == (E.FILLED, "10")
    assert slices.ids("y") == ()


def test_the_oldest_exit_is_forgotten() -> None:
    slices = Slices()
    for number in range(EXITS_KEPT + 1):
        slices.sent(f"x{number}", f"x{number}", D(1))
    assert slices.ids("x0") == ()
    assert slices.ids("x1") == ("x1",)
    assert slices.ids(f"x{EXITS_KEPT}") == (f"x{EXITS_KEPT}",)


@given(st.permutations(range(4)), st.lists(st.sampled_from(OVER), min_size=4, max_size=4))
def test_the_order_in_which_slices_end_does_not_matter(order: list[int], ends: list[Event]) -> None:
    """And the exit ends with the last of them, not before."""
    slices = cut("1", "2", "3", "4")
    for told, number in enumerate(order, 1):
        event = ends[number]
        said, filled = slices.news("x", f"x{number}", event, D(0))
        assert (said is E.ACCEPTED) == (told < 4)
    whole = sum(number + 1 for number in range(4) if ends[number] is E.FILLED)
    assert filled == whole
    if set(ends) == {E.FILLED}:
        assert said is E.FILLED
    elif len(set(ends)) == 1:
        assert said is ends[0]
    else:
        assert said is E.LAPSED
