"""What follows when the exchange does not take an exit order: one reaction for every failure.

An order's failure is one of two things. Either it certainly was not executed, and then what follows depends
on whether the cause can be mended at once; or nobody knows, and then the exchange is asked before anything is
sent again. The tables below say which, code by code; `docs/orders.md` shows them, and a test compares the two.
Sources: Binance, USDⓈ-M error codes, general info (HTTP return codes), WebSocket API general info.
"""

import re
from enum import StrEnum
from typing import Final, Literal

from msgspec import Struct


class Reaction(StrEnum):
    """What is done about a failed order request."""

    ASK = "ask"
    """Executed or not, nobody knows: the exchange is asked for the order before anything else is sent."""
    DUPLICATE = "duplicate"
    """An order of this id is there already: an earlier sending landed. It is asked for."""
    REFUSED = "refused"
    """Not executed, and sending the same again is of no use."""
    HALT = "halt"
    """Not executed: the key is not good. A person is told, a full close is tried again slowly."""
    CANCEL_BLOCKING = "cancel_blocking"
    """Not executed: flat already, or somebody's resting orders are in the way of a full close."""
    RESYNC = "resync"
    """Not executed: our clock is off. It is set again and the order signed anew."""
    PAUSE = "pause"
    """Not executed: the exchange is overloaded. Sent again after a pause that doubles."""
    OTHER_ROUTE = "other_route"
    """Not executed: this way is out of service. Sent over the other one, REST or the WebSocket API."""
    READ_RULES = "read_rules"
    """Not executed: the contract's rules have changed. exchangeInfo is read and the quantity cut anew."""
    READ_MODE = "read_mode"
    """Not executed: the account's position mode is another one. It is read and the order built anew."""
    WAIT_RATE = "wait_rate"
    """Not executed: too many orders or requests. Sent again when the limit has room."""
    WAIT_BAN = "wait_ban"
    """Not executed: this address is banned for a while. Tried again at the ban's end, or over the other way."""
    IOC_AT_BOUND = "ioc_at_bound"
    """Not executed: the book is too thin for a market order. Sent as LIMIT IOC at the price bound."""


RESENDS: Final = {
    Reaction.RESYNC: 1,
    Reaction.PAUSE: 3,
    Reaction.OTHER_ROUTE: 1,
    Reaction.READ_RULES: 1,
    Reaction.READ_MODE: 1,
    Reaction.WAIT_RATE: 3,
    Reaction.WAIT_BAN: 2,
    Reaction.IOC_AT_BOUND: 1,
}
"""Reactions that send the same exit again under the same id, and how often before it counts as refused."""

PAUSES_MS: Final = (200, 400, 800)
"""Before the first, second and third sending after -1008 (Binance, change log of 2025-10)."""


class FailureRow(Struct, frozen=True, gc=False, kw_only=True):
    """One error code.

    Attributes:
        code: Binance's.
        meaning: in words.
        full: the reaction where the order is a full close.
        partial: where it is a rung or a harvest; the same unless given.
        remark: what else there is to know.
    """

    code: int
    meaning: str
    full: Reaction
    partial: Reaction | None = None
    remark: str = ""


class StatusRow(Struct, frozen=True, gc=False, kw_only=True):
    """An HTTP status whose body has no code that the codes' table knows.

    Attributes:
        statuses: the statuses, inclusive bounds; 0 is no answer at all.
        text: what the answer's text must match, lower case, as a pattern; empty for any. A gateway's error page
            says what it likes about requests that it may have passed on, so documented texts must begin so.
        meaning: in words.
        reaction: for full and partial exits alike.
        overrules: whether the row counts even where the code is known.
    """

    statuses: tuple[int, int]
    meaning: str
    reaction: Reaction
    text: str = ""
    overrules: bool = False


_R = Reaction

