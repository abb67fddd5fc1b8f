r"""Takes credentials out of a message before it is written down, leaving every other byte as it was.

What goes, replaced by `"…"` (U+2026):

- the values of the keys `apiKey`, `signature`, `listenKey` and `X-MBX-APIKEY`, in any case, at any
  depth, whatever type they have, and as `["X-MBX-APIKEY", value]` pairs;
- the same names inside strings: URLs, query strings, form bodies, header text, JSON in a string;
- on the `private` channel the `stream` of an envelope (but an event's name), and the items of `params` and `result`,
  which are listen keys there;
- listen keys in the path of a URL: whatever follows `/private/ws/`, and any path or query part of
  60 letters and digits or more;
- every value that was registered as secret, wherever it stands outside market data.

Most messages hold nothing of the kind, so a few byte searches decide first (`may_hold_secret`).
"""

import re
from collections.abc import Iterable
from typing import Final

import orjson

REPLACEMENT: Final = "…".encode()
_QUOTED: Final = b'"' + REPLACEMENT + b'"'
_SECRET_KEYS: Final = frozenset({b"apikey", b"signature", b"listenkey", b"x-mbx-apikey"})
#: What a private envelope may be named after instead of its listen key: the events' own names.
_EVENT_NAMES: Final = frozenset(
    b'"%b"' % name
    for name in (
        *(b"ORDER_TRADE_UPDATE", b"ACCOUNT_UPDATE", b"ALGO_UPDATE", b"TRADE_LITE", b"MARGIN_CALL"),
        *(b"ACCOUNT_CONFIG_UPDATE", b"CONDITIONAL_ORDER_TRIGGER_REJECT", b"STRATEGY_UPDATE"),
        *(b"GRID_UPDATE", b"listenKeyExpired"),
    )
)
#: Channels that carry no account data: only keys by name are looked for there.
MARKET_CHANNELS: Final = frozenset({"market", "public"})

_STRING: Final = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
#: Strings, then structure, then what is left: numbers, true, false, null.
_TOKEN: Final = re.compile(_STRING.pattern + rb'|[{}\[\],:]|[^\s"{}\[\],:]+', re.DOTALL)

_QUOTE = rb"""(?:\\*["']|%2[27])"""  # as in JSON, in JSON in a string, in percent-encoded JSON
_SPACE = rb"""(?:\s|\\[nrt]|%20)*"""
_BYTES_PREFIX = rb"""(?:b(?=["']))?"""  # a Python repr of bytes
_BEFORE_VALUE = rb"(%b?%b(?:[=:]|%%3[ad])%b%b%b?)" % (_QUOTE, _SPACE, _SPACE, _BYTES_PREFIX, _QUOTE)
#: Up to what ends a value in any of the notations; base64 may hold an escaped slash.
_VALUE = rb"""(?:\\/|(?!%(?:2[0267c]|7d))[^\s"'\\&#;,<>{}()\[\]])+"""
_NAMED = re.compile(
    rb"(x-mbx-apikey|apikey|signature|listenkey)" + _BEFORE_VALUE + _VALUE, re.IGNORECASE
)
_NAMED_PRIVATE = re.compile(
    rb"(x-mbx-apikey|apikey|signature|listenkey|\bstream)" + _BEFORE_VALUE + _VALUE, re.IGNORECASE
)
_PRIVATE_PATH = re.compile(
    rb"(/private/(?:(?:ws|stream)/|stream\?streams=))[^?&#\s\"'\\]+", re.IGNORECASE
)
_MAY_CARRY_MORE = re.compile(rb"[=:%/]")  # no name without a separator, no path without a slash
_LONG_PART = re.compile(rb"(?<=[/=,])[A-Za-z0-9]{60,}(?![A-Za-z0-9])")


def may_hold_secret(message: bytes, channel: str) -> bool:
    """Tell by quick searches whether `redact` could change anything; False is certain.

    For market data the bytes may as well be many messages in a row.
    """
    if message.find(b"\\") >= 0:  # a name may be spelt with escapes
        return True
    # Looking for one letter is thirty times as fast as for a word, and most market data of most
    # symbols has neither a Y (…Key) nor a G (signature).
    lowered = b""
    if message.find(b"y") >= 0 or message.find(b"Y") >= 0:
        lowered = message.lower()
        if lowered.find(b"apikey") >= 0 or lowered.find(b"listenkey") >= 0:
            return True
    if message.find(b"g") >= 0 or message.find(b"G") >= 0:
        lowered = lowered or message.lower()
        if lowered.find(b"signature") >= 0:
            return True
    if channel in MARKET_CHANNELS:
        return False
    lowered = lowered or message.lower()
    return channel == "private" or lowered.find(b"/ws/") >= 0 or lowered.find(b"stream") >= 0


