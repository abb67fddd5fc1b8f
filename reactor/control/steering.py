"""What an operator may tell the guard, and the JSON of it."""

from decimal import Decimal
from typing import Protocol

import msgspec

from reactor.core.decisions import Side
from reactor.errors import ConfigError

POLICY_TEXT_CHARS_MAX = 200
"""A mode, a tag, a note: one sentence."""

PRICE_DIGITS_MAX = 18
"""Before the point and after it: what the exchange lists has 8 at most. A price that a machine writes out in
full must not fill a log."""

POLICY_S_MAX = 31_536_000
"""A year: longer than anybody means."""


class Steering(Protocol):
    """Carries operators' commands out. Each answers with a line that says what was done.

    `symbol` None means every managed position, `side` None both sides of a symbol.

    Raises:
        BadInputError: it cannot be done; the message says why and how to mend it.
    """

    async def pause(self, symbol: str | None, side: Side | None) -> str:
        """Stops rungs, harvests and trailing moves; stops, guards and the hard stop stay on."""
        ...

    async def resume(self, symbol: str | None, side: Side | None) -> str:
        """Ends a pause."""
        ...

    async def flatten(self, symbol: str | None, side: Side | None) -> str:
        """Closes at market, now."""
        ...

    async def set_stop(self, symbol: str, side: Side | None, price: Decimal, *, now: bool) -> str:
        """Moves a stop. At or through the price only with `now`: it would fire at once."""
        ...

    async def policy(self, wish: "SayPolicy") -> str:
        """Says an exit policy from outside; without mode and regime takes it back."""
        ...


class Which(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which positions: of a symbol, one side or both, or all of them."""

    symbol: str | None = None
    side: Side | None = None
    all: bool = False

    def checked(self) -> "Which":
        """Itself.

        Raises:
            ConfigError: neither a symbol nor all, or both.
        """
        if self.all == bool(self.symbol):
            raise ConfigError("say which: a symbol, or all (not both)")
        if self.all and self.side is not None:
            raise ConfigError("all positions have no one side: leave side out, or name a symbol")
        return self


class SetStop(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A stop by hand."""

    symbol: str
    price: Decimal
    side: Side | None = None
    now: bool = False

    def checked(self) -> "SetStop":
        """Itself.

        Raises:
            ConfigError: the price is none.
        """
        if not self.price.is_finite() or self.price <= 0:
            raise ConfigError(f"price {self.price:.6g} must be above 0")
        if abs(self.price.adjusted()) > PRICE_DIGITS_MAX or len(self.price.as_tuple().digits) > (
            2 * PRICE_DIGITS_MAX
        ):
            raise ConfigError(f"price {self.price:.6g} is no price: write it like 60500.10")
        if not self.symbol:
            raise ConfigError("say which: a symbol is missing")
        return self


class SayPolicy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An exit policy from outside: `*` is every symbol, no side both; `for_s` seconds, or until taken back."""

    symbol: str
    side: Side | None = None
    mode: str | None = None
    regime: str | None = None
    note: str = ""
    for_s: float | None = None

    def checked(self) -> "SayPolicy":
        """Itself.

        Raises:
            ConfigError: a text is empty or too long, or the time is none.
        """
        if not self.symbol:
            raise ConfigError("say which: a symbol is missing, or * for all")
        for name in ("symbol", "mode", "regime", "note"):
            if len(getattr(self, name) or "") > POLICY_TEXT_CHARS_MAX:
                raise ConfigError(f"{name} is longer than {POLICY_TEXT_CHARS_MAX} characters")
        if self.for_s is not None and not 0 < self.for_s <= POLICY_S_MAX:
            raise ConfigError(
                f"for_s {self.for_s} is out of range: above 0, at most {POLICY_S_MAX}"
            )
        return self


async def steer(steering: Steering, command: str, body: bytes) -> str:
    """Carries out a command whose request is JSON.

    Raises:
        BadInputError: the request cannot be read, or cannot be carried out.
    """
    try:
        if command == "set-stop":
            wish = msgspec.json.decode(body, type=SetStop).checked()
            return await steering.set_stop(wish.symbol, wish.side, wish.price, now=wish.now)
        if command == "policy":
            return await steering.policy(msgspec.json.decode(body, type=SayPolicy).checked())
        which = msgspec.json.decode(body, type=Which).checked()
    except msgspec.DecodeError as error:
        raise ConfigError(f"the request cannot be read: {error}") from None
    symbol = None if which.all else which.symbol
    if command == "pause":
        return await steering.pause(symbol, which.side)
    if command == "resume":
        return await steering.resume(symbol, which.side)
    return await steering.flatten(symbol, which.side)


COMMANDS = ("pause", "resume", "flatten", "set-stop", "policy")
