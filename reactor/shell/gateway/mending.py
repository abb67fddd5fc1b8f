"""What is done between a refusal and the next sending: clocks, rules, mode, ways, other people's orders."""

import asyncio
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final

from reactor.audit import AlarmRaised, Audit
from reactor.binance.failures import PAUSES_MS, Reaction, banned_until_ms
from reactor.binance.filters import SymbolFilters
from reactor.binance.rest_account_messages import Order, PositionRisk
from reactor.binance.rest_market_messages import PremiumIndex
from reactor.clock import Clock
from reactor.core.decisions import Exit
from reactor.errors import BudgetExhausted, RestFailed
from reactor.shell.gateway.absence import held_quantity
from reactor.shell.gateway.asking import POSITION_PATH, decoded
from reactor.shell.gateway.blocking import blocking_orders
from reactor.shell.gateway.built import Params, limit_ioc_order, rebuilt
from reactor.shell.gateway.frames import ORDER_PATH
from reactor.shell.gateway.tracked import Request
from reactor.shell.inbox import Inbox
from reactor.shell.rest.client import RestClient

RULES_PATH: Final = "/fapi/v1/exchangeInfo"
MODE_PATH: Final = "/fapi/v1/accountConfig"
MARK_PATH: Final = "/fapi/v1/premiumIndex"
OPEN_ORDERS_PATH: Final = "/fapi/v1/openOrders"

READ_TIMEOUT_S: Final = 2.0
RATE_PAUSES_S: Final = (0.5, 1.0, 2.0)
"""Before sending again after a rate limit. The exchange counts in windows of 10 s; exits have room reserved,
so a refusal means that somebody else used it up."""

BAN_WAIT_S: Final = 5.0
"""The longest that an exit waits for the end of a ban before it is tried all the same."""

OTHER_WAY_PAUSE_S: Final = 0.2
BLOCKING_MAX: Final = 50


