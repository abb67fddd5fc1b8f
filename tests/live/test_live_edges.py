"""Edges of the live process at which money would be lost: each is a scene in front of the simulated exchange."""

import asyncio
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
import virtual
from virtual import ENVIRONMENT, START_MS, Story, World, play

from reactor.audit import AlarmRaised, AuditEvent, Decided, HardStopChanged
from reactor.core.decisions import Exit, Opened
from reactor.core.machine import Machine
from reactor.errors import ConfigError
from reactor.shell.journal.journal import Journal
from reactor.shell.reconciler import Reconciler
from reactor.sim.faults import FaultRule
from reactor.sim.scenarios import Scenario

LONG = ("BTCUSDT", "LONG")
PLAN = {"plan": "trend_follow"}


def machine(world: World) -> Machine:
    return world.process.guard.positions["BTCUSDT", "LONG"]


def exits(world: World) -> list[Exit]:
    return [
        event.what.decision
        for event in world.events
        if isinstance(event.what, Decided) and isinstance(event.what.decision, Exit)
    ]


def amount(world: World) -> float:
    return float(world.simulation.exchange.accounts["main"].positions["BTCUSDT", "BOTH"].amount)


# Another life of a position ---------------------------------------------------------------------


def test_what_was_opened_anew_while_nobody_ran_is_no_business_of_the_old_epoch(
    tmp_path: Path,
) -> None:
    """The hard stop closes it while the process is down, and somebody enters again, lower."""

    async def act(world: World) -> None:
        world.price("BTCUSDT", "80000")
        world.open("BTCUSDT", "0.5")
        await asyncio.sleep(31)
        world.price("BTCUSDT", "70000")
        assert not amount(world), "the hard stop"
        world.open("BTCUSDT", "0.5")
        await asyncio.sleep(20)
        assert machine(world).epoch == 2
        assert machine(world).stop_price < 70_000

    world = play(
        Story(
            act=act,
            folder=tmp_path,
            scenario="still",
            journal="j.db",
            restarts=[(30.5, False)],
            tables=PLAN,
        )
    )
    assert not exits(world)
    assert amount(world) == 0.5


def test_what_was_only_added_to_while_nobody_ran_is_the_same_epoch(tmp_path: Path) -> None:
    async def act(world: World) -> None:
        world.price("BTCUSDT", "80000")
        world.open("BTCUSDT", "0.5")
        await asyncio.sleep(31)
        world.price("BTCUSDT", "80100")
        world.open("BTCUSDT", "-0.3")
        world.open("BTCUSDT", "0.4")
        await asyncio.sleep(20)
        assert machine(world).epoch == 1
        assert str(machine(world).orders.quantity) == "0.600"

    play(
        Story(
            act=act,
            folder=tmp_path,
            scenario="still",
            journal="j.db",
            restarts=[(30.5, False)],
            tables=PLAN,
        )
    )


def test_what_was_opened_anew_while_the_private_stream_was_deaf_is_another_epoch(
    tmp_path: Path,
) -> None:
    """Nothing of it was heard but the minute's reconciliation."""

    async def act(world: World) -> None:
        world.price("BTCUSDT", "80000")
        world.open("BTCUSDT", "0.5")
        await asyncio.sleep(20)
        world.arm(FaultRule(do="lose", at={"route": "private"}, count=0))
        world.open("BTCUSDT", "-0.5")
        world.price("BTCUSDT", "79900")
        world.open("BTCUSDT", "0.4")
        await asyncio.sleep(70)
        assert machine(world).epoch == 2
        assert machine(world).stop_price < 79_800

    world = play(Story(act=act, folder=tmp_path, scenario="still", tables=PLAN))
    assert not exits(world)
    assert amount(world) == 0.4


# A journal of another life ----------------------------------------------------------------------


def journaled(folder: Path, tables: dict[str, Any], *, symbol: str = "BTCUSDT") -> World:
    """A session that leaves an open position in the journal."""

    async def act(world: World) -> None:
        world.price(symbol, "80000")
        world.open(symbol, "0.5")
        await asyncio.sleep(10)

    return play(
        Story(act=act, folder=folder, scenario="still", journal="j.db", tables=PLAN | tables)
    )


async def _look(world: World) -> None:
    world.price("BTCUSDT", "80000")
    world.open("BTCUSDT", "0.5")
    await asyncio.sleep(5)


