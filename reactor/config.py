"""The configuration file (`reactor.toml`): what a session runs with, validated.

plan = "trend_follow"              # the plan of every position that has no other

[symbols.BTCUSDT]
plan = "challenge_100"             # of both sides; `long = ` and `short = ` overrule it
tick = "0.1"                       # filters where the exchange's own are not at hand
step = "0.001"
min_qty = "0.001"

[policy]                           # plans chosen by regime and volatility, where no symbol names one
profile = "SAFE"

[regime]                           # how regimes are told; docs/regimes.md has every key
timeframe = "4h"
"""

import tomllib
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from reactor.config_complaints import in_words, require_share, size_bytes
from reactor.core.decisions import Side
from reactor.core.policy import OnRegimeChange
from reactor.core.regime import RegimeConfig
from reactor.errors import ConfigError
from reactor.policies import read_policy_tables


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A table of the file: what it does not know is refused."""


class SymbolConfig(_Table, frozen=True, kw_only=True):
    """`[symbols.NAME]`: what differs for one symbol."""

    plan: str | None = None
    long: str | None = None
    short: str | None = None
    tick: Decimal | None = None
    step: Decimal | None = None
    min_qty: Decimal | None = None
    profile: str | None = None
    long_profile: str | None = None
    short_profile: str | None = None

    def profile_name(self, side: Side) -> str | None:
        """The policy profile named for a side; None where the file names none."""
        return (self.long_profile if side == "LONG" else self.short_profile) or self.profile

    def plan_name(self, side: Side) -> str | None:
        """The plan named for a side; None where the file names none."""
        return (self.long if side == "LONG" else self.short) or self.plan


class ManageConfig(_Table, frozen=True, kw_only=True):
    """`[manage]`: which positions are ours. Live needs `include`; `["*"]` is every symbol.

    A dry run without one is started with `["*"]` (`reactor.commands.asked_config`).
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    sides: tuple[Side, ...] = ("LONG", "SHORT")
    max_notional: Decimal | None = None
    on_adopt: Literal["from_price", "from_entry", "ignore"] = "from_price"

    def covers(self, symbol: str, side: Side) -> bool:
        """Whether a position of this symbol and side may be managed."""
        named = "*" in self.include or symbol in self.include
        return named and symbol not in self.exclude and side in self.sides


class OrdersConfig(_Table, frozen=True, kw_only=True):
    """`[orders]`: how exits are sent."""

    over: Literal["ws_api", "rest"] = "ws_api"
    recv_window_ms: Annotated[int, msgspec.Meta(ge=1, le=60_000)] = 5000
    cancel_blocking: bool = True
    answer_timeout_ms: Annotated[int, msgspec.Meta(ge=100, le=60_000)] = 1000
    rehearse_ms: Annotated[float, msgspec.Meta(ge=0, le=60_000)] = 500.0
    """How often a made-up exit is built and signed, and not sent, so that a real one is quick; 0: never."""
    fire_ahead: bool = True
    """Whether a stop's order lies ready and leaves before the engine has decided what it then must."""


class StreamsConfig(_Table, frozen=True, kw_only=True):
    """`[streams]`: how the exchange is listened to."""

    transport: Literal["picows", "websockets"] = "picows"
    busy_poll: bool = False
    """Whether the loop looks for prices without sleeping: it takes a processor of its own, always."""
    loop: Literal["uvloop", "asyncio"] = "uvloop"
    proxy: str | None = None
    rotate_hours: Annotated[float, msgspec.Meta(gt=0, le=24)] = 23.0
    blind_ms: Annotated[int, msgspec.Meta(ge=1000)] = 3000
    private_form: Literal["query", "path"] = "query"


class AccountConfig(_Table, frozen=True, kw_only=True):
    """`[account]`: how often the exchange is asked."""

    reconcile_s: Annotated[float, msgspec.Meta(ge=5)] = 60.0
    time_sync_s: Annotated[float, msgspec.Meta(ge=10)] = 300.0
    weight_share: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.8


class JournalConfig(_Table, frozen=True, kw_only=True):
    """`[journal]`: what a restart needs, and what `explain` tells."""

    path: str = "reactor.db"
    keep_days: Annotated[int, msgspec.Meta(ge=1)] = 90


class RecordConfig(_Table, frozen=True, kw_only=True):
    """`[record]`: tapes of what this process saw and sent."""

    enabled: bool = False
    dir: str = "tapes"
    max_size: str = "10GB"
    max_age_days: Annotated[float, msgspec.Meta(gt=0)] = 30.0
    min_free_disk: str = "2GB"
    rotate_size: str = "256MB"


class HttpConfig(_Table, frozen=True, kw_only=True):
    """`[http]`: health, metrics and the control API. A token comes from REACTOR_HTTP_TOKEN(_FILE)."""

    enabled: bool = True
    host: str = "127.0.0.1"
    port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 8080
    socket: str | None = None


