"""What bytes from the exchange can turn out to be when they are no event.

All are values. Decoding never raises for anything that bytes can hold; whoever feeds it counts.
"""

from typing import Final

import msgspec

from reactor.binance.redaction import excerpt, line, redact
from reactor.limits import REASON_CHARS_MAX


class Ignored(msgspec.Struct, frozen=True):
    """A message that was read and is of no use here: not an error, worth a counter at most."""

    reason: str
    """One of few words (`depthUpdate`, `coin-m`), or `unknown event "…"`."""

    @property
    def kind(self) -> str:
        """The reason without what it quotes: a counter's label, of which there are only a few."""
        return self.reason.partition('"')[0].rstrip()


class ControlReply(Ignored, frozen=True, kw_only=True):
    """The exchange's answer to a SUBSCRIBE, LIST_SUBSCRIPTIONS and the like."""

    id: int | str | None
    """The request's id; None in some errors."""
    code: int | None = None
    """The error code (0 to 3 on streams), None for success."""
    message: str = ""
    """The error's text."""
    streams: tuple[str, ...] = ()
    """What LIST_SUBSCRIPTIONS named, listen keys replaced by `…`."""


class Malformed(msgspec.Struct, frozen=True):
    """A message that could not be read: to be counted and reported once, and nothing more."""

    reason: str
    """What is wrong with it, in one line."""
    excerpt: str
    """How it begins, without keys or signatures."""


class RestFailure(msgspec.Struct, frozen=True):
    """A REST answer that is no success."""

    code: int | None
    """Binance's code (negative), or None where the body has none: gateways answer in HTML."""
    msg: str
    """Binance's text, or the body's beginning."""
    status: int
    """The HTTP status. Binance has sent errors under 200 too."""


COIN_M: Final = Ignored("coin-m")

FAULTS: Final = (ValueError, ArithmeticError, RecursionError)
"""All that decoding raises: msgspec's errors and broken UTF-8 are ValueErrors, absurd numbers are
arithmetic or value errors, and a million brackets end in a RecursionError."""


def malformed(reason: str, raw: bytes) -> Malformed:
    """A `Malformed` whose texts are bounded, printable and free of keys."""
    return Malformed(line(redact(reason), chars_max=REASON_CHARS_MAX), excerpt(raw))


def describe(error: BaseException) -> str:
    """What one of `FAULTS` says about the bytes, in one line."""
    if isinstance(error, RecursionError):
        return "JSON nested too deeply"
    if isinstance(error, UnicodeDecodeError):
        return "text that is not UTF-8"
    text = str(error)
    if "UTF-8" in text:
        # msgspec's own words since 0.23; before that it was a UnicodeDecodeError.
        return "text that is not UTF-8"
    if text == "Input data was truncated":
        return "truncated JSON"
    return text.replace("JSON is malformed", "broken JSON", 1)
