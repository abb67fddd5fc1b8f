"""What the gateway remembers: requests under way, and what became of each exit's sendings so far."""

import asyncio
from typing import Final

from reactor.binance.failures import Reaction
from reactor.core.decisions import Exit, Side
from reactor.shell.gateway.built import Params
from reactor.shell.gateway.escalation import Way

EpochKey = tuple[str, Side, int]
"""Symbol, side and number of an epoch. A position opened anew is another one."""


class Track:
    """One exit decision: its newest sending, and how many sendings in a row filled nothing.

    Attributes:
        exit: the newest sending. `number`: which decision of the epoch it is.
        failures: sendings before it, in a row, that filled nothing; `last`: what the last one ended with.
        filled: whether the newest sending filled anything. `parts`: how many orders it was cut into.
        first_ns, last_ns: when the newest sending's first, and any order, left; 0 before.
        over: whether its epoch has ended, or a full close overtook it: nothing of it leaves any more.
    """

    __slots__ = (
        "exit",
        "failures",
        "filled",
        "first_ns",
        "last",
        "last_ns",
        "over",
        "parts",
    )

    def __init__(self, exit_: Exit) -> None:
        self.exit = exit_
        # After a restart what the earlier sendings ended with is not known: that they did not close it is.
        self.failures = exit_.attempt
        self.last: Reaction | None = None
        self.filled = False
        self.parts: int | None = None
        self.first_ns = 0
        self.last_ns = 0
        self.over = False

    @property
    def key(self) -> EpochKey:
        """Its epoch."""
        return self.exit.symbol, self.exit.side, self.exit.epoch

    def next(self, exit_: Exit) -> None:
        """Takes the next sending of the same decision."""
        # The user stream may tell of fills before the answer does: then the rest is smaller.
        if self.filled or exit_.quantity < self.exit.quantity:
            self.failures, self.last = 0, None
        else:
            self.failures += 1
        self.exit = exit_
        self.filled = False
        self.parts = None
        self.first_ns = 0

    def is_current(self, exit_: Exit) -> bool:
        """Whether this sending is still the newest one of an epoch that goes on."""
        return not self.over and self.exit.order_id == exit_.order_id


class Request:
    """One order request that awaits its answer, or its resending.

    Attributes:
        track, exit: what it belongs to. `params`: the order's. `client_id`: its id.
        identity: the request's id. `sending`: how often it was sent before under this client id.
        way: over what. `sent_ns`: when. `timer`: gives up waiting.
        resends: how often it was sent again, by reaction. `first_ns`: when it was sent first.
        plain: whether it is the market order that the decision alone yields.
    """

    __slots__ = (
        "client_id",
        "exit",
        "first_ns",
        "identity",
        "params",
        "plain",
        "resends",
        "sending",
        "sent_ns",
        "timer",
        "track",
        "way",
    )

    def __init__(self, track: Track, params: Params, *, way: Way, plain: bool) -> None:
        self.track = track
        self.exit = track.exit
        self.params = params
        self.client_id = params["newClientOrderId"]
        self.identity = ""
        self.sending = -1
        self.way: Way = way
        self.plain = plain
        self.sent_ns = 0
        self.first_ns = 0
        self.resends: dict[Reaction, int] = {}
        self.timer: asyncio.TimerHandle | None = None

    @property
    def is_wanted(self) -> bool:
        """Whether the exit that it belongs to is still to be done by it."""
        return self.track.is_current(self.exit)

    def stop_waiting(self) -> None:
        """Its answer is here, or no longer waited for."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None


EPOCHS_MAX: Final = 1000
"""Epochs with exits; each goes when it ends."""

LATE_MAX: Final = 1000
"""Requests without an answer in time, kept for the answer that may still come."""
