"""Hard stops over REST: each request sent once, and its answer turned into a word for the keeper."""

import asyncio
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Final, Protocol

from reactor.audit import Audit, OrderAnswered, OrderSent
from reactor.binance.hard_stop_orders import (
    ALGO_ORDER_PATH,
    OPEN_ALGO_ORDERS_PATH,
    hard_stop_params,
)
from reactor.binance.messages import RestFailure
from reactor.binance.rest_account_messages import AlgoCancel, AlgoOrder
from reactor.binance.sign import Value
from reactor.clock import Clock
from reactor.core.hard_stop import HardStops
from reactor.core.hard_stop_values import (
    SECOND_NS,
    Action,
    AskOpen,
    AskOrder,
    Cancel,
    Place,
    Reread,
)
from reactor.errors import BudgetExhausted, RestFailed, RestNotSent
from reactor.shell.hard_stop_answers import (
    Outcome,
    decoded,
    mark_price,
    open_quantity,
    outcome,
    seen_in_answer,
)
from reactor.shell.rest_seam import Purpose, RestAnswer

TIMEOUT_S: Final = 4.0
"""For one answer: shorter than the keeper's own patience, so that it hears "unknown" from here."""

POSITION_RISK_PATH: Final = "/fapi/v3/positionRisk"
PREMIUM_INDEX_PATH: Final = "/fapi/v1/premiumIndex"
MISSING: Final = frozenset({-2011, -2013})

Request = Place | Cancel | AskOpen | AskOrder | Reread


class StopRest(Protocol):
    """What is needed of the REST client (`reactor.shell.rest.client.RestClient`)."""

    async def get(
        self,
        path: str,
        params: Mapping[str, Value] | None = None,
        *,
        weight: int = 1,
        purpose: Purpose,
        signed: bool = False,
    ) -> RestAnswer:
        """Reads something; raises RestFailed or BudgetExhausted."""
        ...

    async def send(
        self,
        method: str,
        path: str,
        params: Mapping[str, Value] | None = None,
        *,
        purpose: Purpose,
        signed: bool = True,
        timeout_s: float = TIMEOUT_S,
        weight: int = 1,
        orders: int = 0,
    ) -> RestAnswer:
        """Sends one request, once; raises RestFailed or BudgetExhausted."""
        ...


