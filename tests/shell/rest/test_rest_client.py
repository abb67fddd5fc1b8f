"""The client: signed as the exchange wants it, repeated where that helps, never where it could harm."""

import asyncio
from urllib.parse import parse_qsl

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519
from rest_room import Room, ScriptedRest, virtually

from reactor.binance.urls import simulated
from reactor.errors import BudgetExhausted, ConfigError, RestFailed
from reactor.shell.rest.client import RestClient, failure_of, retry_after_s
from reactor.shell.rest.credentials import Credentials
from reactor.shell.rest_seam import RestReply

CONFIG = "/fapi/v1/accountConfig"
ORDER = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.1"}
TIME = RestReply(200, {}, b'{"serverTime":1795000020000}')


def refused(status: int, code: int, text: str = "no", **headers: str) -> RestReply:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return RestReply(status, named, f'{{"code":{code},"msg":"{text}"}}'.encode())


@virtually
async def test_signed_reads_and_orders_are_taken() -> None:
    room = Room()
    answer = await room.client.get(CONFIG, weight=5, purpose="account", signed=True)
    assert answer.status == 200
    assert failure_of(answer) is None
    assert answer.asked_ns < answer.t_ns
    sent = await room.client.send(
        "POST", "/fapi/v1/order", ORDER, purpose="exit", weight=0, orders=1
    )
    assert sent.status == 200
    assert sent.params == ORDER, "what is recorded has no signature in it"
    query = dict(parse_qsl(room.requests[-1][1]))
    assert list(query)[-3:] == ["recvWindow", "timestamp", "signature"]
    assert room.budget.state(room.clock.now_ns()).orders_10s == 1
    assert room.budget.state(room.clock.now_ns()).weight_used == 5
    assert room.client.asked == {CONFIG: 1, "/fapi/v1/order": 1}


@virtually
async def test_an_ed25519_key_signs_too() -> None:
    private = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    pem = private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()
    public = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    room = Room(credentials=Credentials("ed-key", pem))
    room.control("key", {"apiKey": "ed-key", "kind": "ED25519", "publicKey": public.decode()})
    # Base64 has + and / in it: among so many signatures some have both, and must arrive as they were.
    for _ in range(20):
        await asyncio.sleep(0.1)
        answer = await room.client.get(CONFIG, purpose="account", signed=True)
        assert failure_of(answer) is None, answer.body
        signature = room.requests[-1][1].rpartition("&signature=")[2]
        assert not set(signature) & set("+/="), "percent-encoded"


@virtually
async def test_listen_keys_need_only_the_key() -> None:
    room = Room()
    answer = await room.client.send("POST", "/fapi/v1/listenKey", purpose="account", signed=False)
    assert b"listenKey" in answer.body
    assert room.requests[-1][1] == ""


@virtually
async def test_names_beyond_ascii_are_signed_as_they_are_sent() -> None:
    room = Room()
    answer = await room.client.get(
        "/fapi/v1/openOrders", {"symbol": "币安人生USDT"}, purpose="account", signed=True
    )
    failure = failure_of(answer)
    assert failure is not None
    assert failure.code == -1121, "an unknown symbol, not a bad signature (-1022)"


@virtually
async def test_reads_are_repeated_through_errors_of_the_exchange() -> None:
    for fault in (
        {"do": "error", "status": 503, "code": -1000},
        {"do": "error", "status": 500, "code": -1001},
        {"do": "error", "status": 408, "code": -1007},
        {"do": "not_json"},
        {"do": "drop", "how": "reset"},
        {"do": "hang"},
    ):
        room = Room()
        room.faults({**fault, "count": 3})
        answer = await room.client.get(CONFIG, weight=5, purpose="account", signed=True)
        assert failure_of(answer) is None, fault
        assert room.paths() == [CONFIG] * 4


