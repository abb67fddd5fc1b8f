"""What may leave when: table by table, and the laws that hold for any sequence."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reactor.core.budget import Budget, Purpose

SECOND = 1_000_000_000
MINUTE = 60 * SECOND
START = 1_795_000_020 * SECOND  # a whole minute
PURPOSES: tuple[Purpose, ...] = ("exit", "protect", "account", "poll", "history", "info")


def used(budget: Budget, weight: int, now_ns: int = START) -> None:
    headers = {"x-mbx-used-weight-1m": str(weight)}
    budget.leave(now_ns, weight=1)
    budget.came_back(now_ns, weight=1, asked_ns=now_ns, headers=headers)


@pytest.mark.parametrize(
    ("purpose", "free_until"),
    [("protect", 2280), ("account", 1920), ("poll", 1728), ("history", 1440), ("info", 960)],
)
def test_each_purpose_has_its_part_of_the_weight(purpose: Purpose, free_until: int) -> None:
    budget = Budget(share=0.8)
    used(budget, free_until - 1)
    assert budget.wait_ns(purpose, START, weight=1) == 0
    used(budget, free_until)
    assert budget.wait_ns(purpose, START + 10 * SECOND, weight=1) == 50 * SECOND
    assert budget.wait_ns("exit", START, weight=1) == 0
    assert budget.wait_ns(purpose, START + MINUTE, weight=1) == 0, "a new minute is a new purse"


def test_what_is_under_way_counts_before_its_answer() -> None:
    budget = Budget(share=1.0, weight_per_minute=100)
    for _ in range(10):
        assert budget.wait_ns("account", START, weight=10) == 0
        budget.leave(START, weight=10)
    assert budget.wait_ns("account", START, weight=1) == MINUTE
    for _ in range(10):
        budget.came_back(START, weight=10, asked_ns=START)
    assert budget.state(START).weight_used == 100, "without a header our own count stands"


def test_of_two_answers_that_overtake_each_other_the_later_question_counts() -> None:
    budget = Budget()
    for at in (START, START + 1):
        budget.leave(at, weight=5)
    later, earlier = {"x-mbx-used-weight-1m": "50"}, {"x-mbx-used-weight-1m": "45"}
    budget.came_back(START + 2, weight=5, asked_ns=START + 1, headers=later)
    budget.came_back(START + 3, weight=5, asked_ns=START, headers=earlier)
    assert budget.state(START + 3).weight_used == 50


@pytest.mark.parametrize("header", ["", "many", "-3", "٣", "9" * 30])
def test_a_header_that_is_no_count_is_passed_over(header: str) -> None:
    budget = Budget()
    budget.leave(START, weight=7)
    budget.came_back(START, weight=7, asked_ns=START, headers={"x-mbx-used-weight-1m": header})
    assert budget.state(START).weight_used == 7


def test_half_the_orders_are_for_exits() -> None:
    budget = Budget()
    budget.leave(START, orders=149)
    assert budget.wait_ns("protect", START, orders=1) == 0
    budget.leave(START, orders=1)
    assert budget.wait_ns("protect", START + SECOND, orders=1) == 9 * SECOND
    assert budget.wait_ns("exit", START, orders=50) == 0
    assert budget.wait_ns("protect", START + 10 * SECOND, orders=1) == 0


def test_orders_counted_by_the_exchange_include_those_of_others() -> None:
    budget = Budget()
    headers = {"x-mbx-order-count-10s": "200", "x-mbx-order-count-1m": "700"}
    budget.came_back(START, weight=0, asked_ns=START, headers=headers)
    state = budget.state(START)
    assert (state.orders_10s, state.orders_1m) == (200, 700)
    assert budget.wait_ns("protect", START, orders=1) == MINUTE


def test_the_websocket_api_tells_the_same_limits() -> None:
    budget = Budget()
    row = {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": 300}
    budget.on_ws_limits(
        [{**row, "count": 151}, {"rateLimitType": "?"}, {**row, "count": "x"}], START
    )
    assert budget.wait_ns("protect", START, orders=1) == 10 * SECOND


def test_the_exchange_says_its_own_limits() -> None:
    budget = Budget(share=1.0)
    budget.set_limits([("REQUEST_WEIGHT", "MINUTE", 1, 6000), ("ORDERS", "DAY", 1, 5)])
    used(budget, 5000)
    assert budget.wait_ns("account", START, weight=1) == 0
    assert budget.state(START).weight_limit == 6000


def test_a_request_larger_than_its_part_does_not_wait_for_ever() -> None:
    budget = Budget(share=0.1, weight_per_minute=100)
    assert budget.wait_ns("info", START, weight=40) == 0
    budget.leave(START, weight=40)
    assert budget.wait_ns("info", START, weight=40) > 0


@pytest.mark.parametrize(
    ("status", "code", "text", "retry_after_s", "ban_s"),
    [
        (418, -1003, f"IP(1.2.3.4) banned until {START // 1_000_000 + 90_000}. Please", 5.0, 90),
        (429, -1003, "Too many requests.", 7.0, 7),
        (429, -1003, "Too many requests.", None, 60),
        (418, None, "<html>", None, 120),
        (400, -1003, "Too many requests.", None, 60),
        (418, -1003, "banned until 9999999999999.", None, 120),
        (400, -2022, "ReduceOnly Order is rejected.", 7.0, 0),
        (503, None, "Service Unavailable.", 7.0, 0),
    ],
)
def test_a_ban_lasts_as_long_as_the_exchange_says(
    status: int, code: int | None, text: str, retry_after_s: float | None, ban_s: int
) -> None:
    budget = Budget()
    budget.on_refusal(START, status=status, code=code, text=text, retry_after_s=retry_after_s)
    for purpose in PURPOSES:
        wait_ns = budget.wait_ns(purpose, START, weight=1)
        assert wait_ns == (0 if purpose in {"exit", "protect"} else ban_s * SECOND), purpose
        assert budget.wait_ns(purpose, START + ban_s * SECOND, weight=1) == 0
    assert budget.state(START).ban_left_ms == ban_s * 1000


def test_too_many_orders_hold_back_protection_and_nothing_else() -> None:
    budget = Budget()
    budget.on_refusal(START, status=429, code=-1015, retry_after_s=60.0)
    assert budget.wait_ns("protect", START, orders=1) == 10 * SECOND
    assert budget.wait_ns("protect", START, weight=1) == 0
    assert budget.wait_ns("exit", START, orders=1) == 0
    assert budget.wait_ns("account", START, weight=1) == 0


def test_a_shorter_ban_does_not_end_a_longer_one() -> None:
    budget = Budget()
    budget.on_refusal(START, status=418, code=-1003, retry_after_s=300.0)
    budget.on_refusal(START, status=429, code=-1003, retry_after_s=1.0)
    assert budget.wait_ns("info", START, weight=1) == 300 * SECOND


@given(
    st.lists(
        st.tuples(
            st.sampled_from(PURPOSES),
            st.integers(1, 60),
            st.integers(0, 5 * SECOND),
            st.one_of(st.none(), st.integers(0, 2400)),
        ),
        max_size=150,
    ),
    st.floats(0.05, 1.0),
)
def test_exits_never_wait_and_others_never_use_their_room(
    requests: list[tuple[Purpose, int, int, int | None]], share: float
) -> None:
    budget = Budget(share=share)
    now_ns = START
    for purpose, weight, passes_ns, header in requests:
        now_ns += passes_ns
        before = budget.state(now_ns).weight_used
        wait_ns = budget.wait_ns(purpose, now_ns, weight=weight)
        assert 0 <= wait_ns <= MINUTE
        if purpose == "exit":
            assert wait_ns == 0
        elif wait_ns == 0 and before:
            assert before + weight <= 2400 * (0.95 if purpose == "protect" else share) + 1e-6
        if wait_ns:
            assert budget.wait_ns(purpose, now_ns + wait_ns, weight=weight) == 0
            continue
        budget.leave(now_ns, weight=weight)
        headers = None if header is None else {"x-mbx-used-weight-1m": str(header)}
        budget.came_back(now_ns, weight=weight, asked_ns=now_ns, headers=headers)
