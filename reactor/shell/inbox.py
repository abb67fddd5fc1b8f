"""Where everything that comes from outside goes in: synchronous, so that an order leaves in the same turn.

Whoever listens (feeds, REST, the order socket, operators) hands over what it heard, whole and in the order
in which it came. The other side decodes, decides, sends, and only then records.
"""

from typing import Literal, Protocol

import msgspec

from reactor.core.decisions import Side
from reactor.shell.rest_seam import RestAnswer

StreamRoute = Literal["market", "public"]
LinkName = Literal["market", "public", "private", "order", "rest", "process"]
LinkState = Literal["up", "down", "silent", "source", "ended", "gap"]
GapStep = Literal["blind", "read", "walk"]
CommandName = Literal[
    "close", "close_stop", "set_stop", "pause", "resume", "outcome", "adopt", "ignore", "policy"
]


class Link(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A change of what is connected, as a tape's `link` line has it.

    Attributes:
        state: up, down, silent (connected and mute), source (a symbol's prices come from elsewhere now),
            ended (the process, in order: until then its timers fired), or gap (what was missed is found out).
        stream: which socket; `route` numbers are not told, a replay has no sockets.
        reason: why, in a phrase without credentials.
        symbol: whose source changed; `source`: to `stream` or `rest`.
        gap: whether ticks or events may have been missed.
        step: of the state `gap`, for a symbol and the price `source` mark, last or book: `blind` (its prices stopped
            coming), `read` (the answers that follow are of the gap), `walk` (that was all). With `walk`: the gap
            is `from_ms` to `to_ms` of exchange time, whose clock is `ahead_ms` ahead of ours, and `approximate`
            says that what was read is coarser than the ticks that were missed.
    """

    state: LinkState
    stream: LinkName
    reason: str = ""
    symbol: str = ""
    source: str = ""
    gap: bool = False
    step: GapStep | Literal[""] = ""
    from_ms: int = 0
    to_ms: int = 0
    ahead_ms: int = 0
    approximate: bool = False


class Command(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an operator, or this process itself, tells the engine, as a tape's `control` line has it.

    Attributes:
        command: `close` (by hand), `close_stop` (the exchange's own stop failed or would trigger at once: close
            with the stop's reason), `set_stop`, `pause`, `resume`, `outcome` (what became of an order, as far
            as this process knows without the exchange's word), `adopt`, `ignore`, `policy`.
        price: of `set_stop`, a decimal text.
        order_id, event, filled: of `outcome`; `event` is a value of `core.lifecycle.Event`.
        by: who: `operator`, `hard_stop`, `gateway`, `reconcile` …
    """

    command: CommandName
    symbol: str
    side: Side
    price: str = ""
    order_id: str = ""
    event: str = ""
    filled: str = ""
    by: str = ""


class Inbox(Protocol):
    """The one way in. Nothing here raises for what the exchange sent."""

    def market(self, route: StreamRoute, message: bytes, more: bool = False) -> None:
        """Takes a frame of a market or public socket, in its read callback; `more` of the same read follow."""
        ...

    def private(self, message: bytes) -> None:
        """Takes a frame of the user-data socket."""
        ...

    def order_sent(self, message: bytes) -> None:
        """Takes an order request as it left, whole (the recorder redacts it).

        Over the WebSocket API the frame itself; over REST
        `{"id":…,"method":"POST","path":"/fapi/v1/order","params":{…}}`.
        """
        ...

    def order_answer(self, message: bytes) -> None:
        """Takes an order's answer: a WebSocket-API frame, or REST's in the same form.

        `{"id":…,"status":200,"result":{…}}` or `{"id":…,"status":400,"error":{"code":…,"msg":…}}`.
        """
        ...

    def rest(self, answer: RestAnswer) -> None:
        """Takes a REST answer at the moment at which it is to count."""
        ...

    def link(self, link: Link) -> None:
        """Takes a socket's change of state."""
        ...

    def command(self, command: Command) -> None:
        """Takes a command."""
        ...
