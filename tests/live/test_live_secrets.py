"""Nothing that a session leaves behind holds a key, a secret, a signature or a listen key."""

import asyncio
import os
import re
import signal
import sys
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote

import aiohttp
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from served import Exchange, Guarded, guard, served

from reactor.shell.tape_reader import open_tape
from reactor.sim.exchange import Settings
from reactor.sim.model import Credential

KEY = "unmistakableApiKey" + "Kk7" * 15
SECRET = "unmistakableSecret" + "Sx9" * 15


async def whole_session(exchange: Exchange, folder: Path, secret: str) -> list[Guarded]:
    """Everything that signs, in an exchange that misbehaves; killed once, and ended in order at last."""
    options = ("--record", "--include", "*", "--plan", "challenge_100")
    more = {"REACTOR_LOG_LEVEL": "debug"}
    first = await guard(folder, exchange, *options, key=KEY, secret=secret, **more)
    await first.until(b"no position is open")
    await exchange.control("position", {"symbol": "BTCUSDT", "quantity": "0.2"})
    await exchange.control("position", {"symbol": "ETHUSDT", "quantity": "-2"})
    orders = {"path": "/fapi/v1/order", "method": "order.place"}
    rules = [
        {"do": "error", "at": orders, "code": -1021, "count": 1},
        {
            "do": "error",
            "at": orders,
            "code": -1022,
            "text": "Signature {signature} bad",
            "count": 1,
        },
        {"do": "unknown_executed", "at": orders, "after": 2, "count": 1},
        {"do": "not_json", "at": {"path": "/fapi/v3/positionRisk"}, "count": 1},
        {"do": "drop", "at": {"path": "/fapi/v1/algoOrder"}, "count": 1, "how": "reset"},
    ]
    await exchange.control("faults", rules)
    await exchange.control("price", {"symbol": "BTCUSDT", "price": "82200"})
    await asyncio.sleep(1.2)
    await exchange.control("listen-key", {"do": "expire"})
    await exchange.control("connections", {"how": "reset", "route": "private"})
    await exchange.control("connections", {"how": "reset", "route": "api"})
    await asyncio.sleep(0.7)
    await exchange.control("price", {"symbol": "ETHUSDT", "price": "3050"})
    await asyncio.sleep(0.5)
    await ask_everything(first)
    # Killed, so that the journal's log is left as it is.
    assert await first.end(signal.SIGKILL) == -signal.SIGKILL
    second = await guard(folder, exchange, *options, key=KEY, secret=secret, **more)
    await second.until(b"BTCUSDT")
    await exchange.control("price", {"symbol": "BTCUSDT", "price": "80000"})
    await asyncio.sleep(1.0)
    assert await second.end(signal.SIGTERM) == 0, second.err
    return [first, second]


async def ask_everything(run: Guarded) -> None:
    """What the API answers counts as said."""
    found = re.search(
        rb"http://127\.0\.0\.1:\d+", bytes(run.err + run.out).partition(b"control at")[2]
    )
    assert found is not None, run.err
    async with aiohttp.ClientSession() as session:
        for path in ("/", "/healthz", "/readyz", "/metrics", "/api/v1/status", "/api/v1/positions"):
            async with session.get(found[0].decode() + path) as answer:
                run.out += await answer.read()


def everything_left(folder: Path, runs: Iterable[Guarded]) -> dict[str, bytes]:
    left: dict[str, bytes] = {}
    for path in folder.rglob("*"):
        if path.is_file():
            left[str(path)] = path.read_bytes()
            if path.name.endswith(".zst"):
                lines = [line for _, batch in open_tape(path).batches() for line in batch]
                left[f"{path} unpacked"] = b"\n".join(lines)
    for number, run in enumerate(runs):
        left[f"standard output {number}"] = bytes(run.out)
        left[f"standard error {number}"] = bytes(run.err)
    return left


def forms(secret: str) -> set[bytes]:
    """A value as it stands, in a URL, and in JSON."""
    return {secret.encode(), quote(secret, safe="").encode(), secret.replace("/", "\\/").encode()}


@pytest.mark.parametrize("kind", ["HMAC", "ED25519"])
async def test_a_whole_session_leaves_no_secret_anywhere(kind: str, tmp_path: Path) -> None:
    secret = SECRET
    settings = Settings(api_key=KEY, api_secret=SECRET)
    async with served(settings) as exchange:
        if kind == "ED25519":
            private = Ed25519PrivateKey.generate()
            secret = private.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            ).decode()
            public = private.public_key().public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            )
            credential = Credential(KEY, "main", "ED25519", public.decode())
            exchange.simulation.exchange.add_key(credential)
        runs = await whole_session(exchange, tmp_path, secret)
        signatures, listen_keys = exchange.signatures, exchange.listen_keys
    left = everything_left(tmp_path, runs)
    names = " ".join(left)
    assert "-wal" in names or "reactor.db" in names
    tapes = b"".join(raw for name, raw in left.items() if "unpacked" in name)
    # A session that is logged on does not sign its orders.
    assert (b'"signature":"\xe2\x80\xa6"' in tapes) == (kind == "HMAC")
    assert b"order.place" in tapes
    assert len(signatures) > 20
    assert len(listen_keys) > 1
    core_of_secret = secret.strip().splitlines()[1] if kind == "ED25519" else secret
    hidden = {
        "the API key": {KEY},
        "the secret": {core_of_secret},
        "a signature": signatures,
        "a listen key": listen_keys,
    }
    found = [
        f"{what} in {place}"
        for what, values in hidden.items()
        for value in values
        for form in forms(value)
        for place, raw in left.items()
        if form in raw
    ]
    assert not found


CRASHES = """
import asyncio, os, sys
from reactor.cli import main
from reactor.shell.keeping import Keeping

async def broken(self, *_):
    await asyncio.sleep(1)
    secret = os.environ["BINANCE_API_SECRET"]
    key = os.environ["BINANCE_API_KEY"]
    raise RuntimeError(f"{key} GET /fapi/v1/order?listenKey={key[::-1]}&signature={secret}")

Keeping.run = broken
sys.exit(main(sys.argv[1:]))
"""


async def test_a_crash_leaves_none_either(tmp_path: Path) -> None:
    """An error of ours whose words hold them all: log, journal, tape, and what an alarm's command is told."""
    tells = f"cat > {tmp_path}/told.json; env > {tmp_path}/told.env"
    async with served(Settings(api_key=KEY, api_secret=SECRET)) as exchange:
        run = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", CRASHES, "run", "--live", "--include", "*", "--record"),
            *("--environment", f"sim:{exchange.url}", "--data-dir", str(tmp_path / "data")),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={
                **os.environ,
                "BINANCE_API_KEY": KEY,
                "BINANCE_API_SECRET": SECRET,
                "REACTOR_ALARMS_COMMAND": f"/bin/sh,-c,{tells}",
                "REACTOR_HTTP_PORT": "0",
                "REACTOR_LOG_LEVEL": "debug",
                "REACTOR_RECORD_MIN_FREE_DISK": "1KB",
            },
        )
        out, err = await asyncio.wait_for(run.communicate(), 60)
    assert run.returncode == 1, err
    left = everything_left(tmp_path, []) | {"standard output": out, "standard error": err}
    assert b"RuntimeError" in err
    assert b"RuntimeError" in left[f"{tmp_path}/told.json"]
    for hidden in (KEY, KEY[::-1], SECRET):
        assert [name for name, raw in left.items() if hidden.encode() in raw] == []
