"""What every skin must do, over real sockets, against a peer that does what no proper server would."""

import asyncio
import gc
import os
import select
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import msgspec
import pytest
import uvloop
from raw_peer import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    QUIET,
    TEXT,
    WAIT_S,
    Ear,
    Peer,
    farewell,
    frame,
    serving,
)

from reactor.shell.transport.picows_skin import PicowsTransport
from reactor.shell.transport.seam import SocketEnd, SocketOptions, Transport
from reactor.shell.transport.websockets_skin import WebsocketsTransport


@pytest.fixture(params=[PicowsTransport, WebsocketsTransport], ids=["picows", "websockets"])
def transport(request: pytest.FixtureRequest) -> Transport:
    made: Transport = request.param()
    return made


@pytest.fixture
async def quiet() -> AsyncIterator[None]:
    """Nothing complains in the end, not even a future that nobody has asked."""
    heard: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: heard.append(context))
    yield
    await asyncio.sleep(0.02)  # picows' own timers, of 10 ms, hold what could complain
    gc.collect()
    assert heard == []


def with_(**changes: Any) -> SocketOptions:
    return msgspec.structs.replace(QUIET, **changes)


def peek(peer: Peer) -> int:
    """How much has reached a peer, without giving the loop a turn."""
    number = os.dup(peer.writer.get_extra_info("socket").fileno())
    with socket.socket(fileno=number) as end:
        select.select([end], [], [], WAIT_S)
        return len(end.recv(100, socket.MSG_PEEK))


# Messages -----------------------------------------------------------------------------------------


async def test_messages_of_every_size_arrive_whole(transport: Transport) -> None:
    sent = [b"x" * size for size in (0, 1, 125, 126, 127, 65535, 65536, 300_000)]

    async def script(peer: Peer) -> None:
        await peer.accept()
        for message in sent:
            peer.send(frame(TEXT, message), frame(BINARY, message))
        await peer.gone()

    ear = Ear()
    async with serving(script) as url:
        line = await transport.connect(url, ear, options=QUIET)
        assert await ear.heard(2 * len(sent)) == [one for one in sent for _ in range(2)]
        line.abort()


async def test_what_comes_with_the_handshake_is_delivered(transport: Transport) -> None:
    async def script(peer: Peer) -> None:
        await peer.read_head()
        peer.send(peer.upgrade(), frame(TEXT, b"first"), frame(TEXT, b"second")[:3])
        await peer.read()
        peer.send(frame(TEXT, b"second")[3:])
        await peer.gone()

    ear = Ear()
    async with serving(script) as url:
        line = await transport.connect(url, ear, options=QUIET)
        await ear.heard(1)
        line.send(b"more")
        assert await ear.heard(2) == [b"first", b"second"]
        line.abort()


async def test_fragments_are_joined_and_pings_between_them_answered(transport: Transport) -> None:
    pongs = []

    async def script(peer: Peer) -> None:
        await peer.accept()
        peer.send(
            frame(TEXT, b"one ", fin=False),
            frame(PING, b"between"),
            frame(CONTINUATION, b"two ", fin=False),
            frame(CONTINUATION, b"", fin=False),
            frame(PONG, b"nobody asked"),
            frame(CONTINUATION, b"three"),
            frame(TEXT, b"next"),
        )
        pongs.append(await peer.read())
        await peer.gone()

    ear = Ear()
    async with serving(script) as url:
        line = await transport.connect(url, ear, options=QUIET)
        assert await ear.heard(2) == [b"one two three", b"next"]
        line.abort()
    assert pongs == [(PONG, b"between")]


async def test_a_frame_that_comes_byte_by_byte_is_one_message(transport: Transport) -> None:
    async def script(peer: Peer) -> None:
        await peer.accept()
        for byte in frame(TEXT, b"y" * 130):
            peer.send(bytes((byte,)))
            await asyncio.sleep(0)
        await peer.gone()

    ear = Ear()
    async with serving(script) as url:
        line = await transport.connect(url, ear, options=QUIET)
        assert await ear.heard(1) == [b"y" * 130]
        line.abort()


@pytest.mark.usefixtures("quiet")
async def test_a_message_at_the_limit_arrives_and_one_beyond_ends_it(transport: Transport) -> None:
    closes = []

    async def script(peer: Peer) -> None:
        await peer.accept()
        peer.send(
            frame(TEXT, b"z" * 1000),
            frame(TEXT, b"z" * 600, fin=False),
            frame(CONTINUATION, b"z" * 400),
        )
        assert (await peer.read())[1] == b"now"
        peer.send(frame(TEXT, b"z" * 1001)[:100])
        closes.append(await peer.read_close())
        peer.send(frame(TEXT, b"z" * 1001)[100:], frame(TEXT, b"never"))
        peer.end_tcp()

    ear = Ear()
    async with serving(script) as url:
        line = await transport.connect(url, ear, options=with_(message_bytes_max=1000))
        await ear.heard(2)
        line.send(b"now")
        end = await ear.end()
    assert ear.messages == [b"z" * 1000] * 2
    assert (end.code, end.by_us) == (1009, True)
    assert closes[0][0] == 1009


