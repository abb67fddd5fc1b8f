"""The last step of the escalation but a person: the exchange itself closes, by a stop just beyond the mark."""

from typing import Final

from reactor.audit import Audit, OrderSent
from reactor.clock import Clock
from reactor.core.decisions import Exit
from reactor.errors import BudgetExhausted, RestFailed
from reactor.shell.gateway.built import Params
from reactor.shell.gateway.frames import ALGO_PATH, request_id, rest_answer, rest_record
from reactor.shell.gateway.tasks import Tasks
from reactor.shell.gateway.tracked import EpochKey
from reactor.shell.inbox import Inbox
from reactor.shell.rest.client import RestClient

TIMEOUT_S: Final = 2.0


class ClosingStops:
    """Places closing stops and takes them away again. They are no hard stops: those stand from the start."""

    def __init__(
        self, *, rest: RestClient, inbox: Inbox, audit: Audit, clock: Clock, tasks: Tasks
    ) -> None:
        self._rest = rest
        self._inbox = inbox
        self._audit = audit
        self._clock = clock
        self._tasks = tasks
        self._placed: dict[EpochKey, list[str]] = {}

    async def place(self, exit_: Exit, params: Params) -> None:
        """Sends one; whether it was taken is recorded and changes nothing about what follows."""
        identity = request_id(exit_.order_id, 0, plain=False)
        self._inbox.order_sent(rest_record(identity, ALGO_PATH, params))
        key = (exit_.symbol, exit_.side, exit_.epoch)
        self._placed.setdefault(key, []).append(exit_.order_id)
        now_ns = self._clock.now_ns()
        self._audit.publish(
            OrderSent(
                symbol=exit_.symbol,
                side=exit_.side,
                order_id=exit_.order_id,
                client_id=exit_.order_id,
                purpose="closing_stop",
                over="rest",
                params=dict(params),
                t_sent_ns=now_ns,
            ),
            t_ns=now_ns,
        )
        try:
            answer = await self._rest.send(
                "POST",
                ALGO_PATH,
                params,
                purpose="exit",
                weight=0,
                orders=1,
                timeout_s=TIMEOUT_S,
            )
        except (RestFailed, BudgetExhausted):
            return
        self._inbox.order_answer(rest_answer(identity, answer))

    def cancel(self, key: EpochKey) -> None:
        """The epoch ended. The exchange ends such stops with the position; they are cancelled all the same."""
        for client_id in self._placed.pop(key, ()):
            self._tasks.start(self._cancel(client_id), name=f"cancel {client_id}")

    async def _cancel(self, client_id: str) -> None:
        try:
            answer = await self._rest.send(
                "DELETE",
                ALGO_PATH,
                {"clientAlgoId": client_id},
                purpose="exit",
                timeout_s=TIMEOUT_S,
            )
        except (RestFailed, BudgetExhausted):
            return
        self._inbox.rest(answer)
