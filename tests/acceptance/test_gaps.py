"""Sockets that break when it matters, events that never come, answers that are out of date."""

import asyncio
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from reactor.audit import LinkChanged, Reconciled, SourceChanged
from reactor.core.decisions import Opened, Reason

from .exchange import Exchange, until
from .live import LiveGuard, replays, tidy

BTC, ETH = "BTCUSDT", "ETHUSDT"


async def opened(exchange: Exchange, **quantities: str) -> None:
    exchange.price(BTC, "80000")
    exchange.price(ETH, "3000")
    for symbol, quantity in quantities.items():
        exchange.trade(symbol, quantity)


@pytest.mark.parametrize("how", ["reset", "close", "half_open"])
async def test_a_reconnect_in_the_middle_of_a_crash(
    tmp_path: Path, how: str, record_property: Callable[[str, object], None]
) -> None:
    """The market socket dies, and the price falls through the stop before it is back."""
    loop = asyncio.get_running_loop()
    async with Exchange() as exchange:
        await opened(exchange, BTCUSDT="0.2", ETHUSDT="-6.61")
        async with LiveGuard(exchange, tmp_path) as guard:
            await exchange.guarded(BTC, ETH)
            exchange.price(BTC, "79000")
            links = len(guard.told(LinkChanged))
            exchange.cut("market", how)
            cut_s = loop.time()
            # The exchange's own stop stands at 78 008, so whoever closes here is the guard.
            exchange.price(BTC, "78300")
            await guard.exit(BTC, Reason.STOP_LOSS)
            acted_s = loop.time() - cut_s
            await exchange.flat(BTC)
            assert (await guard.closed(BTC)).reason is Reason.STOP_LOSS

            def is_back() -> bool:
                news = [one for one in guard.told(LinkChanged)[links:] if one.stream == "market"]
                return any(one.state == "up" for one in news)

            await until(is_back, "the market socket back")
            back_s = loop.time() - cut_s
            assert exchange.held(ETH) == Decimal("-6.61")
            await exchange.guarded(ETH)
            print(f"{how}: acted {acted_s:.2f} s after the cut, socket back after {back_s:.2f} s")
            record_property("acted_s", round(acted_s, 2))
            # A dead socket that says nothing is found by its silence: 3 s, and a poll.
            assert acted_s < (15 if how == "half_open" else 5)
        await tidy(exchange)
    replays(tmp_path)