async def test_fragments_beyond_the_limit_end_it_while_joining(transport: Transport) -> None:
    closes = []

    async def script(peer: Peer) -> None:
        await peer.accept()
        peer.send(frame(TEXT, b"z" * 600, fin=False), frame(CONTINUATION, b"z" * 401, fin=False))
        closes.append(await peer.read_close())
        peer.send(farewell(1009))
        await peer.gone()

    ear = Ear()
    async with serving(script) as url:
        await transport.connect(
            url, ear, options=with_(message_bytes_max=1000, close_timeout_s=0.2)
        )
        end = await ear.end()
    assert ear.messages == []
    assert (end.code, end.by_us) == (1009, True)
    assert closes[0][0] == 1009


@pytest.mark.usefixtures("quiet")
async def test_nothing_is_said_to_have_left_once_a_broken_rule_was_answered(
    transport: Transport,
) -> None:
    heard: list[tuple[int, bytes]] = []
    answered = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.accept()
        peer.send(frame(TEXT, b"first"))
        assert (await peer.read())[1] == b"break it"
        peer.send(frame(3, b"no such opcode"))
        heard.append(await peer.read())
        answered.set()
        peer.end_tcp()

    ear = Ear()
    async with serving(script) as url:
        line = await transport.connect(url, ear, options=QUIET)
        await ear.heard(1)
        line.send(b"break it")
        await answered.wait()
        # The farewell is with the peer; the connection may still be there.
        assert not line.send(b"order")
        assert not line.is_open
        end = await ear.end()
    assert [opcode for opcode, _ in heard] == [CLOSE]
    assert end.code == 1002


async def test_a_sent_message_is_on_the_wire_before_the_turn_is_over(transport: Transport) -> None:
    peers: list[Peer] = []

    async def script(peer: Peer) -> None:
        await peer.accept()
        peers.append(peer)
        assert (await peer.read())[1] == b"ready"
        peer.send(frame(TEXT, b"go"))
        assert await peer.read() == (TEXT, b"order")
        assert await peer.read() == (TEXT, b"o" * 70_000)
        peer.send(farewell(1000))
        await peer.gone()

    on_wire: list[int] = []

    class Sender(Ear):
        def on_message(self, message: bytes) -> None:
            assert not line.send(b"")
            line.prepare(b"never")  # nothing is written
            line.prepare(b"order")
            assert line.send(b"order")
            with socket.socket(
                fileno=os.dup(peers[0].writer.get_extra_info("socket").fileno())
            ) as end:
                end.setblocking(True)
                on_wire.append(len(end.recv(100, socket.MSG_PEEK)))
            super().on_message(message)

    ear = Sender()
    async with serving(script) as url:
        line = await transport.connect(url, ear, options=QUIET)
        line.send(b"ready")
        await ear.heard(1)
        assert on_wire == [2 + 4 + len(b"order")]
        assert line.send(b"o" * 70_000)
        await ear.end()


# Handlers -----------------------------------------------------------------------------------------


@pytest.mark.usefixtures("quiet")
async def test_what_a_handler_raises_is_a_fault_and_nothing_else(transport: Transport) -> None:
    async def script(peer: Peer) -> None:
        await peer.accept()
        peer.send(
            frame(TEXT, b"bad"),
            frame(BINARY, b"bad"),
            frame(TEXT, b"ba", fin=False),
            frame(CONTINUATION, b"d"),
            frame(TEXT, b"good"),
        )
        await peer.gone()

    class Clumsy(Ear):
        def on_message(self, message: bytes) -> None:
            if message == b"bad":
                raise KeyError(len(self.faults))
            super().on_message(message)

        def on_fault(self, error: Exception) -> None:
            super().on_fault(error)
            raise RuntimeError

        def on_end(self, end: SocketEnd) -> None:
            super().on_end(end)
            raise ValueError("at the end")

    ear = Clumsy()
    async with serving(script) as url:
        line = await transport.connect(url, ear, options=QUIET)
        assert await ear.heard(1) == [b"good"]
        assert [str(fault) for fault in ear.faults] == ["0", "1", "2"]
        assert line.is_open
        line.abort()
        await ear.end()
    assert isinstance(ear.faults[-1], ValueError)


