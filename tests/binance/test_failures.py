"""One reaction for every failure: total, and never a resend of what may have been executed."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reactor.binance.failures import (
    CODES,
    PAUSES_MS,
    RESENDS,
    Reaction,
    banned_until_ms,
    outcome,
    reaction,
)
from reactor.core.lifecycle import Event
from reactor.shell.failure_events import engine_event
from reactor.sim.refusals import TABLE

INTERNAL = "Internal error; unable to process your request. Please try again."
UNKNOWN = "Unknown error, please check your request or try again later."

DOCUMENTED = """
-1000 -1001 -1003 -1006 -1007 -1008 -1015 -1021 -5028 -1022 -1102 -1104 -1105 -1106 -1111 -4014 -4023 -1116
-1117 -1121 -1122 -1125 -2010 -2011 -2013 -2014 -2015 -2018 -2019 -2021 -4142 -2022 -2024 -2025 -4045 -2026
-4003 -4004 -4005 -4013 -4016 -4024 -4061 -4062 -4067 -4068 -4531 -4105 -4106 -4107 -4189 -4400 -4401 -4116
-4117 -4118 -4120 -4130 -4131 -4137 -4138 -4164 -4192 -4509 -5021 -5022 -4015 -4059 -4183 -4184 -4210 -4211
"""


def test_every_documented_code_has_exactly_one_row() -> None:
    known = [row.code for row in CODES]
    assert len(known) == len(set(known))
    assert {int(code) for code in DOCUMENTED.split()} <= set(known)


@pytest.mark.parametrize(
    ("code", "status", "text", "full", "partial"),
    [
        (-1000, 400, "", "ask", "ask"),
        (-1001, 500, INTERNAL, "ask", "ask"),
        (-1001, 503, INTERNAL, "pause", "pause"),
        (None, 503, INTERNAL, "pause", "pause"),
        (-1001, 503, "Service Unavailable.", "other_route", "other_route"),
        (None, 503, "Service Unavailable.", "other_route", "other_route"),
        (None, 503, "<html><title>503 Service Unavailable</title>", "ask", "ask"),
        (None, 502, "Service Unavailable", "ask", "ask"),
        (-1000, 503, UNKNOWN, "ask", "ask"),
        (None, 503, UNKNOWN, "ask", "ask"),
        (None, 502, "<html>Bad gateway</html>", "ask", "ask"),
        (None, 504, "", "ask", "ask"),
        (-1006, 500, "", "ask", "ask"),
        (-1007, 408, "", "ask", "ask"),
        (None, 408, "", "ask", "ask"),
        (None, 0, "connection reset", "ask", "ask"),
        (None, 200, "<html>", "ask", "ask"),
        (None, 302, "", "ask", "ask"),
        (-1008, 503, "", "pause", "pause"),
        (-1003, 429, "Too many requests.", "wait_rate", "wait_rate"),
        (-1003, 418, "IP banned until 1795000000000.", "wait_ban", "wait_ban"),
        (-1003, 429, "Way too many; IP banned until 1795000000000.", "wait_ban", "wait_ban"),
        (None, 418, "", "wait_ban", "wait_ban"),
        (None, 429, "", "wait_rate", "wait_rate"),
        (-1015, 429, "", "wait_rate", "wait_rate"),
        (-1021, 400, "", "resync", "resync"),
        (-5028, 400, "", "resync", "resync"),
        (-1106, 400, "Parameter 'reduceOnly' sent when not required.", "read_mode", "read_mode"),
        (-1106, 400, "Parameter 'reduceonly' sent when not required.", "read_mode", "read_mode"),
        (-1106, 400, "Parameter 'price' sent when not required.", "refused", "refused"),
        (-1111, 400, "", "read_rules", "read_rules"),
        (-2022, 400, "", "cancel_blocking", "refused"),
        (-4118, 400, "", "cancel_blocking", "refused"),
        (-4131, 400, "", "ioc_at_bound", "refused"),
        (-4116, 400, "", "duplicate", "duplicate"),
        (-2015, 401, "", "halt", "halt"),
        (None, 401, "", "halt", "halt"),
        (None, 403, "", "other_route", "other_route"),
        (-9999, 400, "never seen", "refused", "refused"),
        (-9999, 500, "never seen", "ask", "ask"),
    ],
)
def test_a_failure_has_its_reaction(
    code: int | None, status: int, text: str, full: str, partial: str
) -> None:
    assert reaction(code=code, status=status, text=text, full=True) == full
    assert reaction(code=code, status=status, text=text, full=False) == partial


@given(
    code=st.one_of(
        st.none(), st.integers(-10_000, 10_000), st.sampled_from([r.code for r in CODES])
    ),
    status=st.integers(-10, 1100),
    text=st.text(max_size=50),
    full=st.booleans(),
)
def test_every_input_has_a_reaction(code: int | None, status: int, text: str, full: bool) -> None:
    assert reaction(code=code, status=status, text=text, full=full) in Reaction


@given(status=st.integers(500, 599), text=st.text(max_size=50), full=st.booleans())
def test_a_server_failure_without_a_word_is_unknown(status: int, text: str, full: bool) -> None:
    if not re.search("service unavailable|internal error|banned until", text.lower()):
        assert reaction(code=None, status=status, text=text, full=full) is Reaction.ASK


@pytest.mark.parametrize("code", [-1000, -1006, -1007, -4116])
@pytest.mark.parametrize("status", [0, 200, 400, 408, 500, 502, 504])
@pytest.mark.parametrize("full", [True, False])
def test_what_may_have_been_executed_is_never_sent_again(
    code: int, status: int, full: bool
) -> None:
    wanted = reaction(code=code, status=status, text="", full=full)
    assert wanted not in RESENDS
    assert outcome(wanted) == "unknown"


def test_rungs_and_harvests_never_touch_the_orders_of_others() -> None:
    for row in CODES:
        if row.full in {Reaction.CANCEL_BLOCKING, Reaction.IOC_AT_BOUND}:
            assert row.partial is Reaction.REFUSED


def test_every_reaction_tells_the_engine_one_thing() -> None:
    for kind in Reaction:
        told = engine_event(kind)
        assert (told is None) == (kind in RESENDS)
    assert engine_event(Reaction.REFUSED) is Event.REJECTED
    assert len(PAUSES_MS) == RESENDS[Reaction.PAUSE]


def test_the_simulated_exchanges_order_refusals_are_all_known() -> None:
    # What the simulator answers to requests that are no orders.
    others = {
        -1023,
        -1120,
        -4006,
        -4028,
        -4046,
        -4047,
        -4048,
        -4082,
        -4104,
        -4161,
        -4165,
        -4171,
        -5000,
    }
    others |= {-4049, -4050, -4051, -4054, -4055}  # margin of a position
    others |= {
        -5027,
        -5037,
        -5038,
        -5039,
        -5040,
        -5041,
    }  # changed orders, priceMatch, good-till-date
    assert set(TABLE) - others <= {row.code for row in CODES}


def test_the_end_of_a_ban_is_read_from_the_text() -> None:
    text = (
        "Way too many requests; IP(1.2.3.4) banned until 1795000123456. Please use the websocket."
    )
    assert banned_until_ms(text) == 1795000123456
    assert banned_until_ms("Too many requests.") is None
