"""The parts of a live process, built from what it was given: what listens, and what sends."""

import random
from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

import orjson

from reactor.audit import Audit
from reactor.binance.filters import SymbolFilters
from reactor.binance.sign import ws_api_text
from reactor.binance.urls import Environment
from reactor.clock import Clock
from reactor.config import Config
from reactor.core.decisions import Side
from reactor.core.hard_stop_values import HardStopState
from reactor.core.silence import Silence
from reactor.shell.assembly import order_ids
from reactor.shell.feeds.market_feed import MarketFeed
from reactor.shell.feeds.order_socket import OrderSocket
from reactor.shell.feeds.private_feed import PrivateFeed
from reactor.shell.gap_audit import GapAudit
from reactor.shell.gateway.gateway import Gateway
from reactor.shell.guard import Guard
from reactor.shell.hard_stops import HardStopExecutor
from reactor.shell.journal.journal import Journal
from reactor.shell.plan_choice import PlanChoice
from reactor.shell.reconciler import Reconciler
from reactor.shell.rest.client import RestClient
from reactor.shell.rest.contracts import Contracts
from reactor.shell.rest.credentials import Credentials
from reactor.shell.rest.poller import Poller
from reactor.shell.rest.warm_up import WarmUp
from reactor.shell.rest.watchdog import Watchdog
from reactor.shell.shots import Shots
from reactor.shell.transport.seam import Transport
from reactor.shell.watching import Watching


class Outside(NamedTuple):
    """What every part may be given.

    Attributes:
        config: of the session. `environment`: where the exchange is. `credentials`: of the account.
        transport: makes sockets. `rest`: asks. `clock`, `chance`: time and jitter.
        audit: where everything is told. `journal`: opened. `say`: takes one line for a person.
    """

    config: Config
    environment: Environment
    credentials: Credentials
    transport: Transport
    rest: RestClient
    clock: Clock
    chance: random.Random
    audit: Audit
    journal: Journal
    say: Callable[[str], None]


class Listening(NamedTuple):
    """What hears from the exchange and asks it."""

    market_feed: MarketFeed
    private_feed: PrivateFeed
    contracts: Contracts
    warm_up: WarmUp
    watching: Watching
    poller: Poller
    watchdog: Watchdog
    reconciler: Reconciler
    gap_audit: GapAudit


class Sending(NamedTuple):
    """What sends; a dry run has none of it. Hard stops may be switched off."""

    order_socket: OrderSocket
    gateway: Gateway
    hard_stops: HardStopExecutor | None


def listening(
    outside: Outside,
    guard: Guard,
    plans: PlanChoice,
    *,
    add_secret: Callable[[bytes], None],
    on_gap: Callable[[str], None],
) -> Listening:
    """Builds what listens.

    Args:
        outside: what it needs of the world.
        guard: takes what is heard.
        plans: say what has to be heard.
        add_secret: told every listen key before it is used.
        on_gap: told why events of the account may have been missed.
    """
    config, audit, clock = outside.config, outside.audit, outside.clock
    sockets = (outside.transport, outside.environment)
    rest_parts = (outside.rest, guard, audit, clock)
    market_feed = MarketFeed(*sockets, guard, audit, clock, config.streams, outside.chance)
    private_feed = PrivateFeed(
        *sockets,
        outside.rest,
        guard,
        audit,
        clock,
        config.streams,
        outside.chance,
        add_secret=add_secret,
        on_gap=on_gap,
    )
    contracts = Contracts(*rest_parts, watched=guard.symbols)
    warm_up = WarmUp(*rest_parts)
    poller = Poller(*rest_parts, triggers=guard.triggers)

    def replace(route: str, reason: str) -> None:
        market_feed.replace("public" if route == "public" else "market", reason)

    def ages() -> Mapping[str, int | None]:
        return {symbol: guard.mark_seen_ns.get(symbol) for symbol in guard.symbols()}

    return Listening(
        market_feed=market_feed,
        private_feed=private_feed,
        contracts=contracts,
        warm_up=warm_up,
        watching=Watching(
            guard,
            config=config,
            plans=plans,
            market_feed=market_feed,
            warm_up=warm_up,
            contracts=contracts,
            rest=outside.rest,
            say=outside.say,
        ),
        poller=poller,
        watchdog=Watchdog(
            Silence(blind_ms=config.streams.blind_ms),
            poller,
            guard,
            audit,
            clock,
            ages=ages,
            replace=replace,
        ),
        reconciler=Reconciler(
            rest=outside.rest,
            guard=guard,
            audit=audit,
            clock=clock,
            instance=config.instance,
            every_s=config.account.reconcile_s,
            halted=lambda: _halted(contracts, guard),
        ),
        gap_audit=GapAudit(*rest_parts),
    )


