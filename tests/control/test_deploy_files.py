"""The unit and the compose file call what there is, and keep keys out of the environment's values."""

import configparser
import re
import shlex
from pathlib import Path

import pytest
from test_control_api import ADDERS, command  # the same folder's

DEPLOY = Path(__file__).parents[2] / "docs" / "deploy"


def test_the_unit_never_gives_up_and_ends_in_time() -> None:
    text = (DEPLOY / "exit-reactor.service").read_text(encoding="utf-8")
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string(text)
    service = unit["Service"]
    assert service["Restart"] == "always"
    assert unit["Unit"]["StartLimitIntervalSec"] == "0"
    assert int(service["TimeoutStopSec"]) > 5
    assert shlex.split(service["ExecStart"])[1] == "run"
    assert "WatchdogSec" not in service
    values = re.findall(r"^Environment=(\w+)=(.*)$", text, re.MULTILINE)
    assert {name for name, _ in values} == {
        "BINANCE_API_KEY_FILE",
        "BINANCE_API_SECRET_FILE",
        "REACTOR_HTTP_TOKEN_FILE",
    }
    assert all(value.startswith("%d/") for _, value in values)


def test_the_compose_file_is_closed_and_asks_for_its_health() -> None:
    text = (DEPLOY / "compose.yaml").read_text(encoding="utf-8")
    assert "restart: always" in text
    assert "read_only: true" in text
    assert "ports:" not in text
    assert not re.search(r"BINANCE_API_(KEY|SECRET):", text)
    (check,) = re.findall(r'test: \["CMD", (.*)\]', text)
    assert [word.strip('" ') for word in check.split(",")] == ["reactor", "status", "--check"]


@pytest.mark.parametrize("add", ADDERS)
def test_every_command_has_help_with_examples(
    add: object, capsys: pytest.CaptureFixture[str]
) -> None:
    name = (
        getattr(add, "__name__", "").removeprefix("add_").removesuffix("_command").replace("_", "-")
    )
    with pytest.raises(SystemExit) as caught:
        command(name, "--help")
    assert caught.value.code == 0
    shown = capsys.readouterr().out
    assert "examples:" in shown
    assert f"  reactor {name}" in shown
