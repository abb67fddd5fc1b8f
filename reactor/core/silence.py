"""Silence is failure: who has been quiet for too long, and what is to be done about it.

Every watched symbol has a mark price once a second, so one that is older than `blind_ms` means that the symbol cannot be
seen, whatever the socket says about itself. (Trades and quotes of a quiet symbol may rest; they are not judged
here.) A blind symbol goes over to REST, per symbol. At its second alarm the socket is replaced.

Pure: receive times come in, verdicts go out.
"""

from collections.abc import Mapping, Sequence
from typing import Final, Literal

from msgspec import Struct

MS_NS: Final = 1_000_000

STALL_MS: Final = 1000
"""Where so much time lies between two looks, this process itself stood still: what the sockets hold has not
been read yet, and judging it would call everything blind. The next look judges."""

FORGIVEN_MS: Final = 60_000
"""How long a symbol must have delivered for its alarms to be forgotten: a socket that falls silent again and again
is as bad as one that stays silent."""

REPLACE_PAUSE_MS: Final = 10_000
"""Between a socket's replacement and the next; it doubles each time, since a symbol that no socket delivers (halted,
delisted) must not take the others' socket away for ever."""

REPLACE_PAUSE_ALL_MS_MAX: Final = 60_000
REPLACE_PAUSE_SOME_MS_MAX: Final = 600_000

Health = Literal["delivering", "partly_blind", "silent", "nothing_watched", "unknown"]


class WentBlind(Struct, frozen=True, gc=False, kw_only=True):
    """The symbol's prices come from REST from now on."""

    symbol: str
    age_ms: int


class SeesAgain(Struct, frozen=True, gc=False, kw_only=True):
    """The stream delivers the symbol again. `blind_ms`: from its last price before to its first after."""

    symbol: str
    blind_ms: int


class BlindAlarm(Struct, frozen=True, gc=False, kw_only=True):
    """A person should know. `number` counts the symbol's alarms since it last delivered for a minute."""

    symbol: str
    age_ms: int
    number: int


class MarketSilent(Struct, frozen=True, gc=False, kw_only=True):
    """Every watched symbol is blind: the stream is, whether connected or not."""

    symbols: int
    age_ms: int


class MarketHeard(Struct, frozen=True, gc=False, kw_only=True):
    """At least one symbol is delivered again."""

    silent_ms: int


class ReplaceSocket(Struct, frozen=True, gc=False, kw_only=True):
    """The socket has had its chances: open another one."""

    reason: str


class Unwatched(Struct, frozen=True, gc=False, kw_only=True):
    """A blind symbol is not watched any more: stop polling it."""

    symbol: str


Verdict = (
    WentBlind | SeesAgain | BlindAlarm | MarketSilent | MarketHeard | ReplaceSocket | Unwatched
)


class _Sight:
    """What is known of one symbol."""

    __slots__ = ("alarms", "heard_ns", "is_blind", "next_alarm_ns", "was_heard", "well_since_ns")

    def __init__(self, now_ns: int) -> None:
        # Never heard counts as heard when watching began: it has as long as any other.
        self.heard_ns = now_ns
        self.was_heard = False
        self.is_blind = False
        self.alarms = 0
        self.next_alarm_ns = 0
        self.well_since_ns = now_ns


