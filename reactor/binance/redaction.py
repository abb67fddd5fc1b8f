"""What may be shown of a message that could not be read: one bounded line without a key in it.

A listen key gives its holder the account's order flow, an API key and a signature more. They must not
reach a log by way of an error report, wherever in the message they stand and however it was cut.
"""

import re
from typing import Final

from reactor.limits import EXCERPT_CHARS_MAX

_MASK: Final = "…"
_WINDOW_BYTES: Final = 512

_ESCAPED_ASCII: Final = re.compile(r"\\u00([2-7][0-9a-fA-F])")
_NAMED: Final = re.compile(
    r"""((?:listen_?key|api_?key|signature|secret)\\*["']?\s*[:=]\s*\\*["']?)[^"'\\&\s,}\]]*""",
    re.IGNORECASE,
)
# A private envelope is named after its listen key; a market stream has an @ or a ! in its name.
_STREAM: Final = re.compile(r'("stream"\s*:\s*")([^"@!]*)(?=["]|\Z)')
# Listen keys, API keys and HMAC signatures have 64 characters, Ed25519 ones 88; a cut one fewer.
_KEY_RUN: Final = re.compile(r"[A-Za-z0-9+/=_%-]{24,}")
# The user stream's address has its key in the path.
_IN_PATH: Final = re.compile(r"(/ws/)[A-Za-z0-9]{24,}")
_CUT_RUN: Final = re.compile(r"[A-Za-z0-9+/=_%-]+\Z")
_EVENT_NAME: Final = re.compile(r"[A-Z_]{1,40}")


def redact(text: str) -> str:
    """The text with every value that is, or might be, a key or a signature replaced by `…`.

    Values are found by name (`listenKey`, `apiKey`, `X-MBX-APIKEY`, `signature`, `secret`; in JSON and in
    URLs), by place (the `stream` of a private envelope) and by looks (a run of 24 and more characters
    that keys are made of).
    """
    text = _ESCAPED_ASCII.sub(lambda match: chr(int(match[1], 16)), text)
    text = _NAMED.sub(rf"\1{_MASK}", text)
    text = _STREAM.sub(lambda match: match[1] + _mask_unless_event(match[2]), text)
    return _KEY_RUN.sub(lambda match: _mask_unless_event(match[0]), text)


def redact_named(text: str) -> str:
    """The text without what is named as a key, or stands where a listen key does.

    For texts of our own, whose paths and ids have to stay readable: nothing is taken away for its looks.
    """
    return _IN_PATH.sub(rf"\1{_MASK}", _NAMED.sub(rf"\1{_MASK}", text))


def excerpt(raw: bytes) -> str:
    """The beginning of a message as one printable line of at most `EXCERPT_CHARS_MAX` characters."""
    text = raw[:_WINDOW_BYTES].decode("utf-8", "replace")
    if len(raw) > _WINDOW_BYTES:
        # The window may end inside a key, and what is left of it may be too short to look like one.
        text = _CUT_RUN.sub("", text)
    return line(redact(text), chars_max=EXCERPT_CHARS_MAX)


def line(text: str, *, chars_max: int) -> str:
    """The text as one printable line of at most `chars_max` characters, `…` where it was cut."""
    shown = "".join(c if c.isprintable() else "?" for c in text[: chars_max + 1])
    return shown if len(shown) <= chars_max else shown[: chars_max - 1] + _MASK


def _mask_unless_event(run: str) -> str:
    """`CONDITIONAL_ORDER_TRIGGER_REJECT` is as long as a key and says what the message was."""
    return run if _EVENT_NAME.fullmatch(run) else _MASK
