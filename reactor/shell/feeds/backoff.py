"""How long to wait before dialling again: exponential with a ceiling and full jitter, the first time not at all."""

import random
from typing import Final

FIRST_S: Final = 0.1
CEILING_S: Final = 5.0
HEALTHY_AFTER_S: Final = 10.0
DOUBLINGS_MAX: Final = 32
"""Beyond it every ceiling is long reached; the power stays a small number."""


class Backoff:
    """Waiting times of one thing that is tried again and again.

    Full jitter (a uniform draw between nothing and the present bound) keeps many clients that lost the same
    server from coming back together.

    Args:
        chance: where the draws come from.
        first_s: the bound of the second wait; the first is zero. It doubles with every failure.
        ceiling_s: the largest bound.
        healthy_after_s: what lived this long starts afresh.
    """

    def __init__(
        self,
        chance: random.Random,
        *,
        first_s: float = FIRST_S,
        ceiling_s: float = CEILING_S,
        healthy_after_s: float = HEALTHY_AFTER_S,
    ) -> None:
        self.failures = 0
        self._chance = chance
        self._first_s = first_s
        self._ceiling_s = ceiling_s
        self._healthy_after_s = healthy_after_s

    def next_s(self, *, ceiling_s: float | None = None) -> float:
        """Counts a failure and says how long to wait after it, in seconds.

        Args:
            ceiling_s: another bound for this kind of failure.
        """
        failures, self.failures = self.failures, self.failures + 1
        if failures == 0:
            return 0.0
        grown_s = self._first_s * 2.0 ** min(failures - 1, DOUBLINGS_MAX)
        return self._chance.uniform(
            0.0, min(self._ceiling_s if ceiling_s is None else ceiling_s, grown_s)
        )

    def ended(self, lived_s: float) -> None:
        """What was tried had worked for this long: after a healthy life the next wait is zero again."""
        if lived_s >= self._healthy_after_s:
            self.failures = 0
