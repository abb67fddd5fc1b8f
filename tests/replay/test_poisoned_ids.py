"""One frame with an absurd id or exchange time must not make every later tick an old one."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from frames import agg, book, line, mark, trade
from replayed import SYMBOL, through_tape

from reactor.core.plan import plan_from_toml
from reactor.replay.options import AskedPosition, ReplayOptions

PLAN = 'name = "mine"\ntrigger = "{}"\nconfirm_ticks = 1\n[stop]\npct = 0.01\n'
WITH_ATR = 'name = "mine"\ntrigger = "{}"\n[atr]\nperiod = 1\ninterval = "1m"\n[stop]\natr = 1.5\n'
SOURCES = ("last", "trade", "mark", "book")
FAR_MS = 4_000_000_000_000


def frame(source: str, price: str, number: int, second: float, **more: Any) -> Any:
    if source == "mark":
        return mark(price, second, **more)
    if source == "book":
        return book(price, price, number, second, **more)
    return (trade if source == "trade" else agg)(price, number, second, **more)


def replayed(plan: str, source: str, poison: Any, folder: Path) -> list[Any]:
    trigger: Any = "last" if source == "trade" else source
    lines = [line(0, frame(source, "100", 1, 0)), line(1, poison)]
    lines += [line(n, frame(source, f"100.{n % 4}", n, n)) for n in range(2, 200, 9)]
    lines += [line(n, frame(source, "98", n, n)) for n in range(200, 204)]
    asked = ReplayOptions(
        plan=plan_from_toml(plan.format(trigger), source="here"),
        positions=(AskedPosition(SYMBOL, "LONG", Decimal(1), Decimal(100)),),
    )
    said = through_tape(lines, folder, asked).lines
    return [tuple(str(one.get(key)) for key in ("type", "stop", "price")) for one in said]


@pytest.mark.parametrize("source", ["last", "trade", "book"])
@pytest.mark.parametrize("number", [10**30, 2**63 - 1, 10**15])
def test_an_absurd_id_silences_nothing(source: str, number: int, tmp_path: Path) -> None:
    key = {"last": "a", "trade": "t", "book": "u"}[source]
    poison = frame(source, "100", 1, 1, **{key: number})
    assert replayed(PLAN, source, poison, tmp_path)[1] == ("exit", "99", "98")


@pytest.mark.parametrize(
    ("source", "plan"),
    [("mark", PLAN), *((source, WITH_ATR) for source in SOURCES)],
)
def test_an_absurd_exchange_time_silences_nothing(source: str, plan: str, tmp_path: Path) -> None:
    times = {"E": FAR_MS} if source == "mark" else {"E": FAR_MS, "T": FAR_MS}
    poison = frame(source, "100", 1 if source == "mark" else 2, 1, **times)
    sound = frame(source, "100", 2, 1)
    expected = replayed(plan, source, sound, tmp_path)
    assert len(expected) == (3 if plan is PLAN else 4)
    assert replayed(plan, source, poison, tmp_path) == expected


@pytest.mark.parametrize("source", SOURCES)
def test_the_past_silences_nothing(source: str, tmp_path: Path) -> None:
    times = {"E": 5} if source == "mark" else {"E": 5, "T": 5}
    said = replayed(PLAN, source, frame(source, "98", 0, 1, **times), tmp_path)
    assert said[1] == ("exit", "99", "98")
    assert len(said) == 3
