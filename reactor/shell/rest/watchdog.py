"""The watchdog over the mark prices' ages: tells the poller, the operators, and the feed whose socket is mute."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

from reactor.audit import AlarmRaised, Audit, LinkChanged
from reactor.clock import Clock
from reactor.core.silence import (
    BlindAlarm,
    MarketHeard,
    MarketSilent,
    ReplaceSocket,
    SeesAgain,
    Silence,
    Unwatched,
    Verdict,
    WentBlind,
)
from reactor.shell.inbox import Inbox, Link
from reactor.shell.rest.poller import Poller

EVERY_S: Final = 0.25

Replace = Callable[[str, str], None]
"""Takes the route and the reason: `MarketFeed.replace`."""


class Watchdog:
    """Looks at the ages four times a second and acts on what they say."""

    def __init__(
        self,
        silence: Silence,
        poller: Poller,
        inbox: Inbox,
        audit: Audit,
        clock: Clock,
        *,
        ages: Callable[[], Mapping[str, int | None]],
        replace: Replace,
        every_s: float = EVERY_S,
    ) -> None:
        """Puts a watchdog together.

        Args:
            silence: what judges.
            poller: what blind symbols are polled by.
            inbox: told when the whole market is silent.
            audit: told everything.
            clock: ours.
            ages: when each watched symbol's mark price last came over the stream, ns; None or 0 for never.
                Every symbol that must be seen is in it.
            replace: asked to open another socket for the market route.
            every_s: between two looks.
        """
        self.silence = silence
        self.poller = poller
        self._inbox = inbox
        self._audit = audit
        self._clock = clock
        self._ages = ages
        self._replace = replace
        self._every_s = every_s
        self._alarmed: dict[str, str] = {}

    async def run(self) -> None:
        """Looks until cancelled."""
        while True:
            self.look()
            await asyncio.sleep(self._every_s)

    def look(self) -> None:
        """Looks once."""
        now_ns = self._clock.now_ns()
        for verdict in self.silence.look(self._ages(), now_ns):
            self._act(verdict, now_ns)

    def _act(self, verdict: Verdict, now_ns: int) -> None:
        match verdict:
            case WentBlind(symbol=symbol, age_ms=age_ms):
                self.poller.to_rest(symbol, f"no mark price for {age_ms} ms")
            case SeesAgain(symbol=symbol, blind_ms=blind_ms):
                text = f"the stream delivers again after {blind_ms} ms"
                self.poller.to_stream(symbol, text)
                self._over(f"silence-{symbol}", f"{symbol}: {text}", now_ns)
            case Unwatched(symbol=symbol):
                self.poller.forget(symbol)
                self._over(f"silence-{symbol}", f"{symbol}: not watched any more", now_ns)
            case BlindAlarm(symbol=symbol, age_ms=age_ms, number=number):
                text = (
                    f"{symbol}: no mark price over the stream for {age_ms / 1000:.1f} s"
                    f" (alarm {number}); polled over REST meanwhile"
                )
                self._alarm(text, symbol, f"silence-{symbol}", now_ns)
            case MarketSilent(symbols=symbols, age_ms=age_ms):
                reason = f"no mark price of any of {symbols} symbols for {age_ms} ms"
                self._inbox.link(Link(state="silent", stream="market", reason=reason, gap=True))
                self._tell("silent", reason, now_ns)
                text = f"market stream: {reason}; every symbol is polled over REST meanwhile"
                self._alarm(text, "", "silence-market", now_ns)
            case MarketHeard(silent_ms=silent_ms):
                reason = f"delivers again after {silent_ms} ms"
                self._inbox.link(Link(state="up", stream="market", reason=reason, gap=True))
                self._tell("up", reason, now_ns)
                self._over("silence-market", f"market stream: {reason}", now_ns)
            case ReplaceSocket(reason=reason):
                self._replace("market", reason)

    def _tell(self, state: str, reason: str, now_ns: int) -> None:
        self._audit.publish(LinkChanged(stream="market", state=state, reason=reason), t_ns=now_ns)

    def _alarm(self, text: str, symbol: str, key: str, now_ns: int) -> None:
        self._alarmed[key] = symbol
        self._audit.publish(
            AlarmRaised(kind="silence", text=text, symbol=symbol, key=key), t_ns=now_ns
        )

    def _over(self, key: str, text: str, now_ns: int) -> None:
        """What an alarm told is over; nothing where none was raised."""
        symbol = self._alarmed.pop(key, None)
        if symbol is not None:
            self._audit.publish(
                AlarmRaised(kind="silence", text=text, symbol=symbol, key=key, resolved=True),
                t_ns=now_ns,
            )
