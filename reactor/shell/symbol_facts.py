"""What REST answers and account events say of a symbol that ladder rules may ask for: leverage, daily volume."""

from collections.abc import Iterable
from decimal import Decimal

from reactor.binance.rest_account_messages import PositionRisk, SymbolConfig
from reactor.binance.rest_market_messages import TickerDay
from reactor.binance.user_messages import AccountConfigUpdate


class SymbolFacts:
    """Keeps the newest of each fact by symbol, in the table that the engine looks into.

    `leverage` comes from `/fapi/v1/symbolConfig`, version 2 of positionRisk, and ACCOUNT_CONFIG_UPDATE events;
    `volume_24h` from `/fapi/v1/ticker/24hr`. What was never told is not there.
    """

    def __init__(self, known: dict[str, dict[str, Decimal | str]]) -> None:
        self._known = known

    def learn(self, message: object) -> None:
        """Takes an answer, a list of them, or an event; what says nothing of this kind is passed over."""
        rows: Iterable[object] = message if isinstance(message, tuple) else (message,)
        for row in rows:
            if isinstance(row, TickerDay):
                self._put(row.symbol, "volume_24h", row.quote_volume)
            elif isinstance(row, SymbolConfig | PositionRisk) and row.leverage:
                self._put(row.symbol, "leverage", Decimal(row.leverage))
            elif isinstance(row, AccountConfigUpdate) and row.leverage is not None:
                self._put(row.leverage.symbol, "leverage", Decimal(row.leverage.leverage))

    def _put(self, symbol: str, name: str, value: Decimal) -> None:
        self._known.setdefault(symbol, {})[name] = value
