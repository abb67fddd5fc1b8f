"""A WebSocket server made of bytes, which can do everything that a proper one would not; and an ear."""

import asyncio
import base64
import contextlib
import hashlib
import re
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable

from reactor.shell.transport.seam import SocketEnd, SocketOptions

TEXT, BINARY, CONTINUATION, CLOSE, PING, PONG = 1, 2, 0, 8, 9, 10
WAIT_S = 15.0
"""Nothing here takes this long on any machine; it only keeps a broken test from hanging."""

QUIET = SocketOptions(connect_timeout_s=10, close_timeout_s=5, ping_interval_s=None)
SECRET = "LiStEnKeY0123456789"
"""What must not be seen."""


def frame(
    opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0, masked: bool = False
) -> bytes:
    first = (0x80 if fin else 0) | rsv << 4 | opcode
    mask = 0x80 if masked else 0
    size = len(payload)
    if size < 126:
        head = bytes((first, mask | size))
    elif size < 65536:
        head = struct.pack("!BBH", first, mask | 126, size)
    else:
        head = struct.pack("!BBQ", first, mask | 127, size)
    return head + (b"\0\0\0\0" if masked else b"") + payload


def farewell(code: int | None, reason: str = "") -> bytes:
    return frame(CLOSE, b"" if code is None else struct.pack("!H", code) + reason.encode())


class Peer:
    """The server's end of one connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.head = b""

    async def read_head(self) -> None:
        self.head = await self.reader.readuntil(b"\r\n\r\n")

    def upgrade(self, extra: bytes = b"") -> bytes:
        key = re.search(rb"(?i)sec-websocket-key: (.*)\r\n", self.head)
        assert key is not None
        digest = hashlib.sha1(key[1] + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
        return (
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + base64.b64encode(digest) + b"\r\n" + extra + b"\r\n"
        )

    async def accept(self) -> None:
        await self.read_head()
        self.send(self.upgrade())

    def send(self, *parts: bytes) -> None:
        self.writer.write(b"".join(parts))

    async def read(self) -> tuple[int, bytes]:
        """The next frame of the client, which must be whole, masked and without reserved bits."""
        first, second = await self.reader.readexactly(2)
        assert first & 0x70 == 0
        assert second & 0x80
        size = second & 0x7F
        if size == 126:
            (size,) = struct.unpack("!H", await self.reader.readexactly(2))
        elif size == 127:
            (size,) = struct.unpack("!Q", await self.reader.readexactly(8))
        mask = await self.reader.readexactly(4)
        payload = await self.reader.readexactly(size)
        return first & 0x0F, bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))

    async def read_close(self) -> tuple[int | None, str]:
        """Reads on until the client's farewell."""
        while True:
            opcode, payload = await self.read()
            if opcode == CLOSE:
                if not payload:
                    return None, ""
                return int.from_bytes(payload[:2], "big"), payload[2:].decode()

    async def gone(self) -> None:
        """Reads until the client's end is closed."""
        with contextlib.suppress(ConnectionError):
            while await self.reader.read(65536):
                pass

    def end_tcp(self) -> None:
        self.writer.close()

    def reset(self) -> None:
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


Script = Callable[[Peer], Awaitable[None]]


@contextlib.asynccontextmanager
async def serving(script: Script, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """A server on loopback that plays a script with each client; what the script raises is raised at the end."""
    playing: set[asyncio.Task[None]] = set()

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await script(Peer(reader, writer))
        finally:
            writer.close()

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        playing.add(asyncio.get_running_loop().create_task(play(reader, writer)))

    server = await asyncio.start_server(begin, "127.0.0.1", 0, ssl=tls)
    port = server.sockets[0].getsockname()[1]
    try:
        yield f"{'wss' if tls else 'ws'}://127.0.0.1:{port}"
        if playing:
            done, _ = await asyncio.wait(playing, timeout=WAIT_S)
            assert len(done) == len(playing), "a script did not come to its end"
            for task in done:
                task.result()
    finally:
        for task in playing:
            task.cancel()
        await asyncio.gather(*playing, return_exceptions=True)
        server.close()


class Ear:
    """A handler that remembers."""

    def __init__(self) -> None:
        self.messages: list[bytes] = []
        self.ends: list[SocketEnd] = []
        self.faults: list[Exception] = []
        self._changed = asyncio.Event()

    def on_message(self, message: bytes) -> None:
        assert type(message) is bytes
        self.messages.append(message)
        self._changed.set()

    def on_end(self, end: SocketEnd) -> None:
        self.ends.append(end)
        self._changed.set()

    def on_fault(self, error: Exception) -> None:
        self.faults.append(error)
        self._changed.set()

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(WAIT_S):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def heard(self, count: int) -> list[bytes]:
        await self.until(lambda: len(self.messages) >= count)
        return self.messages

    async def end(self) -> SocketEnd:
        """The end; some turns are given to a second one that must not come."""
        await self.until(lambda: self.ends)
        for _ in range(5):
            await asyncio.sleep(0)
        (end,) = self.ends
        return end