@pytest.mark.parametrize(
    ("first", "then", "says"),
    [
        ({}, {"mode": "dry_run"}, "a data_dir of its own, or start with --live"),
        ({}, {"instance": "other"}, "keep the name until they are flat"),
    ],
    ids=["a dry run", "another name"],
)
def test_a_run_that_would_spoil_what_a_live_one_left_is_refused(
    first: dict[str, Any], then: dict[str, Any], says: str, tmp_path: Path
) -> None:
    journaled(tmp_path, first)
    with pytest.raises(ConfigError, match=says):
        play(
            Story(act=_look, folder=tmp_path, scenario="still", journal="j.db", tables=PLAN | then)
        )


def test_the_journal_of_another_exchange_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journaled(tmp_path, {})
    monkeypatch.setattr(
        virtual, "ENVIRONMENT", msgspec.structs.replace(ENVIRONMENT, name="mainnet")
    )
    with pytest.raises(ConfigError, match="is of the environment 'simulated'"):
        play(Story(act=_look, folder=tmp_path, scenario="still", journal="j.db", tables=PLAN))


def test_what_a_dry_run_sold_is_adopted_anew_by_a_live_one(tmp_path: Path) -> None:
    async def climb(world: World) -> None:
        world.price("BTCUSDT", "80000")
        world.open("BTCUSDT", "0.5")
        await asyncio.sleep(10)
        world.price("BTCUSDT", "80420")
        await asyncio.sleep(10)
        assert machine(world).orders.quantity < Decimal("0.5"), "a rung, virtually"

    async def look(world: World) -> None:
        world.price("BTCUSDT", "80000")
        world.open("BTCUSDT", "0.5")
        await asyncio.sleep(5)
        assert machine(world).orders.quantity == Decimal("0.5")
        assert machine(world).epoch == 2

    dry = {"plan": "challenge_100", "mode": "dry_run"}
    play(Story(act=climb, folder=tmp_path, scenario="still", journal="j.db", tables=dry))
    world = play(Story(act=look, folder=tmp_path, scenario="still", journal="j.db", tables=PLAN))
    assert "it was a dry run's" in " ".join(world.said)
    left = Journal.open(tmp_path / "j.db", clock=world.clock, inline=True, durable=False)
    assert [state.epoch for state in left.load().open_epochs] == [2]
    left.close()


def test_what_is_excluded_now_is_not_touched_by_what_was_known_of_it(tmp_path: Path) -> None:
    async def fall(world: World) -> None:
        world.price("BTCUSDT", "80000")
        world.open("BTCUSDT", "0.5")
        await asyncio.sleep(5)
        world.price("BTCUSDT", "70000")
        await asyncio.sleep(5)
        assert not world.process.guard.positions

    journaled(tmp_path, {})
    world = play(
        Story(
            act=fall,
            folder=tmp_path,
            scenario="still",
            journal="j.db",
            tables=PLAN | {"manage": {"exclude": ["BTCUSDT"]}},
        )
    )
    assert not exits(world)
    assert amount(world) == 0.5
    assert "does not manage it any more" in " ".join(world.said)


# Parts that fail --------------------------------------------------------------------------------