def redact(message: bytes, channel: str) -> bytes:
    """Return a JSON message without its credentials; bytes that hold none are not touched.

    Args:
        message: valid JSON.
        channel: the tape channel that it belongs to.
    """
    private = channel == "private"
    pieces: list[bytes] = []
    done = 0
    for start, end, value in _secret_spans(message, private=private):
        pieces += (message[done:start], value)
        done = end
    if not pieces:
        return message
    pieces.append(message[done:])
    return b"".join(pieces)


def replace_known(message: bytes, secrets: tuple[bytes, ...]) -> bytes:
    """Replace secret values that are known literally, wherever they stand in a JSON string."""
    if not any(message.find(secret) >= 0 for secret in secrets):
        return message

    def replace(string: re.Match[bytes]) -> bytes:
        text: bytes = string.group()
        for secret in secrets:
            text = text.replace(secret, REPLACEMENT)
        return text

    return _STRING.sub(replace, message)


class _Container:
    """An object or array that the walk is inside of."""

    __slots__ = ("is_object", "key", "secret_item", "secret_items", "whole_from")

    def __init__(self, *, is_object: bool, secret_items: bool, whole_from: int) -> None:
        self.is_object = is_object
        self.secret_items = secret_items  # every string in it is a listen key
        self.whole_from = whole_from  # >= 0: replaced as a whole, from this byte on
        self.key = b""  # the key whose value comes next, lower case
        self.secret_item = False  # the array began with a secret name: its next string is the value


def _secret_spans(message: bytes, *, private: bool) -> Iterable[tuple[int, int, bytes]]:
    """Walk the tokens of JSON; yield (start, end, replacement) from front to back."""
    stack: list[_Container] = []
    for token in _TOKEN.finditer(message):
        first = message[token.start()]
        top = stack[-1] if stack else None
        whole = top is not None and top.whole_from >= 0
        if first in b"{[":
            stack.append(_open(first == 0x7B, top, token.start(), private and len(stack) == 1))
        elif first in b"}]":
            if not stack:
                return
            closed = stack.pop()
            outer_whole = bool(stack) and stack[-1].whole_from >= 0
            if closed.whole_from >= 0 and not outer_whole:
                yield closed.whole_from, token.end(), _QUOTED
            if stack:
                stack[-1].key = b""
        elif first == 0x2C:  # a comma
            if top is not None:
                top.key = b""
        elif first == 0x3A or whole:  # a colon
            continue
        elif first == 0x22 and top is not None and top.is_object and not top.key:
            top.key = _name(token.group()) or b" "
        else:
            replacement = _scalar(token.group(), top, private and len(stack) <= 1)
            if replacement != token.group():
                yield token.start(), token.end(), replacement


def _open(is_object: bool, outer: _Container | None, start: int, top_level: bool) -> _Container:
    whole_from = -1
    secret_items = False
    if outer is not None:
        if outer.whole_from >= 0 or (outer.is_object and outer.key in _SECRET_KEYS):
            whole_from = start
        secret_items = not is_object and top_level and outer.key in {b"params", b"result"}
    return _Container(is_object=is_object, secret_items=secret_items, whole_from=whole_from)


def _scalar(token: bytes, container: _Container | None, private_top_level: bool) -> bytes:
    is_string = token.startswith(b'"')
    if container is not None:
        if container.is_object:
            if container.key in _SECRET_KEYS:
                return _QUOTED
            if private_top_level and container.key == b"stream" and token not in _EVENT_NAMES:
                return _QUOTED
        elif is_string:
            if container.secret_items or container.secret_item:
                container.secret_item = False
                return _QUOTED
            container.secret_item = _name(token) in _SECRET_KEYS
    return _inside_string(token, private=private_top_level) if is_string else token


def _inside_string(text: bytes, *, private: bool) -> bytes:
    if not _MAY_CARRY_MORE.search(text):
        return text
    named = _NAMED_PRIVATE if private else _NAMED
    text = named.sub(rb"\1\2" + REPLACEMENT, text)
    text = _PRIVATE_PATH.sub(rb"\1" + REPLACEMENT, text)
    return _LONG_PART.sub(REPLACEMENT, text)


def _name(token: bytes) -> bytes:
    """The text of a JSON string, lower case."""
    if b"\\" not in token:
        return token[1:-1].lower()
    try:
        text: str = orjson.loads(token)
    except orjson.JSONDecodeError:
        return token[1:-1].lower()
    return text.lower().encode()
