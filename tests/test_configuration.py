"""The configuration of a live process: file, variables, options, and the document about all three."""

import argparse
import re
import tomllib
from decimal import Decimal
from pathlib import Path
from typing import Any, get_type_hints

import msgspec
import pytest

from reactor.commands import add_run_command, asked_config
from reactor.config import Config, ManageConfig, config_from_tables
from reactor.config_sources import read_config
from reactor.errors import ConfigError

DOCUMENT = (Path(__file__).parents[1] / "docs" / "configuration.md").read_text(encoding="utf-8")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def keys() -> dict[str, Any]:
    """Every key but those of symbols, with its default."""
    found: dict[str, Any] = {}
    for name, value in msgspec.structs.asdict(Config()).items():
        if name == "symbols":
            continue
        if isinstance(value, msgspec.Struct):
            found |= {f"{name}.{key}": one for key, one in msgspec.structs.asdict(value).items()}
        else:
            found[name] = value
    return found


def shown(value: Any) -> str:
    if value is None or value == ():
        return "–"
    if isinstance(value, tuple):
        return f"`{', '.join(value)}`"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def test_the_document_has_every_key_with_its_default_and_no_other() -> None:
    rows = re.findall(r"^\| (`[^|]*`) \| ([^|]*) \|", DOCUMENT, flags=re.MULTILINE)
    elsewhere = ("`symbols.", "`regime.")
    told = {name.strip("`"): default for name, default in rows if not name.startswith(elsewhere)}
    assert told == {
        name: shown(value) for name, value in keys().items() if not name.startswith("regime.")
    }


def test_the_documents_example_is_one() -> None:
    (example,) = re.findall(r"^```toml\n(.*?)^```$", DOCUMENT, flags=re.MULTILINE | re.DOTALL)
    config = config_from_tables(tomllib.loads(example, parse_float=Decimal), source="the document")
    assert config.manage.covers("BTCUSDT", "LONG")
    assert not config.manage.covers("SOLUSDT", "LONG")


def test_a_file_where_it_is_started_is_read(elsewhere: Path) -> None:
    (elsewhere / "reactor.toml").write_text('mode = "live"\n[manage]\ninclude = ["*"]\n')
    assert read_config(None, {}).mode == "live"


def test_without_a_file_everything_has_its_default() -> None:
    assert read_config(None, {}) == Config()


def test_variables_win_over_the_file_and_options_over_both(elsewhere: Path) -> None:
    file = elsewhere / "mine.toml"
    file.write_text('plan = "fast_tp"\nenvironment = "demo"\n[manage]\ninclude = ["BTCUSDT"]\n')
    config = read_config(
        file,
        {"REACTOR_PLAN": "trend_follow", "REACTOR_MANAGE_INCLUDE": "ETHUSDT, SOLUSDT"},
        {"plan": "challenge_100", "data_dir": None},
    )
    assert config.plan == "challenge_100"
    assert config.environment == "demo"
    assert config.manage.include == ("ETHUSDT", "SOLUSDT")


@pytest.mark.parametrize(
    ("name", "text", "path", "value"),
    [
        ("REACTOR_RECORD_ENABLED", "true", "record.enabled", True),
        ("REACTOR_HTTP_ENABLED", "0", "http.enabled", False),
        ("REACTOR_HTTP_PORT", "9090", "http.port", 9090),
        ("REACTOR_STREAMS_ROTATE_HOURS", "12.5", "streams.rotate_hours", 12.5),
        ("REACTOR_MANAGE_MAX_NOTIONAL", "2500.5", "manage.max_notional", Decimal("2500.5")),
        ("REACTOR_HARD_STOP_BUFFER_PCT", "0.01", "hard_stop.buffer_pct", Decimal("0.01")),
        ("REACTOR_DATA_DIR", "/data", "data_dir", "/data"),
        ("REACTOR_ALARMS_COMMAND", "/bin/tell,-v", "alarms.command", ("/bin/tell", "-v")),
        ("REACTOR_STREAMS_PROXY", "http://proxy:3128", "streams.proxy", "http://proxy:3128"),
    ],
)
def test_a_variable_is_a_key(name: str, text: str, path: str, value: object) -> None:
    config: Any = read_config(None, {name: text})
    for part in path.split("."):
        config = getattr(config, part)
    assert config == value


def test_every_key_can_be_a_variable() -> None:
    hints = get_type_hints(Config)
    for path, default in keys().items():
        table, _, key = path.partition(".")
        assert table in hints
        name = f"REACTOR_{path.replace('.', '_').upper()}"
        if default is None or default == ():
            continue
        text = ",".join(default) if isinstance(default, tuple) else str(default)
        config: Any = read_config(None, {name: text})
        value = getattr(getattr(config, table), key) if key else getattr(config, table)
        assert value == default, path


