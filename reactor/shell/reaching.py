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

T = TypeVar("T")


class Reaching:
    """Asks again and again.

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

    async def reach(self, what: str, ask: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Asks until there is an answer; that there is none is an alarm, and so is its end.

        Args:
            what: is asked, for people.
            ask: asks once.
        """
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

    def _tell(self, text: str, *, resolved: bool = False) -> None:
        self._audit.publish(
            AlarmRaised(kind="start", text=text, key="start", resolved=resolved),
            t_ns=self._clock.now_ns(),
        )
