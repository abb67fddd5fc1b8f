"""Asks the exchange what became of an order, until it is known or a bound is reached."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final

from reactor.audit import Audit, OrderAnswered
from reactor.binance.decode import decode_rest
from reactor.binance.messages import RestFailure
from reactor.binance.rest_account_messages import Order, PositionRisk, UserTrade
from reactor.clock import Clock
from reactor.core.decisions import OutcomeAsked
from reactor.core.lifecycle import Event
from reactor.errors import BudgetExhausted, RestFailed
from reactor.limits import EXIT_SLICES_MAX
from reactor.shell.gateway.absence import held_quantity, proves_absence
from reactor.shell.gateway.frames import ORDER_PATH
from reactor.shell.gateway.tracked import Track
from reactor.shell.inbox import Inbox
from reactor.shell.recorded import slice_id
from reactor.shell.rest.client import RestClient
from reactor.shell.rest_seam import RestAnswer

POSITION_PATH: Final = "/fapi/v3/positionRisk"
TRADES_PATH: Final = "/fapi/v1/userTrades"

ROUNDS_MAX: Final = 12
"""With the pauses below some 17 s: longer than the life-cycle waits for a partial exit (10 s)."""

PAUSE_S: Final = 0.1
PAUSE_MAX_S: Final = 2.0
TIMEOUT_S: Final = 1.0
POSITION_TIMEOUT_S: Final = 3.0
"""Of position and fills: asked once the orders are answered, and slow in a crash."""
AT_ONCE: Final = 10
"""Questions under way at the same time: an exit may have been cut into fifty orders."""

TRADES_LIMIT: Final = 500
NOT_FOUND: Final = -2013
FINAL: Final = frozenset({"FILLED", "CANCELED", "EXPIRED", "EXPIRED_IN_MATCH", "REJECTED"})

Tell = Callable[[OutcomeAsked, str, Event], None]
"""Takes what was asked, the client id of one order of it, and what became of that."""


class Asker:
    """One question after the other about one exit's orders."""

    def __init__(
        self, *, rest: RestClient, inbox: Inbox, audit: Audit, clock: Clock, recv_window_ms: int
    ) -> None:
        self._rest = rest
        self._inbox = inbox
        self._audit = audit
        self._clock = clock
        self._recv_window_ms = recv_window_ms

    async def run(self, asked: OutcomeAsked, track: Track | None, tell: Tell) -> None:
        """Asks until every order of the exit is found in its final state, or absence is proved.

        Orders, position and trades go into the inbox as they come; the engine's book reads them there.

        Args:
            asked: what to ask about.
            track: what is known of the exit; None after a restart that does not know it.
            tell: told FOUND_ABSENT where that is proved.
        """
        pause_s = PAUSE_S
        for _ in range(ROUNDS_MAX):
            asked_ns = self._clock.now_ns()
            orders = await self._orders(asked, track)
            rows, trades = await self._position(asked.symbol, track)
            if orders and all(isinstance(order, Order) for order in orders):
                if all(isinstance(order, Order) and order.status in FINAL for order in orders):
                    return
            elif (
                orders
                and all(_is_absent(order) for order in orders)
                and rows is not None
                and trades is not None
                and track is not None
                and track.exit.order_id == asked.order_id
                and track.first_ns
                and proves_absence(
                    track.exit,
                    first_sent_ms=self._exchange_ms(track.first_ns),
                    last_sent_ms=self._exchange_ms(track.last_ns),
                    asked_ms=self._exchange_ms(asked_ns),
                    recv_window_ms=self._recv_window_ms,
                    held=held_quantity(rows, asked.symbol, asked.side),
                    trades=trades,
                )
            ):
                for number in range(len(orders)):
                    tell(asked, slice_id(asked.order_id, number), Event.FOUND_ABSENT)
                return
            await asyncio.sleep(pause_s)
            pause_s = min(PAUSE_MAX_S, pause_s * 2)

    def _exchange_ms(self, now_ns: int) -> int:
        return self._rest.server_time.timestamp_ms(now_ns)

    # Orders -----------------------------------------------------------------------------------

    async def _orders(self, asked: OutcomeAsked, track: Track | None) -> list[object]:
        """What the exchange says about each order of the exit; empty where nothing came."""
        parts = track.parts if track is not None and track.exit.order_id == asked.order_id else None
        found: list[object] = []
        for start in range(0, parts or EXIT_SLICES_MAX, AT_ONCE):
            # Of an exit whose parts are not known the first one is asked for alone: mostly there is no other.
            numbers = range(start, min(start + AT_ONCE, parts)) if parts else (start,)
            found += await asyncio.gather(*(self._order(asked, number) for number in numbers))
            if parts is None:
                return await self._more_orders(asked, found)
        return found

    async def _more_orders(self, asked: OutcomeAsked, found: list[object]) -> list[object]:
        """The further parts of an exit whose number of parts is not known: up to the first that is absent."""
        while isinstance(found[-1], Order) and len(found) < EXIT_SLICES_MAX:
            order = await self._order(asked, len(found))
            if not isinstance(order, Order):
                break
            found.append(order)
        return found

    async def _order(self, asked: OutcomeAsked, number: int) -> object:
        client_id = slice_id(asked.order_id, number)
        params = {"symbol": asked.symbol, "origClientOrderId": client_id}
        order = await self._get(ORDER_PATH, params, weight=1)
        if isinstance(order, Order) and order.status in FINAL:
            self._audit.publish(
                OrderAnswered(
                    symbol=asked.symbol,
                    side=asked.side,
                    client_id=client_id,
                    outcome=order.status.lower(),
                    filled=order.executed_quantity,
                    average_price=order.average_price,
                ),
                t_ns=self._clock.now_ns(),
            )
        return order

    # What must agree --------------------------------------------------------------------------

    async def _position(
        self, symbol: str, track: Track | None
    ) -> tuple[tuple[PositionRisk, ...] | None, tuple[UserTrade, ...] | None]:
        """The position's rows and its fills, each None where there is no answer."""
        params: dict[str, Any] = {"symbol": symbol, "limit": TRADES_LIMIT}
        if track is not None and track.first_ns:
            params["startTime"] = self._exchange_ms(track.first_ns) - 1000
        answers = await asyncio.gather(
            self._answer(TRADES_PATH, params, weight=5, timeout_s=POSITION_TIMEOUT_S),
            self._answer(POSITION_PATH, {"symbol": symbol}, weight=5, timeout_s=POSITION_TIMEOUT_S),
        )
        # Fills first: they say whether the position is still the one that was to be closed.
        for answer in answers:
            if answer is not None:
                self._inbox.rest(answer)
        trades, rows = (None if answer is None else decoded(answer) for answer in answers)
        return (
            tuple(row for row in rows if isinstance(row, PositionRisk))
            if isinstance(rows, tuple)
            else None,
            tuple(row for row in trades if isinstance(row, UserTrade))
            if isinstance(trades, tuple)
            else None,
        )

    async def _get(self, path: str, params: Mapping[str, Any], *, weight: int) -> object:
        """The decoded answer, handed to the inbox first; None where none came."""
        answer = await self._answer(path, params, weight=weight)
        if answer is None:
            return None
        self._inbox.rest(answer)
        return decoded(answer)

    async def _answer(
        self, path: str, params: Mapping[str, Any], *, weight: int, timeout_s: float = TIMEOUT_S
    ) -> RestAnswer | None:
        """The answer; None where none came."""
        try:
            return await self._rest.get(
                path,
                params,
                weight=weight,
                purpose="exit",
                signed=True,
                timeout_s=timeout_s,
                attempts=1,
            )
        except (RestFailed, BudgetExhausted):
            return None


def decoded(answer: RestAnswer) -> object:
    """What an answer says."""
    params = {name: str(value) for name, value in answer.params.items()}
    return decode_rest(answer.method, answer.path, answer.status, answer.body, params)


def _is_absent(order: object) -> bool:
    return isinstance(order, RestFailure) and order.code == NOT_FOUND