@pytest.mark.parametrize("how", ["close", "abort"])
async def test_a_handler_may_end_the_connection(transport: Transport, how: str) -> None:
    async def script(peer: Peer) -> None:
        await peer.accept()
        assert (await peer.read())[1] == b"ready"
        peer.send(frame(TEXT, b"1"), frame(TEXT, b"2"), frame(TEXT, b"3"))
        if how == "close":
            assert (await peer.read_close())[0] == 1000
            peer.send(frame(TEXT, b"4"), farewell(1000))
        await peer.gone()

    class Ender(Ear):
        def on_message(self, message: bytes) -> None:
            super().on_message(message)
            if len(self.messages) == 1:
                line.close() if how == "close" else line.abort()
                assert not line.is_open
                assert not line.send(b"too late")

    ear = Ender()
    async with serving(script) as url:
        line = await transport.connect(url, ear, options=QUIET)
        line.send(b"ready")
        end = await ear.end()
    assert end.by_us
    if how == "close":
        # What the peer said before it read our farewell, an order's answer say, is still wanted.
        assert (ear.messages, end.code) == ([b"1", b"2", b"3", b"4"], 1000)
    else:
        assert (ear.messages, end.code) == ([b"1"], 1006)


# Ends ---------------------------------------------------------------------------------------------


async def test_our_farewell_is_said_once_and_answered(transport: Transport) -> None:
    closes = []

    async def script(peer: Peer) -> None:
        await peer.accept()
        closes.append(await peer.read_close())
        peer.send(farewell(1000))
        await peer.gone()

    ear = Ear()
    async with serving(script) as url:
        line = await transport.connect(url, ear, options=QUIET)
        was_open = line.is_open
        line.close(code=1001, reason="ü" * 100)
        line.close()
        assert not line.is_open
        assert not line.send(b"late")
        end = await ear.end()
        line.close()
        line.abort()
        await ear.end()
    assert was_open
    assert closes == [(1001, "ü" * 61)]
    assert (end.code, end.by_us) == (1000, True)
    assert line.unsent_bytes == 0


async def test_an_unanswered_farewell_ends_in_a_cut(transport: Transport) -> None:
    async def script(peer: Peer) -> None:
        await peer.accept()
        await peer.gone()

    ear = Ear()
    async with serving(script) as url:
        line = await transport.connect(url, ear, options=with_(close_timeout_s=0.05))
        line.close()
        end = await ear.end()
    assert (end.code, end.by_us) == (1006, True)
    assert "not answered" in end.reason


@pytest.mark.parametrize(
    ("code", "reason", "answered"),
    [
        (1000, "bye", 1000),
        (1001, "", 1001),
        (1008, "disconnected", 1008),
        (1012, "", 1012),
        (4001, "own code", 4001),
        (None, "", None),
    ],
)
async def test_the_peers_farewell_is_answered_and_told(
    transport: Transport, code: int | None, reason: str, answered: int | None
) -> None:
    closes = []

    async def script(peer: Peer) -> None:
        await peer.accept()
        peer.send(frame(TEXT, b"last"), farewell(code, reason), frame(TEXT, b"after the end"))
        closes.append(await peer.read_close())
        await peer.gone()  # it is not the peer who ends TCP

    ear = Ear()
    async with serving(script) as url:
        line = await transport.connect(url, ear, options=QUIET)
        end = await ear.end()
        assert not line.is_open
    assert end == SocketEnd(code=code or 1005, reason=reason, by_us=False)
    assert ear.messages == [b"last"]
    assert closes[0][0] in {answered, answered or 1000}


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("how", ["end_tcp", "reset"])
async def test_a_connection_lost_without_farewell(transport: Transport, how: str) -> None:
    async def script(peer: Peer) -> None:
        await peer.accept()
        assert (await peer.read())[1] == b"ready"
        getattr(peer, how)()

    ear = Ear()
    async with serving(script) as url:
        line = await transport.connect(url, ear, options=QUIET)
        line.send(b"ready")
        end = await ear.end()
        assert not line.is_open
        assert not line.send(b"x")
    assert (end.code, end.by_us) == (1006, False)


async def test_a_reason_cannot_smuggle_keys_or_lines(transport: Transport) -> None:
    async def script(peer: Peer) -> None:
        await peer.accept()
        peer.send(farewell(1008, "listenKey=abc123\nnext " + "k" * 64))
        await peer.gone()

    ear = Ear()
    async with serving(script) as url:
        await transport.connect(url, ear, options=QUIET)
        end = await ear.end()
    assert "abc123" not in end.reason
    assert "k" * 24 not in end.reason
    assert "\n" not in end.reason


