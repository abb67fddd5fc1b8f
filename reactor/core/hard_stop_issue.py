"""How the stops of one epoch are numbered, so that no id is used for two and a restart makes the same ones."""

from decimal import Decimal

from reactor.core.hard_stop_leg import Leg, Phase
from reactor.core.hard_stop_legs import Placement
from reactor.core.hard_stop_values import HardStopState, StopIds, WantedStop


class Issue:
    """Numbers placements, and their parts' attempts.

    Attributes:
        number: of the last placement.
    """

    __slots__ = ("_attempts", "_ids", "number")

    def __init__(self, ids: StopIds) -> None:
        self.number = 0
        self._ids = ids
        self._attempts: dict[tuple[int, int], int] = {}

    def placement(self, trigger: Decimal, parts: tuple[Decimal, ...]) -> Placement:
        """The next placement."""
        self.number += 1
        return Placement(self.number, trigger, parts)

    def leg(self, placement: Placement, part: int, wanted: WantedStop, t_ns: int) -> Leg:
        """The next attempt at a part of a placement."""
        attempt = self._attempts.get((placement.number, part), 0)
        self._attempts[placement.number, part] = attempt + 1
        client_id = self._ids.make(
            symbol=wanted.symbol,
            side=wanted.side,
            epoch=wanted.epoch,
            opened_ns=wanted.opened_ns,
            placement=placement.number,
            part=part,
            attempt=attempt,
        )
        return Leg(
            symbol=wanted.symbol,
            side=wanted.side,
            client_id=client_id,
            placement=placement.number,
            part=part,
            attempt=attempt,
            trigger=placement.trigger,
            quantity=placement.parts[part],
            phase=Phase.PLACING,
            t_ns=t_ns,
        )

    def settled(self, placement: Placement) -> None:
        """A placement stands whole: nothing older is attempted again."""
        for key in [key for key in self._attempts if key[0] != placement.number]:
            del self._attempts[key]

    def met(self, number: int) -> None:
        """A placement of this number exists: ids made of lower ones may be taken."""
        self.number = max(self.number, number)

    def restore(self, state: HardStopState) -> None:
        """Goes on from what the journal holds."""
        self.met(state.placement)
        for record in state.stops:
            key = record.placement, record.part
            self._attempts[key] = max(self._attempts.get(key, 0), record.attempt + 1)
