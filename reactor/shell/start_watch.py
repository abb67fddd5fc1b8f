"""A start waits for the exchange, and one that takes long is told: until it is over nothing is guarded."""

import asyncio
import random
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

from reactor.audit import AlarmRaised, Audit
from reactor.clock import Clock
from reactor.errors import BudgetExhausted, RestFailed

T = TypeVar("T")

REACH_FIRST_S: Final = 0.5
REACH_LAST_S: Final = 15.0
"""Between two attempts to reach the exchange, doubling: an unattended container waits for it."""

FIRST_S: Final = 10.0
"""A start takes three seconds at most when all is well."""

AGAIN_S: Final = 60.0


class StartWatch:
    """Asks what a start needs, and looks at the clock meanwhile.

    Attributes:
        step: what is waited for, in words.
    """

    def __init__(
        self, *, audit: Audit, clock: Clock, chance: random.Random, say: Callable[[str], None]
    ) -> None:
        self.step = "the exchange"
        self._audit = audit
        self._clock = clock
        self._chance = chance
        self._say = say
        self._is_told = False

    async def reach(self, what: str, ask: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Asks until there is an answer: the exchange may be down when a container starts."""
        self.step = what
        wait_s = REACH_FIRST_S
        while True:
            try:
                answer = await ask()
            except (RestFailed, BudgetExhausted) as error:
                self._say(f"{what} cannot be asked: {error}; trying again in {wait_s:g} s")
                self._tell(f"{what} cannot be asked: {error}", key="start")
            else:
                if wait_s != REACH_FIRST_S:
                    self._tell(f"{what} answered", key="start", resolved=True)
                return answer
            await asyncio.sleep(wait_s * self._chance.uniform(0.5, 1.0))
            wait_s = min(wait_s * 2, REACH_LAST_S)

    async def run(self) -> None:
        """Tells of a start that lasts, again and again, until it is cancelled: by whoever sees the start's end."""
        began_ns = self._clock.now_ns()
        pause_s = FIRST_S
        while True:
            await asyncio.sleep(pause_s)
            pause_s = AGAIN_S
            waited_s = (self._clock.now_ns() - began_ns) / 1e9
            text = f"not started after {waited_s:.0f} s, nothing is guarded yet: waiting for {self.step}"
            self._is_told = True
            self._say(text)
            self._tell(text)

    def started(self) -> None:
        """The start is over, and well."""
        if self._is_told:
            self._tell("started", resolved=True)

    def _tell(self, text: str, *, key: str = "slow_start", resolved: bool = False) -> None:
        alarm = AlarmRaised(kind="start", text=text, key=key, resolved=resolved)
        self._audit.publish(alarm, t_ns=self._clock.now_ns())
