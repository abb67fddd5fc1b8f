"""Opening a connection: what is asked, what is refused and how that reads, proxies, TLS, giving up."""

import asyncio
import base64
import datetime as dt
import ipaddress
import logging
import socket
import ssl
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from raw_peer import QUIET, SECRET, TEXT, WAIT_S, Ear, Peer, farewell, frame, serving

from reactor.errors import ConfigError, ConnectFailed
from reactor.shell.transport import choose
from reactor.shell.transport.address import read_address
from reactor.shell.transport.dial import open_tcp
from reactor.shell.transport.picows_skin import PicowsTransport
from reactor.shell.transport.seam import SocketOptions, Transport
from reactor.shell.transport.websockets_skin import WebsocketsTransport

TARGET = f"/private/ws/{SECRET}?events=ORDER_TRADE_UPDATE&listenKey={SECRET}"


@pytest.fixture(params=[PicowsTransport, WebsocketsTransport], ids=["picows", "websockets"])
def transport(request: pytest.FixtureRequest) -> Transport:
    made: Transport = request.param()
    return made


def with_(**changes: Any) -> SocketOptions:
    return msgspec.structs.replace(QUIET, **changes)


async def refused(transport: Transport, url: str, options: SocketOptions = QUIET) -> str:
    """The message of a connection that cannot be made; the handler has heard nothing."""
    ear = Ear()
    with pytest.raises(ConnectFailed) as failure:
        await transport.connect(url + TARGET, ear, options=options)
    for _ in range(5):
        await asyncio.sleep(0)
    assert (ear.messages, ear.ends, ear.faults) == ([], [], [])
    text = str(failure.value)
    assert SECRET not in text
    assert "private" not in text
    assert "\n" not in text
    return text


async def accept_and_leave(peer: Peer) -> None:
    await peer.accept()
    peer.send(frame(TEXT, b"hello"), farewell(1000))
    await peer.gone()


async def test_what_is_asked_for(transport: Transport) -> None:
    heads = []

    async def script(peer: Peer) -> None:
        await peer.accept()
        heads.append(peer.head.decode())
        peer.send(farewell(1000))
        await peer.gone()

    ear = Ear()
    async with serving(script) as url:
        await transport.connect(url + TARGET, ear, options=QUIET)
        await ear.end()
    head = heads[0].lower()
    assert heads[0].startswith(f"GET {TARGET} HTTP/1.1\r\n")
    assert f"host: {url.removeprefix('ws://')}\r\n" in head
    assert "extensions" not in head
    assert "protocol" not in head


# Refusals -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", "HTTP 400 Bad Request"),
        (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", "HTTP 403 Forbidden"),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno", "HTTP 404 Not Found"),
        (b"HTTP/1.1 429 Slow\r\nContent-Length: 0\r\n\r\n", "HTTP 429 Too Many Requests"),
        (b"HTTP/1.1 503 x\r\nContent-Length: 0\r\n\r\n", "HTTP 503 Service Unavailable"),
        (b"HTTP/1.1 599 x\r\nContent-Length: 0\r\n\r\n", "HTTP 599"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "HTTP 200 OK"),
        (
            b"HTTP/1.1 302 Found\r\nLocation: ws://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
            "HTTP 302 Found",
        ),
        (b"what?\r\n\r\n", "does not speak HTTP"),
        (
            (
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Accept: wrong\r\n\r\n"
            ),
            "answered the upgrade wrongly",
        ),
        (b"", "ended before the handshake was done"),
    ],
)
async def test_a_refusal_is_named(transport: Transport, answer: bytes, said: str) -> None:
    async def script(peer: Peer) -> None:
        await peer.read_head()
        peer.send(answer)
        if not answer:
            peer.end_tcp()
        await peer.gone()

    async with serving(script) as url:
        text = await refused(transport, url)
    assert said in text
    assert text.startswith(f"cannot connect to {url.removeprefix('ws://')}: ")


async def test_an_extension_that_was_not_asked_for_is_refused(transport: Transport) -> None:
    async def script(peer: Peer) -> None:
        await peer.read_head()
        peer.send(peer.upgrade(b"Sec-WebSocket-Extensions: permessage-deflate\r\n"))
        await peer.gone()

    async with serving(script) as url:
        assert "an extension that was not asked for" in await refused(transport, url)


async def test_nobody_listens(transport: Transport) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        text = await refused(transport, f"ws://127.0.0.1:{port}")
    assert text == f"cannot connect to 127.0.0.1:{port}: Connection refused"


