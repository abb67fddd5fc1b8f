"""What the account allows: position mode, the right to trade, how margin is pooled. Asked once at start, and when it changed."""

from msgspec import Struct

from reactor.binance.decode import decode_rest
from reactor.binance.failures import Reaction, reaction
from reactor.binance.rest_account_messages import AccountConfig
from reactor.errors import RestFailed
from reactor.shell.inbox import Inbox
from reactor.shell.rest.client import RestClient, failure_of
from reactor.shell.rest.mends import in_words

PATH = "/fapi/v1/accountConfig"
SERVER_FAULT = 500
"""From this HTTP status on it is the exchange's own fault, and passes."""

WEIGHT = 5
"""`positionSide/dual` says less and costs 30."""


PASSING = frozenset(
    {
        Reaction.ASK,
        Reaction.PAUSE,
        Reaction.OTHER_ROUTE,
        Reaction.WAIT_RATE,
        Reaction.WAIT_BAN,
    }
)
"""Refusals that say something about this moment and nothing about the account."""


class AccountSetup(Struct, frozen=True, kw_only=True):
    """The account as far as exits depend on it.

    Attributes:
        hedge: LONG and SHORT are kept apart; None where it could not be read.
        can_trade: whether orders are taken at all.
        multi_assets: margin is pooled over assets.
        problems: one line each for what keeps positions from being guarded, with its mend.
        notes: one line each for what a person should know.
    """

    hedge: bool | None = None
    can_trade: bool = False
    multi_assets: bool = False
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


async def read_account_setup(client: RestClient, inbox: Inbox | None = None) -> AccountSetup:
    """Reads the account's set-up.

    Args:
        client: with credentials.
        inbox: what the answer goes into: the engine's account learns the position mode from it.

    Returns:
        The set-up, or why it cannot be read, in `problems`.

    Raises:
        RestFailed: no answer, or one of a moment that passes. BudgetExhausted: our share is used up, or we are banned.
    """
    answer = await client.get(PATH, weight=WEIGHT, purpose="account", signed=True)
    failure = failure_of(answer)
    if failure is not None:
        wanted = reaction(code=failure.code, status=failure.status, text=failure.msg, full=False)
        if wanted in PASSING or failure.status >= SERVER_FAULT:
            raise RestFailed(in_words(failure))
        return AccountSetup(problems=(f"account: {in_words(failure)}",))
    body = decode_rest("GET", PATH, answer.status, answer.body)
    if not isinstance(body, AccountConfig):
        return AccountSetup(problems=("account: an answer that cannot be read; try again later",))
    if inbox is not None:
        inbox.rest(answer)
    problems: list[str] = []
    notes: list[str] = []
    if not body.can_trade:
        problems.append(
            "account: it may not trade (canTrade is false); look at the account's state on the exchange's site"
        )
    if body.multi_assets_margin:
        notes.append(
            "account: multi-assets mode is on: margin is pooled over assets, so liquidation prices move with"
            " other positions and with the assets' own prices"
        )
    return AccountSetup(
        hedge=body.hedge,
        can_trade=body.can_trade,
        multi_assets=body.multi_assets_margin,
        problems=tuple(problems),
        notes=tuple(notes),
    )
