"""Asking an exchange that may be down, until it answers: an unattended container waits for it."""

import asyncio
import random
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

from reactor.audit import AlarmRaised, Audit
from reactor.clock import Clock
from reactor.errors import BudgetExhausted, RestFailed

REACH_FIRST_S: Final = 0.5
REACH_LAST_S: Final = 15.0
"""Between two attempts."""

SLOW_AFTER_S: Final = 10.0
SLOW_AGAIN_S: Final = 60.0
"""When a start that lasts is told of; all being well it takes three seconds at most."""

T = TypeVar("T")


class Reaching:
    """Asks again and again, and looks at the clock meanwhile.

    An exchange that answers nothing is told of by whoever asks it; one that lets us wait (a request limit that is
    used up, answers that do not come) keeps everybody waiting in good faith, and nothing is guarded.

    Attributes:
        step: what the start waits for, in words.

    Args:
        say: takes a line for whoever started this.
        audit: told, too. `clock`: stamps that.
        chance: of the pauses.
    """

    def __init__(
        self, *, say: Callable[[str], None], audit: Audit, clock: Clock, chance: random.Random
    ) -> None:
        self._say = say
        self._audit = audit
        self._clock = clock
        self._chance = chance
        self.step = "the exchange"
        self._is_slow = False

    async def reach(self, what: str, ask: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Asks until there is an answer; that there is none is an alarm, and so is its end.

        Args:
            what: is asked, for people.
            ask: asks once.
        """
        self.step = what
        wait_s = REACH_FIRST_S
        while True:
            try:
                answer = await ask()
            except (RestFailed, BudgetExhausted) as error:
                text = f"{what} cannot be asked: {error}"
                self._say(f"{text}; trying again in {wait_s:g} s")
                self._tell(text)
            else:
                if wait_s != REACH_FIRST_S:
                    self._tell(f"{what} answered", resolved=True)
                return answer
            await asyncio.sleep(wait_s * self._chance.uniform(0.5, 1.0))
            wait_s = min(wait_s * 2, REACH_LAST_S)

    async def watch(self) -> None:
        """Tells of a start that lasts, again and again, until it is cancelled: by whoever sees the start's end."""
        began_ns = self._clock.now_ns()
        pause_s = SLOW_AFTER_S
        while True:
            await asyncio.sleep(pause_s)
            pause_s = SLOW_AGAIN_S
            waited_s = (self._clock.now_ns() - began_ns) / 1e9
            text = f"not started after {waited_s:.0f} s, nothing is guarded yet: waiting for {self.step}"
            self._is_slow = True
            self._say(text)
            self._tell(text, key="slow_start")

    async def last(self, what: str, work: Coroutine[Any, Any, None]) -> None:
        """Does the start's last step; after it the start is over, and well."""
        self.step = what
        await work
        if self._is_slow:
            self._tell("started", key="slow_start", resolved=True)

    def _tell(self, text: str, *, key: str = "start", resolved: bool = False) -> None:
        self._audit.publish(
            AlarmRaised(kind="start", text=text, key=key, resolved=resolved),
            t_ns=self._clock.now_ns(),
        )
