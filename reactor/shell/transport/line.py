"""One connection's life, for every skin the same: farewells, silence, back-pressure, its one end.

A skin adds the wire: it fills in the methods that end in `_wire` and calls `_begin`, `_farewell_came`, `_fail`
and `_lost`.
"""

import asyncio
import contextlib
from abc import ABC, abstractmethod
from typing import Final

from reactor.shell.transport.address import shown
from reactor.shell.transport.seam import SocketEnd, SocketHandler, SocketOptions

OK: Final = 1000
PROTOCOL_ERROR: Final = 1002
NO_CODE: Final = 1005
NO_FAREWELL: Final = 1006
TOO_BIG: Final = 1009

_REASON_BYTES_MAX: Final = 123
"""What a close frame can hold beside its code (RFC 6455 §5.5)."""

_LOOKS: Final = 4
"""How often per ping interval silence is looked for: a ping goes out, and a missing pong is noticed, at most a
quarter of an interval late. It spares the tick path a look at the clock."""


def fitting_reason(reason: str) -> str:
    """The beginning of a reason that a close frame can hold."""
    return reason.encode()[:_REASON_BYTES_MAX].decode(errors="ignore")


class Line(ABC):
    """What a `Socket` is besides its wire. `on_end` is called here and nowhere else.

    Once `abort` was called, or a bound was broken, the handler gets no more messages; after `close` it still
    gets those that come before the peer's farewell (the answer to an order, say).

    Attributes:
        more: as of `Socket`.
    """

    def __init__(self, handler: SocketHandler, options: SocketOptions) -> None:
        self.more = False
        self._handler = handler
        self._on_message = handler.on_message
        self._options = options
        self._loop = asyncio.get_running_loop()
        self._open = False
        self._heard = False
        self._closing = False
        self._end: SocketEnd | None = None
        self._ended = False
        self._look: asyncio.TimerHandle | None = None
        self._cut_timer: asyncio.TimerHandle | None = None
        self._quiet_looks = 0
        self._pong_due_s = 0.0

    # The wire

    @abstractmethod
    def _write_wire(self, message: bytes) -> None:
        """Writes a text message."""

    @abstractmethod
    def _ping_wire(self) -> None:
        """Asks for a sign of life; whatever comes then sets `_heard`."""

    @abstractmethod
    def _close_wire(self, code: int, reason: str) -> None:
        """Writes a farewell. The reason fits."""

    @abstractmethod
    def _cut_wire(self) -> None:
        """Ends the connection at once; `_lost` follows in this or the next turn."""

    @property
    @abstractmethod
    def unsent_bytes(self) -> int:
        """What waits to be sent."""

    @abstractmethod
    def prepare(self, message: bytes) -> None:
        """Makes ready what sending this message will need; nothing is written."""

    # What a Socket does

    @property
    def is_open(self) -> bool:
        """Whether messages can still be sent."""
        return self._open

    def send(self, message: bytes) -> bool:
        """Writes a text message at once; False where the connection is over or was cut by this."""
        if not self._open or not message:
            return False
        self._write_wire(message)
        return self.is_within_bounds()

    def is_within_bounds(self) -> bool:
        """Cuts a connection whose peer does not read; answers whether it is open still. Asked after every write."""
        unsent = self.unsent_bytes
        if unsent > self._options.send_bytes_max:
            self._cut(f"the peer does not read: {unsent} bytes wait to be sent")
        return self._open

    def close(self, *, code: int = OK, reason: str = "") -> None:
        """Says farewell; `on_end` follows within `close_timeout_s`."""
        if not self._open:
            return
        self._open = False
        self._closing = True
        self._close_wire(code, fitting_reason(reason))
        self._cut_later("our farewell was not answered")

    def abort(self) -> None:
        """Cuts the connection; `on_end` follows in the next turn."""
        self._cut("cut by us")

    # What a skin tells

    def _begin(self) -> None:
        """The handshake is done."""
        self._open = True
        if self._options.ping_interval_s is not None:
            self._look_later(self._options.ping_interval_s)

    def _fault(self, error: Exception) -> None:
        """`on_message` raised. What `on_fault` raises is lost: there is nobody left to tell."""
        with contextlib.suppress(Exception):
            self._handler.on_fault(error)

    def _farewell_came(self, code: int, reason: str) -> None:
        """The peer said farewell, first or in answer to ours. What comes after it is not for the handler."""
        self._open = False
        self._mute()
        if self._end is None:
            self._end = SocketEnd(code=code, reason=shown(reason), by_us=self._closing)

    def _fail(self, code: int, reason: str, *, told: bool = False) -> None:
        """The peer broke a rule: say so, then end.

        Args:
            code: to tell the peer.
            reason: a phrase of ours.
            told: the library has said it already.
        """
        if self._end is not None:
            return
        self._end = SocketEnd(code=code, reason=shown(reason), by_us=True)
        self._open = False
        self._mute()
        if not told and not self._closing:
            self._close_wire(code, fitting_reason(reason))
        self._cut_later(reason)

    def _lost(self, cause: str) -> None:
        """The connection is gone: the last word, said once."""
        if self._ended:
            return
        self._ended = True
        self._open = False
        self._mute()
        self._stop_timers()
        end = self._end or SocketEnd(code=NO_FAREWELL, reason=shown(cause), by_us=self._closing)
        try:
            self._handler.on_end(end)
        except Exception as error:  # noqa: BLE001 -- the library has no use for it
            self._fault(error)

    def give_up(self) -> None:
        """The connection was given up before anybody held it: the handler hears nothing any more."""
        self._ended = True
        self._open = False
        self._mute()
        self._stop_timers()

    # Inside

    def _mute(self) -> None:
        self._on_message = _ignore

    def _cut(self, reason: str) -> None:
        if self._ended:
            return
        if self._end is None:
            self._end = SocketEnd(code=NO_FAREWELL, reason=reason, by_us=True)
        self._open = False
        self._mute()
        self._cut_wire()

    def _cut_later(self, reason: str) -> None:
        if self._cut_timer is None:
            self._cut_timer = self._loop.call_later(
                self._options.close_timeout_s, self._cut, reason
            )

    def _look_later(self, interval_s: float) -> None:
        self._look = self._loop.call_later(interval_s / _LOOKS, self._look_for_silence, interval_s)

    def _look_for_silence(self, interval_s: float) -> None:
        now_s = self._loop.time()
        if self._heard:
            self._heard = False
            self._quiet_looks = 0
        else:
            self._quiet_looks += 1
            if self._quiet_looks == _LOOKS:
                self._ping_wire()
                self._pong_due_s = now_s + self._options.ping_timeout_s
            elif self._quiet_looks > _LOOKS and now_s >= self._pong_due_s:
                self._cut(f"half-open: no pong within {self._options.ping_timeout_s:g} s")
                return
        self._look_later(interval_s)

    def _stop_timers(self) -> None:
        for timer in (self._look, self._cut_timer):
            if timer is not None:
                timer.cancel()
        self._look = self._cut_timer = None


def _ignore(message: bytes) -> None:
    """Takes what comes after the end."""