@virtually
async def test_reads_are_given_up_after_a_bounded_number() -> None:
    room = Room()
    room.faults({"do": "hang", "count": 0, "at": {"path": CONFIG}})
    with pytest.raises(RestFailed) as caught:
        await room.client.get(CONFIG, purpose="account", signed=True, timeout_s=2.0)
    assert room.paths() == [CONFIG] * 4
    assert asyncio.get_running_loop().time() < 4 * 2.0 + 0.2 + 0.4 + 0.8 + 1
    assert "signature" not in str(caught.value)
    assert room.client.failed == 4

    room = Room()
    room.faults({"do": "error", "status": 503, "code": -1000, "count": 0})
    answer = await room.client.get(CONFIG, purpose="account", signed=True)
    assert answer.status == 503, "the last answer, for the caller to read"
    assert len(room.requests) == 4


@virtually
async def test_what_asking_again_cannot_mend_is_asked_once() -> None:
    for code, status in ((-1121, 400), (-2015, 401), (-1022, 400), (-2013, 400)):
        room = Room()
        room.faults({"do": "error", "status": status, "code": code, "count": 0})
        answer = await room.client.get(CONFIG, purpose="account", signed=True)
        failure = failure_of(answer)
        assert failure is not None
        assert (failure.code, failure.status) == (code, status)
        assert len(room.requests) == 1


@virtually
async def test_orders_are_never_repeated() -> None:
    for fault in (
        {"do": "error", "status": 503, "code": -1000},
        {"do": "unknown_executed"},
        {"do": "not_json"},
        {"do": "error", "status": 429, "code": -1003},
        {"do": "error", "status": 400, "code": -1021},
    ):
        room = Room()
        room.faults({**fault, "count": 1, "at": {"path": "/fapi/v1/order"}})
        await room.client.send("POST", "/fapi/v1/order", ORDER, purpose="exit", weight=0)
        assert room.paths().count("/fapi/v1/order") == 1, fault
    for fault in ({"do": "hang"}, {"do": "drop", "how": "close"}):
        room = Room()
        room.faults({**fault, "count": 1})
        with pytest.raises(RestFailed):
            await room.client.send("POST", "/fapi/v1/order", ORDER, purpose="exit", weight=0)
        assert room.paths() == ["/fapi/v1/order"]


@virtually
async def test_a_clock_that_is_off_is_measured_and_the_read_repeated() -> None:
    for skew_ms in (7000, -7000):
        room = Room()
        await room.server_time.sync(room.client)
        room.faults({"do": "clock_skew", "ms": skew_ms})
        await asyncio.sleep(0.001)
        room.driver.catch_up()
        answer = await room.client.get(CONFIG, purpose="account", signed=True)
        assert failure_of(answer) is None
        assert abs(room.server_time.offset_ms - skew_ms) < 20
        assert len(room.alarms("clock")) == 1


@virtually
async def test_many_reads_at_once_measure_the_clock_once() -> None:
    room = Room()
    room.faults({"do": "clock_skew", "ms": 7000})
    await asyncio.sleep(0.001)
    room.driver.catch_up()
    reads = [room.client.get(CONFIG, purpose="account", signed=True) for _ in range(6)]
    answers = await asyncio.gather(*reads)
    assert all(failure_of(answer) is None for answer in answers)
    assert room.paths().count("/fapi/v1/time") == 5