class HardStopRequests:
    """Carries out what needs the exchange's answer.

    Attributes:
        sent: so far, by kind.
    """

    def __init__(
        self,
        *,
        rest: StopRest,
        stops: HardStops,
        audit: Audit,
        clock: Clock,
        act: Callable[[list[Action]], None],
        on_list: Callable[[RestAnswer], None],
    ) -> None:
        """Sends nothing yet.

        Args:
            rest: carries requests.
            stops: told of every answer.
            audit: told of every placement and its outcome.
            clock: ours.
            act: takes what the keeper asks for next.
            on_list: takes lists of open conditional orders.
        """
        self.sent: dict[str, int] = {}
        self._rest = rest
        self._stops = stops
        self._audit = audit
        self._clock = clock
        self._act = act
        self._on_list = on_list
        self._listing: set[str] = set()

    def is_needed(self, action: Request) -> bool:
        """Whether it is to be sent: not a list that is on its way already. Counts it."""
        if isinstance(action, AskOpen):
            if action.symbol in self._listing:
                return False
            self._listing.add(action.symbol)
        kind = type(action).__name__
        self.sent[kind] = self.sent.get(kind, 0) + 1
        return True

    async def carry_out(self, action: Request) -> None:
        """Sends one request and reports its answer; never raises for what the exchange or the network does."""
        match action:
            case Place():
                await self._place(action)
            case Cancel():
                await self._cancel(action)
            case AskOrder():
                await self._ask_order(action)
            case AskOpen():
                await self._ask_open(action)
            case Reread():
                await self._reread(action)

    async def _place(self, action: Place) -> None:
        params = hard_stop_params(
            symbol=action.symbol,
            side=action.side,
            hedge=action.hedge,
            quantity=action.quantity,
            trigger=action.trigger,
            client_id=action.client_id,
        )
        now_ns = self._clock.now_ns()
        self._audit.publish(
            OrderSent(
                symbol=action.symbol,
                side=action.side,
                order_id=action.client_id,
                client_id=action.client_id,
                purpose="hard_stop",
                over="rest",
                params=dict(params),
                t_sent_ns=now_ns,
            ),
            t_ns=now_ns,
        )
        stops, client_id = self._stops, action.client_id
        try:
            answer = await self._rest.send(
                "POST",
                ALGO_ORDER_PATH,
                params,
                purpose="protect",
                weight=0,
                orders=1,
                timeout_s=TIMEOUT_S,
            )
        except (BudgetExhausted, RestNotSent) as error:
            now_ns = self._clock.now_ns()
            self._tell_answer(action, Outcome.REFUSED, None, str(error))
            self._act(stops.refused(client_id, code=None, text=str(error), t_ns=now_ns))
            return
        except RestFailed as error:
            self._tell_answer(action, Outcome.UNKNOWN, None, str(error))
            self._act(stops.unknown(client_id, self._clock.now_ns()))
            return
        verdict = decoded(answer)
        what, now_ns = outcome(verdict), self._clock.now_ns()
        if isinstance(verdict, AlgoOrder):
            self._tell_answer(action, what, None, "")
            self._act(stops.accepted(client_id, verdict.algo_id, now_ns))
        elif what is Outcome.REFUSED and isinstance(verdict, RestFailure):
            self._tell_answer(action, what, verdict.code, verdict.msg)
            pause_ns = _pause_ns(answer, verdict)
            refused = stops.refused(
                client_id, code=verdict.code, text=verdict.msg, pause_ns=pause_ns, t_ns=now_ns
            )
            self._act(refused)
        else:
            text = verdict.msg if isinstance(verdict, RestFailure) else "an answer beyond reading"
            self._tell_answer(action, Outcome.UNKNOWN, None, text)
            self._act(stops.unknown(client_id, now_ns))

    async def _cancel(self, action: Cancel) -> None:
        params: dict[str, Value] = (
            {"clientAlgoId": action.client_id}
            if action.algo_id is None
            else {"algoId": action.algo_id}
        )
        code: int | None = None
        try:
            answer = await self._rest.send(
                "DELETE", ALGO_ORDER_PATH, params, purpose="protect", timeout_s=TIMEOUT_S
            )
        except (RestFailed, BudgetExhausted):
            pass
        else:
            verdict = decoded(answer)
            if isinstance(verdict, AlgoCancel):
                self._act(self._stops.cancelled(action.client_id, self._clock.now_ns()))
                return
            code = verdict.code if isinstance(verdict, RestFailure) else None
        self._act(self._stops.cancel_refused(action.client_id, code, self._clock.now_ns()))

    async def _ask_order(self, action: AskOrder) -> None:
        params = {"clientAlgoId": action.client_id}
        try:
            answer = await self._rest.get(ALGO_ORDER_PATH, params, purpose="protect", signed=True)
        except (RestFailed, BudgetExhausted):
            return  # The keeper asks again.
        verdict, now_ns = decoded(answer), self._clock.now_ns()
        if isinstance(verdict, AlgoOrder):
            self._act(self._stops.update(seen_in_answer(verdict), now_ns))
        elif isinstance(verdict, RestFailure) and verdict.code in MISSING:
            self._act(self._stops.not_found(action.client_id, answer.asked_ns, now_ns))

    async def _ask_open(self, action: AskOpen) -> None:
        params = {"symbol": action.symbol}
        try:
            answer = await self._rest.get(
                OPEN_ALGO_ORDERS_PATH, params, purpose="protect", signed=True
            )
        except (RestFailed, BudgetExhausted):
            return  # The keeper asks again.
        finally:
            self._listing.discard(action.symbol)
        self._on_list(answer)

    async def _reread(self, action: Reread) -> None:
        symbol, side = action.symbol, action.side
        mark, quantity = await asyncio.gather(
            self._read(PREMIUM_INDEX_PATH, symbol, signed=False, weight=1),
            self._read(POSITION_RISK_PATH, symbol, signed=True, weight=5),
        )
        # The position's answer is not for the engine: one symbol's rows would read as all others being flat.
        reread = self._stops.reread(
            symbol,
            side,
            mark=mark_price(mark, symbol),
            quantity=open_quantity(quantity, symbol, side),
            t_ns=self._clock.now_ns(),
        )
        self._act(reread)

    async def _read(self, path: str, symbol: str, *, signed: bool, weight: int) -> object:
        try:
            answer = await self._rest.get(
                path, {"symbol": symbol}, weight=weight, purpose="protect", signed=signed
            )
        except (RestFailed, BudgetExhausted):
            return None
        return decoded(answer)

    def _tell_answer(self, action: Place, what: Outcome, code: int | None, text: str) -> None:
        word = {"done": "accepted", "refused": "rejected", "unknown": "unknown"}[what.value]
        self._audit.publish(
            OrderAnswered(
                symbol=action.symbol,
                side=action.side,
                client_id=action.client_id,
                outcome=word,
                filled=Decimal(0),
                code=code,
                text=text,
            ),
            t_ns=self._clock.now_ns(),
        )


def _pause_ns(answer: RestAnswer, failure: RestFailure) -> int:
    """How long the exchange asks not to be asked."""
    value = answer.headers.get("retry-after", "")
    if answer.status in {418, 429, 503} and value.isascii() and value.isdecimal():
        return min(int(value), 3600) * SECOND_NS
    return SECOND_NS if failure.status in {418, 429} else 0