BAD = {
    "masked": frame(TEXT, b"x", masked=True),
    "reserved opcode": frame(3, b"x"),
    "compressed": frame(TEXT, b"x", rsv=4),
    "reserved bit 2": frame(TEXT, b"x", rsv=2),
    "reserved bit 3": frame(BINARY, b"x", rsv=1),
    "ping in fragments": frame(PING, b"x", fin=False),
    "ping too long": frame(PING, b"x" * 126),
    "continuation of nothing": frame(CONTINUATION, b"x"),
    "message inside a message": frame(TEXT, b"x", fin=False) + frame(TEXT, b"y"),
    "farewell with a forbidden code": farewell(1005),
    "farewell with half a code": frame(CLOSE, b"\x03"),
}


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("name", BAD)
async def test_a_peer_that_breaks_the_protocol_is_told_and_left(
    transport: Transport, name: str
) -> None:
    closes = []

    async def script(peer: Peer) -> None:
        await peer.accept()
        peer.send(frame(TEXT, b"good"), BAD[name], frame(TEXT, b"never"))
        closes.append(await peer.read_close())
        peer.end_tcp()

    ear = Ear()
    async with serving(script) as url:
        line = await transport.connect(url, ear, options=QUIET)
        end = await ear.end()
        assert not line.is_open
    assert (end.code, end.by_us) == (1002, True)
    assert end.reason
    assert ear.messages == [b"good"]
    assert closes[0][0] == 1002


# Silence and slowness -----------------------------------------------------------------------------


async def test_a_half_open_connection_is_found_and_cut(transport: Transport) -> None:
    pings = []

    async def script(peer: Peer) -> None:
        await peer.accept()
        pings.append(await peer.read())
        await peer.gone()

    ear = Ear()
    async with serving(script) as url:
        await transport.connect(url, ear, options=with_(ping_interval_s=0.04, ping_timeout_s=0.05))
        end = await ear.end()
    assert (end.code, end.by_us) == (1006, True)
    assert "half-open" in end.reason
    assert pings[0][0] == PING


async def test_a_quiet_peer_that_answers_pings_is_kept(transport: Transport) -> None:
    async def script(peer: Peer) -> None:
        await peer.accept()
        for _ in range(3):
            opcode, payload = await peer.read()
            assert opcode == PING
            peer.send(frame(PONG, payload))
        peer.send(frame(TEXT, b"still here"))
        await peer.gone()

    ear = Ear()
    async with serving(script) as url:
        line = await transport.connect(
            url, ear, options=with_(ping_interval_s=0.02, ping_timeout_s=10)
        )
        assert await ear.heard(1) == [b"still here"]
        assert line.is_open
        line.abort()


async def test_a_peer_that_does_not_read_is_cut(transport: Transport) -> None:
    ended = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.accept()
        peer.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await ended.wait()

    ear = Ear()
    async with serving(script) as url:
        line = await transport.connect(url, ear, options=with_(send_bytes_max=200_000))
        sent = 0
        while line.send(b"m" * 50_000):
            sent += 1
            assert sent < 10_000
            await asyncio.sleep(0)
        assert not line.is_open
        end = await ear.end()
        ended.set()
    assert (end.code, end.by_us) == (1006, True)
    assert "does not read" in end.reason


async def test_abort_is_told_once(transport: Transport) -> None:
    async def script(peer: Peer) -> None:
        await peer.accept()
        await peer.gone()

    ear = Ear()
    async with serving(script) as url:
        line = await transport.connect(url, ear, options=QUIET)
        line.abort()
        line.abort()
        line.close()
        assert not line.is_open
        end = await ear.end()
    assert (end.code, end.by_us) == (1006, True)


# Both loops ---------------------------------------------------------------------------------------


KEY_TESTS: list[Callable[[Transport], Coroutine[Any, Any, None]]] = [
    test_messages_of_every_size_arrive_whole,
    test_what_comes_with_the_handshake_is_delivered,
    test_fragments_are_joined_and_pings_between_them_answered,
    test_fragments_beyond_the_limit_end_it_while_joining,
    test_what_a_handler_raises_is_a_fault_and_nothing_else,
    test_our_farewell_is_said_once_and_answered,
    test_an_unanswered_farewell_ends_in_a_cut,
    test_a_half_open_connection_is_found_and_cut,
    test_a_peer_that_does_not_read_is_cut,
    test_abort_is_told_once,
]


@pytest.mark.parametrize("scenario", KEY_TESTS)
def test_the_same_on_uvloop(
    transport: Transport, scenario: Callable[[Transport], Coroutine[Any, Any, None]]
) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(scenario(transport))
