"""Which streams a connection should carry and which it does, and the messages that make the two equal.

Pure: time is an argument. Limits and forms: binance.md §2. An acknowledgement proves that the exchange
read the request, not that the stream exists; whether it delivers is the mute detection's question.
"""

from collections import deque
from collections.abc import Iterable
from typing import Any, Final, TypeGuard

import msgspec
import orjson

from reactor.binance.redaction import line, redact
from reactor.limits import REASON_CHARS_MAX

MESSAGES_PER_SECOND_MAX: Final = 8
"""The exchange cuts a connection that sends more than 10; pongs may count."""
NAMES_PER_MESSAGE_MAX: Final = 200
ACKNOWLEDGED_WITHIN_NS: Final = 5_000_000_000
"""It takes a round trip; a request that is still unanswered after this will not be answered."""
_SECOND_NS: Final = 1_000_000_000


class _Request(msgspec.Struct, frozen=True):
    method: str
    names: tuple[str, ...]
    sent_ns: int


class Subscriptions:
    """The streams of one connection. A new connection begins with a new one.

    Attributes:
        wanted: what it should carry, in the order in which it was asked for.
        confirmed: what the exchange acknowledged.
        refused: names that the exchange answered with an error, and its words; not asked for again here.
    """

    def __init__(self, wanted: Iterable[str] = ()) -> None:
        self.wanted: dict[str, None] = dict.fromkeys(wanted)
        self.confirmed: set[str] = set()
        self.refused: dict[str, str] = {}
        self._asked: dict[int, _Request] = {}
        self._probe_ids: set[int] = set()
        self._sent_ns: deque[int] = deque(maxlen=MESSAGES_PER_SECOND_MAX)
        self._id = 0

    def want(self, names: Iterable[str]) -> None:
        """Replaces what is wanted. A refused name is asked for again once it was not wanted for a while."""
        self.wanted = dict.fromkeys(names)
        self.refused = {name: why for name, why in self.refused.items() if name in self.wanted}

    @property
    def is_settled(self) -> bool:
        """Whether there is nothing to send and nothing to wait for."""
        return not self._asked and not self._missing() and not self._surplus()

    def due(self, now_ns: int) -> list[bytes]:
        """The messages that may leave now; they count as sent."""
        frames: list[bytes] = []
        for method, names in (("SUBSCRIBE", self._missing()), ("UNSUBSCRIBE", self._surplus())):
            for start in range(0, len(names), NAMES_PER_MESSAGE_MAX):
                if self._room_ns(now_ns) > 0:
                    return frames
                some = tuple(names[start : start + NAMES_PER_MESSAGE_MAX])
                self._asked[self._number(now_ns)] = _Request(method, some, now_ns)
                frames.append(orjson.dumps({"method": method, "params": some, "id": self._id}))
        return frames

    def probe(self, now_ns: int) -> bytes:
        """The question that the exchange always answers, for a connection that has become quiet.

        It is asked at most every few seconds, so the two messages a second that `due` leaves free are its.
        """
        number = self._number(now_ns)
        self._probe_ids = {number}  # an answer to an earlier one says nothing any more
        return orjson.dumps({"method": "LIST_SUBSCRIPTIONS", "id": number})

    def answer(self, content: dict[str, Any]) -> str:
        """Takes an answer.

        Returns:
            `""`, `probe` where it answers the last probe, or else the words in which a request was refused.
        """
        number = content.get("id")
        if not isinstance(number, int):
            return _refusal(content)  # Which request it was shows when that one stays unanswered.
        if number in self._probe_ids:
            self._probe_ids.clear()
            carried = content.get("result")
            if isinstance(carried, list):
                # What the exchange does not carry is asked for anew.
                self.confirmed &= {name for name in carried if isinstance(name, str)}
            return "probe"
        request = self._asked.pop(number, None)
        if request is None:
            return ""
        refusal = _refusal(content)
        if request.method == "UNSUBSCRIBE":
            self.confirmed.difference_update(request.names)  # what is refused here was not carried
        elif refusal:
            self.refused.update(dict.fromkeys(request.names, refusal))
        else:
            self.confirmed.update(request.names)
        return refusal

    def is_overdue(self, now_ns: int) -> bool:
        """Whether a request has been unanswered for so long that the connection cannot be trusted."""
        return self._oldest_ns() is not None and self._wait_for_answer_ns(now_ns) <= 0

    def wait_ns(self, now_ns: int) -> int | None:
        """How long nothing here changes by itself; None: until something is wanted or answered."""
        waits = []
        if self._missing() or self._surplus():
            waits.append(self._room_ns(now_ns))
        if self._oldest_ns() is not None:
            waits.append(self._wait_for_answer_ns(now_ns))
        return max(0, min(waits)) if waits else None

    def _missing(self) -> list[str]:
        asked = self._names_asked("SUBSCRIBE")
        return [
            name
            for name in self.wanted
            if name not in self.confirmed and name not in asked and name not in self.refused
        ]

    def _surplus(self) -> list[str]:
        asked = self._names_asked("UNSUBSCRIBE")
        return sorted(
            name for name in self.confirmed if name not in self.wanted and name not in asked
        )

    def _names_asked(self, method: str) -> set[str]:
        return {name for one in self._asked.values() if one.method == method for name in one.names}

    def _number(self, now_ns: int) -> int:
        self._id += 1
        self._sent_ns.append(now_ns)
        return self._id

    def _room_ns(self, now_ns: int) -> int:
        """How long until a message may leave; zero or less: now."""
        if len(self._sent_ns) < MESSAGES_PER_SECOND_MAX:
            return 0
        return self._sent_ns[0] + _SECOND_NS - now_ns

    def _oldest_ns(self) -> int | None:
        return min((request.sent_ns for request in self._asked.values()), default=None)

    def _wait_for_answer_ns(self, now_ns: int) -> int:
        oldest_ns = self._oldest_ns()
        return 0 if oldest_ns is None else oldest_ns + ACKNOWLEDGED_WITHIN_NS - now_ns


def is_answer(content: Any) -> TypeGuard[dict[str, Any]]:
    """Whether a decoded frame answers a request of ours, and is no market data."""
    return (
        isinstance(content, dict)
        and "stream" not in content
        and "e" not in content
        and ("result" in content or "error" in content or "code" in content)
    )


def _refusal(content: dict[str, Any]) -> str:
    """The exchange's words where it refuses, in either of the two forms it has used; else `""`."""
    error = content.get("error", content if "code" in content else None)
    if error is None:
        return ""
    text = str(error.get("msg", "")) if isinstance(error, dict) else str(error)
    return line(redact(text), chars_max=REASON_CHARS_MAX) or "refused"