@virtually
async def test_retry_after_is_honoured() -> None:
    script = ScriptedRest(refused(429, -1003, retry_after="7"), TIME)
    room = Room(transport=script)
    answer = await room.client.get("/fapi/v1/time", purpose="info")
    assert answer.status == 200
    assert 7 <= asyncio.get_running_loop().time() < 8
    assert retry_after_s({"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}) is None


@virtually
async def test_an_overloaded_exchange_says_when_to_come_back() -> None:
    script = ScriptedRest(RestReply(503, {"retry-after": "3"}, b"<html>"), TIME)
    answer = await Room(transport=script).client.get("/fapi/v1/time", purpose="info")
    assert answer.status == 200
    assert 3 <= asyncio.get_running_loop().time() < 4


@virtually
async def test_counts_that_are_documented_to_be_wrong_are_not_believed() -> None:
    headers = {"x-mbx-used-weight-1m": "2399"}
    room = Room(transport=ScriptedRest(RestReply(200, headers, b"{}")))
    await room.client.get("/fapi/v1/ticker/bookTicker", weight=5, purpose="poll")
    assert room.budget.state(room.clock.now_ns()).weight_used == 5
    await room.client.get("/fapi/v1/premiumIndex", purpose="poll")
    assert room.budget.state(room.clock.now_ns()).weight_used == 2399


@virtually
async def test_after_429_everything_but_exits_stops() -> None:
    script = ScriptedRest(refused(429, -1003, retry_after="30"), TIME)
    room = Room(transport=script)
    first = await room.client.send("GET", "/fapi/v1/time", purpose="poll", signed=False)
    assert first.status == 429
    for purpose in ("poll", "account"):
        with pytest.raises(BudgetExhausted, match="banned"):
            await room.client.get("/fapi/v1/time", purpose=purpose)
    assert script.sent == 1, "nothing left while banned"
    for urgent in ("exit", "protect"):
        assert (await room.client.get("/fapi/v1/time", purpose=urgent)).status == 200
    late = await room.client.get("/fapi/v1/time", purpose="info")
    assert late.status == 200
    assert 30 <= asyncio.get_running_loop().time() < 31


@virtually
async def test_a_ban_is_not_asked_through() -> None:
    until = 1_795_000_020_000 + 120_000
    script = ScriptedRest(refused(418, -1003, f"IP(1.2.3.4) banned until {until}."), TIME)
    room = Room(transport=script)
    assert (await room.client.get("/fapi/v1/time", purpose="info")).status == 418
    with pytest.raises(BudgetExhausted, match=r"for 1[12]\d\.\d s more"):
        await room.client.get("/fapi/v1/time", purpose="info")
    assert script.sent == 1
    banned = ScriptedRest(refused(418, -1003, f"IP(1.2.3.4) banned until {until}."))
    urgent = await Room(transport=banned).client.get("/fapi/v1/time", purpose="exit")
    assert urgent.status == 418
    assert banned.sent == 1, "an exit may try; trying again and again makes the ban longer"


async def read_often(room: Room, times: int) -> None:
    for _ in range(times):
        await room.client.get(CONFIG, weight=5, purpose="poll", signed=True)


@virtually
async def test_the_real_limits_are_kept_to() -> None:
    room = Room()
    room.control("limits", {"weight_per_minute": 200})
    room.budget.set_limits([("REQUEST_WEIGHT", "MINUTE", 1, 200)])
    done = 0
    for _ in range(60):
        answer = await room.client.get(
            CONFIG, weight=5, purpose="account", signed=True, patience_s=90
        )
        assert answer.status == 200
        done += 1
    assert done == 60, "with patience all of them, over two minutes, and none was refused"
    assert asyncio.get_running_loop().time() >= 60
    with pytest.raises(BudgetExhausted, match="share is used up"):
        await read_often(room, 60)


@virtually
async def test_without_keys_signed_requests_are_refused_in_one_line() -> None:
    room = Room()
    bare = RestClient(
        ScriptedRest(TIME),
        simulated("http://127.0.0.1:1"),
        None,
        room.clock,
        room.budget,
        server_time=room.server_time,
        rng=room.client._random,
    )
    with pytest.raises(ConfigError, match="BINANCE_API_KEY"):
        await bare.get(CONFIG, purpose="account", signed=True)
    assert (await bare.get("/fapi/v1/time", purpose="info")).status == 200


@virtually
async def test_cancelling_gives_the_room_in_the_budget_back() -> None:
    room = Room()
    room.faults({"do": "hang", "count": 0})
    task = asyncio.create_task(room.client.get(CONFIG, weight=5, purpose="account", signed=True))
    await asyncio.sleep(1)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert room.budget._under_way == 0