class Mender:
    """Mends causes. Whatever it asks goes into the inbox, where the engine's side of it is kept."""

    def __init__(
        self,
        *,
        rest: RestClient,
        inbox: Inbox,
        audit: Audit,
        clock: Clock,
        hedge: Callable[[], bool],
        contracts: Mapping[str, SymbolFilters],
        cancel_blocking: bool,
    ) -> None:
        self._rest = rest
        self._inbox = inbox
        self._audit = audit
        self._clock = clock
        self._hedge = hedge
        self._contracts = contracts
        self._cancel_blocking = cancel_blocking

    async def mend(self, request: Request, wanted: Reaction, *, turn: int, text: str) -> bool:
        """Does what a reaction asks for before the request is sent again.

        Args:
            request: changed to what is to be sent.
            wanted: the reaction, one of `RESENDS`.
            turn: how often this reaction was had before for this request.
            text: what the exchange said.

        Returns:
            False where it cannot be mended: sending it again would be refused again.
        """
        match wanted:
            case Reaction.RESYNC:
                return await self._rest.server_time.sync(self._rest, since_ns=request.sent_ns)
            case Reaction.PAUSE:
                await asyncio.sleep(PAUSES_MS[turn] / 1000)
            case Reaction.OTHER_ROUTE:
                self._turn_way(request)
                await asyncio.sleep(OTHER_WAY_PAUSE_S)
            case Reaction.WAIT_RATE:
                await asyncio.sleep(RATE_PAUSES_S[turn])
            case Reaction.WAIT_BAN:
                self._turn_way(request)
                if turn:
                    await asyncio.sleep(self._ban_left_s(text))
            case Reaction.READ_RULES:
                return await self._read_again(RULES_PATH, request, signed=False, weight=1)
            case Reaction.READ_MODE:
                return await self._read_again(MODE_PATH, request, signed=True, weight=5)
            case Reaction.IOC_AT_BOUND:
                return await self._to_limit_ioc(request)
            case _:
                return False
        return True

    def _turn_way(self, request: Request) -> None:
        request.way = "rest" if request.way == "socket" else "socket"

    def _ban_left_s(self, text: str) -> float:
        until_ms = banned_until_ms(text)
        now_ms = self._rest.server_time.timestamp_ms(self._clock.now_ns())
        left_s = BAN_WAIT_S if until_ms is None else (until_ms - now_ms) / 1000
        return min(BAN_WAIT_S, max(0.0, left_s))

    async def _read_again(self, path: str, request: Request, *, signed: bool, weight: int) -> bool:
        """Reads rules or mode, and builds the order by them; the same order again would be of no use."""
        answer = await self._get(path, {}, weight=weight, signed=signed)
        if answer is None:
            return False
        return self._change(
            request,
            rebuilt(
                request.params,
                side=request.exit.side,
                hedge=self._hedge(),
                filters=self._contracts.get(request.exit.symbol),
            ),
        )

    async def _to_limit_ioc(self, request: Request) -> bool:
        mark = await self.mark(request.exit.symbol)
        if mark is None:
            return False
        return self._change(
            request,
            limit_ioc_order(
                symbol=request.exit.symbol,
                side=request.exit.side,
                client_id=request.client_id,
                quantity=Decimal(request.params["quantity"]),
                hedge=self._hedge(),
                filters=self._contracts.get(request.exit.symbol),
                mark=mark,
            ),
        )

    def _change(self, request: Request, params: Params | None) -> bool:
        if params is None or params == request.params:
            return False
        request.params = params
        request.plain = False
        return True

    async def mark(self, symbol: str) -> Decimal | None:
        """The mark price now; None where it cannot be had. It goes to no machine: these have their own source."""
        answer = await self._get(MARK_PATH, {"symbol": symbol}, weight=1, signed=False, tell=False)
        rows = answer if isinstance(answer, tuple) else ()
        prices = [row.mark_price for row in rows if isinstance(row, PremiumIndex)]
        return Decimal(prices[0]) if prices else None

    # Orders in the way ------------------------------------------------------------------------

    async def unblock(self, exit_: Exit, code: int | None) -> None:
        """After an exit was refused as not reducing: flat already, or something is in the way.

        The position is asked for, and the answer told. Orders of others are looked for, and cancelled, only
        where it is a full close and the position is open.
        """
        symbol, side = exit_.symbol, exit_.side
        rows = await self._get(POSITION_PATH, {"symbol": symbol}, weight=5)
        if not isinstance(rows, tuple):
            return
        positions = [row for row in rows if isinstance(row, PositionRisk)]
        if not exit_.full or not held_quantity(positions, symbol, side):
            return
        listed = await self._get(OPEN_ORDERS_PATH, {"symbol": symbol}, weight=1)
        if not isinstance(listed, tuple):
            return
        orders = [order for order in listed if isinstance(order, Order)]
        blocking = blocking_orders(orders, symbol=symbol, side=side)[:BLOCKING_MAX]
        if not blocking:
            return
        names = ", ".join(f"{order.client_order_id} ({order.order_id})" for order in blocking)
        if not self._cancel_blocking:
            text = f"{symbol} {side}: orders in the way of its close ({code}): {names}; cancel them"
            self._alarm("blocking_found", text, symbol)
            return
        for order in blocking:
            await self._cancel(symbol, order)
        text = f"{symbol} {side}: its close was refused ({code}); cancelled what was in the way: {names}"
        self._alarm("blocking_cancelled", text, symbol)

    async def _cancel(self, symbol: str, order: Order) -> None:
        try:
            answer = await self._rest.send(
                "DELETE",
                ORDER_PATH,
                {"symbol": symbol, "orderId": order.order_id},
                purpose="exit",
                timeout_s=READ_TIMEOUT_S,
            )
        except (RestFailed, BudgetExhausted):
            return
        self._inbox.rest(answer)

    def _alarm(self, kind: str, text: str, symbol: str) -> None:
        self._audit.publish(
            AlarmRaised(kind=kind, text=text, symbol=symbol, key=f"{kind}:{symbol}"),
            t_ns=self._clock.now_ns(),
        )

    async def _get(
        self,
        path: str,
        params: Mapping[str, Any],
        *,
        weight: int,
        signed: bool = True,
        tell: bool = True,
    ) -> object:
        try:
            answer = await self._rest.get(
                path,
                params,
                weight=weight,
                purpose="exit",
                signed=signed,
                timeout_s=READ_TIMEOUT_S,
                attempts=2,
            )
        except (RestFailed, BudgetExhausted):
            return None
        if tell:
            self._inbox.rest(answer)
        return decoded(answer)
