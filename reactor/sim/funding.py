"""Funding: every eight hours each position pays or receives notional times rate."""

from typing import TYPE_CHECKING

from reactor.sim import events
from reactor.sim.market import FUNDING_MS, Funding, Market
from reactor.sim.model import QUANTUM

if TYPE_CHECKING:
    from reactor.sim.exchange import Exchange


def start(exchange: "Exchange") -> None:
    """Schedule the next funding time."""
    due_ms = (exchange.now_ms // FUNDING_MS + 1) * FUNDING_MS

    def pay_all() -> None:
        for market in exchange.markets.values():
            pay(exchange, market)
            market.next_funding_ms = due_ms + FUNDING_MS
        start(exchange)

    exchange.schedule(due_ms - exchange.now_ms, pay_all)


def pay(exchange: "Exchange", market: Market) -> None:
    """Settle one symbol now: longs pay shorts when the rate is positive."""
    symbol = market.rules.symbol
    now_ms = exchange.server_ms
    market.fundings.append(Funding(now_ms, market.funding_rate, market.mark))
    for account in exchange.accounts.values():
        for position in list(account.open_positions()):
            if position.symbol != symbol:
                continue
            amount = -(position.amount * market.mark * market.funding_rate).quantize(QUANTUM)
            if not amount:
                continue
            exchange.remember(account)
            isolated = symbol in account.isolated
            if isolated:
                position.isolated_wallet += amount
            account.pay("FUNDING_FEE", symbol, amount, time_ms=now_ms, tran_id=exchange.next_id())
            exchange.tell_user(
                account,
                events.account_update(
                    account,
                    "FUNDING_FEE",
                    [position] if isolated else [],
                    exchange.markets,
                    time_ms=now_ms,
                    change=amount,
                    symbol=symbol,
                ),
            )
