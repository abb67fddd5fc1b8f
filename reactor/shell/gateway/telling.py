"""What the gateway says: outcomes to the engine, answers and alarms to whoever watches."""

import asyncio
from decimal import Decimal

from reactor.audit import AlarmRaised, Audit, OrderAnswered
from reactor.clock import Clock
from reactor.core.decisions import Exit, OutcomeAsked, Side
from reactor.core.exact import ZERO
from reactor.core.lifecycle import Event
from reactor.shell.gateway.tracked import Request, Track
from reactor.shell.inbox import Command, Inbox


class Teller:
    """Says things, in the words that others know."""

    def __init__(self, inbox: Inbox, audit: Audit, clock: Clock) -> None:
        self._inbox = inbox
        self._audit = audit
        self._clock = clock
        self._stuck: set[tuple[str, Side]] = set()
        self._dust: set[tuple[str, Side]] = set()

    # To the engine ----------------------------------------------------------------------------

    def outcome(self, exit_: Exit, client_id: str, event: Event) -> None:
        """What became of one order of an exit, where the exchange did not say it in an answer."""
        self._command(exit_.symbol, exit_.side, client_id, event)

    def outcome_soon(self, exit_: Exit, client_id: str, event: Event) -> None:
        """The same in a later turn: what led here may still be inside the engine."""
        asyncio.get_running_loop().call_soon(self.outcome, exit_, client_id, event)

    def found(self, asked: OutcomeAsked, client_id: str, event: Event) -> None:
        """What asking proved of one order."""
        self._command(asked.symbol, asked.side, client_id, event)

    def _command(self, symbol: str, side: Side, order_id: str, event: Event) -> None:
        self._inbox.command(
            Command(
                command="outcome",
                symbol=symbol,
                side=side,
                order_id=order_id,
                event=event.value,
                by="gateway",
            )
        )

    # To people --------------------------------------------------------------------------------

    def answered(
        self,
        request: Request,
        outcome: str,
        *,
        filled: Decimal = ZERO,
        average_price: Decimal | None = None,
        code: int | None = None,
        text: str = "",
    ) -> None:
        """An order's answer, or that none came."""
        self._audit.publish(
            OrderAnswered(
                symbol=request.exit.symbol,
                side=request.exit.side,
                client_id=request.client_id,
                outcome=outcome,
                filled=filled,
                average_price=average_price,
                code=code,
                text=text,
            ),
            t_ns=self._clock.now_ns(),
        )

    def refused(self, exit_: Exit, why: str) -> None:
        """An order was refused for good."""
        what = "a full close" if exit_.full else "a rung or harvest"
        self._alarm("order_refused", exit_, f"{what} was refused: {why}")

    def key_refused(self, exit_: Exit, why: str) -> None:
        """The key is not good."""
        self._alarm("key_refused", exit_, f"the API key is refused ({why}); mend the key")

    def stuck(self, track: Track) -> None:
        """A full close does not go on by itself."""
        exit_ = track.exit
        self._stuck.add((exit_.symbol, exit_.side))
        text = (
            f"closing {exit_.quantity} has failed {track.failures} times, last"
            f" {track.last or 'unanswered'}; it goes on, close it by hand if you can"
        )
        self._alarm("exit_stuck", exit_, text)

    def dust(self, exit_: Exit) -> None:
        """What remains is less than the exchange trades; said once for a position."""
        position = (exit_.symbol, exit_.side)
        if position not in self._dust:
            self._dust.add(position)
            self._alarm("dust", exit_, f"{exit_.quantity} is less than can be traded; left")

    def ended(self, symbol: str, side: Side) -> None:
        """The epoch ended, and with it what was said about it."""
        position = (symbol, side)
        for kind, said in (("exit_stuck", self._stuck), ("dust", self._dust)):
            if position in said:
                said.discard(position)
                self._publish(kind, symbol, side, "closed", resolved=True)

    def _alarm(self, kind: str, exit_: Exit, text: str) -> None:
        self._publish(kind, exit_.symbol, exit_.side, text)

    def _publish(
        self, kind: str, symbol: str, side: Side, text: str, *, resolved: bool = False
    ) -> None:
        self._audit.publish(
            AlarmRaised(
                kind=kind,
                text=f"{symbol} {side}: {text}",
                symbol=symbol,
                key=f"{kind}:{symbol}:{side}",
                resolved=resolved,
            ),
            t_ns=self._clock.now_ns(),
        )
