"""The gateway's own clockwork: sockets that die, answers that never come, epochs that end, and the last resorts."""

import asyncio
import json
from collections.abc import Mapping
from decimal import Decimal
from itertools import pairwise

import msgspec
import pytest

from reactor.config import config_from_tables
from reactor.core.decisions import OutcomeAsked
from reactor.errors import InvariantError, RestNotSent
from reactor.shell.gateway.gateway import Gateway
from reactor.shell.gateway.sending import OrderSocket
from reactor.shell.rest_seam import RestReply

from .trading_floor import Floor, play

ANY_ORDER = {"path": "/fapi/v1/order", "newClientOrderId": "xr-*"}


class NoSocket:
    """A socket that is down, or that only says that it is up."""

    def __init__(self, *, ready: bool) -> None:
        self.is_ready = ready
        self.frames: list[bytes] = []

    def send(self, frame: bytes) -> bool:
        self.frames.append(frame)
        return False

    def prepare(self, frame: bytes) -> None:
        pass


def use(floor: Floor, socket: OrderSocket) -> None:
    floor.gateway._sender._socket = socket


# In the same turn ---------------------------------------------------------------------------------


def test_the_order_is_on_the_socket_before_send_returns() -> None:
    class Socket:
        is_ready = True

        def __init__(self) -> None:
            self.frames: list[bytes] = []

        def send(self, frame: bytes) -> bool:
            self.frames.append(frame)
            return True

        def prepare(self, frame: bytes) -> None:
            pass

    async def story(floor: Floor) -> None:
        await floor.hold("0.4")
        socket = Socket()
        use(floor, socket)
        events = floor.audit.number
        floor.close_all()
        assert len(socket.frames) == 1
        assert floor.audit.number == events  # who watches is told later
        assert json.loads(socket.frames[0])["params"]["newClientOrderId"] == floor.exits[0].order_id
        await asyncio.sleep(0)
        sent = floor.sent_events[0]
        assert sent.over == "socket"
        assert sent.t_event_ns == floor.exits[0].t_ns // 1_000_000 * 1_000_000
        assert sent.t_recv_ns <= sent.t_decided_ns <= sent.t_sent_ns
        assert not {"apiKey", "signature"} & set(sent.params)

    play(story)


@pytest.mark.parametrize("over", ["ws_api", "rest"])
def test_the_exchanges_count_of_our_orders_reaches_the_budget(over: str) -> None:
    async def story(floor: Floor) -> None:
        await floor.hold("0.4")
        floor.take_profit()
        await floor.until(lambda: floor.answered)
        now_ns = floor.client.server_time.exchange_ns(floor.clock.now_ns())
        assert floor.client.budget.state(now_ns).orders_1m == 1
        await asyncio.sleep(0.1)
        assert floor.gateway.in_flight == 0

    play(story, orders={"over": over})


def test_only_a_live_process_has_a_gateway() -> None:
    async def story(floor: Floor) -> None:
        for mode in ("dry_run", "shadow"):
            with pytest.raises(InvariantError, match="only live"):
                Gateway(
                    config=config_from_tables({"mode": mode}, source="test"),
                    socket=floor.socket,
                    rest=floor.client,
                    signer=None,
                    inbox=floor,
                    audit=floor.audit,
                    clock=floor.clock,
                    hedge=lambda: False,
                    contracts={},
                )

    play(story)


@pytest.mark.parametrize("ready", [False, True])
def test_without_a_socket_the_order_goes_over_rest(ready: bool) -> None:
    async def story(floor: Floor) -> None:
        await floor.hold("0.4")
        use(floor, NoSocket(ready=ready))
        floor.close_all()
        await floor.until(lambda: not floor.held)

    floor = play(story)
    assert floor.sendings() == {floor.exits[0].order_id: 1}
    assert floor.orders[0]["path"] == "/fapi/v1/order"
    assert "signature" not in floor.orders[0]["params"]
    assert floor.sent_events[0].over == "rest"


# Answers that do not come -------------------------------------------------------------------------


