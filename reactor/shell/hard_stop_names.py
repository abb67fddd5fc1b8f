"""How hard stops are named: the exchange's id format, given to the keeper, which knows no formats."""

from reactor.binance.orders import (
    client_order_id,
    epoch_hash,
    instance_hash,
    parse_client_order_id,
    position_hash,
)
from reactor.core.decisions import Side
from reactor.core.hard_stop_values import StopName


class HardStopNames:
    """The ids of one instance's hard stops: pure functions of journaled facts."""

    __slots__ = ("_hash", "instance")

    def __init__(self, instance: str) -> None:
        self.instance = instance
        self._hash = instance_hash(instance)

    def make(
        self,
        *,
        symbol: str,
        side: Side,
        epoch: int,
        opened_ns: int,
        placement: int,
        part: int,
        attempt: int,
    ) -> str:
        """The client id of one stop."""
        return client_order_id(
            instance=self.instance,
            symbol=symbol,
            side=side,
            epoch_opened_ns=opened_ns,
            epoch_number=epoch,
            decision=placement,
            part=part,
            attempt=attempt,
            purpose="hard_stop",
        )

    def read(self, client_id: str) -> StopName | None:
        """What an id says; None for every order that is no hard stop of this system."""
        parts = parse_client_order_id(client_id)
        if parts is None or parts.purpose != "hard_stop":
            return None
        return StopName(
            own=parts.instance == self._hash,
            instance=parts.instance,
            placement=parts.decision,
            part=parts.part,
            attempt=parts.attempt,
        )

    def belongs(
        self,
        client_id: str,
        *,
        symbol: str,
        side: Side,
        epoch: int,
        opened_ns: int,
    ) -> bool:
        """Whether an id is of this instance and of this epoch of this position."""
        parts = parse_client_order_id(client_id)
        return (
            parts is not None
            and parts.purpose == "hard_stop"
            and parts.instance == self._hash
            and parts.position == position_hash(symbol, side)
            and parts.epoch_number == epoch
            and parts.epoch == epoch_hash(opened_ns)
        )
