"""Accounts that are not ours alone: books that are under water, people who trade, rehearsals, ends."""

import asyncio
import time
from decimal import Decimal
from pathlib import Path

from reactor.core.decisions import Closed, Exit, Opened, Reason, Side, StopMoved

from .exchange import ALGO_ORDER, ORDER, Exchange, until
from .live import LiveGuard, replays, tidy
from .process import GuardProcess
from .test_nine_positions import POSITIONS

BTC = "BTCUSDT"


async def test_a_book_half_under_water_is_adopted_without_closing_any_of_it(tmp_path: Path) -> None:
    async with Exchange() as exchange:
        exchange.price(BTC, "80000")
        for symbol, quantity in POSITIONS.items():
            exchange.trade(symbol, quantity)
        # Every other one has lost 5 %, far beyond the plan's 2 %.
        drowned = list(POSITIONS)[::2]
        for symbol in drowned:
            loss = Decimal("0.95") if Decimal(POSITIONS[symbol]) > 0 else Decimal("1.05")
            tick = exchange.simulation.exchange.symbols[symbol].tick
            exchange.price(symbol, (exchange.entry(symbol) * loss).quantize(tick))
        async with LiveGuard(exchange, tmp_path) as guard:
            await exchange.guarded(*POSITIONS)
            await asyncio.sleep(2)  # some ticks of every mark price
            assert not exchange.sent()
            for symbol, quantity in POSITIONS.items():
                assert exchange.held(symbol) == Decimal(quantity)
                side: Side = "LONG" if Decimal(quantity) > 0 else "SHORT"
                machine = guard.machine(symbol, side)
                assert machine is not None
                distance = abs(machine.stop_price / exchange.last(symbol) - 1)
                assert Decimal("0.018") < distance < Decimal("0.022"), (symbol, distance)
            told = [line for line in guard.said if "stop" in line]
            assert len(told) == len(POSITIONS), "the start-up print shows every one and its stop"
            # From here on they are guarded like any other.
            price = exchange.last(BTC)
            exchange.price(BTC, (price * Decimal("0.978")).quantize(Decimal("0.1")))
            await exchange.flat(BTC)
        await tidy(exchange)
        assert {one.symbol for one in exchange.account.open_positions()} == {*POSITIONS} - {BTC}
    replays(tmp_path)


async def test_a_human_who_trades_the_same_account(tmp_path: Path) -> None:
    """Adds, reduces, flips and closes, while rungs and stops fire."""
    async with Exchange() as exchange:
        exchange.price(BTC, "80000")
        exchange.trade(BTC, "0.2")
        async with LiveGuard(exchange, tmp_path) as guard:
            await exchange.guarded(BTC)
            exchange.price(BTC, "80850")
            await guard.holds(BTC, "0.14")
            # He adds at the top: levels follow the new average, the rung stays taken.
            exchange.trade(BTC, "0.06")
            await guard.holds(BTC, "0.2")
            await exchange.guarded(BTC)
            assert len(exchange.sent()) == 1
            # He reduces.
            exchange.trade(BTC, "-0.1")
            await guard.holds(BTC, "0.1")
            await exchange.guarded(BTC)
            # He flips in one order: the old epoch ends so named, the new side has a stop of its own.
            exchange.trade(BTC, "-0.3")
            await guard.holds(BTC, "0.2", "SHORT")
            assert (await guard.closed(BTC)).reason is Reason.FLIP
            await exchange.guarded(BTC)
            assert [stop.side for stop in exchange.hard_stops(BTC)] == ["BUY"]
            # He closes in the very moment in which our stop fires.
            exchange.trap("POST", ORDER, lambda: exchange.trade(BTC, "0.2"), when="before")
            stop = guard.machine(BTC, "SHORT")
            assert stop is not None
            exchange.price(BTC, (stop.stop_price + 5).quantize(Decimal("0.1")))
            await guard.closed(BTC, 2)
            await exchange.flat(BTC)
            assert exchange.held(BTC) == 0, "our close opened the other side"
            # And opens again: everything from the beginning.
            exchange.trade(BTC, "0.05")
            await guard.holds(BTC, "0.05")
            await exchange.guarded(BTC)
            assert [one.side for one in guard.decided(Opened, BTC)] == ["LONG", "SHORT", "LONG"]
        await tidy(exchange, late=1)
    replays(tmp_path)