@pytest.mark.parametrize("over", ["ws_api", "rest"])
@pytest.mark.parametrize("fault", ["hang", "drop"])
@pytest.mark.parametrize("executed", [True, False])
@pytest.mark.parametrize("full", [True, False])
def test_an_order_without_an_answer_is_asked_about_and_a_rung_never_sent_twice(
    over: str, fault: str, executed: bool, full: bool
) -> None:
    async def story(floor: Floor) -> None:
        await floor.hold("0.4")
        floor.fault(do=fault, at=ANY_ORDER, executed=executed, how="reset")
        if full:
            floor.close_all()
        else:
            floor.take_profit()
        await asyncio.sleep(20)

    floor = play(story, orders={"over": over})
    first = floor.exits[0]
    assert floor.sendings()[first.order_id] == 1
    lost = [one for one in floor.commands if one.event == "unknown"]
    assert [one.order_id for one in lost] == [first.order_id]
    if full:
        assert not floor.held
        assert len(floor.exits) == (1 if executed else 2)
        if not executed and not (over == "ws_api" and fault == "hang"):
            # Asked at once; a full close does not wait for ever.
            assert floor.exits[1].t_ns - first.t_ns < 3_000_000_000
    else:
        assert floor.held == Decimal("0.2" if executed else "0.4")
        assert len(floor.exits) == 1


def test_a_body_that_is_no_json_is_an_unknown_outcome() -> None:
    async def story(floor: Floor) -> None:
        await floor.hold("0.4")
        floor.fault(do="not_json", at=ANY_ORDER)
        floor.take_profit()
        await asyncio.sleep(3)

    floor = play(story, orders={"over": "rest"})
    assert [one.event for one in floor.commands] == ["unknown"]
    assert floor.held == Decimal("0.2")
    assert len(floor.orders) == 1


def test_a_refusal_that_comes_too_late_is_not_answered_by_another_sending() -> None:
    async def story(floor: Floor) -> None:
        await floor.hold("0.4")
        floor.fault(do="error", at=ANY_ORDER, code=-1008, ms=1500)
        floor.take_profit()
        await asyncio.sleep(12)

    floor = play(story)
    assert len(floor.orders) == 1
    assert [one.event for one in floor.commands] == ["unknown", "rejected"]
    assert floor.held == Decimal("0.4")


def test_a_late_success_is_taken_as_it_is() -> None:
    async def story(floor: Floor) -> None:
        await floor.hold("0.4")
        floor.fault(do="latency", at=ANY_ORDER, ms=1300)
        floor.close_all()
        await asyncio.sleep(3)

    floor = play(story)
    assert not floor.held
    assert len(floor.orders) == 1
    assert floor.answered[-1].outcome == "filled"


def test_no_connection_at_all_is_not_an_unknown_outcome() -> None:
    async def story(floor: Floor) -> None:
        await floor.hold("0.4")
        real = floor.rest_transport.request
        failures = 2

        async def request(
            method: str, url: str, *, headers: Mapping[str, str], timeout_s: float
        ) -> RestReply:
            nonlocal failures
            if method == "POST" and failures:
                failures -= 1
                raise RestNotSent("no route")
            return await real(method, url, headers=headers, timeout_s=timeout_s)

        floor.rest_transport.request = request  # type: ignore[method-assign]
        floor.close_all()
        await floor.until(lambda: not floor.held)

    floor = play(story, orders={"over": "rest"})
    assert "unknown" not in {one.event for one in floor.commands}
    assert [one.event for one in floor.commands] == ["rejected"]
    assert len(floor.exits) == 2


# Epochs end ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [-1008, -1015, -2022, -2015, -2019])
def test_nothing_of_an_ended_epoch_reaches_the_next_one(code: int) -> None:
    async def story(floor: Floor) -> None:
        await floor.hold("0.4")
        floor.fault(do="error", at=ANY_ORDER, code=code, text="No.")
        floor.close_all()
        await floor.until(lambda: floor.answered)
        floor.control("/sim/position", {"symbol": "BTCUSDT", "quantity": "-0.4"})
        await floor.hold("0.3")
        await asyncio.sleep(15)

    floor = play(story)
    assert floor.held == Decimal("0.3")
    assert len(floor.orders) == 1


