"""Orders that go wrong: nobody answers, somebody is in the way, the mode is another."""

import asyncio
import itertools
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from reactor.core.decisions import Closed, Exit, Opened, Reason

from .exchange import ALGO_ORDER, ORDER, Exchange, until
from .live import LiveGuard, replays, tidy

BTC = "BTCUSDT"
OURS = {"newClientOrderId": "xr-*"}


async def test_hedge_mode_with_both_sides_of_one_symbol(tmp_path: Path) -> None:
    async with Exchange(hedge=True) as exchange:
        exchange.price(BTC, "80000")
        exchange.trade(BTC, "0.2", side="LONG")
        exchange.trade(BTC, "-0.1", side="SHORT")
        async with LiveGuard(exchange, tmp_path) as guard:
            await exchange.guarded(BTC, side="LONG")
            await exchange.guarded(BTC, side="SHORT")
            # The rung of the one is no business of the other.
            exchange.price(BTC, "80850")
            await guard.holds(BTC, "0.14", "LONG")
            assert exchange.held(BTC, "SHORT") == Decimal("-0.1")
            # Up through the short's stop (81 600) and the long's second rung, in one tick.
            exchange.price(BTC, "81650")
            await exchange.flat(BTC, side="SHORT")
            await guard.holds(BTC, "0.08", "LONG")
            await exchange.guarded(BTC, side="LONG")
            ends = guard.decided(Closed, BTC)
            assert [(one.side, one.reason) for one in ends] == [("SHORT", Reason.STOP_LOSS)]
            # Down through the long's break-even: it alone is closed.
            exchange.price(BTC, "80050")
            await exchange.flat(BTC, side="LONG")
            await guard.closed(BTC, 2)
            for arrival in exchange.sent():
                assert "reduceOnly" not in arrival.params
                assert arrival.params["positionSide"] in {"LONG", "SHORT"}
            assert exchange.closed_by_guard(BTC, "LONG") == Decimal("0.2")
            assert exchange.closed_by_guard(BTC, "SHORT") == Decimal("0.1")
        await tidy(exchange)
        assert not exchange.hard_stops()
    replays(tmp_path)


async def test_a_process_that_ends_takes_the_hard_stop_of_an_ended_epoch_along(
    tmp_path: Path,
) -> None:
    """It would close what a human opens next, and nobody would be there to cancel it."""
    async with Exchange() as exchange:
        exchange.price(BTC, "80000")
        exchange.trade(BTC, "0.2")
        async with LiveGuard(exchange, tmp_path) as guard:
            await exchange.guarded(BTC)
            exchange.fault("lost", {"path": ALGO_ORDER, "method": "DELETE"}, count=1)
            exchange.trade(BTC, "-0.2")
            await guard.closed(BTC, 1)
        assert not exchange.hard_stops()
    replays(tmp_path)


async def test_closed_and_opened_again_within_the_same_second(tmp_path: Path) -> None:
    """By hand, again and again: every position is an epoch of its own, and none gets another's orders."""
    async with Exchange() as exchange:
        exchange.price(BTC, "80000")
        exchange.trade(BTC, "0.2")
        async with LiveGuard(exchange, tmp_path) as guard:
            await exchange.guarded(BTC)
            for _ in range(3):
                exchange.trade(BTC, "-0.2")
                exchange.trade(BTC, "0.2")
            await until(lambda: len(guard.decided(Opened, BTC)) == 4, "four epochs")
            await exchange.guarded(BTC)
            assert [stop.client_id for stop in exchange.hard_stops()]
            # Stopped out, and opened again before the guard can have heard of it.
            exchange.trap("POST", ORDER, lambda: _again(exchange))
            exchange.price(BTC, "78390")
            await guard.closed(BTC, 4)
            await until(lambda: len(guard.decided(Opened, BTC)) == 5, "five epochs")
            await guard.holds(BTC, "0.2")
            await exchange.guarded(BTC)
            await asyncio.sleep(1)  # longer than any retry of the old close
            assert exchange.held(BTC) == Decimal("0.2"), "the old close reached the new position"
            machine = guard.machine(BTC)
            assert machine is not None
            assert not machine.orders.exiting
            assert machine.stop_price < Decimal(78000), "its stop is its own: 2 % below 78 390"
        await tidy(exchange)
    replays(tmp_path)


def _again(exchange: Exchange) -> None:
    asyncio.get_running_loop().call_soon(lambda: exchange.trade(BTC, "0.2"))


