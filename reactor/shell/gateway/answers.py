"""What an answer leads to: told, sent again, mended, or given up."""

from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Final

from reactor.binance.failures import RESENDS, Reaction, reaction
from reactor.binance.messages import FAULTS
from reactor.binance.redaction import line, redact
from reactor.clock import Clock
from reactor.core.exact import ZERO
from reactor.core.lifecycle import Event
from reactor.limits import FAILURE_TEXT_CHARS_MAX
from reactor.shell.failure_events import engine_event
from reactor.shell.gateway.frames import Answer, AnswerResult, decode_answer
from reactor.shell.gateway.mending import Mender
from reactor.shell.gateway.sending import Sender
from reactor.shell.gateway.tasks import Tasks
from reactor.shell.gateway.telling import Teller
from reactor.shell.gateway.tracked import Request
from reactor.shell.rest.client import RestClient

PARTIAL_PATIENCE_NS: Final = 2_000_000_000
"""How long after its first sending a rung or harvest may still be sent again: its price was of that moment."""

RESENDS_MAX: Final = 6
"""Of one request, whatever the reactions."""

POSITION_DOUBTED: Final = frozenset({-2022, -2024, -4118})
"""Refusals that may mean that the position is not what it was taken for."""


class Answers:
    """Takes answers, and the want of them.

    Attributes:
        given_up: requests that were sent again in vain. `lost`: requests whose answer did not come in time.
    """

    def __init__(
        self,
        *,
        sender: Sender,
        mender: Mender,
        teller: Teller,
        tasks: Tasks,
        rest: RestClient,
        clock: Clock,
        stop_asking: Callable[[str], None],
    ) -> None:
        self.given_up = 0
        self.lost = 0
        self._sender = sender
        self._mender = mender
        self._teller = teller
        self._tasks = tasks
        self._rest = rest
        self._clock = clock
        self._stop_asking = stop_asking
        sender.on_lost = self._on_lost
        sender.on_not_sent = self._on_not_sent
        sender.on_rest_answer = self.take

    def take(self, message: bytes) -> bool:
        """Takes an answer; see `Gateway.on_answer`.

        Args:
            message: a WebSocket-API frame, or REST's answer in its form. Answers of others are left alone.

        Returns:
            Whether it was of one of our requests.
        """
        try:
            answer = decode_answer(message)
        except FAULTS:
            return False
        found = self._sender.take(str(answer.id))
        if found is None:
            return False
        request, late = found
        if answer.rate_limits:
            now_ns = self._rest.server_time.exchange_ns(self._clock.now_ns())
            self._rest.budget.on_ws_limits(answer.rate_limits, now_ns)
        if answer.result is not None and answer.result.status and answer.error is None:
            self._taken(request, answer.result)
        else:
            self._refused(request, answer, late=late)
        return True

    def _taken(self, request: Request, result: AnswerResult) -> None:
        """The exchange has the order. What it says of fills reached the engine by the pump."""
        filled = _amount(result.executed_quantity)
        track = request.track
        if track.exit is request.exit:
            track.filled = track.filled or filled > 0
            if not filled and result.status == "EXPIRED":
                # A market order that found nothing within its bound (er = 9).
                track.last = Reaction.IOC_AT_BOUND
        self._teller.answered(
            request,
            result.status.lower(),
            filled=filled,
            average_price=_amount(result.average_price) or None,
        )

    def _refused(self, request: Request, answer: Answer, *, late: bool) -> None:
        error = answer.error
        code = None if error is None else error.code
        text = answer.text if error is None else error.msg
        wanted = reaction(code=code, status=answer.status, text=text, full=request.exit.full)
        self._react(request, wanted, code=code, text=text, late=late)

    def _react(
        self, request: Request, wanted: Reaction, *, code: int | None, text: str, late: bool = False
    ) -> None:
        """Does what a failure asks for."""
        exit_ = request.exit
        if request.track.exit is exit_:
            request.track.last = wanted
        shown = line(redact(text), chars_max=FAILURE_TEXT_CHARS_MAX)
        self._teller.answered(request, str(wanted), code=code, text=shown)
        if wanted in RESENDS:
            turn = request.resends.get(wanted, 0)
            if late or not self._may_resend(request, wanted):
                self._give_up(request, f"{wanted}: {code} {shown}")
            else:
                request.resends[wanted] = turn + 1
                self._tasks.start(
                    self._resend(request, wanted, turn, text), name=f"resend {request.identity}"
                )
            return
        event = engine_event(wanted)
        if code is None and event is not None:
            # The account's feed reads codes only.
            self._teller.outcome_soon(exit_, request.client_id, event)
        if wanted is Reaction.CANCEL_BLOCKING or code in POSITION_DOUBTED:
            self._tasks.start(self._mender.unblock(exit_, code), name=f"unblock {exit_.order_id}")
        if wanted is Reaction.HALT:
            self._teller.key_refused(exit_, f"{code} {shown}")
        elif wanted is Reaction.REFUSED:
            self._teller.refused(exit_, f"{code} {shown}")

    def _may_resend(self, request: Request, wanted: Reaction) -> bool:
        if not request.is_wanted or sum(request.resends.values()) >= RESENDS_MAX:
            return False
        return self._is_in_time(request) and request.resends.get(wanted, 0) < RESENDS[wanted]

    def _is_in_time(self, request: Request) -> bool:
        age_ns = self._clock.now_ns() - request.first_ns
        return request.exit.full or age_ns < PARTIAL_PATIENCE_NS

    async def _resend(self, request: Request, wanted: Reaction, turn: int, text: str) -> None:
        why = f"{wanted}: nothing to mend"
        try:
            if await self._mender.mend(request, wanted, turn=turn, text=text):
                why = "overtaken by time"
                if request.is_wanted and self._is_in_time(request):
                    self._sender.leave_again(request)
                    return
        except Exception:
            self._give_up(request, "an internal fault")
            raise
        self._give_up(request, why)

    def _give_up(self, request: Request, why: str) -> None:
        """It certainly was not executed, and it is not sent again under this id."""
        self.given_up += 1
        if request.is_wanted:
            self._teller.refused(request.exit, why)
        if request.track.parts == 1:
            self._stop_asking(request.exit.order_id)
        self._teller.outcome_soon(request.exit, request.client_id, Event.REJECTED)

    def _on_not_sent(self, request: Request) -> None:
        """No connection for REST came about: it did not leave."""
        self._react(request, Reaction.OTHER_ROUTE, code=None, text="no connection")

    def _on_lost(self, request: Request) -> None:
        self.lost += 1
        self._teller.answered(request, "unknown", text="no answer")
        self._teller.outcome_soon(request.exit, request.client_id, Event.UNKNOWN)


def _amount(text: str | None) -> Decimal:
    """A quantity or price of an answer; 0 for what is none."""
    try:
        value = Decimal(text or 0)
    except InvalidOperation:
        return ZERO
    return value if value.is_finite() else ZERO
