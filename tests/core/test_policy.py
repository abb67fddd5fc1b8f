"""The exit policy: every row of the matrix, what is refused, overrides, and what comes from outside."""

from typing import Any

import pytest

from reactor.config import Config, config_from_tables, load_config
from reactor.core.decisions import Side
from reactor.core.policy import ExternalPolicy, Matrix, Policy, matrix_from_tables
from reactor.core.regime import NO_MEASURES, UNKNOWN, Regime, Verdict, Volatility
from reactor.errors import ConfigError, PolicyError
from reactor.plans import load_plan, shipped_plan_names
from reactor.policies import shipped_matrices
from reactor.shell.plan_choice import PlanChoice

MATRICES = shipped_matrices()
PLANS = {name: load_plan(name) for name in shipped_plan_names()}

# The specification's table, as it is written there.
ROWS = """
BULL NORMAL trend_follow trend_follow
BULL HIGH,EXTREME defensive_trail trend_follow
BEAR NORMAL fast_tp trend_follow
BEAR HIGH,EXTREME defensive_trail trend_follow
HIGH_VOL NORMAL,HIGH,EXTREME defensive_trail trend_follow
CHOP NORMAL fast_tp trend_follow
CHOP HIGH,EXTREME defensive_trail trend_follow
NORMAL NORMAL trend_follow trend_follow
NORMAL HIGH,EXTREME defensive_trail trend_follow
"""
CASES = [
    (profile, Regime(regime), Volatility(volatility), mode)
    for regime, volatilities, safe, aggressive in (row.split() for row in ROWS.split("\n") if row)
    for volatility in volatilities.split(",")
    for profile, mode in (("SAFE", safe), ("AGGRESSIVE", aggressive))
]


def verdict(regime: Regime, volatility: Volatility = Volatility.NORMAL) -> Verdict:
    return Verdict(regime=regime, volatility=volatility, since_ms=0, measures=NO_MEASURES)


def policy(**more: Any) -> Policy:
    defaults: dict[str, Any] = {
        "matrices": MATRICES,
        "plans": PLANS,
        "profile_for": lambda _symbol, _side: "SAFE",
    }
    return Policy(**{**defaults, **more})


def test_the_table_has_every_case_once() -> None:
    assert len(CASES) == len(set(CASES)) == 2 * 5 * 3


@pytest.mark.parametrize(("profile", "regime", "volatility", "mode"), CASES)
def test_every_row_of_the_matrix(
    profile: str, regime: Regime, volatility: Volatility, mode: str
) -> None:
    chosen = policy(profile_for=lambda _symbol, _side: profile).choose(
        "BTCUSDT", "LONG", verdict(regime, volatility), now_ns=0
    )
    assert (chosen.mode, chosen.plan.name) == (mode, mode)
    assert chosen.why == f"{profile}: {regime}, volatility {volatility}"
    assert chosen.source == "regime"
    assert not chosen.warning


def test_without_a_regime_it_follows_the_trend_and_says_so() -> None:
    chosen = policy().choose("BTCUSDT", "LONG", UNKNOWN, now_ns=0)
    assert (chosen.plan.name, chosen.source) == ("trend_follow", "unknown")
    assert chosen.why == "SAFE: no regime yet"


# What is refused ----------------------------------------------------------------------------------


def good() -> dict[str, Any]:
    row = {"NORMAL": "fast_tp", "HIGH": "fast_tp", "EXTREME": "fast_tp"}
    return {
        "name": "MINE",
        **{regime: dict(row) for regime in ("BULL", "BEAR", "CHOP", "NORMAL")},
        "HIGH_VOL": {"any": "fast_tp"},
    }


def changed(path: str, value: Any) -> dict[str, Any]:
    tables = good()
    *parents, key = path.split(".")
    table = tables
    for parent in parents:
        table = table[parent]
    if value is None:
        del table[key]
    else:
        table[key] = value
    return tables


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("name", None, "mine.toml: name: "),
        ("CHOP", None, "mine.toml: CHOP: has no modes"),
        ("BULL.HIGH", None, "mine.toml: BULL.HIGH: has no mode"),
        ("BULL.HIHG", "fast_tp", "mine.toml: BULL.HIHG: there is no such volatility"),
        ("BUL", {"any": "fast_tp"}, "mine.toml: BUL: there is no such regime"),
        ("BULL.any", "fast_tp", "mine.toml: BULL.any: stands for all"),
        ("HIGH_VOL.any", 3, "mine.toml: HIGH_VOL.any: a mode is the name"),
        ("HIGH_VOL", "fast_tp", "mine.toml: HIGH_VOL: expected a table"),
        ("unknown", "", "mine.toml: unknown: a mode"),
        ("UNKNOWN", {"any": "fast_tp"}, "mine.toml: UNKNOWN: there is no such regime"),
    ],
)
def test_a_bad_policy_is_refused_with_its_key(path: str, value: Any, said: str) -> None:
    with pytest.raises(PolicyError) as caught:
        matrix_from_tables(changed(path, value), source="mine.toml")
    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)


