"""Which plan a position gets."""

from pathlib import Path

import pytest

from reactor.config import config_from_tables
from reactor.errors import PlanError
from reactor.plans import plan_toml
from reactor.shell.plan_choice import PlanChoice


def test_a_plan_file_is_read_once(tmp_path: Path) -> None:
    """A running session neither sees an edit of it nor misses it; the next one does."""
    file = tmp_path / "mine.toml"
    file.write_text(plan_toml("trend_follow"), encoding="utf-8")
    config = config_from_tables({"plan": str(file)}, source="test")
    plans = PlanChoice(config)
    plans.look_up()
    file.unlink()
    assert plans.plan_for("SOLUSDT", "LONG") == plans.plan_for("BTCUSDT", "SHORT")
    with pytest.raises(PlanError):
        PlanChoice(config).look_up()
