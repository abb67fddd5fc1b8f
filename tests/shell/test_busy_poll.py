"""Polling without sleeping: the loop goes on, what an order leaves by is kept warm, and the end leaves nothing."""

import asyncio
import time

from reactor.shell.busy_poll import WARMED_EVERY_NS, BusyPoll


class Practice:
    """Counts, and says when it was practised so many times."""

    def __init__(self, enough: int) -> None:
        self.times_ns: list[int] = []
        self.done = asyncio.Event()
        self._enough = enough

    def __call__(self) -> None:
        self.times_ns.append(time.monotonic_ns())
        if len(self.times_ns) == self._enough:
            self.done.set()


async def test_orders_are_practised_now_and_then_while_the_loop_goes_on() -> None:
    practice = Practice(enough=5)
    busy = BusyPoll(asyncio.get_running_loop(), practice)
    await practice.done.wait()
    busy.end()
    count = len(practice.times_ns)
    # Once in so many nanoseconds at most, whatever the machine does meanwhile.
    assert practice.times_ns[-1] - practice.times_ns[0] >= (count - 2) * WARMED_EVERY_NS
    await asyncio.sleep(5 * WARMED_EVERY_NS / 1e9)
    assert len(practice.times_ns) == count


async def test_a_letter_that_does_not_arrive_stops_nothing() -> None:
    practice = Practice(enough=3)
    busy = BusyPoll(asyncio.get_running_loop(), practice)
    busy._mine.close()
    await practice.done.wait()
    busy.end()