STATUSES: Final = (
    StatusRow(
        statuses=(503, 503),
        text="^service unavailable",
        meaning="the service is down; documented as failed",
        reaction=_R.OTHER_ROUTE,
        overrules=True,
    ),
    StatusRow(
        statuses=(503, 503),
        text="^internal error; unable to process your request",
        meaning="documented as failed",
        reaction=_R.PAUSE,
        overrules=True,
    ),
    StatusRow(
        statuses=(418, 418),
        meaning="this address is banned",
        reaction=_R.WAIT_BAN,
        overrules=True,
    ),
    StatusRow(
        statuses=(400, 599),
        text="banned until",
        meaning="this address is banned",
        reaction=_R.WAIT_BAN,
        overrules=True,
    ),
    StatusRow(statuses=(429, 429), meaning="a rate limit", reaction=_R.WAIT_RATE),
    StatusRow(
        statuses=(408, 408), meaning="the exchange timed out on its own backend", reaction=_R.ASK
    ),
    StatusRow(statuses=(401, 401), meaning="not authorised", reaction=_R.HALT),
    StatusRow(
        statuses=(403, 403),
        meaning="the exchange's web firewall; it never reached the order system",
        reaction=_R.OTHER_ROUTE,
    ),
    StatusRow(
        statuses=(400, 499),
        meaning="a refusal that no table names",
        reaction=_R.REFUSED,
    ),
    StatusRow(
        statuses=(500, 599),
        meaning="“Unknown error, please check your request or try again later.” and every other one",
        reaction=_R.ASK,
    ),
    StatusRow(
        statuses=(0, 999),
        meaning="no answer, a dropped connection, a body that cannot be read",
        reaction=_R.ASK,
    ),
)
"""Tried in this order; the last one takes everything."""


def _row(
    code: int, meaning: str, full: Reaction, partial: Reaction | None = None, remark: str = ""
) -> FailureRow:
    return FailureRow(code=code, meaning=meaning, full=full, partial=partial, remark=remark)