async def test_a_name_that_does_not_resolve(
    transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def lost(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", lost)
    text = await refused(transport, "wss://fstream.example")
    assert text == "cannot connect to fstream.example:443: its name cannot be resolved"


@pytest.mark.parametrize("after_head", [False, True])
async def test_an_answer_that_does_not_come_in_time(transport: Transport, after_head: bool) -> None:
    async def script(peer: Peer) -> None:
        if after_head:
            await peer.read_head()
            peer.send(b"HTTP/1.1 101 Switching")
        await peer.gone()

    async with serving(script) as url:
        text = await refused(transport, url, with_(connect_timeout_s=0.1))
    assert text.endswith("no answer within 0.1 s")


@pytest.mark.parametrize(
    "url",
    [
        f"http://127.0.0.1/{SECRET}",
        f"127.0.0.1/{SECRET}",
        f"ws:///{SECRET}",
        f"ws://127.0.0.1:99999/{SECRET}",
        f"ws://user:{SECRET}@127.0.0.1/",
        f"ws://127.0.0.1/a b\r\n{SECRET}",
        f"ws://127.0.0.1/#{SECRET}",
    ],
)
async def test_what_is_no_address_is_not_quoted(transport: Transport, url: str) -> None:
    with pytest.raises(ConnectFailed, match="is no ws:// or wss:// URL") as failure:
        await transport.connect(url, Ear(), options=QUIET)
    assert SECRET not in str(failure.value)


# Giving up ----------------------------------------------------------------------------------------


async def cancel_while_connecting(transport: Transport, *, tls: bool, upgraded: bool) -> None:
    reached = asyncio.Event()
    gone = asyncio.Event()

    async def keep(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = Peer(reader, writer)
        await reader.read(1)
        if upgraded:
            peer.head = b"G" + await reader.readuntil(b"\r\n\r\n")
            peer.send(peer.upgrade()[:-2])
        reached.set()
        await peer.gone()
        gone.set()
        writer.close()

    server = await asyncio.start_server(keep, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    ear = Ear()
    url = f"{'wss' if tls else 'ws'}://127.0.0.1:{port}/"
    connecting = asyncio.ensure_future(transport.connect(url, ear, options=QUIET))
    async with asyncio.timeout(WAIT_S):
        await reached.wait()
        connecting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await connecting
        await gone.wait()
    server.close()
    assert (ear.messages, ear.ends) == ([], [])


@pytest.mark.parametrize(
    ("tls", "upgraded"), [(False, False), (False, True), (True, False)], ids=str
)
async def test_giving_up_leaves_nothing_open(
    transport: Transport, tls: bool, upgraded: bool
) -> None:
    await cancel_while_connecting(transport, tls=tls, upgraded=upgraded)


@pytest.mark.parametrize("tls", [False, True])
def test_giving_up_on_uvloop(transport: Transport, tls: bool) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(cancel_while_connecting(transport, tls=tls, upgraded=False))


# Proxies ------------------------------------------------------------------------------------------


async def test_the_environments_proxy_is_not_used(
    transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "ws_proxy", "wss_proxy", "socks_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
        monkeypatch.setenv(name.upper(), "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    ear = Ear()
    async with serving(accept_and_leave) as url:
        await transport.connect(url, ear, options=QUIET)
        await ear.end()
    assert ear.messages == [b"hello"]


async def join(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
    writer.close()


async def through(peer: Peer, host: str, port: int) -> None:
    reader, writer = await asyncio.open_connection(host, port)
    await asyncio.gather(join(reader, peer.writer), join(peer.reader, writer))


async def http_proxy(peer: Peer) -> None:
    await peer.read_head()
    method, target, _ = peer.head.split(b"\r\n")[0].decode().split()
    assert method == "CONNECT"
    assert SECRET.encode() not in peer.head
    assert base64.b64encode(b"user:word") in peer.head
    host, port = target.rsplit(":", 1)
    peer.send(b"HTTP/1.1 200 OK\r\n\r\n")
    await through(peer, host, int(port))


async def socks5_proxy(peer: Peer) -> None:
    _, count = await peer.reader.readexactly(2)
    await peer.reader.readexactly(count)
    peer.send(b"\x05\x02")
    _, length = await peer.reader.readexactly(2)
    assert await peer.reader.readexactly(length) == b"user"
    (length,) = await peer.reader.readexactly(1)
    assert await peer.reader.readexactly(length) == b"word"
    peer.send(b"\x01\x00")
    _, _, _, kind = await peer.reader.readexactly(4)
    assert kind == 1
    host = socket.inet_ntoa(await peer.reader.readexactly(4))
    port = int.from_bytes(await peer.reader.readexactly(2), "big")
    peer.send(b"\x05\x00\x00\x01\0\0\0\0\0\0")
    await through(peer, host, port)


PROXIES = {"http": http_proxy, "socks5": socks5_proxy}


@pytest.mark.parametrize("scheme", PROXIES)
@pytest.mark.parametrize("tls", [False, True])
async def test_a_proxy_that_was_named_is_used(
    transport: Transport, scheme: str, tls: bool, tmp_path: Path
) -> None:
    served, trusted = contexts(tmp_path) if tls else (None, None)
    ear = Ear()
    async with (
        serving(PROXIES[scheme]) as proxy,
        serving(accept_and_leave, tls=served) as url,
    ):
        named = proxy.replace("ws://", f"{scheme}://user:word@")
        await transport.connect(url + TARGET, ear, options=with_(proxy=named, tls=trusted))
        assert (await ear.end()).code == 1000
    assert ear.messages == [b"hello"]


async def test_a_proxys_refusal_is_named_without_its_password(transport: Transport) -> None:
    async def script(peer: Peer) -> None:
        await peer.read_head()
        peer.send(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
        await peer.gone()

    async with serving(script) as url:
        proxy = url.replace("ws://", "http://user:hunter2@")
        text = await refused(transport, "wss://fstream.example", with_(proxy=proxy))
    shown = url.replace("ws://", "http://")
    assert text.startswith(f"cannot connect to fstream.example:443 through {shown}: 407 ")
    assert "hunter2" not in text


@pytest.mark.parametrize(
    "proxy", ["socks4://127.0.0.1:1", "http://", "127.0.0.1:8080", "http://h:port", "http://h"]
)
async def test_a_proxy_that_cannot_be_used_is_refused(transport: Transport, proxy: str) -> None:
    text = await refused(transport, "ws://127.0.0.1:1", with_(proxy=proxy))
    assert "must be http://host:port or socks5://host:port" in text


async def test_a_dead_proxy(transport: Transport) -> None:
    text = await refused(transport, "ws://h.example", with_(proxy="socks5://127.0.0.1:1"))
    assert text.startswith("cannot connect to h.example:80 through socks5://127.0.0.1:1: ")


# TLS ----------------------------------------------------------------------------------------------


def contexts(folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's context with a certificate of its own for 127.0.0.1, and a client's that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    path = folder / "server.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + pem
    )
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    served.load_cert_chain(path)
    return served, ssl.create_default_context(cadata=pem.decode())


async def test_tls_with_a_trusted_certificate(transport: Transport, tmp_path: Path) -> None:
    served, trusted = contexts(tmp_path)

    async def script(peer: Peer) -> None:
        await peer.accept()
        assert await peer.read() == (TEXT, b"q" * 100_000)
        peer.send(frame(TEXT, b"r" * 100_000), farewell(1000))
        await peer.gone()

    ear = Ear()
    async with serving(script, tls=served) as url:
        line = await transport.connect(url, ear, options=with_(tls=trusted))
        assert line.send(b"q" * 100_000)
        end = await ear.end()
    assert end.code == 1000
    assert ear.messages == [b"r" * 100_000]


async def test_tls_with_a_certificate_that_nobody_trusts(
    transport: Transport, tmp_path: Path
) -> None:
    served, _ = contexts(tmp_path)
    server = await asyncio.start_server(lambda _r, w: w.close(), "127.0.0.1", 0, ssl=served)
    port = server.sockets[0].getsockname()[1]
    text = await refused(transport, f"wss://127.0.0.1:{port}")
    server.close()
    assert f"127.0.0.1:{port}: its certificate is not trusted" in text


async def test_tls_where_there_is_none(transport: Transport) -> None:
    async def script(peer: Peer) -> None:
        await peer.reader.read(10)
        peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await peer.gone()

    async with serving(script) as url:
        text = await refused(transport, url.replace("ws:", "wss:"))
    assert ": no TLS" in text


# The rest -----------------------------------------------------------------------------------------


async def test_nothing_with_a_key_is_ever_logged(
    transport: Transport, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(1)
    for name in ("picows", "picows.client", "websockets", "websockets.client", "asyncio"):
        logging.getLogger(name).setLevel(1)
    asyncio.get_running_loop().set_debug(True)

    async def script(peer: Peer) -> None:
        await peer.accept()
        peer.send(frame(TEXT, SECRET.encode()), frame(3))
        await peer.gone()

    ear = Ear()
    async with serving(script) as url:
        await transport.connect(url + TARGET, ear, options=with_(close_timeout_s=0.05))
        await ear.end()
    assert SECRET not in caplog.text
    assert not [one for one in caplog.records if one.name.startswith(("picows", "websockets"))]


async def test_nagle_is_off() -> None:
    async with serving(lambda peer: peer.gone()) as url:
        sock = await open_tcp(read_address(url), QUIET)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert not sock.getblocking()
        sock.close()


def test_a_skin_is_chosen_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("picows", "websockets"):
        made, reason = choose.create_transport(name)
        assert (made.name, reason) == (name, None)
    with pytest.raises(ConfigError, match="choose picows or websockets"):
        choose.create_transport("carrier pigeon")
    monkeypatch.setitem(sys.modules, "reactor.shell.transport.picows_skin", None)
    made, reason = choose.create_transport("picows")
    assert made.name == "websockets"
    assert reason is not None
    assert "websockets is used instead" in reason
