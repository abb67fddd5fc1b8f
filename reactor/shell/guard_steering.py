"""Operators' commands, carried out on a guard: checked here, told to the engine as one line of the tape each."""

from collections.abc import Callable
from decimal import Decimal

from reactor.control.steering import SayPolicy
from reactor.core.decisions import Side
from reactor.core.exact import text
from reactor.core.machine import Machine
from reactor.errors import ConfigError
from reactor.shell.guard import Guard
from reactor.shell.inbox import Command, CommandName
from reactor.shell.recorded import PolicyLine


class GuardSteering:
    """What an operator may tell a guard. Every method answers with a line that says what was done."""

    def __init__(
        self,
        guard: Callable[[], Guard],
        *,
        on_policy: Callable[[PolicyLine], None] = lambda _line: None,
    ) -> None:
        """Steers a guard.

        Args:
            guard: gives it; it is there once the process has started.
            on_policy: told every policy from outside, so that a restart knows it.
        """
        self._find = guard
        self._on_policy = on_policy

    @property
    def _guard(self) -> Guard:
        try:
            return self._find()
        except AttributeError:
            raise ConfigError("the process is still starting; try again in a moment") from None

    async def pause(self, symbol: str | None, side: Side | None) -> str:
        """Stops rungs, harvests and trailing moves; stops, guards and the hard stop stay on."""
        return f"paused {self._tell('pause', symbol, side)}: stops and guards stay on"

    async def resume(self, symbol: str | None, side: Side | None) -> str:
        """Ends a pause."""
        return f"resumed {self._tell('resume', symbol, side)}"

    async def flatten(self, symbol: str | None, side: Side | None) -> str:
        """Closes at market, now, pursued until flat."""
        return f"closing {self._tell('close', symbol, side)}"

    async def set_stop(self, symbol: str, side: Side | None, price: Decimal, *, now: bool) -> str:
        """Moves a stop by hand, the one command that may loosen it.

        Raises:
            ConfigError: no such position, both sides are open and none is named, or the price is at or through
                the stop without `now`.
        """
        machines = self._which(symbol, side)
        if len(machines) > 1:
            raise ConfigError(f"{symbol} is open on both sides; say which with side")
        (machine,) = machines
        current = machine.current_price if machine.x is not None else None
        market = self._guard.market_of(machine)
        quote = None if market is None else market.quote()
        if quote is not None:
            current = quote.long if machine.side == "LONG" else quote.short
        fires = current is not None and (
            price >= current if machine.side == "LONG" else price <= current
        )
        if fires and not now:
            assert current is not None
            raise ConfigError(
                f"a stop at {text(price)} is at or through the price {text(current)}: it would close"
                f" {symbol} {machine.side} at once; say now if that is meant, or use flatten"
            )
        before = machine.stop_price
        self._guard.command(
            Command(
                command="set_stop",
                symbol=symbol,
                side=machine.side,
                price=text(price),
                by="operator",
            )
        )
        looser = (
            machine.stop_price < before if machine.side == "LONG" else machine.stop_price > before
        )
        word = "loosened" if looser else "set"
        return f"{symbol} {machine.side}: stop {word} from {text(before)} to {text(machine.stop_price)}"

    async def policy(self, wish: SayPolicy) -> str:
        """Says an exit policy from outside; without mode and regime takes it back."""
        line = PolicyLine(
            command="policy",
            symbol=wish.symbol.upper(),
            side=wish.side or "BOTH",
            mode=wish.mode,
            regime=wish.regime,
            note=wish.note,
            expires_ms=self._guard.ms_from_now(wish.for_s),
        )
        doubt = self._guard.policy(line)
        self._on_policy(line)
        where = "every symbol" if wish.symbol == "*" else line.symbol
        what = " ".join(word for word in (wish.mode, wish.regime) if word)
        if not what:
            return f"policy of {where}, {line.side}: taken back"
        until = "until it is taken back" if wish.for_s is None else f"for {wish.for_s:g} s"
        answer = f"policy of {where}, {line.side}: {what} {until}"
        return f"{answer}; but {doubt}" if doubt else answer

    def _tell(self, command: CommandName, symbol: str | None, side: Side | None) -> str:
        machines = self._which(symbol, side)
        for machine in machines:
            self._guard.command(
                Command(command=command, symbol=machine.symbol, side=machine.side, by="operator")
            )
        return ", ".join(f"{machine.symbol} {machine.side}" for machine in machines)

    def _which(self, symbol: str | None, side: Side | None) -> list[Machine]:
        """The positions that are meant.

        Raises:
            ConfigError: there is none.
        """
        found = [
            machine
            for (name, of_side), machine in sorted(self._guard.positions.items())
            if symbol in {None, name} and side in {None, of_side}
        ]
        if not found:
            which = " ".join(word for word in (symbol, side) if word) or "at all"
            raise ConfigError(f"no guarded position {which} is open; see reactor positions")
        return found
