"""nautilus_trader: its live Binance futures adapter, an emulated stop and an emulated trailing stop.

`python with_nautilus.py PORT`. Both orders are evaluated by its `OrderEmulator` on every aggregate trade; the
stop fires, and lies there anew once it is filled. On: uvloop (its own), risk checks bypassed, no database,
logging at errors. It has orders over REST only, in this version.
"""

import sys
from decimal import Decimal
from typing import Any

from nautilus_trader.adapters.binance import (
    BINANCE,
    BinanceAccountType,
    BinanceDataClientConfig,
    BinanceExecClientConfig,
    BinanceLiveDataClientFactory,
    BinanceLiveExecClientFactory,
)
from nautilus_trader.adapters.binance.http.client import BinanceHttpClient
from nautilus_trader.config import (
    InstrumentProviderConfig,
    LiveExecEngineConfig,
    LiveRiskEngineConfig,
    LoggingConfig,
    TradingNodeConfig,
)
from nautilus_trader.live.node import TradingNode
from nautilus_trader.model.data import QuoteTick
from nautilus_trader.model.enums import OrderSide, TrailingOffsetType, TriggerType
from nautilus_trader.model.identifiers import InstrumentId, TraderId
from nautilus_trader.trading.strategy import Strategy
from terms import KEY, QUANTITY, SECRET, STOP, SYMBOL, ready

INSTRUMENT = InstrumentId.from_str(f"{SYMBOL}-PERP.BINANCE")

QUIET = 5
"""Trades above the stop before it is placed anew."""


class Guard(Strategy):
    """A stop and a trailing stop, emulated."""

    def on_start(self) -> None:
        """Primes the emulator with a quote (its trailing stop needs one), and subscribes."""
        self.instrument = self.cache.instrument(INSTRUMENT)
        self.level = self.instrument.make_price(STOP)
        price, size = self.instrument.make_price(60_000), self.instrument.make_qty(1)
        now_ns = self.clock.timestamp_ns()
        self.cache.add_quote_tick(QuoteTick(INSTRUMENT, price, price, size, size, now_ns, now_ns))
        self.subscribe_trade_ticks(INSTRUMENT)
        self.trails = self.waits = False
        self.quiet = 0

    def on_trade_tick(self, tick: Any) -> None:
        """Places what does not wait: the trailing stop once, the stop anew after each fill.

        Not on the first quiet trade: the emulator hears of it later than the strategy, and would compare the
        new stop with the trade that fired the old one.
        """
        if self.waits or tick.price <= self.level:
            return
        self.quiet += 1
        if self.quiet == QUIET:
            self.waits, self.quiet = True, 0
            if not self.trails:
                self.trails = True
                self.place_trail()
            self.place_stop()

    def place_trail(self) -> None:
        """One per cent behind the best price: evaluated on every tick, and not reached."""
        order = self.order_factory.trailing_stop_market(
            instrument_id=INSTRUMENT,
            order_side=OrderSide.SELL,
            quantity=self.instrument.make_qty(Decimal(QUANTITY)),
            trailing_offset=Decimal(100),
            trailing_offset_type=TrailingOffsetType.BASIS_POINTS,
            trigger_type=TriggerType.LAST_PRICE,
            emulation_trigger=TriggerType.LAST_PRICE,
            reduce_only=True,
        )
        self.submit_order(order)

    def place_stop(self) -> None:
        """The one that fires."""
        order = self.order_factory.stop_market(
            instrument_id=INSTRUMENT,
            order_side=OrderSide.SELL,
            quantity=self.instrument.make_qty(Decimal(QUANTITY)),
            trigger_price=self.level,
            trigger_type=TriggerType.LAST_PRICE,
            emulation_trigger=TriggerType.LAST_PRICE,
            reduce_only=True,
        )
        self.submit_order(order)

    def on_order_filled(self, _event: Any) -> None:
        """The next trade places it anew."""
        self.waits = False


def read_what_is_new() -> None:
    """Takes the time in force `RPI` out of what it reads: this version ends on the name, which Binance lists today."""
    send = BinanceHttpClient.send_request

    async def send_request(self: Any, *words: Any, **named: Any) -> bytes:
        answer: bytes = await send(self, *words, **named)
        return answer.replace(b',"RPI"', b"").replace(b'"RPI",', b"")

    BinanceHttpClient.send_request = send_request


def run(port: int) -> None:
    """Starts the node; it ends with the process."""
    here = f"127.0.0.1:{port}"
    common = {
        "api_key": KEY,
        "api_secret": SECRET,
        "account_type": BinanceAccountType.USDT_FUTURES,
        "base_url_http": f"http://{here}",
        "instrument_provider": InstrumentProviderConfig(load_ids=frozenset([INSTRUMENT])),
    }
    config = TradingNodeConfig(
        trader_id=TraderId("BENCH-001"),
        logging=LoggingConfig(log_level="ERROR"),
        exec_engine=LiveExecEngineConfig(reconciliation=False),
        risk_engine=LiveRiskEngineConfig(bypass=True),
        data_clients={
            BINANCE: BinanceDataClientConfig(
                **common, base_url_ws=f"ws://{here}/other", use_agg_trade_ticks=True
            )
        },
        exec_clients={
            BINANCE: BinanceExecClientConfig(**common, base_url_ws=f"ws://{here}/other/private")
        },
    )
    read_what_is_new()
    node = TradingNode(config=config)
    node.trader.add_strategy(Guard())
    node.add_data_client_factory(BINANCE, BinanceLiveDataClientFactory)
    node.add_exec_client_factory(BINANCE, BinanceLiveExecClientFactory)
    node.build()
    ready("nautilus_trader", "uvloop")
    node.run()


if __name__ == "__main__":
    run(int(sys.argv[1]))
