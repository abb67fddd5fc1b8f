"""One socket of a feed, from the dialling of it to its end."""

import abc
import asyncio
from collections.abc import Callable

from reactor.shell.transport.seam import Socket, SocketEnd


class Connection(abc.ABC):
    """What reacts to one socket, and what is known of it. Feeds add `on_message`.

    Args:
        opened_ns: when dialling began.
        on_fault: told what `on_message` raised.

    Attributes:
        socket: None until the handshake is done.
        delivered: messages of data so far (answers to our own questions are none).
        usable: done once it carries what is wanted of it (subscribed, logged on).
        over: done once it is of no use any more, with the reason. The socket may still be open then.
        replace_reason: not empty once another one should take its place.
        is_planned: whether that is the planned rotation.
        is_replaced: whether another one has taken its place.
        delivered_when_asked: `delivered` at the moment at which a replacement was asked for.
        rotate_ns: when it is to be rotated.
        tending: the task that looks after it.
    """

    def __init__(self, *, opened_ns: int, on_fault: Callable[[Exception], None]) -> None:
        loop = asyncio.get_running_loop()
        self.socket: Socket | None = None
        self.opened_ns = opened_ns
        self.rotate_ns = 0
        self.delivered = 0
        self.delivered_when_asked = 0
        self.replace_reason = ""
        self.is_planned = False
        self.is_replaced = False
        self.usable: asyncio.Future[None] = loop.create_future()
        self.over: asyncio.Future[str] = loop.create_future()
        self.tending: asyncio.Task[None] | None = None
        self._on_fault = on_fault

    @property
    def is_live(self) -> bool:
        """Whether it is open and trusted."""
        return self.socket is not None and self.socket.is_open and not self.over.done()

    @abc.abstractmethod
    def on_message(self, message: bytes) -> None:
        """Takes a message, in the read callback."""

    def on_end(self, end: SocketEnd) -> None:
        """The socket is closed."""
        who = "we closed it" if end.by_us else f"closed with {end.code}"
        self.finish(f"{who}: {end.reason}" if end.reason else who)

    def on_fault(self, error: Exception) -> None:
        """`on_message` raised; the socket goes on."""
        self._on_fault(error)

    def send(self, message: bytes) -> bool:
        """Sends at once; False where it is over."""
        return self.socket is not None and self.socket.send(message)

    def ready(self) -> None:
        """It carries what is wanted of it."""
        if not self.usable.done():
            self.usable.set_result(None)

    def finish(self, reason: str) -> None:
        """It is of no use any more."""
        if not self.over.done():
            self.over.set_result(reason)

    def abort(self) -> None:
        """Cuts the socket, if there is one."""
        if self.socket is not None:
            self.socket.abort()
        self.finish("given up")