CODES: Final = (
    _row(-1000, "unknown error", _R.ASK),
    _row(-1001, "internal error", _R.ASK, remark="status 503 with its documented text: pause"),
    _row(-1002, "unauthorised", _R.HALT),
    _row(-1003, "too many requests", _R.WAIT_RATE, remark="“banned until”: the ban is waited for"),
    _row(-1004, "server busy", _R.PAUSE),
    _row(-1006, "unexpected response, execution status unknown", _R.ASK),
    _row(-1007, "timeout, execution status unknown", _R.ASK),
    _row(
        -1008, "throttled by system-level protection", _R.PAUSE, remark="exits are exempt by rule"
    ),
    _row(-1010, "error message received from the matching engine", _R.REFUSED),
    _row(-1013, "invalid message: a filter", _R.READ_RULES),
    _row(-1014, "unknown order composition", _R.REFUSED, remark="our bug"),
    _row(-1015, "too many new orders", _R.WAIT_RATE),
    _row(-1016, "service shutting down", _R.OTHER_ROUTE),
    _row(-1020, "unsupported operation", _R.REFUSED, remark="our bug"),
    _row(-1021, "timestamp outside recvWindow", _R.RESYNC),
    _row(-1022, "signature not valid", _R.HALT, remark="a wrong secret, or our bug"),
    _row(-1100, "illegal characters", _R.REFUSED, remark="our bug"),
    _row(-1102, "parameter missing or malformed", _R.REFUSED, remark="our bug"),
    _row(-1104, "unread parameters", _R.REFUSED, remark="our bug"),
    _row(-1105, "parameter empty", _R.REFUSED, remark="our bug"),
    _row(
        -1106,
        "parameter not required",
        _R.REFUSED,
        remark="names reduceOnly or positionSide: the mode is read",
    ),
    _row(-1111, "precision over the maximum", _R.READ_RULES),
    _row(-1114, "timeInForce not required", _R.REFUSED, remark="our bug"),
    _row(-1115, "timeInForce not valid", _R.REFUSED, remark="our bug"),
    _row(-1116, "order type not valid", _R.REFUSED),
    _row(-1117, "side not valid", _R.REFUSED, remark="our bug"),
    _row(-1121, "symbol not valid", _R.REFUSED),
    _row(-1122, "symbol status", _R.REFUSED, remark="halted: a full close goes on slowly"),
    _row(
        -1125,
        "listen key does not exist",
        _R.REFUSED,
        remark="of the user stream, never an order's",
    ),
    _row(-1128, "combination of parameters not valid", _R.REFUSED, remark="our bug"),
    _row(-1130, "parameter value not valid", _R.REFUSED, remark="our bug"),
    _row(-1131, "recvWindow too large", _R.REFUSED, remark="`orders.recv_window_ms`"),
    _row(-1135, "not valid JSON", _R.REFUSED, remark="our bug"),
    _row(-1136, "newOrderRespType not valid", _R.REFUSED, remark="our bug"),
    _row(-2008, "API key id not valid", _R.HALT, remark="a demo key on mainnet, or the reverse"),
    _row(-2010, "new order rejected", _R.REFUSED),
    _row(
        -2011, "cancel rejected: unknown order", _R.REFUSED, remark="of cancels: the order is gone"
    ),
    _row(-2013, "order does not exist", _R.REFUSED, remark="of queries: see “not found”"),
    _row(-2014, "API key format", _R.HALT),
    _row(-2015, "API key, address or permission", _R.HALT),
    _row(-2018, "balance insufficient", _R.REFUSED),
    _row(-2019, "margin insufficient", _R.REFUSED),
    _row(-2020, "unable to fill", _R.IOC_AT_BOUND, _R.REFUSED),
    _row(
        -2021, "would trigger at once", _R.REFUSED, remark="of conditional orders: see hard stops"
    ),
    _row(-2022, "reduce-only rejected: flat, smaller, or blocked", _R.CANCEL_BLOCKING, _R.REFUSED),
    _row(-2024, "position not sufficient", _R.CANCEL_BLOCKING, _R.REFUSED),
    _row(-2025, "open-order limit", _R.REFUSED),
    _row(-2026, "type not supported with reduceOnly", _R.REFUSED),
    _row(-2027, "above the largest position at this leverage", _R.REFUSED),
    _row(-4003, "quantity not above 0", _R.READ_RULES),
    _row(-4004, "quantity below the minimum", _R.READ_RULES),
    _row(-4005, "quantity above the maximum", _R.READ_RULES),
    _row(
        -4002,
        "price above the maximum",
        _R.REFUSED,
        remark="of LIMIT IOC: the next one reads the mark",
    ),
    _row(-4013, "price below the minimum", _R.REFUSED, remark="likewise"),
    _row(-4014, "price off the tick", _R.READ_RULES),
    _row(-4015, "client id not valid", _R.REFUSED, remark="our bug"),
    _row(-4016, "price above the PERCENT_PRICE bound", _R.REFUSED, remark="as -4002"),
    _row(-4023, "quantity off the step", _R.READ_RULES),
    _row(-4024, "price below the PERCENT_PRICE bound", _R.REFUSED, remark="as -4002"),
    _row(-4031, "working type not valid", _R.REFUSED, remark="of conditional orders; our bug"),
    _row(-4045, "conditional-order limit", _R.REFUSED, remark="of conditional orders"),
    _row(-4059, "position mode unchanged", _R.REFUSED, remark="never an order's"),
    _row(-4060, "position side not valid", _R.READ_MODE),
    _row(-4061, "position side does not match the mode", _R.READ_MODE),
    _row(-4062, "reduceOnly not proper", _R.READ_MODE),
    _row(-4067, "mode change: open orders", _R.REFUSED, remark="never an order's"),
    _row(-4068, "mode change: open positions", _R.REFUSED, remark="never an order's"),
    _row(-4087, "only reduce-only allowed", _R.READ_MODE, remark="as -4105"),
    _row(
        -4105, "only reduce-only allowed", _R.READ_MODE, remark="an exit is: the mode must be wrong"
    ),
    _row(-4106, "only reduce-only allowed", _R.READ_MODE, remark="as -4105"),
    _row(-4107, "only reduce-only allowed", _R.READ_MODE, remark="as -4105"),
    _row(-4116, "client id duplicated", _R.DUPLICATE),
    _row(-4117, "a stop is triggering", _R.PAUSE, remark="it may be closing the position"),
    _row(-4118, "reduce-only margin check", _R.CANCEL_BLOCKING, _R.REFUSED),
    _row(-4120, "conditional type on this path", _R.REFUSED, remark="our bug"),
    _row(
        -4130, "a closePosition order exists", _R.REFUSED, remark="of conditional orders: protected"
    ),
    _row(-4131, "outside PERCENT_PRICE, or a thin book", _R.IOC_AT_BOUND, _R.REFUSED),
    _row(-4136, "strategy not valid with closePosition", _R.REFUSED, remark="our bug"),
    _row(-4137, "quantity with closePosition", _R.REFUSED, remark="our bug"),
    _row(-4138, "reduceOnly with closePosition", _R.REFUSED, remark="our bug"),
    _row(-4142, "would trigger at once", _R.REFUSED, remark="as -2021"),
    _row(-4164, "notional below the minimum", _R.REFUSED, remark="reduce-only orders are exempt"),
    _row(-4183, "limit price too high for the stop", _R.REFUSED, remark="of conditional orders"),
    _row(-4184, "limit price too low for the stop", _R.REFUSED, remark="of conditional orders"),
    _row(-4189, "only reduce-only allowed", _R.READ_MODE, remark="as -4105"),
    _row(-4192, "cooling-off period", _R.REFUSED),
    _row(-4210, "stop price above its bound", _R.REFUSED, remark="of conditional orders"),
    _row(-4211, "stop price below its bound", _R.REFUSED, remark="of conditional orders"),
    _row(-4400, "only reduce-only allowed", _R.READ_MODE, remark="as -4105"),
    _row(-4401, "only reduce-only allowed", _R.READ_MODE, remark="as -4105"),
    _row(-4509, "no open position for this order", _R.REFUSED, remark="of conditional orders"),
    _row(-4531, "mode change blocked", _R.REFUSED, remark="never an order's"),
    _row(-5021, "FOK not filled", _R.REFUSED),
    _row(-5022, "would not be maker", _R.REFUSED),
    _row(-5028, "timestamp outside recvWindow, at the matching engine", _R.RESYNC),
    _row(-5047, "order modification", _R.REFUSED, remark="never an exit's"),
)
"""Every code that an exit may meet, and those that could be taken for one."""

