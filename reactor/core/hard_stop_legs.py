"""The stops of one epoch that are on their way or stand, and what they cover together."""

from collections.abc import Iterator
from decimal import Decimal

from reactor.core.decisions import Side
from reactor.core.exact import ZERO, add
from reactor.core.hard_stop_leg import Leg, Phase
from reactor.core.hard_stop_levels import is_tighter, total
from reactor.core.hard_stop_values import NEVER_NS

FIRED = frozenset({Phase.TRIGGERING, Phase.TRIGGERED})
UNRESOLVED = frozenset({Phase.PLACING, Phase.UNKNOWN})


class Placement:
    """What was decided to stand: a trigger, and the quantity in parts. Numbered; ids are made of it."""

    __slots__ = ("number", "parts", "quantity", "trigger")

    def __init__(self, number: int, trigger: Decimal, parts: tuple[Decimal, ...]) -> None:
        self.number = number
        self.trigger = trigger
        self.parts = parts
        self.quantity = total(parts)

    def with_leg(self, leg: Leg) -> "Placement":
        """The same with what the exchange says of one of its stops: a looser trigger, another quantity."""
        if leg.placement != self.number or leg.part >= len(self.parts):
            return self
        looser = is_tighter(leg.side, self.trigger, leg.trigger)
        if not looser and leg.quantity == self.parts[leg.part]:
            return self
        parts = (*self.parts[: leg.part], leg.quantity, *self.parts[leg.part + 1 :])
        return Placement(self.number, leg.trigger if looser else self.trigger, parts)


class Legs:
    """The stops by client id."""

    __slots__ = ("_legs",)

    def __init__(self) -> None:
        self._legs: dict[str, Leg] = {}

    def __contains__(self, client_id: str) -> bool:
        """Whether a stop is among them."""
        return client_id in self._legs

    def __iter__(self) -> Iterator[Leg]:
        """The stops as they are now: the set may change meanwhile."""
        return iter(tuple(self._legs.values()))

    def __getitem__(self, client_id: str) -> Leg:
        """One stop that is there."""
        return self._legs[client_id]

    def get(self, client_id: str) -> Leg | None:
        """One stop, None where it is not there."""
        return self._legs.get(client_id)

    def add(self, leg: Leg) -> None:
        """Takes one in."""
        self._legs[leg.client_id] = leg

    def drop(self, leg: Leg) -> None:
        """Forgets one."""
        self._legs.pop(leg.client_id, None)

    def any_in(self, phases: frozenset[Phase]) -> bool:
        """Whether one is in one of these phases."""
        return any(leg.phase in phases for leg in self._legs.values())

    def expire(self, t_ns: int, *, answer_max_ns: int) -> int:
        """Placements without an answer become unknown. Returns when the next one will."""
        due_ns = NEVER_NS
        for leg in self._legs.values():
            if leg.phase is not Phase.PLACING:
                continue
            if t_ns >= leg.since_ns + answer_max_ns:
                leg.ask(t_ns)
            else:
                due_ns = min(due_ns, leg.since_ns + answer_max_ns)
        return due_ns

    def placements(self) -> int:
        """How many placements they belong to."""
        return len({leg.placement for leg in self._legs.values()})

    def is_whole(self, placement: Placement | None) -> bool:
        """Whether every part of a placement is confirmed."""
        if placement is None:
            return False
        standing = {
            leg.part
            for leg in self._legs.values()
            if leg.placement == placement.number and leg.phase is Phase.STANDING
        }
        return len(standing) == len(placement.parts)

    def missing(self, placement: Placement) -> list[int]:
        """The parts of a placement that neither stand nor are on their way."""
        there = {leg.part for leg in self._legs.values() if leg.placement == placement.number}
        return [part for part in range(len(placement.parts)) if part not in there]

    def surplus(self, placement: Placement) -> list[Leg]:
        """What is not needed while a placement stands: older ones, and doubles of its parts."""
        kept: set[int] = set()
        extra: list[Leg] = []
        for leg in sorted(self._legs.values(), key=lambda leg: leg.attempt, reverse=True):
            is_part = leg.placement == placement.number and leg.phase is Phase.STANDING
            if is_part and leg.part not in kept:
                kept.add(leg.part)
            else:
                extra.append(leg)
        return extra

    def newest(self) -> Leg | None:
        """The newest confirmed one, the first part of it where it is split."""
        standing = [leg for leg in self._legs.values() if leg.phase is Phase.STANDING]
        return max(standing, key=lambda leg: (leg.placement, -leg.part), default=None)

    def fired_quantity(self, besides: Leg) -> Decimal:
        """How much the other triggered stops close."""
        quantity = ZERO
        for leg in self._legs.values():
            if leg is not besides and leg.phase in FIRED:
                quantity = add(quantity, leg.quantity)
        return quantity

    def cover(self, side: Side, wanted: Decimal) -> tuple[Decimal | None, Decimal]:
        """What the confirmed ones protect.

        Args:
            side: of the position.
            wanted: its quantity.

        Returns:
            The loosest trigger that is needed to cover it (None: nothing stands), and the sum of all.
        """
        standing = [leg for leg in self._legs.values() if leg.phase is Phase.STANDING]
        standing.sort(key=lambda leg: leg.trigger, reverse=side == "LONG")
        trigger, quantity = None, ZERO
        for leg in standing:
            if quantity < wanted:
                trigger = leg.trigger
            quantity = add(quantity, leg.quantity)
        return trigger, quantity
