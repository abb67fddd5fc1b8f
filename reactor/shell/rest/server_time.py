"""The exchange's clock as seen from here: what signed requests are stamped with.

A sample is one question for the time. The exchange answered somewhere between question and answer, so half the
round trip is the error's bound, and of several samples the quickest one is the best (Cristian's algorithm).
"""

import asyncio
from typing import Final, Protocol

from reactor.audit import AlarmRaised, Audit, Degraded
from reactor.binance.decode import decode_rest
from reactor.binance.rest_market_messages import ServerTime as TimeAnswer
from reactor.clock import Clock
from reactor.errors import BudgetExhausted, RestFailed
from reactor.shell.rest_seam import RestAnswer

TIME_PATH: Final = "/fapi/v1/time"
SAMPLES: Final = 5
SAMPLE_TIMEOUT_S: Final = 2.0
FAILURES_MAX: Final = 2
"""Who was refused for its time waits for the measurement: it must not take much longer than two timeouts."""

DRIFT_LIMIT_MS: Final = 500
"""Half of what the exchange lets a stamp run ahead (1000 ms)."""

RETRY_S: Final = 10.0
"""After a failed synchronisation, instead of the whole interval."""


class AsksTime(Protocol):
    """What a sample is taken with: `RestClient.ask_once`."""

    async def ask_once(self, path: str, *, timeout_s: float) -> RestAnswer:
        """One unsigned GET of weight 1, not repeated."""
        ...


class ServerTime:
    """The offset between the exchange's clock and ours.

    Attributes:
        offset_ns: exchange time minus ours. `round_trip_ns`: of the sample it is from, twice its error's bound.
        synced_ns: when it was measured, by our clock; 0 before the first time.
    """

    def __init__(
        self,
        clock: Clock,
        audit: Audit,
        *,
        interval_s: float = 300.0,
        drift_limit_ms: int = DRIFT_LIMIT_MS,
    ) -> None:
        """Starts without an offset.

        Args:
            clock: ours.
            audit: told when our clock is off by more than the limit, and when it is right again.
            interval_s: between two measurements (`account.time_sync_s`).
            drift_limit_ms: beyond it a person is told.
        """
        self.offset_ns = 0
        self.round_trip_ns = 0
        self.synced_ns = 0
        self._clock = clock
        self._audit = audit
        self._interval_s = interval_s
        self._drift_limit_ns = drift_limit_ms * 1_000_000
        self._is_off = False
        self._lock = asyncio.Lock()

    @property
    def offset_ms(self) -> float:
        """Exchange time minus ours, for screens."""
        return self.offset_ns / 1e6

    def exchange_ns(self, now_ns: int) -> int:
        """Exchange time at this instant of our clock."""
        return now_ns + self.offset_ns

    def timestamp_ms(self, now_ns: int) -> int:
        """The `timestamp` of a signed request that leaves now."""
        return (now_ns + self.offset_ns) // 1_000_000

    async def sync(
        self, client: AsksTime, *, since_ns: int | None = None, samples: int = SAMPLES
    ) -> bool:
        """Measures the offset.

        Args:
            client: what asks.
            since_ns: where somebody else has measured after this instant, that is good enough.
            samples: how often to ask, at least once.

        Returns:
            Whether there is a measurement.
        """
        async with self._lock:
            if since_ns is not None and self.synced_ns > since_ns:
                return True
            best: tuple[int, int] | None = None
            failures = 0
            for _ in range(samples):
                try:
                    answer = await client.ask_once(TIME_PATH, timeout_s=SAMPLE_TIMEOUT_S)
                except (RestFailed, BudgetExhausted):
                    failures += 1
                    if failures == FAILURES_MAX:
                        break
                    continue
                sample = _sample(answer)
                if sample is not None and (best is None or sample < best):
                    best = sample
            if best is None:
                return False
            self.round_trip_ns, self.offset_ns = best
            self.synced_ns = self._clock.now_ns()
            self._judge()
            return True

    async def run(self, client: AsksTime) -> None:
        """Measures again every interval, until cancelled; sooner after a failure."""
        succeeded = True
        while True:
            await asyncio.sleep(self._interval_s if succeeded else min(RETRY_S, self._interval_s))
            succeeded = await self.sync(client)

    def _judge(self) -> None:
        """Ages of ticks are told by our clock: one that is off is somebody's to mend."""
        # What the round trip leaves open is no error of the clock.
        off_ns = abs(self.offset_ns) - self.round_trip_ns // 2
        now_ns = self._clock.now_ns()
        if off_ns > self._drift_limit_ns:
            word = "behind" if self.offset_ns > 0 else "ahead of"
            text = (
                f"this machine's clock is {abs(self.offset_ns) / 1e6:.0f} ms {word} the exchange's;"
                " synchronise it (NTP). Requests are stamped with the exchange's time meanwhile"
            )
            self._audit.publish(AlarmRaised(kind="clock", text=text, key="clock"), t_ns=now_ns)
            self._audit.publish(
                Degraded(part="clock", degraded=True, reason=f"off by {self.offset_ms:.0f} ms"),
                t_ns=now_ns,
            )
            self._is_off = True
        elif self._is_off:
            self._is_off = False
            self._audit.publish(Degraded(part="clock", degraded=False), t_ns=now_ns)
            text = "this machine's clock agrees with the exchange's again"
            over = AlarmRaised(kind="clock", text=text, key="clock", resolved=True)
            self._audit.publish(over, t_ns=now_ns)


def _sample(answer: RestAnswer) -> tuple[int, int] | None:
    """Round trip and offset, ns."""
    body = decode_rest(answer.method, answer.path, answer.status, answer.body)
    if not isinstance(body, TimeAnswer):
        return None
    # The exchange cuts its time down to whole milliseconds: on average half of one.
    server_ns = body.server_time_ms * 1_000_000 + 500_000
    return answer.t_ns - answer.asked_ns, server_ns - (answer.asked_ns + answer.t_ns) // 2