def test_what_waits_for_its_distance_ends_with_its_epoch() -> None:
    async def story(floor: Floor) -> None:
        await floor.hold("0.4")
        floor.fault(do="error", at=ANY_ORDER, code=-2015, text="No.")
        floor.close_all()
        # The second attempt is decided, and waits because the key was refused.
        await floor.until(lambda: len(floor.exits) == 2)
        floor.control("/sim/position", {"symbol": "BTCUSDT", "quantity": "-0.4"})
        await floor.hold("0.3")
        await asyncio.sleep(15)

    floor = play(story)
    assert floor.held == Decimal("0.3")
    assert len(floor.orders) == 1


def test_a_full_close_overtakes_a_rung_that_is_still_being_sent_again() -> None:
    async def story(floor: Floor) -> None:
        await floor.hold("0.4")
        floor.fault(do="error", at=ANY_ORDER, code=-1008, text="No.")
        floor.take_profit()
        await floor.until(lambda: floor.answered)
        floor.close_all()
        await asyncio.sleep(2)

    floor = play(story)
    rung, close = floor.exits
    assert floor.sendings() == {rung.order_id: 1, close.order_id: 1}
    assert not floor.held


def test_a_rung_is_not_sent_again_seconds_later() -> None:
    async def story(floor: Floor) -> None:
        await floor.hold("0.4")
        floor.fault(do="error", at=ANY_ORDER, code=-1015, text="No.", count=0)
        floor.take_profit()
        await asyncio.sleep(10)

    floor = play(story)
    times = [one["t_ns"] for one in floor.orders]
    assert len(times) == 3
    assert times[-1] - times[0] < 2_000_000_000
    assert "order_refused" in floor.alarm_kinds()


# Cut into several ---------------------------------------------------------------------------------


def test_a_large_exit_is_cut_and_one_lost_slice_is_found() -> None:
    async def story(floor: Floor) -> None:
        floor.control("/sim/symbol", {"symbol": "BTCUSDT", "marketMaxQty": "0.5"})
        floor.rest(await floor.client.get("/fapi/v1/exchangeInfo", purpose="info"))
        for _ in range(3):
            floor.control("/sim/position", {"symbol": "BTCUSDT", "quantity": "0.4"})
        await asyncio.sleep(0.1)
        floor.price(floor.entry())
        await floor.until(lambda: ("BTCUSDT", "LONG") in floor.pump.engine.positions)
        floor.fault(do="unknown_lost", at=ANY_ORDER, after=1)
        floor.close_all()
        await floor.until(lambda: not floor.held)
        await asyncio.sleep(1)

    floor = play(story)
    quantities = [one["params"]["quantity"] for one in floor.orders]
    assert quantities[:3] == ["0.5", "0.5", "0.2"]
    assert set(floor.sendings().values()) == {1}
    assert floor.exits[1].attempt == 1


def test_dust_is_told_once_and_not_sent() -> None:
    async def story(floor: Floor) -> None:
        await floor.hold("0.4")
        floor.control("/sim/symbol", {"symbol": "BTCUSDT", "stepSize": "1"})
        floor.rest(await floor.client.get("/fapi/v1/exchangeInfo", purpose="info"))
        floor.close_all()
        await asyncio.sleep(150)
        floor.control("/sim/symbol", {"symbol": "BTCUSDT", "stepSize": "0.001"})
        floor.rest(await floor.client.get("/fapi/v1/exchangeInfo", purpose="info"))
        assert not floor.orders
        await floor.until(lambda: not floor.held, seconds=70)

    floor = play(story)
    assert [alarm.kind for alarm in floor.alarms if not alarm.resolved] == ["dust"]
    assert [alarm.resolved for alarm in floor.alarms] == [False, True]


