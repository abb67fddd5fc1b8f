"""Orders that lie ready: the order first, everything else a turn later, and nothing decided otherwise for it."""

import asyncio
from decimal import Decimal

from guard_room import Room

from reactor.core.machine import Machine
from reactor.shell.assembly import order_ids
from reactor.shell.gateway.aiming import Aim, Fired
from reactor.shell.gateway.frames import MarketFrames
from reactor.shell.shots import Shots

D = Decimal


class Gun:
    """Fires into a list; the room's sender claims what it is then asked to send."""

    def __init__(self, room: Room) -> None:
        self.fired: list[str] = []
        self.practised = 0
        self._left: dict[str, Fired] = {}
        self._frames = MarketFrames(None, 5000)
        self.claims = True
        room.sender.on_send = lambda exit_: self._claim(exit_.order_id)

    def _claim(self, order_id: str) -> None:
        if self.claims:
            self._left.pop(order_id, None)

    def aim(self, machine: Machine, order_id: str) -> Aim:
        params = {
            "symbol": machine.symbol,
            "side": "SELL",
            "type": "MARKET",
            "quantity": str(machine.orders.quantity),
            "newClientOrderId": order_id,
        }
        aim = Aim(
            symbol=machine.symbol,
            quantity=machine.orders.quantity,
            number=machine.orders.number,
            order_id=order_id,
            identity=order_id,
            hedge=False,
            filters=None,
            begun=self._frames.begin(order_id, params),
            recv_window_ms=5000,
        )
        aim.sign(1, now_ns=0)
        return aim

    def sign(self, aim: Aim, now_ns: int) -> None:
        aim.sign(now_ns // 1_000_000, now_ns=now_ns)

    def fire(self, aim: Aim, now_ns: int, *, is_practice: bool = False) -> bool:
        if aim.identity in self._left:
            return False
        if is_practice:
            self.practised += 1
            return False
        self.fired.append(aim.symbol)
        self._left[aim.identity] = Fired(aim, decided_ns=now_ns, sent_ns=now_ns)
        return True

    def unclaimed(self) -> list[Fired]:
        left = list(self._left.values())
        self._left.clear()
        return left


SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT")


async def armed(*, practises: bool = False) -> tuple[Room, Gun]:
    """Three positions from 100 with their stops at 99, and an order ready for each."""
    room = Room()
    gun = Gun(room)
    shots = Shots(
        room.guard.pump.engine, gun, order_ids("room"), audit=room.audit, clock=room.clock
    )
    room.guard.fire_ahead(shots, practises=practises)
    for symbol in SYMBOLS:
        room.tick("100.0", symbol)
        room.position("2", symbol=symbol)
    await asyncio.sleep(0)
    assert set(shots.last) == set(SYMBOLS)
    return room, gun


async def turns(count: int = 3) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_the_order_leaves_in_the_turn_of_its_tick_and_the_rest_follows() -> None:
    room, gun = await armed()
    before = len(room.tape.lines)
    room.tick("99.0")
    assert gun.fired == ["BTCUSDT"]
    assert room.sender.exits == []
    assert room.tape.channels[before:] == []
    await turns()
    assert gun.fired == ["BTCUSDT"]
    assert [exit_.symbol for exit_ in room.sender.exits] == ["BTCUSDT"]
    assert room.tape.channels[before:] == ["market in", "order out"]
    assert room.decided[-1] == "Exit"
    assert room.alarms == []


async def test_other_symbols_orders_do_not_wait_for_what_follows_from_the_first() -> None:
    room, gun = await armed()
    before = len(room.tape.lines)
    room.tick("98.9")
    room.tick("99.5", "SOLUSDT")
    room.tick("98.9", "ETHUSDT")
    room.tick("98.0")
    room.tick("98.9", "SOLUSDT")
    # A price of SOLUSDT waits already: what a later one means is the engine's to say, in their order.
    assert gun.fired == ["BTCUSDT", "ETHUSDT"]
    await turns()
    assert gun.fired == ["BTCUSDT", "ETHUSDT", "SOLUSDT"]
    assert [exit_.symbol for exit_ in room.sender.exits] == ["BTCUSDT", "ETHUSDT", "SOLUSDT"]
    assert room.tape.channels[before:] == [
        "market in",
        "order out",
        "market in",
        "market in",
        "order out",
        "market in",
        "market in",
        "order out",
    ]
    times = [t_ns for t_ns, *_ in room.tape.lines]
    assert times == sorted(times)
    assert room.alarms == []


async def test_whatever_comes_in_between_finds_the_decision_made() -> None:
    room, gun = await armed()
    room.tick("99.0")
    assert room.decided[-1] != "Exit"
    room.position("0")
    assert gun.fired == ["BTCUSDT"]
    assert [exit_.symbol for exit_ in room.sender.exits] == ["BTCUSDT"]
    assert room.decided[-2:] == ["Exit", "OrdersCancelled"]
    await turns()
    assert len(room.sender.exits) == 1
    assert room.alarms == []


async def test_stopping_leaves_no_price_undecided() -> None:
    room, _ = await armed()
    room.tick("99.0")
    room.guard.stop()
    assert [exit_.symbol for exit_ in room.sender.exits] == ["BTCUSDT"]


async def test_what_nobody_decided_is_told_recorded_and_ends_firing_ahead() -> None:
    room, gun = await armed()
    gun.claims = False
    before = len(room.tape.lines)
    room.tick("99.0")
    await turns()
    assert [alarm.kind for alarm in room.alarms] == ["unclaimed_order"]
    assert room.tape.channels[before:].count("order out") == 2
    room.tick("98.0", "ETHUSDT")
    await turns()
    assert gun.fired == ["BTCUSDT"]
    assert [exit_.symbol for exit_ in room.sender.exits] == ["BTCUSDT", "ETHUSDT"]


async def test_a_symbol_that_is_not_looked_at_any_more_fires_nothing() -> None:
    room, gun = await armed()
    room.guard.faulted["BTCUSDT"] = "broken"
    room.tick("98.0", "ETHUSDT")
    room.tick("98.0")
    await turns()
    assert gun.fired == []
    assert [exit_.symbol for exit_ in room.sender.exits] == ["ETHUSDT"]


async def test_practice_follows_prices_and_sends_nothing() -> None:
    room, gun = await armed(practises=True)
    for _ in range(5):
        room.after(0.01).tick("100.1")
        await turns(1)
    assert gun.practised >= 4
    assert gun.fired == []
    assert room.sender.exits == []