@pytest.mark.parametrize("conflict", ["reject", "expire"])
async def test_a_resting_order_of_the_user_that_blocks_our_close(
    tmp_path: Path, conflict: str
) -> None:
    """His take-profit refuses our close; for a stop it is cancelled, told, and the close sent again."""
    async with Exchange() as exchange:
        exchange.price(BTC, "80000")
        exchange.door("account", {"reduceOnlyConflict": conflict})
        exchange.trade(BTC, "0.2")
        async with LiveGuard(exchange, tmp_path) as guard:
            await exchange.guarded(BTC)
            rest_take_profit(exchange, "0.2", "82000")
            exchange.price(BTC, "78300")
            await exchange.flat(BTC)
            assert (await guard.closed(BTC)).reason is Reason.STOP_LOSS
            assert not exchange.account.open_orders(BTC)
            if conflict == "reject":
                assert exchange.asked("DELETE", ORDER), "it was in the way and was cancelled"
                texts = [one.text for one in guard.told(_alarm())]
                assert any("resting" in one or "cancel" in one for one in texts), texts
        await tidy(exchange)
    replays(tmp_path)


async def test_a_resting_order_of_the_user_stays_when_a_rung_is_refused(tmp_path: Path) -> None:
    async with Exchange() as exchange:
        exchange.price(BTC, "80000")
        exchange.door("account", {"reduceOnlyConflict": "reject"})
        exchange.trade(BTC, "0.2")
        async with LiveGuard(exchange, tmp_path) as guard:
            await exchange.guarded(BTC)
            rest_take_profit(exchange, "0.2", "82000")
            exchange.price(BTC, "80850")
            await guard.exit(BTC, Reason.TAKE_PROFIT)
            await guard.holds(BTC, "0.2")
            await asyncio.sleep(0.5)
            assert len(exchange.account.open_orders(BTC)) == 1, (
                "for a rung nobody's order is touched"
            )
            assert not exchange.asked("DELETE", ORDER)
        await tidy(exchange)
    replays(tmp_path)


def rest_take_profit(exchange: Exchange, quantity: str, price: str) -> None:
    """The user's reduce-only order, placed with a key of his own."""
    from reactor.sim import orders as sim_orders

    ask = sim_orders.Ask(
        symbol=BTC,
        side="SELL",
        position_side="BOTH",
        type="LIMIT",
        time_in_force="GTC",
        quantity=Decimal(quantity),
        price=Decimal(price),
        reduce_only=True,
        client_id="web_take_profit",
    )
    sim_orders.place(exchange.simulation.exchange, exchange.account, ask)
    exchange.door("state", method="GET")


def _alarm() -> Any:
    from reactor.audit import AlarmRaised

    return AlarmRaised


UNKNOWN: dict[str, dict[str, Any]] = {
    "-1007, executed": {"do": "unknown_executed"},
    "-1007, not executed": {"do": "unknown_lost"},
    "never arrived": {"do": "lost"},
    "503, executed": {"do": "error_after", "code": -1000, "status": 503},
    "no answer, executed": {"do": "hang", "executed": True},
    "no answer, not executed": {"do": "hang", "executed": False},
    "socket cut, executed": {"do": "drop", "how": "reset", "executed": True},
    "socket cut, not executed": {"do": "drop", "how": "reset", "executed": False},
}


RUNG, STOP = ("80850", "0.14"), ("78300", "0")


async def test_exits_of_unknown_outcome(tmp_path: Path) -> None:
    """Whatever became of an order, what was decided is closed once, and nothing else is.

    Rungs and stops, with user events and without a single one: each on an exchange of its own, side by side.
    """

    async def one(number: int, how: str, price: str, left: str, *, events: bool) -> str:
        try:
            folder = tmp_path / str(number)
            folder.mkdir()
            await _unknown(folder, UNKNOWN[how], price=price, left=Decimal(left), events=events)
        except Exception as error:  # noqa: BLE001 - all are told at the end
            return f"{how}, {'rung' if Decimal(left) else 'stop'}, events {events}: {error!r}"
        return ""

    cases = itertools.product(UNKNOWN, (RUNG, STOP), (True, False))
    told = await asyncio.gather(
        *(
            one(number, how, price, left, events=events)
            for number, (how, (price, left), events) in enumerate(cases)
        )
    )
    assert not any(told), "\n".join(filter(None, told))


async def _unknown(
    folder: Path, rule: dict[str, Any], *, price: str, left: Decimal, events: bool
) -> None:
    async with Exchange() as exchange:
        exchange.price(BTC, "80000")
        exchange.trade(BTC, "0.2")
        async with LiveGuard(exchange, folder) as guard:
            await exchange.guarded(BTC)
            if not events:
                exchange.fault("lose", {"event": "*"}, count=0)
            exchange.fault(at=OURS, **rule)
            exchange.price(BTC, price)
            await guard.exit(BTC, Reason.TAKE_PROFIT if left else Reason.STOP_LOSS)
            await guard.holds(BTC, str(left))
            assert exchange.held(BTC) == left
            assert exchange.closed_by_guard(BTC) == Decimal("0.2") - left
            if left:
                await exchange.guarded(BTC)
                assert not [one for one in guard.decided(Exit, BTC) if one.full]
        # A close that nobody answered is sent again: the position is its cap.
        await tidy(exchange, late=0 if left else 3)
    replays(folder)