def test_policy_files_are_read_beside_the_file_that_names_them(elsewhere: Path) -> None:
    shipped = Path(__file__).parents[1] / "reactor" / "policies" / "safe.toml"
    folder = elsewhere / "etc"
    folder.mkdir()
    (folder / "mine.toml").write_text(shipped.read_text().replace('"SAFE"', '"MINE"'))
    file = folder / "reactor.toml"
    file.write_text('[policy]\nprofile = "MINE"\nfiles = ["mine.toml"]\n')
    config = read_config(file, {})
    assert config.policy is not None
    assert config.policy.files == ()
    assert list(config.policy.matrices) == ["MINE"]


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"REACTOR_MOOD": "live"}, "REACTOR_MOOD: there is no such key"),
        ({"REACTOR_HTTP_PORT": "many"}, "http.port"),
        ({"REACTOR_HTTP_PORT": "70000"}, "http.port"),
        ({"REACTOR_MODE": "brave"}, "mode"),
        ({"REACTOR_RECORD_ENABLED": "perhaps"}, "record.enabled"),
        ({"REACTOR_MANAGE_MAX_NOTIONAL": "much"}, "manage.max_notional"),
    ],
)
def test_a_wrong_variable_is_named(variables: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        read_config(None, variables)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('api_key = "x"', "api_key has no place in a file"),
        ('[orders]\nsecret = "x"', "secret has no place in a file"),
        ("mode = 3", "mode"),
        ("[manage]\nincludes = []", "includes"),
        ("not toml", "not a TOML file"),
        ("moed = 1", "reactor.toml: there is no key moed; there are account, alarms, data_dir, "),
        ("[http]\nprot = 1", "[http] has no key prot; there are enabled, host, port, socket"),
        ("[symbols.BTCUSDT]\ntik = 1", "has no key tik; there are long, long_profile, min_qty"),
        ('mode = "alive"', "mode = 'alive': write one of dry_run, shadow, live"),
        ('[log]\nlevel = "loud"', "log.level = 'loud': write one of debug, info, warning, error"),
        ("[http]\nport = 99999", "http.port = 99999: expected a whole number <= 65535"),
        ('[alarms]\ncommand = "echo"', "alarms.command = 'echo': expected a list, got a text"),
        ('[manage]\nsides = ["UP"]', "manage.sides[0]: write one of LONG, SHORT"),
        ('[record]\nmax_size = "10 apples"', "record.max_size = '10 apples' is no size"),
        (
            "[hard_stop]\nbuffer_pct = 2",
            "hard_stop.buffer_pct = 2 is out of range: above 0, below 1",
        ),
        ("[hard_stop]\nstep_pct = -0.1", "hard_stop.step_pct = -0.1 is out of range: at least 0"),
        ("[manage]\nmax_notional = -5", "manage.max_notional = -5 must be above 0"),
    ],
)
def test_a_wrong_file_is_refused(elsewhere: Path, text: str, message: str) -> None:
    (elsewhere / "reactor.toml").write_text(text)
    with pytest.raises(ConfigError, match=re.escape(message)):
        read_config(None, {})


def test_a_file_that_is_not_there_is_said(elsewhere: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read the configuration"):
        read_config(elsewhere / "none.toml", {})
    with pytest.raises(ConfigError, match="cannot read the configuration"):
        read_config(None, {"REACTOR_CONFIG": "none.toml"})


@pytest.mark.parametrize(
    ("manage", "symbol", "side", "ours"),
    [
        (ManageConfig(), "BTCUSDT", "LONG", False),
        (ManageConfig(include=("*",)), "BTCUSDT", "LONG", True),
        (ManageConfig(include=("*",), exclude=("BTCUSDT",)), "BTCUSDT", "LONG", False),
        (ManageConfig(include=("BTCUSDT",)), "ETHUSDT", "LONG", False),
        (ManageConfig(include=("BTCUSDT",), sides=("SHORT",)), "BTCUSDT", "LONG", False),
        (ManageConfig(include=("BTCUSDT",), sides=("SHORT",)), "BTCUSDT", "SHORT", True),
    ],
)
def test_which_positions_are_ours(
    manage: ManageConfig, symbol: str, side: Any, *, ours: bool
) -> None:
    assert manage.covers(symbol, side) is ours


# reactor run ----------------------------------------------------------------------------------------


def asked(*words: str, variables: dict[str, str] | None = None) -> Config:
    parser = argparse.ArgumentParser()
    add_run_command(parser.add_subparsers())
    return asked_config(parser.parse_args(["run", *words]), variables or {})


def test_a_start_is_a_dry_run_unless_told_otherwise() -> None:
    assert asked().mode == "dry_run"
    assert asked("--dry-run", variables={"REACTOR_MODE": "live"}).mode == "dry_run"


def test_a_run_that_sends_nothing_looks_at_every_symbol_unless_told_otherwise() -> None:
    assert asked().manage.include == ("*",)
    assert asked("--include", "BTCUSDT").manage.include == ("BTCUSDT",)
    assert asked(variables={"REACTOR_MODE": "shadow"}).manage.include == ("*",)


def test_a_live_start_needs_an_include_list() -> None:
    with pytest.raises(ConfigError, match="a live start needs to know whose positions are ours"):
        asked("--live")
    config = asked("--live", "--include", "BTCUSDT,ETHUSDT", "--record", "--plan", "fast_tp")
    assert config.mode == "live"
    assert config.manage.include == ("BTCUSDT", "ETHUSDT")
    assert config.record.enabled
    assert config.plan == "fast_tp"


def test_an_adoption_that_may_close_at_once_needs_a_yes() -> None:
    variables = {"REACTOR_MANAGE_ON_ADOPT": "from_entry"}
    with pytest.raises(ConfigError, match="--yes"):
        asked("--live", "--include", "*", variables=dict(variables))
    assert asked("--live", "--include", "*", "--yes", variables=dict(variables)).mode == "live"


def test_without_hard_stops_a_live_start_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    asked("--live", "--include", "*", variables={"REACTOR_HARD_STOP_ENABLED": "false"})
    assert "hard stops are off" in capsys.readouterr().err
