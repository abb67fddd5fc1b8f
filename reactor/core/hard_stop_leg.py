"""One stop at the exchange, as far as it is known.

A stop's life here:

    PLACING ──accepted──▶ STANDING ──▶ TRIGGERING ──▶ TRIGGERED ──▶ (the epoch ends)
       │  ▲                  │
       ▼  └────────found─────┴─▶ gone: cancelled, expired, rejected, vanished
    UNKNOWN ──not found twice──▶ lost
"""

from decimal import Decimal
from enum import Enum
from typing import Self

from reactor.core.decisions import Side
from reactor.core.hard_stop_values import SeenStop, StopName, StopRecord

ENDED = frozenset({"FINISHED", "CANCELED", "REJECTED", "EXPIRED"})


class Phase(Enum):
    """Where a stop stands in its life."""

    PLACING = "placing"
    UNKNOWN = "unknown"
    STANDING = "standing"
    TRIGGERING = "triggering"
    TRIGGERED = "triggered"


FIRED_PHASES = {"TRIGGERING": Phase.TRIGGERING, "TRIGGERED": Phase.TRIGGERED}
"""What the exchange calls a stop that fired and has not ended."""


class Leg:
    """One stop. `since_ns` is when its phase began."""

    __slots__ = (
        "absent_ns",
        "algo_id",
        "ask_ns",
        "asks",
        "attempt",
        "client_id",
        "is_listed",
        "is_verified",
        "part",
        "phase",
        "placement",
        "quantity",
        "side",
        "since_ns",
        "symbol",
        "trigger",
    )

    def __init__(
        self,
        *,
        symbol: str,
        side: Side,
        client_id: str,
        placement: int,
        part: int,
        attempt: int,
        trigger: Decimal,
        quantity: Decimal,
        phase: Phase,
        t_ns: int,
        algo_id: int | None = None,
    ) -> None:
        self.symbol = symbol
        self.side: Side = side
        self.client_id = client_id
        self.placement = placement
        self.part = part
        self.attempt = attempt
        self.trigger = trigger
        self.quantity = quantity
        self.phase = phase
        self.since_ns = t_ns
        self.algo_id = algo_id
        self.is_listed = False  # a list of the exchange has shown it
        self.is_verified = False  # it was looked up, or need not be
        self.absent_ns: int | None = None  # when the first of the lists without it was asked for
        self.asks = 0
        self.ask_ns = t_ns

    @classmethod
    def of_record(cls, record: StopRecord, *, symbol: str, side: Side, t_ns: int) -> Self:
        """A stop that the journal speaks of: whether it stands is not known."""
        return cls(
            symbol=symbol,
            side=side,
            client_id=record.client_id,
            placement=record.placement,
            part=record.part,
            attempt=record.attempt,
            trigger=record.trigger,
            quantity=record.quantity,
            phase=Phase.UNKNOWN,
            t_ns=t_ns,
            algo_id=record.algo_id,
        )

    @classmethod
    def of_seen(cls, seen: SeenStop, name: StopName, *, side: Side, t_ns: int) -> Self:
        """A stop that the exchange speaks of, with what its id says."""
        return cls(
            symbol=seen.symbol,
            side=side,
            client_id=seen.client_id,
            placement=name.placement,
            part=name.part,
            attempt=name.attempt,
            trigger=seen.trigger,
            quantity=seen.quantity,
            phase=FIRED_PHASES.get(seen.status, Phase.STANDING),
            t_ns=t_ns,
            algo_id=seen.algo_id,
        )

    def record(self) -> StopRecord:
        """What a restart needs of it."""
        return StopRecord(
            client_id=self.client_id,
            placement=self.placement,
            part=self.part,
            attempt=self.attempt,
            trigger=self.trigger,
            quantity=self.quantity,
            algo_id=self.algo_id,
        )

    def enter(self, phase: Phase, t_ns: int) -> None:
        """Goes to a phase, from when it is another one."""
        if phase is not self.phase:
            self.phase, self.since_ns = phase, t_ns
            self.absent_ns = None

    def ask(self, t_ns: int) -> None:
        """Whether it was placed is not known: it is asked for from now on."""
        self.enter(Phase.UNKNOWN, t_ns)
        self.asks, self.ask_ns = 0, t_ns

    def stands_as(self, seen: SeenStop) -> None:
        """Takes over what the exchange says of it."""
        self.algo_id = seen.algo_id
        if seen.trigger > 0:
            self.trigger = seen.trigger
        if seen.quantity > 0:
            self.quantity = seen.quantity
        self.absent_ns = None
