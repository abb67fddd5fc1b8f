"""What a restart is left: policies from outside, as long as they hold."""

from pathlib import Path

from guard_room import START_NS, HandClock, Room

from reactor.shell.journal.journal import Journal
from reactor.shell.keeping import Keeping
from reactor.shell.plan_choice import PlanChoice
from reactor.shell.recorded import PolicyLine

NOW_MS = START_NS // 1_000_000


def line(symbol: str, *, mode: str | None = "fast_tp", expires_ms: int | None = None) -> PolicyLine:
    return PolicyLine(command="policy", symbol=symbol, mode=mode, expires_ms=expires_ms)


async def test_a_policy_from_outside_outlives_the_process_until_it_ends(tmp_path: Path) -> None:
    room = Room()

    def keeping() -> tuple[Keeping, Journal]:
        journal = Journal.open(tmp_path / "j.db", clock=HandClock(), inline=True)
        plans = PlanChoice(room.config)
        return Keeping(room.guard, journal=journal, config=room.config, plans=plans), journal

    first, journal = keeping()
    assert first.left_policies(now_ms=NOW_MS) == []
    first.keep_policy(line("BTCUSDT"))
    first.keep_policy(line("ETHUSDT", expires_ms=NOW_MS + 1000))
    first.keep_policy(line("SOLUSDT"))
    first.keep_policy(line("SOLUSDT", mode=None))
    journal.close()
    second, journal = keeping()
    left = second.left_policies(now_ms=NOW_MS)
    assert [one.symbol for one in left] == ["BTCUSDT", "ETHUSDT"]
    assert [one.symbol for one in second.left_policies(now_ms=NOW_MS + 1000)] == ["BTCUSDT"]
    journal.close()


async def test_the_nearest_words_are_said_again_first(tmp_path: Path) -> None:
    room = Room()

    def keeping() -> tuple[Keeping, Journal]:
        journal = Journal.open(tmp_path / "j.db", clock=HandClock(), inline=True)
        plans = PlanChoice(room.config)
        return Keeping(room.guard, journal=journal, config=room.config, plans=plans), journal

    first, journal = keeping()
    first.keep_policy(line("*"))
    first.keep_policy(line("BTCUSDT"))
    first.keep_policy(PolicyLine(command="policy", symbol="BTCUSDT", side="SHORT", mode="fast_tp"))
    journal.close()
    second, journal = keeping()
    assert [(one.symbol, one.side) for one in second.left_policies(now_ms=NOW_MS)] == [
        ("BTCUSDT", "SHORT"),
        ("BTCUSDT", "BOTH"),
        ("*", "BOTH"),
    ]
    journal.close()