async def test_positions_that_are_not_ours_are_never_touched(tmp_path: Path) -> None:
    async with Exchange() as exchange:
        exchange.price(BTC, "80000")
        exchange.price("ETHUSDT", "3000")
        exchange.trade(BTC, "0.2")
        exchange.trade("ETHUSDT", "5")
        async with LiveGuard(exchange, tmp_path, manage={"include": [BTC]}) as guard:
            await exchange.guarded(BTC)
            exchange.price("ETHUSDT", "2700")
            exchange.price(BTC, "78300")
            await exchange.flat(BTC)
            await guard.closed(BTC)
            assert exchange.held("ETHUSDT") == Decimal(5)
            assert not exchange.sent("ETHUSDT")
            assert not exchange.asked("POST", ALGO_ORDER, symbol="ETHUSDT")
            assert any("not managed" in line for line in guard.said)
        await tidy(exchange)
    replays(tmp_path)


async def test_a_dry_run_decides_everything_and_sends_nothing(tmp_path: Path) -> None:
    async with Exchange() as exchange:
        exchange.price(BTC, "80000")
        exchange.trade(BTC, "0.2")
        async with LiveGuard(exchange, tmp_path, mode="dry_run") as guard:
            exchange.price(BTC, "80850")
            await guard.exit(BTC, Reason.TAKE_PROFIT)
            await guard.holds(BTC, "0.14")
            exchange.price(BTC, "81300")
            await until(lambda: guard.decided(StopMoved, BTC), "break-even")
            exchange.price(BTC, "80050")
            await guard.exit(BTC, Reason.BREAK_EVEN)
            await guard.closed(BTC)
            # Closed in the books, and so it stays while the real one is open.
            guard.process.reconciler.want("the script asks")
            exchange.price(BTC, "79000")
            await asyncio.sleep(1)
            assert len(guard.decided(Opened, BTC)) == 1
            assert exchange.held(BTC) == Decimal("0.2")
            for method in ("POST", "PUT", "DELETE"):
                assert not exchange.asked(method, ORDER)
                assert not exchange.asked(method, ALGO_ORDER)
            assert not exchange.hard_stops()
            # The next position is a new one.
            exchange.trade(BTC, "-0.2")
            exchange.trade(BTC, "0.1")
            await guard.holds(BTC, "0.1")
            assert len(guard.decided(Closed, BTC)) == 1
            assert len(guard.decided(Exit, BTC)) == 2
    replays(tmp_path)


async def test_an_orderly_end_leaves_hard_stops_standing(tmp_path: Path) -> None:
    """SIGTERM: exit code 0 within five seconds, also while the exchange does not answer."""
    async with Exchange() as exchange:
        exchange.price(BTC, "80000")
        exchange.trade(BTC, "0.2")
        guard = GuardProcess(exchange, tmp_path)
        try:
            await guard.start()
            await exchange.guarded(BTC)
            began_s = time.monotonic()
            assert await guard.terminate() == 0
            assert time.monotonic() - began_s < 5
            await exchange.guarded(BTC)
            await guard.start()
            # With a close in flight that nobody answers, it is seen through for three seconds.
            exchange.fault("lose", {"event": "*"}, count=0)
            exchange.fault("hang", {"path": ORDER}, executed=False, count=0)
            exchange.price(BTC, "78300")
            await until(lambda: exchange.sent(BTC), "the close sent")
            began_s = time.monotonic()
            assert await guard.terminate() == 0
            took_s = time.monotonic() - began_s
            assert took_s < 5, took_s
            await exchange.guarded(BTC)
            exchange.door("faults", method="DELETE")
        finally:
            guard.kill()
    replays(tmp_path)