def test_a_part_that_fails_during_the_start_ends_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What waits for it would wait for ever, and guard nothing."""

    async def fail(_: Reconciler) -> None:
        raise RuntimeError("a bug")

    async def act(_: World) -> None:
        await asyncio.sleep(60)
        raise AssertionError("it still runs")

    monkeypatch.setattr(Reconciler, "run", fail)
    with pytest.raises(RuntimeError, match="a bug"):
        play(Story(act=act, folder=tmp_path, scenario="still", tables=PLAN))


def test_a_position_that_waited_for_its_price_gets_its_hard_stop_with_the_tick(
    tmp_path: Path,
) -> None:
    """Its first price could not be read, so a tick of the stream opens its epoch."""

    async def act(world: World) -> None:
        await asyncio.sleep(5)
        for path in ("/fapi/v1/ticker/price", "/fapi/v1/premiumIndex"):
            world.arm(FaultRule(do="error", at={"path": path}, code=-1001, status=503, count=0))
        world.arm(FaultRule(do="lose", at={"event": "ACCOUNT_UPDATE"}, count=0))
        world.open("ETHUSDT", "2")
        await asyncio.sleep(70)

    world = play(Story(act=act, folder=tmp_path, scenario="calm", tables=PLAN))
    opened = [event for event in world.events if is_opening(event)]
    stops = [
        event
        for event in world.events
        if isinstance(event.what, HardStopChanged) and event.what.state == "standing"
    ]
    assert len(opened) == 1
    assert stops[0].t_ns - opened[0].t_ns < 100_000_000


def is_opening(event: AuditEvent) -> bool:
    return isinstance(event.what, Decided) and isinstance(event.what.decision, Opened)


# Prices that nobody watches ---------------------------------------------------------------------


@pytest.mark.parametrize("include", ["*", "ETHUSDT"])
def test_candles_of_a_symbol_that_is_flat_for_hours_have_no_hole(
    include: str, tmp_path: Path
) -> None:
    """An ATR over a hole is near nothing, and so would be the next stop's distance."""
    seen: list[Decimal | None] = []

    async def act(world: World) -> None:
        await asyncio.sleep(3)
        for pause_s in (2000, 0):
            world.open("ETHUSDT", "2")
            await asyncio.sleep(10)
            seen.append(world.process.guard.positions["ETHUSDT", "LONG"].atr)
            world.open("ETHUSDT", "-2")
            await asyncio.sleep(pause_s)

    tables = PLAN | {
        "record": {"enabled": False},
        "account": {"reconcile_s": 600.0},
        "manage": {"include": [include]},
    }
    prices = Scenario("calm", start_ms=START_MS, seed=3, step_ms=20_000)
    play(Story(act=act, folder=tmp_path, prices=prices, keep_events=False, tables=tables))
    assert [str(atr)[:6] for atr in seen] == ["3.5229", "4.2917"]


def test_a_position_without_a_price_is_told_and_its_price_asked_for_again(tmp_path: Path) -> None:
    async def act(world: World) -> None:
        await asyncio.sleep(5)
        world.arm(
            FaultRule(do="lose", at={"stream": "ethusdt*"}, count=0),
            FaultRule(do="lose", at={"event": "ACCOUNT_UPDATE"}, count=0),
            *(
                FaultRule(do="error", at={"path": path}, code=-1001, status=503, count=40)
                for path in ("/fapi/v1/ticker/price", "/fapi/v1/premiumIndex")
            ),
        )
        world.open("ETHUSDT", "2")
        await asyncio.sleep(200)
        assert ("ETHUSDT", "LONG") in world.process.guard.positions

    world = play(Story(act=act, folder=tmp_path, scenario="calm", tables=PLAN))
    alarms = [event.what for event in world.events if isinstance(event.what, AlarmRaised)]
    assert any("ETHUSDT is open and unprotected" in alarm.text for alarm in alarms)


def test_a_stale_answer_does_not_close_once_more(tmp_path: Path) -> None:
    """The close is filled, its events are late, and the position's row is of a second and a half before."""

    async def act(world: World) -> None:
        world.price("BTCUSDT", "80000")
        world.open("BTCUSDT", "0.5")
        await asyncio.sleep(20)
        world.arm(
            FaultRule(do="delay", at={"route": "private"}, ms=8000, count=0),
            FaultRule(do="stale", at={"path": "/fapi/v3/positionRisk"}, ms=1500, count=0),
        )
        world.price("BTCUSDT", "79800")
        await asyncio.sleep(20)
        assert not world.process.guard.positions

    world = play(Story(act=act, folder=tmp_path, scenario="still", tables=PLAN))
    assert len(exits(world)) == 1
    assert not amount(world)


def test_a_contract_that_is_not_listed_any_more_keeps_nobody_from_being_guarded(
    tmp_path: Path,
) -> None:
    """A quarterly one expires while the process is down."""

    def vanish(world: World) -> None:
        for path in ("/fapi/v1/order", "/fapi/v1/userTrades", "/fapi/v1/openOrders"):
            at = {"path": path, "method": "GET", "symbol": "BTCUSDT"}
            world.arm(FaultRule(do="error", at=at, code=-1121, status=400, count=0))

    async def act(world: World) -> None:
        world.open("ETHUSDT", "2")
        await asyncio.sleep(30)
        assert set(world.process.guard.positions) == {("ETHUSDT", "LONG")}

    journaled(tmp_path, {})
    play(
        Story(
            act=act,
            folder=tmp_path,
            scenario="still",
            journal="j.db",
            tables=PLAN,
            before=vanish,
        )
    )