def _halted(contracts: Contracts, guard: Guard) -> tuple[frozenset[str], frozenset[str]]:
    """The guarded symbols that do not trade now, and those that are not listed any more."""
    known = {symbol: contracts.filters(symbol) for symbol in guard.symbols()}
    halted = {
        symbol
        for symbol, contract in known.items()
        if contract is not None and contract.status not in {"TRADING", ""}
    }
    gone = {symbol for symbol, contract in known.items() if contract is None}
    return frozenset(halted), frozenset(gone if contracts.fetched_ns else ())


def sending(
    outside: Outside,
    guard: Guard,
    *,
    contracts: Mapping[str, SymbolFilters],
    ask_position: Callable[[str], None],
) -> Sending:
    """Builds what sends.

    Args:
        outside: what it needs of the world.
        guard: takes answers and outcomes.
        contracts: each symbol's rules, as they come to be known.
        ask_position: asks for a reconciliation.
    """
    config, credentials, clock = outside.config, outside.credentials, outside.clock
    account = guard.pump.account
    logs_on = credentials.kind == "ED25519"
    built: list[Gateway] = []

    def on_down(identities: tuple[str, ...]) -> None:
        for gateway in built:
            gateway.on_socket_down(identities)

    order_socket = OrderSocket(
        outside.transport,
        outside.environment,
        guard,
        outside.audit,
        clock,
        config.streams,
        outside.chance,
        logon=_logon(outside) if logs_on else None,
        on_up=lambda: None,
        on_down=on_down,
        answer_timeout_s=config.orders.answer_timeout_ms / 1000,
    )
    gateway = Gateway(
        config=config,
        socket=order_socket,
        rest=outside.rest,
        signer=None if logs_on else credentials,
        inbox=guard,
        audit=outside.audit,
        clock=clock,
        hedge=partial(getattr, account, "hedge"),
        contracts=contracts,
    )
    built.append(gateway)
    return Sending(order_socket, gateway, _hard_stops(outside, guard, ask_position))


def ready_orders(
    outside: Outside, guard: Guard, gateway: Gateway, *, may_leave: Callable[[str, Side], bool]
) -> Shots:
    """Builds the orders that lie ready for positions' stops.

    Args:
        outside: what they need of the world.
        guard: whose positions.
        gateway: builds and sends them.
        may_leave: whether an order may leave for a position at all.
    """
    return Shots(
        guard.pump.engine,
        gateway,
        order_ids(outside.config.instance),
        audit=outside.audit,
        clock=outside.clock,
        may_leave=may_leave,
    )


def _hard_stops(
    outside: Outside, guard: Guard, ask_position: Callable[[str], None]
) -> HardStopExecutor | None:
    config, journal = outside.config, outside.journal
    if not config.hard_stop.enabled:
        return None
    executor = HardStopExecutor(
        rest=outside.rest,
        inbox=guard,
        audit=outside.audit,
        clock=outside.clock,
        instance=config.instance,
        config=config.hard_stop,
        ask_position=ask_position,
        on_state=lambda state: journal.put_hard_stop(state.symbol, state.side, state),
    )
    left = journal.load()
    states = [left.hard_stop(*key, HardStopState) for key in left.hard_stops]
    executor.restore(state for state in states if state is not None)
    return executor


def _logon(outside: Outside) -> Callable[[str], bytes]:
    """What makes the frame that logs a session on; Ed25519 keys alone can (Binance, WebSocket API)."""
    credentials, server_time = outside.credentials, outside.rest.server_time

    def frame(request_id: str) -> bytes:
        params: dict[str, str | int] = {
            "apiKey": credentials.api_key,
            "timestamp": server_time.timestamp_ms(outside.clock.now_ns()),
            "recvWindow": outside.config.orders.recv_window_ms,
        }
        params["signature"] = credentials.sign(ws_api_text(params))
        return orjson.dumps({"id": request_id, "method": "session.logon", "params": params})

    return frame
