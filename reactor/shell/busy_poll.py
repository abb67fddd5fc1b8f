"""Looks for prices without sleeping, for those who pay for a processor, and keeps warm what an order leaves by.

While nothing comes a spinning loop runs the same few lines of code again and again, and what sends an order goes cold, in
this process and in the kernel. So a ready order is practised between two looks now and then, and a letter as long as an
order goes through the kernel's TCP from this process to itself. `reactor bench latency --cases warm,busy` shows its worth.
"""

import asyncio
import contextlib
import socket
import time
from collections.abc import Callable
from typing import Final

WARMED_EVERY_NS: Final = 200_000
LETTER: Final = b"x" * 512
"""As long as an order's frame."""


class BusyPoll:
    """Keeps the loop from sleeping: something is always due, so it only looks who is ready."""

    def __init__(self, loop: asyncio.AbstractEventLoop, practise: Callable[[], None]) -> None:
        """Begins.

        Args:
            loop: that never sleeps from now on.
            practise: practises an order that lies ready.
        """
        self._loop = loop
        self._practise = practise
        self._mine, self._theirs = _pair()
        self._warmed_ns = 0
        self._handle = loop.call_soon(self._turn)

    def _turn(self) -> None:
        self._handle = self._loop.call_soon(self._turn)
        now_ns = time.monotonic_ns()
        if now_ns >= self._warmed_ns:
            self._warmed_ns = now_ns + WARMED_EVERY_NS
            self._practise()
            with contextlib.suppress(OSError):  # it is for nothing but the way there
                self._mine.send(LETTER)
                self._theirs.recv(len(LETTER))

    def end(self) -> None:
        """Lets the loop sleep again."""
        self._handle.cancel()
        self._mine.close()
        self._theirs.close()


def _pair() -> tuple[socket.socket, socket.socket]:
    """Two ends of a TCP connection over loopback, which never wait."""
    with socket.create_server(("127.0.0.1", 0), backlog=1) as server:
        mine = socket.create_connection(server.getsockname())
        theirs, _ = server.accept()
    for end in (mine, theirs):
        end.setblocking(False)
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return mine, theirs