class AlarmConfig(_Table, frozen=True, kw_only=True):
    """`[alarms]`: who is told when something is wrong, and who notices when nothing is told any more."""

    command: tuple[str, ...] = ()
    webhook: str | None = None
    repeat_s: Annotated[float, msgspec.Meta(ge=1)] = 300.0
    heartbeat_url: str | None = None
    heartbeat_s: Annotated[float, msgspec.Meta(ge=1)] = 30.0


class LogConfig(_Table, frozen=True, kw_only=True):
    """`[log]`: what goes to standard error."""

    format: Literal["auto", "json", "text"] = "auto"
    level: Literal["debug", "info", "warning", "error"] = "info"


class HardStopConfig(_Table, frozen=True, kw_only=True):
    """`[hard_stop]`: where a plan has no `[hard_stop]` of its own. `enabled = false` is said at start."""

    enabled: bool = True
    buffer_pct: Decimal = Decimal("0.005")
    step_pct: Decimal = Decimal("0.001")


class PolicyConfig(_Table, frozen=True, kw_only=True):
    """`[policy]`: which plan a new position gets by regime and volatility. Without it plans are named.

    `files` are policy files; `load_config` reads them into `matrices`, by profile, so that a tape holds them.
    `plans` gives modes other plans than those of the same name.
    """

    profile: str = "SAFE"
    on_regime_change: OnRegimeChange = "tighten"
    files: tuple[str, ...] = ()
    matrices: dict[str, Any] = {}
    plans: dict[str, str] = {}


class Config(_Table, frozen=True, kw_only=True):
    """A configuration file."""

    plan: str | None = None
    symbols: dict[str, SymbolConfig] = {}
    mode: Literal["dry_run", "shadow", "live"] = "dry_run"
    environment: str = "mainnet"
    instance: str = "main"
    data_dir: str = "reactor-data"
    manage: ManageConfig = ManageConfig()
    orders: OrdersConfig = OrdersConfig()
    hard_stop: HardStopConfig = HardStopConfig()
    streams: StreamsConfig = StreamsConfig()
    account: AccountConfig = AccountConfig()
    journal: JournalConfig = JournalConfig()
    record: RecordConfig = RecordConfig()
    http: HttpConfig = HttpConfig()
    alarms: AlarmConfig = AlarmConfig()
    log: LogConfig = LogConfig()
    policy: PolicyConfig | None = None
    regime: RegimeConfig = RegimeConfig()


def load_config(path: Path) -> Config:
    """Reads a configuration file.

    Raises:
        ConfigError: it cannot be read, is no TOML, or has an unknown key or a wrong value.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise ConfigError(f"cannot read the configuration {path}: {reason}") from None
    try:
        tables: Any = tomllib.loads(text, parse_float=Decimal)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(f"{path}: not a TOML file: {error}") from None
    return with_policy_files(config_from_tables(tables, source=str(path)), folder=path.parent)


def with_policy_files(config: Config, *, folder: Path) -> Config:
    """Reads the policy files that a configuration names, relative to its own folder."""
    policy = config.policy
    if policy is None or not policy.files:
        return config
    matrices = dict(policy.matrices)
    for name in policy.files:
        tables = read_policy_tables(folder / name)
        matrices[tables["name"]] = tables
    read = msgspec.structs.replace(policy, files=(), matrices=matrices)
    return msgspec.structs.replace(config, policy=read)


def config_from_tables(tables: Any, *, source: str) -> Config:
    """Validates a configuration that is already parsed: a file's, or the one in a tape's header.

    Raises:
        ConfigError: an unknown key or a wrong value; the message names it.
    """
    try:
        config = msgspec.convert(tables, Config)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{source}: {in_words(error, Config, tables=tables)}") from None
    try:
        _refuse_impossible(config)
    except ConfigError as error:
        raise ConfigError(f"{source}: {error}") from None
    for symbol, values in config.symbols.items():
        for key in ("tick", "step", "min_qty"):
            value = getattr(values, key)
            if value is not None and not (value.is_finite() and value > 0):
                raise ConfigError(f"{source}: symbols.{symbol}.{key} = {value} must be above 0")
    for complaint in config.regime.complaints():
        raise ConfigError(f"{source}: {complaint}")
    return config


def _refuse_impossible(config: Config) -> None:
    """Refuses what each key alone may hold and no session can be run with, whether it is switched on or not."""
    for key in ("max_size", "min_free_disk", "rotate_size"):
        size_bytes(getattr(config.record, key), key=f"record.{key}")
    stop = config.hard_stop
    require_share(stop.buffer_pct, key="hard_stop.buffer_pct", may_be_zero=False)
    require_share(stop.step_pct, key="hard_stop.step_pct", may_be_zero=True)
    limit = config.manage.max_notional
    if limit is not None and not (limit.is_finite() and limit > 0):
        raise ConfigError(f"manage.max_notional = {limit} must be above 0")
