"""The life-cycle's table: that it is total, and the laws that money depends on."""

import pytest

from reactor.core.lifecycle import (
    EXITING,
    TRANSITIONS,
    Action,
    Event,
    State,
    transition_diagram,
    transition_table,
)

EVERY = [(state, event) for state in State for event in Event]
ROWS = [
    (state, event, following, action)
    for state, events in TRANSITIONS.items()
    for event, (following, action) in events.items()
]
AWAITING_A_PARTIAL = {State.REDUCING, State.REDUCING_UNKNOWN}


def reachable(start: State, *, without: frozenset[Event] = frozenset()) -> set[State]:
    found, queue = {start}, [start]
    while queue:
        for event, (following, _) in TRANSITIONS[queue.pop()].items():
            if event not in without and following not in found:
                found.add(following)
                queue.append(following)
    return found


@pytest.mark.parametrize(("state", "event"), EVERY)
def test_every_state_has_an_answer_to_every_event(state: State, event: Event) -> None:
    following, action = TRANSITIONS[state][event]
    assert following in State
    assert action in Action


def test_nothing_is_in_the_table_that_is_not_in_the_enumerations() -> None:
    assert len(ROWS) == len(EVERY) == 96
    assert {(state, event) for state, event, _, _ in ROWS} == set(EVERY)


def test_every_state_can_be_reached_and_every_action_is_used() -> None:
    assert reachable(State.WATCHING) == set(State)
    assert {action for *_, action in ROWS} == set(Action)


def test_nothing_leaves_the_end() -> None:
    assert all(
        (following, action) == (State.ENDED, Action.NOTHING)
        for following, action in TRANSITIONS[State.ENDED].values()
    )


@pytest.mark.parametrize("state", [state for state in State if state is not State.ENDED])
def test_flat_ends_every_state(state: State) -> None:
    assert TRANSITIONS[state][Event.FLAT] == (State.ENDED, Action.END)


def test_only_flat_ends_an_epoch() -> None:
    entering = {
        event for state, event, following, _ in ROWS if following is State.ENDED is not state
    }
    assert entering == {Event.FLAT}
    assert {event for _, event, _, action in ROWS if action is Action.END} == {Event.FLAT}


def test_a_partial_leaves_only_while_nothing_else_is_under_way() -> None:
    sending = {(state, event) for state, event, _, action in ROWS if action is Action.SEND_PARTIAL}
    assert sending == {(State.WATCHING, Event.WANT_PARTIAL)}
    assert TRANSITIONS[State.WATCHING][Event.WANT_PARTIAL][0] is State.REDUCING


def test_a_full_close_overtakes_a_partial_in_any_state() -> None:
    for state in (State.WATCHING, *AWAITING_A_PARTIAL):
        assert TRANSITIONS[state][Event.WANT_FULL] == (State.CLOSING, Action.SEND_FULL)


@pytest.mark.parametrize("state", sorted(EXITING))
def test_a_decided_close_is_never_taken_back(state: State) -> None:
    following = {after for after, _ in TRANSITIONS[state].values()}
    assert following <= EXITING | {State.ENDED}
    for event in (Event.WANT_PARTIAL, Event.WANT_FULL):
        assert TRANSITIONS[state][event] == (state, Action.NOTHING)


def test_a_full_close_is_repeated_only_when_the_one_before_is_known_to_be_over() -> None:
    first = {(state, Event.WANT_FULL) for state in State if state not in EXITING | {State.ENDED}}
    sending = {(state, event) for state, event, _, action in ROWS if action is Action.SEND_FULL}
    assert sending - first == {
        # It ended with a rest.
        (State.CLOSING, Event.LAPSED),
        (State.CLOSING_UNKNOWN, Event.LAPSED),
        # It was asked for, and proved never to have arrived.
        (State.CLOSING_UNKNOWN, Event.FOUND_ABSENT),
        # It was asked for, and nobody answered in time: waiting costs more than a duplicate.
        (State.CLOSING_UNKNOWN, Event.DUE),
        # It was refused, and the pause after that is over.
        (State.PURSUING, Event.DUE),
        # It was filled whole, and the position is seen open after that.
        (State.SETTLING, Event.STILL_OPEN),
    }


def test_the_pause_is_entered_only_through_a_refusal() -> None:
    entering = {
        (event, action)
        for state, event, following, action in ROWS
        if following is State.PURSUING and state is not State.PURSUING
    }
    assert entering == {(Event.REJECTED, Action.RETRY_LATER)}


def test_an_unknown_outcome_is_asked_for_at_once() -> None:
    for state, event, following, action in ROWS:
        unknown = {State.REDUCING_UNKNOWN, State.CLOSING_UNKNOWN}
        if following in unknown and state is not following:
            assert (event, action) == (Event.UNKNOWN, Action.ASK)


def test_a_partial_of_unknown_outcome_is_never_sent_again() -> None:
    """It is found, or it is given up and the position's size is the truth."""
    leaving = {
        event: (following, action)
        for event, (following, action) in TRANSITIONS[State.REDUCING_UNKNOWN].items()
        if following is State.WATCHING
    }
    assert leaving == {
        Event.FILLED: (State.WATCHING, Action.NOTHING),
        Event.LAPSED: (State.WATCHING, Action.KEEP_REST),
        Event.REJECTED: (State.WATCHING, Action.ALARM),
        Event.FOUND_ABSENT: (State.WATCHING, Action.KEEP_REST),
        Event.DUE: (State.WATCHING, Action.TAKE_POSITION),
    }


def test_every_wait_that_only_a_clock_can_end_has_one() -> None:
    waiting = {State.REDUCING_UNKNOWN, State.CLOSING_UNKNOWN, State.PURSUING, State.SETTLING}
    for state in State:
        assert (TRANSITIONS[state][Event.DUE] != (state, Action.NOTHING)) is (state in waiting)


@pytest.mark.parametrize("state", list(State))
def test_every_state_leads_to_the_end_without_a_wish(state: State) -> None:
    wishes = frozenset({Event.WANT_PARTIAL, Event.WANT_FULL})
    assert State.ENDED in reachable(state, without=wishes)


def test_sending_leads_to_waiting_for_what_was_sent() -> None:
    for _, _, following, action in ROWS:
        if action is Action.SEND_FULL:
            assert following is State.CLOSING
        elif action is Action.SEND_PARTIAL:
            assert following is State.REDUCING


def test_an_event_that_makes_no_sense_changes_nothing() -> None:
    for state, _, following, action in ROWS:
        if action is Action.ALARM and state is State.WATCHING:
            assert following is state


def test_the_table_and_the_diagram_show_what_happens() -> None:
    table = transition_table().splitlines()
    assert table[:2] == ["| state | event | next state | action |", "|---|---|---|---|"]
    assert len(table) == 2 + len(EVERY)
    assert "| closing_unknown | due | closing | send_full |" in table

    diagram = transition_diagram().splitlines()
    assert diagram[:2] == ["stateDiagram-v2", "    [*] --> watching"]
    assert diagram[-1] == "    ended --> [*]"
    assert "    closing --> pursuing : rejected / retry_later" in diagram
    assert "    reducing_unknown --> reducing : accepted, found_open" in diagram
    drawn = {tuple(line.split(" : ")[0].split()[::2]) for line in diagram[2:-1]}
    assert drawn >= {(state, after) for state, _, after, _ in ROWS if state is not after}