async def test_prices_during_a_gap_come_from_rest_and_are_never_old(tmp_path: Path) -> None:
    """A socket that is open and mute: its symbols are polled until it delivers again."""
    async with Exchange() as exchange:
        await opened(exchange, BTCUSDT="0.2", ETHUSDT="-6.61")
        async with LiveGuard(exchange, tmp_path) as guard:
            await exchange.guarded(BTC, ETH)
            ages: list[int] = []

            def note_ages() -> None:
                now_ms = exchange.simulation.exchange.now_ms
                for machine in guard.process.guard.positions.values():
                    market = guard.process.guard.market_of(machine)
                    assert market is not None
                    ages.append(now_ms - market.t_recv_ns // 1_000_000)

            exchange.fault("lose", {"route": "market"}, count=0)
            exchange.fault("lose", {"route": "public"}, count=0)
            await guard.heard(SourceChanged)
            loop = asyncio.get_running_loop()
            end_s = loop.time() + 4
            while loop.time() < end_s:
                note_ages()
                await asyncio.sleep(0.1)
            sources = {one.symbol: one.source for one in guard.told(SourceChanged)}
            assert sources == {BTC: "rest", ETH: "rest"}
            print(f"the oldest price that a position had: {max(ages) / 1000:.1f} s")
            assert max(ages) < 5000 + 3000, "5 s, and room for a machine that is busy elsewhere"
            # The stop is seen by what was asked for.
            exchange.price(BTC, "78300")
            await guard.exit(BTC, Reason.STOP_LOSS)
            await exchange.flat(BTC)
            exchange.door("faults", method="DELETE")
            await until(
                lambda: guard.told(SourceChanged)[-1].source == "stream", "the stream drives again"
            )
        await tidy(exchange)
    replays(tmp_path)


async def test_user_events_that_never_came_are_found_by_asking(tmp_path: Path) -> None:
    """A human adds, reduces and closes; not one event of it arrives."""
    async with Exchange() as exchange:
        await opened(exchange, BTCUSDT="0.2", ETHUSDT="-6.61")
        async with LiveGuard(exchange, tmp_path) as guard:
            await exchange.guarded(BTC, ETH)
            exchange.fault("lose", {"event": "*"}, count=0)
            exchange.trade(BTC, "0.1")
            exchange.trade(ETH, "6.61")
            exchange.trade("SOLUSDT", "10")
            await guard.holds(BTC, "0.3")
            await guard.closed(ETH)
            await guard.holds("SOLUSDT", "10")
            exchange.trade(BTC, "-0.2")
            await guard.holds(BTC, "0.1")
            await exchange.guarded(BTC, "SOLUSDT")
            # Exits go on without a single event: answers and questions tell what became of them.
            exchange.price(BTC, "78300")
            await exchange.flat(BTC)
            await guard.closed(BTC)
        await tidy(exchange)
    replays(tmp_path)


@pytest.mark.parametrize("do", ["expire", "delete"])
async def test_a_listen_key_that_dies(tmp_path: Path, do: str) -> None:
    """With a notice or in silence: what happened meanwhile is found, and events flow again."""
    async with Exchange() as exchange:
        await opened(exchange, BTCUSDT="0.2")
        async with LiveGuard(exchange, tmp_path) as guard:
            await exchange.guarded(BTC)
            runs = len(guard.told(Reconciled))
            exchange.door("listen-key", {"do": do})
            exchange.trade(BTC, "0.1")
            await guard.holds(BTC, "0.3")
            assert len(guard.told(Reconciled)) > runs
            await exchange.guarded(BTC)
            if do == "expire":
                # A new key, and events again: this comes without a question.
                await until(lambda: exchange.account.listen_key, "a new listen key")
                await until(
                    lambda: any(
                        one["route"] == "private" and one["listenKeys"]
                        for one in exchange.door("state", method="GET")["connections"]
                    ),
                    "the user stream on the new key",
                )
            exchange.price(BTC, "78300")
            await exchange.flat(BTC)
            await guard.closed(BTC)
        await tidy(exchange)
    replays(tmp_path)


async def test_answers_from_before_a_fill_change_nothing(tmp_path: Path) -> None:
    """REST lags the stream: positions as of two seconds ago are no re-opening and no loss."""
    async with Exchange() as exchange:
        await opened(exchange, BTCUSDT="0.2")
        async with LiveGuard(exchange, tmp_path) as guard:
            await exchange.guarded(BTC)
            exchange.fault("stale", {"path": "/fapi/v3/positionRisk"}, ms=2000, count=0)
            exchange.price(BTC, "80850")
            await guard.holds(BTC, "0.14")
            guard.process.reconciler.want("the script asks")
            await until(
                lambda: any("the script asks" in one.cause for one in guard.told(Reconciled)),
                "asked",
            )
            await asyncio.sleep(0.5)
            machine = guard.machine(BTC)
            assert machine is not None
            assert machine.orders.quantity == Decimal("0.140")
            exchange.price(BTC, "78300")
            await exchange.flat(BTC)
            await guard.closed(BTC)
            # The answers still say that it is open.
            guard.process.reconciler.want("the script asks again")
            await asyncio.sleep(3)
            assert len(guard.decided(Opened, BTC)) == 1, "a closed position was taken up again"
            exchange.door("faults", method="DELETE")
        await tidy(exchange)
    replays(tmp_path)
