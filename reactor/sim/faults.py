"""Faults on request: which, where, how often. Seeded, so that a run with faults repeats exactly.

A script is a JSON list of rules. A rule says what to do (``do``), where (``at``: patterns on the facts
of the occasion, all must match), and how often::

    {"do": "error", "at": {"path": "/fapi/v1/order", "method": "POST", "reduceOnly": "true"},
     "code": -2022, "count": 3}

Facts of a request: channel (rest, ws_api), method, path, account, and every parameter by its name. Of a
message: channel (stream), route, connection, stream, event, account, symbol. Of the Algo service and
the engine: channel (algo, engine), account, symbol, type, side.
"""

import random
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any, Final

import msgspec

from reactor.errors import ConfigError

REQUEST: Final = frozenset(
    {
        "latency",
        "error",
        "error_after",
        "lost",
        "unknown_executed",
        "unknown_lost",
        "drop",
        "hang",
        "stale",
        "not_json",
        "overload",
    }
)
WRITING: Final = REQUEST - {"stale"}
"""Of a request that changes something: it is carried out now, whatever answers are old."""
MESSAGE: Final = frozenset({"lose", "delay", "duplicate", "reorder", "mute", "drop"})
ALGO: Final = frozenset(
    {"algo_invisible", "stuck_triggering", "vanish", "trigger_delay", "trigger_reject"}
)
ENGINE: Final = frozenset({"partial_fill", "engine_delay"})
ACTION: Final = frozenset(
    {"maintenance", "clock_skew", "listen_key_expire", "listen_key_delete", "ban"}
)
KINDS: Final = REQUEST | MESSAGE | ALGO | ENGINE | ACTION
RULES_MAX = 1000


class FaultRule(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """One fault.

    Attributes:
        do: The kind, one of ``KINDS``.
        at: Patterns (``*`` and ``?``) on the facts of the occasion.
        count: How many times it happens; 0 is without end.
        after: How many matching occasions pass before the first.
        probability: Chance on each matching occasion, from the seeded source.
        from_ms: Earliest time, ms after the script was given; actions happen then.
        until_ms: Latest time, ms after the script was given; 0 is never.
        ms: Length of a latency, delay, mute, lag or skew, ms.
        jitter_ms: Added uniformly to ``ms``.
        code: Error code to answer.
        status: HTTP status to answer; 0 takes the code's own.
        text: Error text to answer; empty takes the code's own.
        how: ``close``, ``reset`` or ``half_open`` for a dropped connection.
        executed: Whether a dropped or hanging request was executed.
        fraction: Share of the quantity that is filled.
        event: Whether a vanishing order says so in an event.
        account: The account an action is about.
    """

    do: str
    at: dict[str, str] = {}
    count: int = 1
    after: int = 0
    probability: float = 1.0
    from_ms: int = 0
    until_ms: int = 0
    ms: int = 0
    jitter_ms: int = 0
    code: int = 0
    status: int = 0
    text: str = ""
    how: str = "close"
    executed: bool = True
    fraction: float = 0.5
    event: bool = False
    account: str = "main"


def request_kinds(method: str) -> frozenset[str]:
    """Return the faults that make sense on a request of this HTTP method."""
    return REQUEST if method == "GET" else WRITING


class _Armed:
    __slots__ = ("given_ms", "hits", "number", "rule", "seen")

    def __init__(self, rule: FaultRule, number: int, given_ms: int) -> None:
        self.rule = rule
        self.number = number
        self.given_ms = given_ms
        self.seen = 0
        self.hits = 0


def read_script(raw: bytes) -> list[FaultRule]:
    """Read a fault script.

    Raises:
        ConfigError: It is not a list of rules, or a rule names an unknown kind or key.
    """
    try:
        rules = msgspec.json.decode(raw, type=list[FaultRule])
    except msgspec.DecodeError as error:
        raise ConfigError(f"fault script: {error}") from error
    for rule in rules:
        if rule.do not in KINDS:
            raise ConfigError(
                f"fault script: unknown fault {rule.do!r}; known: {', '.join(sorted(KINDS))}"
            )
        if rule.how not in {"close", "reset", "half_open"}:
            raise ConfigError(
                f"fault script: unknown way to drop {rule.how!r}; close, reset or half_open"
            )
    return rules


class Faults:
    """The rules in force and what has come of them."""

    def __init__(self, random_source: random.Random) -> None:
        self._random = random_source
        self._armed: list[_Armed] = []
        self._number = 0
        self.log: list[dict[str, Any]] = []

    def __bool__(self) -> bool:
        return bool(self._armed)

    def has(self, kind: str) -> bool:
        """Tell whether a rule of this kind is armed."""
        return any(armed.rule.do == kind for armed in self._armed)

    def arm(self, rules: list[FaultRule], now_ms: int) -> list[int]:
        """Put rules in force and return their numbers.

        Raises:
            ConfigError: There would be more than ``RULES_MAX``.
        """
        if len(self._armed) + len(rules) > RULES_MAX:
            raise ConfigError(f"more than {RULES_MAX} fault rules; clear the old ones first")
        numbers: list[int] = []
        for rule in rules:
            self._number += 1
            self._armed.append(_Armed(rule, self._number, now_ms))
            numbers.append(self._number)
        return numbers

    def clear(self) -> None:
        """Forget every rule."""
        self._armed.clear()

    def listing(self) -> list[dict[str, Any]]:
        """Return every rule with how often it was met and happened."""
        return [
            {
                "number": armed.number,
                "seen": armed.seen,
                "hits": armed.hits,
                "rule": msgspec.to_builtins(armed.rule),
            }
            for armed in self._armed
        ]

    def take(
        self, kinds: frozenset[str], facts: Mapping[str, str], now_ms: int
    ) -> FaultRule | None:
        """Return the first rule that happens on this occasion, and count it.

        Args:
            kinds: The kinds that make sense here.
            facts: What the patterns are held against.
            now_ms: Exchange time.
        """
        for armed in self._armed:
            rule = armed.rule
            if rule.do not in kinds or (rule.count and armed.hits >= rule.count):
                continue
            age = now_ms - armed.given_ms
            if age < rule.from_ms or (rule.until_ms and age >= rule.until_ms):
                continue
            if not all(fnmatchcase(facts.get(key, ""), want) for key, want in rule.at.items()):
                continue
            armed.seen += 1
            if armed.seen <= rule.after:
                continue
            if rule.probability < 1.0 and self._random.random() >= rule.probability:
                continue
            armed.hits += 1
            if len(self.log) < RULES_MAX:
                self.log.append(
                    {"t": now_ms, "number": armed.number, "do": rule.do, "facts": dict(facts)}
                )
            return rule
        return None

    def span_ms(self, rule: FaultRule) -> int:
        """Return a rule's length with its jitter drawn, ms."""
        return rule.ms + (self._random.randrange(rule.jitter_ms + 1) if rule.jitter_ms else 0)