_BY_CODE: Final = {row.code: row for row in CODES}
_MODE_PARAMETERS: Final = ("reduceonly", "positionside")
_BANNED: Final = re.compile(r"banned until (\d{13})", re.IGNORECASE)


def reaction(*, code: int | None, status: int, text: str, full: bool) -> Reaction:
    """What is to be done about an order request that was not simply taken.

    Args:
        code: the error code of the answer; None where it has none.
        status: of HTTP, or the WebSocket API's; 0 where no answer came.
        text: the answer's message, or its body where that is no JSON.
        full: whether the order is a full close.

    Returns:
        The one reaction; every input has one.
    """
    words = text.lower().strip()
    row = None if code is None else _BY_CODE.get(code)
    for rule in STATUSES:
        first, last = rule.statuses
        counts = row is None or rule.overrules
        if counts and first <= status <= last and re.search(rule.text, words):
            return rule.reaction
    if row is None:
        return Reaction.ASK
    if row.code == -1106 and any(name in words for name in _MODE_PARAMETERS):
        return Reaction.READ_MODE
    return row.full if full or row.partial is None else row.partial


def outcome(wanted: Reaction) -> Literal["unknown", "rejected"] | None:
    """What a failed order's outcome is, as far as it is known at once.

    Returns:
        None for a reaction that sends the same exit again: its outcome is still open until the resends are
        used up.
    """
    if wanted in {Reaction.ASK, Reaction.DUPLICATE}:
        return "unknown"
    return None if wanted in RESENDS else "rejected"


def banned_until_ms(text: str) -> int | None:
    """The end of the ban that a refusal's text states, ms since the Unix epoch; None where it states none."""
    found = _BANNED.search(text)
    return None if found is None else int(found[1])


def failure_table() -> str:
    """Both tables as Markdown, for the documentation and the test that keeps it true."""
    lines = ["| code | meaning | full close | rung, harvest | remark |", "|---|---|---|---|---|"]
    for row in sorted(CODES, key=lambda row: -row.code):
        partial = row.partial or row.full
        lines.append(f"| {row.code} | {row.meaning} | {row.full} | {partial} | {row.remark} |")
    lines += ["", "| HTTP status | text | meaning | reaction |", "|---|---|---|---|"]
    for rule in STATUSES:
        first, last = rule.statuses
        statuses = str(first) if first == last else f"{first} to {last}"
        if rule is STATUSES[-1]:
            statuses = "anything else"
        words = f"“{rule.text.lstrip('^')} …”" if rule.text else ""
        over = "; whatever the code" if rule.overrules else ""
        lines.append(f"| {statuses} | {words} | {rule.meaning}{over} | {rule.reaction} |")
    return "\n".join(lines) + "\n"


def reaction_table() -> str:
    """The reactions as Markdown: what each means, what the engine is told, how often it sends again."""
    lines = ["| reaction | engine is told | resends |", "|---|---|---|"]
    for kind in Reaction:
        told = outcome(kind) or "nothing yet"
        lines.append(f"| {kind} | {told} | {RESENDS.get(kind, 0)} |")
    return "\n".join(lines) + "\n"