# It does not complete -----------------------------------------------------------------------------


def test_a_close_that_never_succeeds_escalates_step_by_step_and_never_floods() -> None:
    async def story(floor: Floor) -> None:
        await floor.hold("0.4")
        floor.fault(do="error", at=ANY_ORDER, code=-2019, text="No.", count=0)
        floor.close_all()
        await asyncio.sleep(60)

    floor = play(story)
    kinds = [kind_of(one) for one in floor.requests]
    assert kinds[:6] == [
        ("socket", "MARKET", "0.4"),
        ("socket", "MARKET", "0.4"),
        ("rest", "MARKET", "0.4"),
        ("socket", "MARKET", "0.2"),
        ("rest", "LIMIT", "0.4"),
        ("rest", "STOP_MARKET", ""),
    ]
    assert kinds[6:11] == [
        ("socket", "MARKET", "0.4"),
        ("rest", "MARKET", "0.4"),
        ("socket", "MARKET", "0.2"),
        ("rest", "LIMIT", "0.4"),
        ("rest", "STOP_MARKET", ""),
    ]
    times = [one["t_ns"] for one in floor.requests]
    gaps = [after - before for before, after in pairwise(times)]
    assert min(gaps) >= 250_000_000
    assert min(gaps[5:]) >= 1_000_000_000
    assert min(gaps[11:]) >= 5_000_000_000
    assert len(gaps) > 15  # it goes on
    assert len(set(floor.sendings())) == len(floor.orders)
    assert "exit_stuck" in floor.alarm_kinds()


def kind_of(request: Mapping[str, object]) -> tuple[str, str, str]:
    params = request["params"]
    assert isinstance(params, dict)
    way = "rest" if "path" in request else "socket"
    return way, str(params["type"]), str(params.get("quantity", ""))


def test_the_closing_stop_closes_when_nothing_else_does() -> None:
    async def story(floor: Floor) -> None:
        await floor.hold("0.4")
        floor.fault(do="error", at=ANY_ORDER, code=-2019, text="No.", count=0)
        floor.close_all()
        await floor.until(lambda: floor.requests and "triggerPrice" in floor.requests[-1]["params"])
        await asyncio.sleep(0.3)
        mark = Decimal(floor.requests[-1]["params"].get("triggerPrice", "80000"))
        floor.control("/sim/price", {"symbol": "BTCUSDT", "price": str(mark - 100)})
        await floor.until(lambda: not floor.held)
        await asyncio.sleep(5)

    floor = play(story)
    assert ("BTCUSDT", "LONG") not in floor.pump.engine.positions
    stop = next(one for one in floor.requests if "triggerPrice" in one["params"])
    assert stop["params"]["closePosition"] == "true"
    assert stop["params"]["clientAlgoId"] == floor.exits[5].order_id
    cancelled = [one for one in floor.asked if one.method == "DELETE"]
    assert cancelled[0].params == {"clientAlgoId": floor.exits[5].order_id}
    assert not floor.simulation.exchange.accounts["main"].orders


def test_a_refused_key_is_alarmed_and_the_close_goes_on_slowly() -> None:
    async def story(floor: Floor) -> None:
        await floor.hold("0.4")
        floor.fault(do="error", at=ANY_ORDER, code=-2015, text="Invalid API-key.", count=3)
        floor.close_all()
        await floor.until(lambda: not floor.held)
        await asyncio.sleep(1)

    floor = play(story)
    times = [one["t_ns"] for one in floor.orders]
    gaps = [after - before for before, after in pairwise(times)]
    assert min(gaps) >= 5_000_000_000
    assert {one["params"]["type"] for one in floor.orders} == {"MARKET"}
    assert {"key_refused", "exit_stuck"} <= floor.alarm_kinds()
    assert any(alarm.resolved for alarm in floor.alarms)


