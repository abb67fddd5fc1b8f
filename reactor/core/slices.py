"""Exits that were cut into several orders, because one would have been larger than the exchange takes.

The life-cycle knows one exit with one outcome. What becomes of its slices is added up here: nobody knows
while one slice's outcome is unknown, it works while one still works, and it ended as its slices ended.
"""

from decimal import Decimal

import msgspec

from reactor.core.exact import ZERO, add
from reactor.core.lifecycle import Event

EXITS_KEPT = 200
"""Exits whose slices may still be heard of; a refused full close sends four a second."""

_WORKING = {Event.ACCEPTED, Event.FOUND_OPEN}


class _Slice(msgspec.Struct):
    quantity: Decimal
    filled: Decimal = ZERO
    outcome: Event | None = None


class Slices:
    """The slices of recent exits, by the exit's own id."""

    def __init__(self) -> None:
        self._exits: dict[str, dict[str, _Slice]] = {}

    def sent(self, exit_id: str, client_id: str, quantity: Decimal) -> None:
        """Takes a slice that left; the same one again changes nothing.

        Args:
            exit_id: what the exit decision carries.
            client_id: the slice's own.
            quantity: of the slice, in base units.
        """
        slices = self._exits.setdefault(exit_id, {})
        slices.setdefault(client_id, _Slice(quantity))
        if len(self._exits) > EXITS_KEPT:
            del self._exits[next(iter(self._exits))]

    def ids(self, exit_id: str) -> tuple[str, ...]:
        """The client ids of an exit's slices, as far as they are known."""
        return tuple(self._exits.get(exit_id, ()))

    def news(
        self, exit_id: str, client_id: str, event: Event, filled: Decimal
    ) -> tuple[Event, Decimal]:
        """What news of one slice means for its exit.

        Args:
            exit_id: the exit's id.
            client_id: the slice's.
            event: what became of the slice.
            filled: how much of it is filled in all.

        Returns:
            What became of the exit, and how much of it is filled in all.
        """
        slices = self._exits.get(exit_id, {})
        one = slices.get(client_id)
        if one is None or len(slices) == 1:
            return event, filled
        is_over = one.outcome in {Event.FILLED, Event.LAPSED, Event.REJECTED, Event.FOUND_ABSENT}
        if not (is_over and event in {*_WORKING, Event.UNKNOWN}):
            one.outcome = event
        # A slice that is said to be filled is filled whole, whatever quantity the news carried.
        one.filled = max(one.filled, one.quantity if event is Event.FILLED else filled)
        total = ZERO
        for piece in slices.values():
            total = add(total, piece.filled)
        return _together([piece.outcome for piece in slices.values()], filled=bool(total)), total


def _together(outcomes: list[Event | None], *, filled: bool) -> Event:
    told = set(outcomes)
    if Event.UNKNOWN in told:
        return Event.UNKNOWN
    if None in told or told & _WORKING:
        return Event.ACCEPTED
    if told == {Event.FILLED}:
        return Event.FILLED
    if not filled and len(told) == 1:
        (event,) = told
        assert event is not None
        return event
    return Event.LAPSED