class Silence:
    """Judges receive times, look after look."""

    def __init__(self, *, blind_ms: int = 3000) -> None:
        """Starts with nothing watched.

        Args:
            blind_ms: a mark price older than this is none; also the time between a symbol's alarms.
        """
        self._blind_ns = blind_ms * MS_NS
        self._sights: dict[str, _Sight] = {}
        self._looked_ns: int | None = None
        self._silent_since_ns: int | None = None
        self._replaced_ns: int | None = None
        self._pause_ns = REPLACE_PAUSE_MS * MS_NS

    @property
    def blind(self) -> frozenset[str]:
        """The symbols that the stream does not deliver."""
        return frozenset(symbol for symbol, sight in self._sights.items() if sight.is_blind)

    @property
    def health(self) -> Health:
        """One word for all symbols. Only `delivering` is fine: no data at all, or none yet, never is."""
        if not self._sights:
            return "nothing_watched"
        blind = len(self.blind)
        if blind:
            return "silent" if blind == len(self._sights) else "partly_blind"
        heard = all(sight.was_heard for sight in self._sights.values())
        return "delivering" if heard else "unknown"

    def look(self, heard: Mapping[str, int | None], now_ns: int) -> Sequence[Verdict]:
        """Judges every watched symbol.

        Args:
            heard: when each watched symbol's mark price last came, ns; None or 0 for never. A symbol that is not
                in it is not watched.
            now_ns: now, of the same clock. Look several times a second.

        Returns:
            What changed, in the order in which it is to be acted on.
        """
        gone = [symbol for symbol in self._sights if symbol not in heard]
        out: list[Verdict] = [
            Unwatched(symbol=symbol) for symbol in gone if self._sights.pop(symbol).is_blind
        ]
        for symbol, t_ns in heard.items():
            sight = self._sights.get(symbol)
            if sight is None:
                sight = self._sights[symbol] = _Sight(now_ns)
            self._hear(symbol, sight, t_ns or 0, now_ns, out)
        stalled = self._looked_ns is not None and now_ns - self._looked_ns > STALL_MS * MS_NS
        self._looked_ns = now_ns
        if not stalled:
            self._judge(now_ns, out)
        self._market(now_ns, out)
        return out

    def _hear(self, symbol: str, sight: _Sight, t_ns: int, now_ns: int, out: list[Verdict]) -> None:
        sight.was_heard = sight.was_heard or t_ns > 0
        if t_ns <= sight.heard_ns:
            return
        before_ns, sight.heard_ns = sight.heard_ns, t_ns
        if not sight.is_blind:
            if sight.alarms and t_ns - sight.well_since_ns >= FORGIVEN_MS * MS_NS:
                sight.alarms = 0
        elif now_ns - t_ns <= self._blind_ns:
            sight.is_blind = False
            sight.well_since_ns = t_ns
            out.append(SeesAgain(symbol=symbol, blind_ms=(t_ns - before_ns) // MS_NS))

    def _judge(self, now_ns: int, out: list[Verdict]) -> None:
        alarms: list[BlindAlarm] = []
        for symbol, sight in self._sights.items():
            age_ns = now_ns - sight.heard_ns
            if age_ns <= self._blind_ns:
                continue
            age_ms = age_ns // MS_NS
            if not sight.is_blind:
                sight.is_blind = True
                sight.next_alarm_ns = now_ns
                out.append(WentBlind(symbol=symbol, age_ms=age_ms))
            if now_ns >= sight.next_alarm_ns:
                sight.alarms += 1
                sight.next_alarm_ns = now_ns + self._blind_ns
                alarms.append(BlindAlarm(symbol=symbol, age_ms=age_ms, number=sight.alarms))
        all_blind = len(self.blind) == len(self._sights)
        # Where nothing comes at all that is one alarm, not one for each of five hundred symbols.
        if not all_blind:
            out.extend(alarms)
        self._replace(alarms, now_ns, out, all_blind=all_blind)

    def _replace(
        self, alarms: list[BlindAlarm], now_ns: int, out: list[Verdict], *, all_blind: bool
    ) -> None:
        if not self.blind:
            if self._replaced_ns is not None and (
                now_ns - self._replaced_ns >= FORGIVEN_MS * MS_NS
            ):
                self._replaced_ns = None
                self._pause_ns = REPLACE_PAUSE_MS * MS_NS
            return
        due = [alarm for alarm in alarms if alarm.number >= 2]
        if not due:
            return
        longest_ms = REPLACE_PAUSE_ALL_MS_MAX if all_blind else REPLACE_PAUSE_SOME_MS_MAX
        pause_ns = min(self._pause_ns, longest_ms * MS_NS)
        if self._replaced_ns is not None:
            if now_ns - self._replaced_ns < pause_ns:
                return
            self._pause_ns = min(2 * pause_ns, longest_ms * MS_NS)
        self._replaced_ns = now_ns
        worst = max(due, key=lambda alarm: alarm.age_ms)
        what = "every symbol" if all_blind else worst.symbol
        out.append(ReplaceSocket(reason=f"no mark price of {what} for {worst.age_ms / 1000:.1f} s"))

    def _market(self, now_ns: int, out: list[Verdict]) -> None:
        is_silent = self.health == "silent"
        if is_silent and self._silent_since_ns is None:
            self._silent_since_ns = max(sight.heard_ns for sight in self._sights.values())
            age_ms = (now_ns - self._silent_since_ns) // MS_NS
            out.append(MarketSilent(symbols=len(self._sights), age_ms=age_ms))
        elif not is_silent and self._silent_since_ns is not None:
            silent_ms = (now_ns - self._silent_since_ns) // MS_NS
            self._silent_since_ns = None
            if self._sights:
                out.append(MarketHeard(silent_ms=silent_ms))