def test_a_thin_book_does_not_stop_a_close() -> None:
    async def story(floor: Floor) -> None:
        await floor.hold("0.4")
        floor.fault(do="partial_fill", at={"channel": "engine"}, fraction=0.25, count=2)
        floor.close_all()
        await floor.until(lambda: not floor.held)

    floor = play(story)
    assert len(floor.exits) == 3
    times = [one["t_ns"] for one in floor.orders]
    assert all(after - before >= 250_000_000 for before, after in pairwise(times))
    # Each filled something: that is progress, and no reason for another way.
    assert {kind_of(one)[:2] for one in floor.orders} == {("socket", "MARKET")}


# Questions ----------------------------------------------------------------------------------------


def test_questions_end_when_the_engine_knows() -> None:
    async def story(floor: Floor) -> None:
        await floor.hold("0.4")
        floor.take_profit()
        await floor.until(lambda: floor.held == Decimal("0.2"))
        unknown = "xr-MOtSe-YtjLNf-0001NCbL-00009000000"
        asked = OutcomeAsked(
            t_ns=0, tick=0, symbol="BTCUSDT", side="LONG", epoch=1, order_id=unknown
        )
        floor.gateway.ask(asked)
        floor.gateway.ask(asked)
        await asyncio.sleep(0.05)
        questions = [one for one in floor.asked if one.params.get("origClientOrderId") == unknown]
        assert len(questions) == 1
        await asyncio.sleep(3)
        before = len(floor.asked)
        floor.gateway.settled(unknown)
        await asyncio.sleep(10)
        assert len(floor.asked) == before
        assert not floor.commands  # nothing is known of that order: nothing can be proved

    play(story)


def test_questions_are_bounded() -> None:
    async def story(floor: Floor) -> None:
        await floor.hold("0.4")
        unknown = "xr-MOtSe-YtjLNf-0001NCbL-00009000000"
        floor.gateway.ask(
            OutcomeAsked(t_ns=0, tick=0, symbol="BTCUSDT", side="LONG", epoch=1, order_id=unknown)
        )
        await asyncio.sleep(60)
        asked = [one for one in floor.asked if "origClientOrderId" in one.params]
        assert 5 < len(asked) <= 12

    play(story)


def test_after_a_restart_an_exit_can_be_proved_absent() -> None:
    async def story(floor: Floor) -> None:
        await floor.hold("0.4")
        # Decided and never sent, as by a process that was killed in between.
        send = floor.gateway.send
        floor.gateway.send = lambda *_exit, **_times: []  # type: ignore[method-assign]
        floor.take_profit()
        floor.gateway.send = send  # type: ignore[method-assign]
        exit_ = floor.exits[0]
        floor.gateway.restore(exit_, sent_ns=floor.clock.now_ns())
        floor.gateway.ask(
            OutcomeAsked(
                t_ns=0,
                tick=0,
                symbol=exit_.symbol,
                side=exit_.side,
                epoch=exit_.epoch,
                order_id=exit_.order_id,
            )
        )
        await floor.until(lambda: floor.commands)
        assert floor.commands[0].event == "found_absent"
        assert floor.commands[0].order_id == exit_.order_id

    play(story)


def test_our_own_fault_in_a_task_is_alarmed() -> None:
    async def story(floor: Floor) -> None:
        await floor.hold("0.4")

        async def mend(*_args: object, **_more: object) -> bool:
            raise ZeroDivisionError

        floor.gateway._mender.mend = mend  # type: ignore[method-assign]
        floor.fault(do="error", at=ANY_ORDER, code=-1008, text="No.")
        floor.close_all()
        await floor.until(lambda: not floor.held)

    floor = play(story)
    assert "gateway_fault" in floor.alarm_kinds()
    assert len(floor.exits) == 2


def test_everything_recorded_is_whole_and_reads_as_json() -> None:
    async def story(floor: Floor) -> None:
        await floor.hold("0.4")
        floor.fault(do="error", at=ANY_ORDER, code=-1021, text="No.")
        floor.close_all()
        await floor.until(lambda: not floor.held)

    floor = play(story)
    for line in floor.lines:
        assert msgspec.json.decode(line)["m"]
