"""What a refusal about keys, times or permissions means for the person who can mend it."""

from collections.abc import Mapping
from typing import Final

from reactor.binance.messages import RestFailure

MENDS: Final[Mapping[int, str]] = {
    -1021: "this machine's clock is too far off, or the network too slow; synchronise the clock (NTP),"
    " or raise orders.recv_window_ms",
    -1022: "the secret does not belong to the key; copy both again (an Ed25519 key needs its PEM)",
    -2008: "no such API key in this environment; demo and mainnet have keys of their own",
    -2014: "BINANCE_API_KEY is no API key; copy it again",
    -2015: "the key is unknown here, this machine's address is not on its list, or it may not trade futures;"
    " look at its restrictions, and whether it is of this environment",
    -1003: "the exchange's request limit is used up; stop what else asks from this address, or wait",
    -4531: "the position mode cannot be changed now",
}
"""By Binance's code."""


def in_words(failure: RestFailure) -> str:
    """A refusal as one line: what the exchange said, and how to mend it where that is known."""
    mend = None if failure.code is None else MENDS.get(failure.code)
    if mend is not None:
        return f"{failure.msg.rstrip('.') or 'refused'} ({failure.code}): {mend}"
    if failure.status == 403:
        return "the exchange's firewall refuses this address (403); try from another network"
    if failure.status in {451, 418, 429}:
        what = {451: "not available from this country", 418: "this address is banned for a while"}
        return f"{what.get(failure.status, 'too many requests')} (HTTP {failure.status})"
    if failure.code is None:
        return f"HTTP {failure.status}, no readable answer; is this address an exchange?"
    return f"{failure.msg or 'refused'} ({failure.code})"