def test_a_good_one_is_taken_and_total() -> None:
    matrix = matrix_from_tables(good(), source="mine.toml")
    assert isinstance(matrix, Matrix)
    assert len(matrix.modes) == 15
    with pytest.raises(PolicyError):
        matrix_from_tables(["BULL"], source="mine.toml")


# From outside -------------------------------------------------------------------------------------


def test_what_comes_from_outside_counts_until_it_expires() -> None:
    desk = policy()
    said = ExternalPolicy(
        symbol="BTCUSDT", side="LONG", mode="fast_tp", note="news", expires_ns=100
    )
    desk.say(said, now_ns=0)
    bull = verdict(Regime.BULL)
    chosen = desk.choose("BTCUSDT", "LONG", bull, now_ns=99)
    assert (chosen.plan.name, chosen.source) == ("fast_tp", "external")
    assert chosen.why == "from outside (news): fast_tp"
    assert desk.due_ns(0) == 100
    assert desk.due_ns(100) is None
    # Expired, the other side, another symbol: the regime's.
    elsewhere: list[tuple[str, Side, int]] = [
        ("BTCUSDT", "LONG", 100),
        ("BTCUSDT", "SHORT", 0),
        ("ETHUSDT", "LONG", 0),
    ]
    for symbol, side, now_ns in elsewhere:
        assert desk.choose(symbol, side, bull, now_ns=now_ns).plan.name == "trend_follow"


def test_the_nearest_kind_counts_and_the_newest_of_it() -> None:
    desk = policy()
    bull = verdict(Regime.BULL)
    for symbol, side, mode in (
        ("BTCUSDT", "LONG", "fast_tp"),
        ("BTCUSDT", None, "defensive_trail"),
        ("*", None, "challenge_100"),
    ):
        side_: Any = side
        desk.say(ExternalPolicy(symbol=symbol, side=side_, mode=mode), now_ns=0)
    assert desk.choose("BTCUSDT", "LONG", bull, now_ns=0).mode == "fast_tp"
    assert desk.choose("BTCUSDT", "SHORT", bull, now_ns=0).mode == "defensive_trail"
    assert desk.choose("ETHUSDT", "SHORT", bull, now_ns=0).mode == "challenge_100"
    # Saying nothing of a position takes back what was said of it.
    desk.say(ExternalPolicy(symbol="BTCUSDT", side="LONG"), now_ns=0)
    assert desk.choose("BTCUSDT", "LONG", bull, now_ns=0).mode == "defensive_trail"


def test_a_regime_from_outside_is_looked_up_and_a_foreign_tag_only_shown() -> None:
    desk = policy()
    desk.say(ExternalPolicy(symbol="*", regime="high-vol"), now_ns=0)
    chosen = desk.choose("BTCUSDT", "LONG", verdict(Regime.BULL), now_ns=0)
    assert (chosen.plan.name, chosen.regime) == ("defensive_trail", "high-vol")
    desk.say(ExternalPolicy(symbol="*", regime="risk-off"), now_ns=0)
    chosen = desk.choose("BTCUSDT", "LONG", verdict(Regime.BULL), now_ns=0)
    assert (chosen.plan.name, chosen.regime) == ("trend_follow", "risk-off")


def test_an_unknown_mode_falls_back_and_warns() -> None:
    desk = policy()
    desk.say(ExternalPolicy(symbol="*", mode="moon"), now_ns=0)
    chosen = desk.choose("BTCUSDT", "LONG", verdict(Regime.CHOP), now_ns=0)
    assert (chosen.plan.name, chosen.mode) == ("trend_follow", "moon")
    assert chosen.warning == "there is no exit mode 'moon'; trend_follow is used"


def test_modes_that_no_plan_has_are_known_before_they_are_wanted() -> None:
    assert policy().doubts() == []
    rows = {str(regime): {"any": "fast_tp"} for regime in Regime if regime != "UNKNOWN"}
    mine: dict[str, Any] = {"name": "MINE", "unknown": "moon", **rows, "BULL": {"any": "mars"}}
    choice = PlanChoice(config_from_tables({"policy": {"matrices": {"MINE": mine}}}, source="here"))
    assert choice.doubts() == [
        "policy MINE: there is no exit mode 'mars'; trend_follow is used",
        "policy MINE: there is no exit mode 'moon'; trend_follow is used",
    ]
    assert PlanChoice(config_from_tables({}, source="here")).doubts() == []


# The configuration --------------------------------------------------------------------------------


def steering_of(tables: dict[str, Any]) -> Any:
    return PlanChoice(config_from_tables(tables, source="reactor.toml")).steering()


