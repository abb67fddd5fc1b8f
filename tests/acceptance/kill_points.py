"""The moments at which the guard is killed, each as a short story that ends with its death.

Every story begins with 0.2 BTC long at 80 000 under the plan `steps`: stop at 78 400, rungs of 0.06, 0.06 and the
rest at 80 800, 81 600 and 82 400, break-even from 81 200 on. A story says what must be open once the next run has
settled; how it goes on from there is the same for all, and is told in `kill_table.py`.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from .exchange import ALGO_ORDER, ORDER, Exchange, until
from .process import GuardProcess

BTC = "BTCUSDT"
EXIT = {"path": ORDER, "method": "POST", "newClientOrderId": "xr-*"}
ON_SOCKET = {"newClientOrderId": "xr-*"}
ACCOUNT = "/fapi/v1/accountConfig"
POSITIONS = "/fapi/v3/positionRisk"
LISTEN_KEY = "/fapi/v1/listenKey"
EXCHANGE_INFO = "/fapi/v1/exchangeInfo"
PREMIUM = "/fapi/v1/premiumIndex"

RUNG_1, RUNG_2, THROUGH, BACK = "80850", "81650", "78380", "79500"


class Scene:
    """What a story plays on."""

    def __init__(self, exchange: Exchange, guard: GuardProcess) -> None:
        self.exchange = exchange
        self.guard = guard

    async def begin(self) -> None:
        """The guard runs and the position is protected."""
        await self.guard.start()
        await self.exchange.guarded(BTC)

    def deadly(self, method: str, path: str, **more: Any) -> None:
        """The next request of this kind is the last thing that the guard ever did."""
        self.exchange.trap(method, path, self.guard.kill, **more)

    async def dead(self) -> None:
        """Waits for the end."""
        await until(lambda: not self.guard.is_alive, "the guard's death")

    async def unwritten(self, price: str) -> None:
        """A price whose decision never reaches the journal: its order arrives, and the guard is dead."""
        self.deadly("POST", ORDER)
        with self.guard.held_journal():
            self.exchange.price(BTC, price)
            await self.dead()


class KillPoint(NamedTuple):
    """One moment."""

    name: str
    story: Callable[[Scene], Coroutine[Any, Any, None]]
    left: str
    """What must be open when the next run has settled."""
    config: Mapping[str, Any]
    hedge: bool
    late: int
    """Orders that may have come for what was gone: a close that was sent again because nobody answered."""
    plan: str


POINTS: list[KillPoint] = []


def point(
    name: str,
    *,
    left: str = "0.2",
    config: Mapping[str, Any] | None = None,
    hedge: bool = False,
    late: int = 0,
    plan: str = "steps",
) -> Callable[..., Callable[[Scene], Coroutine[Any, Any, None]]]:
    """Adds a story to the table."""

    def add(
        story: Callable[[Scene], Coroutine[Any, Any, None]],
    ) -> Callable[[Scene], Coroutine[Any, Any, None]]:
        POINTS.append(KillPoint(name, story, left, config or {}, hedge, late, plan))
        return story

    return add


# While it starts ----------------------------------------------------------------------------------


def _at_start(name: str, method: str, path: str, **more: Any) -> None:
    @point(name)
    async def _(scene: Scene) -> None:
        scene.deadly(method, path, **more)
        scene.guard.begin()
        await scene.dead()


_at_start("start: the account is asked", "GET", ACCOUNT)
_at_start("start: the contracts are asked", "GET", EXCHANGE_INFO)
_at_start("start: the listen key is made", "POST", LISTEN_KEY)
_at_start("start: the positions are asked", "GET", POSITIONS)
_at_start("start: the first price is asked", "GET", PREMIUM)
_at_start("start: the first hard stop is placed, unconfirmed", "POST", ALGO_ORDER)


# A rung -------------------------------------------------------------------------------------------


@point("rung: between its order and the journal", left="0.14")
async def _(scene: Scene) -> None:
    await scene.begin()
    await scene.unwritten(RUNG_1)


@point("rung: its order filled, the answer unseen", left="0.14")
async def _(scene: Scene) -> None:
    await scene.begin()
    scene.deadly("POST", ORDER)
    scene.exchange.price(BTC, RUNG_1)
    await scene.dead()


@point(
    "rung: over REST, between its order and the journal",
    left="0.14",
    config={"orders": {"over": "rest"}},
)
async def _(scene: Scene) -> None:
    await scene.begin()
    await scene.unwritten(RUNG_1)


@point("rung: its order lost on the way, unwritten", left="0.14")
async def _(scene: Scene) -> None:
    await scene.begin()
    scene.exchange.fault("lost", ON_SOCKET)
    await scene.unwritten(RUNG_1)


@point("rung: its order lost on the way, written", left="0.14")
async def _(scene: Scene) -> None:
    await scene.begin()
    scene.exchange.fault("hang", ON_SOCKET, executed=False)
    scene.exchange.price(BTC, RUNG_1)
    await until(lambda: _in_flight(scene), "the decision in the journal")
    scene.guard.kill()


@point("rung: half filled, between its order and the journal", left="0.14")
async def _(scene: Scene) -> None:
    await scene.begin()
    scene.exchange.fault("partial_fill", {"symbol": BTC}, fraction=0.5)
    await scene.unwritten(RUNG_1)


@point("rung: executed, answered with -1007, killed while it asks", left="0.14")
async def _(scene: Scene) -> None:
    await scene.begin()
    scene.exchange.fault("lose", {"event": "*"}, count=0)
    scene.exchange.fault("unknown_executed", ON_SOCKET)
    scene.deadly("GET", ORDER)
    scene.exchange.price(BTC, RUNG_1)
    await scene.dead()


@point("rung: not executed, answered with -1007, killed while it asks", left="0.14")
async def _(scene: Scene) -> None:
    await scene.begin()
    scene.exchange.fault("unknown_lost", ON_SOCKET)
    scene.deadly("GET", ORDER)
    scene.exchange.price(BTC, RUNG_1)
    await scene.dead()


@point("two rungs in one order: between it and the journal", left="0.08")
async def _(scene: Scene) -> None:
    await scene.begin()
    await scene.unwritten(RUNG_2)


@point("rung of one side in hedge mode: between its order and the journal", left="0.14", hedge=True)
async def _(scene: Scene) -> None:
    await scene.guard.start()
    await scene.exchange.guarded(BTC, side="LONG")
    await scene.exchange.guarded(BTC, side="SHORT")
    await scene.unwritten(RUNG_1)


# The stop -----------------------------------------------------------------------------------------


@point("stop: between its order and the journal", left="0")
async def _(scene: Scene) -> None:
    await scene.begin()
    await scene.unwritten(THROUGH)


@point("stop: its order filled, the answer unseen", left="0")
async def _(scene: Scene) -> None:
    await scene.begin()
    scene.deadly("POST", ORDER)
    scene.exchange.price(BTC, THROUGH)
    await scene.dead()


@point("stop: its order filled, and a human opens another before the next run")
async def _(scene: Scene) -> None:
    await scene.begin()
    scene.deadly("POST", ORDER)
    scene.exchange.price(BTC, THROUGH)
    await scene.dead()
    scene.exchange.price(BTC, "80000")
    scene.exchange.trade(BTC, "0.2")


@point("stop: half filled, between its order and the journal", left="0")
async def _(scene: Scene) -> None:
    await scene.begin()
    scene.exchange.fault("partial_fill", {"symbol": BTC}, fraction=0.5)
    await scene.unwritten(THROUGH)


@point("stop: its order lost, unwritten, price still through", left="0")
async def _(scene: Scene) -> None:
    await scene.begin()
    scene.exchange.fault("lost", ON_SOCKET)
    await scene.unwritten(THROUGH)


@point("stop: its order lost, unwritten, price back: nobody knows of it", left="0.2")
async def _(scene: Scene) -> None:
    await scene.begin()
    scene.exchange.fault("lost", ON_SOCKET)
    await scene.unwritten(THROUGH)
    scene.exchange.price(BTC, BACK)


@point("stop: its order lost, written, price back: pursued", left="0")
async def _(scene: Scene) -> None:
    await scene.begin()
    scene.exchange.fault("hang", ON_SOCKET, executed=False)
    scene.exchange.price(BTC, THROUGH)
    await until(lambda: _in_flight(scene), "the decision in the journal")
    scene.guard.kill()
    scene.exchange.price(BTC, BACK)


@point("stop: nobody answers, killed at the second sending", left="0", late=1)
async def _(scene: Scene) -> None:
    await scene.begin()
    scene.exchange.fault("lose", {"event": "*"}, count=0)
    scene.exchange.fault("hang", {"path": ORDER}, executed=False, count=2)
    scene.deadly("POST", ORDER, number=2)
    scene.exchange.price(BTC, THROUGH)
    await scene.dead()


@point("stop: killed in an orderly end, with the close in flight", left="0")
async def _(scene: Scene) -> None:
    await scene.begin()
    scene.exchange.fault("hang", {"path": ORDER}, executed=False, count=0)
    scene.exchange.price(BTC, THROUGH)
    await until(lambda: scene.exchange.sent(BTC), "the close sent")
    scene.guard.signal_end()
    await until(lambda: len(scene.exchange.sent(BTC)) > 1 or not scene.guard.is_alive, "pursued")
    scene.guard.kill()
    scene.exchange.door("faults", method="DELETE")


@point("time stop: between its order and the journal", left="0", plan="short_lived")
async def _(scene: Scene) -> None:
    await scene.begin()
    scene.deadly("POST", ORDER)
    await until(scene.guard.epochs, "the epoch in the journal")
    with scene.guard.held_journal():
        await scene.dead()


# Trailing -----------------------------------------------------------------------------------------


@point("trailing: after a climb; the price has fallen when it is back", plan="trail")
async def _(scene: Scene) -> None:
    await scene.begin()
    for price in range(80100, 81010, 50):
        scene.exchange.price(BTC, str(price))
    # 1 % below the best price, and in the journal before the next second is over.
    await until(
        lambda: scene.guard.epochs()[BTC].stop_price == Decimal(80190), "the stop in the journal"
    )
    scene.guard.kill()
    scene.exchange.price(BTC, "80400")


@point("trailing: as the hard stop follows", plan="trail")
async def _(scene: Scene) -> None:
    await scene.begin()
    scene.deadly("POST", ALGO_ORDER)
    scene.exchange.price(BTC, "81000")
    await scene.dead()
    scene.exchange.price(BTC, "80400")


@point("trailing: as the hard stop follows, the move not in the journal", plan="trail")
async def _(scene: Scene) -> None:
    await scene.begin()
    scene.deadly("POST", ALGO_ORDER)
    with scene.guard.held_journal():
        scene.exchange.price(BTC, "81000")
        await scene.dead()
    scene.exchange.price(BTC, "80400")


# Hard stops ---------------------------------------------------------------------------------------


@point("hard stop: the new one placed, the old one not cancelled", left="0.14")
async def _(scene: Scene) -> None:
    await scene.begin()
    scene.exchange.price(BTC, RUNG_1)
    await until(lambda: scene.exchange.held(BTC) == Decimal("0.14"), "the rung")
    await scene.exchange.guarded(BTC)
    scene.deadly("POST", ALGO_ORDER)
    scene.exchange.price(BTC, "81300")
    await scene.dead()


@point("hard stop: the old one cancelled, unconfirmed", left="0.14")
async def _(scene: Scene) -> None:
    await scene.begin()
    scene.exchange.price(BTC, RUNG_1)
    await until(lambda: scene.exchange.held(BTC) == Decimal("0.14"), "the rung")
    await scene.exchange.guarded(BTC)
    scene.deadly("DELETE", ALGO_ORDER)
    scene.exchange.price(BTC, "81300")
    await scene.dead()


@point("flat: the hard stop of the ended epoch is not cancelled any more", left="0")
async def _(scene: Scene) -> None:
    await scene.begin()
    scene.exchange.fault("lost", {"path": ALGO_ORDER, "method": "DELETE"}, count=1)
    scene.deadly("DELETE", ALGO_ORDER)
    scene.exchange.price(BTC, THROUGH)
    await scene.dead()


# While it is dead, and while it comes back ----------------------------------------------------------


@point("running: a human closes the position meanwhile", left="0")
async def _(scene: Scene) -> None:
    await scene.begin()
    scene.guard.kill()
    scene.exchange.trade(BTC, "-0.2")


@point("running: the hard stop triggers meanwhile", left="0")
async def _(scene: Scene) -> None:
    await scene.begin()
    scene.guard.kill()
    scene.exchange.price(BTC, "77900")
    await scene.exchange.flat(BTC)


@point("running: a human closes it meanwhile and opens another", plan="steps_in_time")
async def _(scene: Scene) -> None:
    await scene.begin()
    await until(scene.guard.epochs, "the epoch in the journal")
    scene.guard.kill()
    scene.exchange.trade(BTC, "-0.2")
    await asyncio.sleep(6)  # its time stop is over, and must not close the next one
    scene.exchange.trade(BTC, "0.2")


@point("running: a human adds meanwhile", left="0.3")
async def _(scene: Scene) -> None:
    await scene.begin()
    scene.guard.kill()
    scene.exchange.trade(BTC, "0.1")


@point("again: killed while it looks for what the journal lacks", left="0.14")
async def _(scene: Scene) -> None:
    await scene.begin()
    await scene.unwritten(RUNG_1)
    scene.deadly("GET", ORDER)
    scene.guard.begin()
    await scene.dead()


@point("again: killed while it reconciles", left="0.14")
async def _(scene: Scene) -> None:
    await scene.begin()
    await scene.unwritten(RUNG_1)
    scene.deadly("GET", POSITIONS)
    scene.guard.begin()
    await scene.dead()


@point("again: killed as it sends what was lost", left="0")
async def _(scene: Scene) -> None:
    await scene.begin()
    scene.exchange.fault("lost", ON_SOCKET)
    await scene.unwritten(THROUGH)
    scene.deadly("POST", ORDER)
    scene.guard.begin()
    await scene.dead()


def _in_flight(scene: Scene) -> bool:
    state = scene.guard.epochs().get(BTC)
    return state is not None and (state.orders.partial is not None or state.orders.full is not None)