def test_a_dry_run_with_a_key_that_is_refused_says_so(tmp_path: Path) -> None:
    def refuse(world: World) -> None:
        world.arm(
            FaultRule(
                do="error", at={"path": "/fapi/v1/accountConfig"}, code=-2015, status=401, count=0
            )
        )

    async def act(_: World) -> None:
        await asyncio.sleep(30)

    with pytest.raises(ConfigError, match="account"):
        play(
            Story(
                act=act,
                folder=tmp_path,
                scenario="still",
                tables=PLAN | {"mode": "dry_run"},
                before=refuse,
            )
        )


def second_instances(world: World) -> list[str]:
    return [
        event.what.text
        for event in world.events
        if isinstance(event.what, AlarmRaised) and event.what.kind == "second_instance"
    ]


def test_a_hard_stop_under_our_name_that_we_never_placed_is_a_second_process(
    tmp_path: Path,
) -> None:
    """It shows as soon as the second one starts, before a rung is sold by both."""
    heard: list[bytes] = []

    async def act(world: World) -> None:
        world.price("BTCUSDT", "80000")
        world.open("BTCUSDT", "0.5")
        await asyncio.sleep(20)
        guard = world.process.guard
        guard.on_private.append(lambda message, _: heard.append(message))
        world.price("BTCUSDT", "80200")
        await asyncio.sleep(5)
        assert not second_instances(world), "our own moves"
        placed = [one for one in heard if b'"X":"NEW"' in one and b"ALGO_UPDATE" in one]
        (ours, *_) = placed
        client_id = msgspec.json.decode(ours)["o"]["caid"]
        guard.private(
            ours.replace(client_id.encode(), (client_id[:16] + "0009" + client_id[20:]).encode())
        )

    world = play(Story(act=act, folder=tmp_path, scenario="still", tables=PLAN))
    (text,) = second_instances(world)
    assert "another process of the same instance name places hard stops" in text


def test_exits_under_our_name_that_we_never_sent_are_a_second_process(tmp_path: Path) -> None:
    heard: list[bytes] = []

    async def act(world: World) -> None:
        world.price("BTCUSDT", "80000")
        world.open("BTCUSDT", "0.5")
        await asyncio.sleep(20)
        guard = world.process.guard
        guard.on_private.append(lambda message, _: heard.append(message))
        world.price("BTCUSDT", "79800")
        await asyncio.sleep(5)
        (sent,) = exits(world)
        assert not second_instances(world), "our own"
        ours = next(message for message in heard if sent.order_id.encode() in message)
        guard.private(ours.replace(sent.order_id.encode(), (sent.order_id[:-1] + "7").encode()))

    world = play(Story(act=act, folder=tmp_path, scenario="still", tables=PLAN))
    (text,) = second_instances(world)
    assert "another process of the same instance name" in text


def test_a_start_that_takes_long_is_told(tmp_path: Path) -> None:
    """The request limit is used up before the positions are known: everybody waits, and nothing is guarded."""

    def before(world: World) -> None:
        world.price("BTCUSDT", "80000")
        world.open("BTCUSDT", "0.5")
        world.arm(FaultRule(do="error", at={"path": "/fapi/v1/listenKey"}, code=-1003, status=429))

    async def act(_: World) -> None:
        await asyncio.sleep(100)

    world = play(Story(act=act, folder=tmp_path, scenario="still", tables=PLAN, before=before))
    alarms = [
        event.what
        for event in world.events
        if isinstance(event.what, AlarmRaised) and event.what.key == "slow_start"
    ]
    assert "not started after 10 s, nothing is guarded yet" in alarms[0].text
    assert alarms[-1].resolved
    assert any("nothing is guarded yet" in line for line in world.said)
    assert machine(world)


def test_a_start_that_is_quick_is_not_told_of(tmp_path: Path) -> None:
    async def act(_: World) -> None:
        await asyncio.sleep(100)

    world = play(Story(act=act, folder=tmp_path, scenario="still", tables=PLAN))
    assert not any("nothing is guarded" in line for line in world.said)