def test_without_a_policy_plans_are_named() -> None:
    steering = steering_of({"plan": "fast_tp"})
    assert steering.policy is None
    assert not steering.covers("BTCUSDT", "LONG")
    assert steering.choose("BTCUSDT", "LONG", now_ns=0) is None


def test_plan_and_profile_by_symbol_and_side() -> None:
    steering = steering_of(
        {
            "policy": {"profile": "AGGRESSIVE"},
            "symbols": {
                "BTCUSDT": {"long": "challenge_100", "short_profile": "SAFE"},
                "ETHUSDT": {"profile": "SAFE", "long_profile": "AGGRESSIVE"},
            },
        }
    )
    steering.policy.say(ExternalPolicy(symbol="*", regime="CHOP"), now_ns=0)
    # The plan that is named for BTCUSDT LONG is no business of the policy.
    assert steering.choose("BTCUSDT", "LONG", now_ns=0) is None
    modes = {
        (symbol, side): steering.choose(symbol, side, now_ns=0).mode
        for symbol, side in (
            ("BTCUSDT", "SHORT"),
            ("ETHUSDT", "LONG"),
            ("ETHUSDT", "SHORT"),
            ("SOLUSDT", "LONG"),
        )
    }
    assert modes == {
        ("BTCUSDT", "SHORT"): "fast_tp",
        ("ETHUSDT", "LONG"): "trend_follow",
        ("ETHUSDT", "SHORT"): "fast_tp",
        ("SOLUSDT", "LONG"): "trend_follow",
    }


@pytest.mark.parametrize(
    ("tables", "said"),
    [
        ({"policy": {"profile": "WILD"}}, "policy.profile: there is no profile 'WILD'"),
        (
            {"policy": {}, "symbols": {"BTCUSDT": {"short_profile": "WILD"}}},
            "symbols.BTCUSDT.short_profile: there is no profile 'WILD'",
        ),
        ({"policy": {"matrices": {"MINE": {"name": "MINE"}}}}, "policy.matrices.MINE: HIGH_VOL"),
    ],
)
def test_a_profile_or_matrix_that_is_wrong_is_refused(tables: dict[str, Any], said: str) -> None:
    with pytest.raises(PolicyError, match=said):
        steering_of(tables)


@pytest.mark.parametrize(
    ("tables", "said"),
    [
        ({"regime": {"trend_enter": 0}}, "regime.trend_enter"),
        ({"regime": {"trend_entre": 3}}, "trend_entre"),
        ({"regime": {"timeframe": "4x"}}, "regime.timeframe"),
        ({"regime": {"chop_enter": 0.5}}, "regime.chop_enter = 0.5 must be at most"),
        ({"policy": {"on_regime_change": "loosen"}}, "on_regime_change"),
    ],
)
def test_a_wrong_key_or_threshold_is_named(tables: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said.replace(".", r"\.")):
        config_from_tables(tables, source="reactor.toml")


def test_a_policy_file_replaces_a_shipped_matrix(tmp_path: Any) -> None:
    rows = "\n".join(f'[{regime}]\nany = "fast_tp"' for regime in Regime if regime != "UNKNOWN")
    (tmp_path / "mine.toml").write_text(f'name = "SAFE"\n{rows}\n')
    (tmp_path / "reactor.toml").write_text('[policy]\nfiles = ["mine.toml"]\n')
    config: Config = load_config(tmp_path / "reactor.toml")
    assert config.policy is not None
    # Its content is part of the configuration from here on: a tape's header holds it.
    assert config.policy.files == ()
    steering = PlanChoice(config).steering()
    assert steering.policy is not None
    chosen = steering.policy.choose("BTCUSDT", "LONG", verdict(Regime.BULL), now_ns=0)
    assert chosen.plan.name == "fast_tp"
    (tmp_path / "mine.toml").write_text('name = "SAFE"\n[BULL]\nNORMAL = "fast_tp"\n')
    with pytest.raises(PolicyError, match=r"mine\.toml: HIGH_VOL"):
        load_config(tmp_path / "reactor.toml")


def test_plans_of_a_policy_look_at_one_price(tmp_path: Any) -> None:
    (tmp_path / "last.toml").write_text('name = "last"\ntrigger = "last"\n[stop]\npct = 0.01\n')
    mapped = {"fast_tp": str(tmp_path / "last.toml")}
    with pytest.raises(PolicyError, match=r"one price source; last at last, .* at mark"):
        steering_of({"policy": {"plans": mapped}})


def test_plans_that_differ_have_names_that_differ(tmp_path: Any) -> None:
    other = tmp_path / "other.toml"
    other.write_text('name = "trend_follow"\n[stop]\npct = 0.01\n')
    with pytest.raises(PolicyError, match=r"fast_tp and trend_follow differ and are both named"):
        steering_of({"policy": {"plans": {"fast_tp": str(other)}}})
    # The same plan for two modes is fine.
    steering_of({"policy": {"plans": {"fast_tp": "trend_follow"}}})
