"""The nine positions of the report that this program began with, guarded at once."""

from decimal import Decimal
from pathlib import Path

from reactor.core.decisions import Closed, Reason

from .exchange import Exchange, until
from .live import LiveGuard, replays, tidy

POSITIONS = {
    "SOLUSDT": "314",
    "DOTUSDT": "-1096",
    "ETHUSDT": "-6.61",
    "AVAXUSDT": "161",
    "BNBUSDT": "18",
    "ATOMUSDT": "314",
    "XRPUSDT": "-3013",
    "ADAUSDT": "16858",
    "BTCUSDT": "0.182",
}
PLANS = {"ETHUSDT": "trail", "BNBUSDT": "harvest", "DOTUSDT": "short_lived"}


def beyond(entry: Decimal, share: str) -> Decimal:
    """A price this share away from an entry, on a grid that every symbol here has."""
    return (entry * (1 + Decimal(share))).quantize(
        Decimal("0.0001") if entry < 1 else Decimal("0.001")
    )


async def test_nine_positions_are_guarded_at_once(tmp_path: Path) -> None:
    async with Exchange() as exchange:
        exchange.price("BTCUSDT", "80000")
        exchange.price("ETHUSDT", "3000")
        for symbol, quantity in POSITIONS.items():
            exchange.trade(symbol, quantity)
        async with LiveGuard(exchange, tmp_path, plans=PLANS) as guard:
            await exchange.guarded(*POSITIONS)
            assert len(guard.process.guard.positions) == 9

            # ATOM and ADA are stopped out by ticks.
            for symbol in ("ATOMUSDT", "ADAUSDT"):
                entry = exchange.entry(symbol)
                exchange.price(symbol, beyond(entry, "-0.010"))
                exchange.price(symbol, beyond(entry, "-0.021"))
                await guard.exit(symbol, Reason.STOP_LOSS)
                assert (await guard.closed(symbol)).reason is Reason.STOP_LOSS
            await exchange.flat("ATOMUSDT", "ADAUSDT")

            # BTC climbs its ladder: 30 %, 30 %, and all that remains.
            entry = exchange.entry("BTCUSDT")
            for share, rest in (("0.0105", "0.128"), ("0.0205", "0.074"), ("0.0305", "0")):
                exchange.price("BTCUSDT", beyond(entry, share).quantize(Decimal("0.1")))
                await until(lambda left=rest: exchange.held("BTCUSDT") == Decimal(left), rest)  # type: ignore[misc]
                await guard.holds("BTCUSDT", rest)
            assert (await guard.closed("BTCUSDT")).reason is Reason.TAKE_PROFIT

            # ETH falls, which a short likes; the stop follows 1 % behind and takes it when the price comes back.
            entry = exchange.entry("ETHUSDT")
            exchange.price("ETHUSDT", "2950.00")
            exchange.price("ETHUSDT", "2900.00")
            await guard.stop_at("ETHUSDT", "2929", "SHORT")
            await exchange.guarded("ETHUSDT")
            exchange.price("ETHUSDT", "2930.00")
            await guard.exit("ETHUSDT", Reason.TRAILING_STOP)
            assert (await guard.closed("ETHUSDT")).reason is Reason.TRAILING_STOP

            # BNB is harvested: half of what is left at every 1 %.
            entry = exchange.entry("BNBUSDT")
            for share, rest in (("0.0105", "9"), ("0.0205", "4.5")):
                exchange.price("BNBUSDT", beyond(entry, share).quantize(Decimal("0.01")))
                await guard.holds("BNBUSDT", rest)
            await guard.exit("BNBUSDT", Reason.HARVEST, 2)

            # DOT had four seconds.
            assert (await guard.closed("DOTUSDT")).reason is Reason.TIME_STOP

            # Nobody else was touched, and what is left is protected.
            left = {"SOLUSDT", "AVAXUSDT", "BNBUSDT", "XRPUSDT"}
            assert {one.symbol for one in exchange.account.open_positions()} == left
            await exchange.guarded(*left)
            for symbol in ("SOLUSDT", "AVAXUSDT", "XRPUSDT"):
                assert exchange.held(symbol) == Decimal(POSITIONS[symbol])
                assert not exchange.sent(symbol)
                assert not guard.decided(Closed, symbol)
            assert not guard.alarms("naked")
        await tidy(exchange)
        assert {stop.symbol for stop in exchange.hard_stops()} == left
    replays(tmp_path)
