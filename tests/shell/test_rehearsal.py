"""The rehearsal fires every time, differs from no real order, and touches nothing real."""

from decimal import Decimal

from reactor.core.decisions import Exit
from reactor.shell.assembly import order_ids
from reactor.shell.rehearsal import Rehearsal


def test_every_rehearsal_closes_a_position_and_builds_its_order() -> None:
    built: list[Exit] = []
    rehearsal = Rehearsal(order_ids=order_ids("rehearsal"), build=built.append)
    for _ in range(50):
        assert rehearsal.once()
    assert len(built) == 50
    assert all(exit_.full and exit_.quantity == Decimal("0.1") for exit_ in built)
    assert len({exit_.order_id for exit_ in built}) == 50, "an id of its own each time"


def test_its_ids_are_no_instances_ids() -> None:
    built: list[Exit] = []
    Rehearsal(order_ids=order_ids("rehearsal"), build=built.append).once()
    assert not built[0].order_id.startswith(order_ids("main")("X", "LONG", 0, 0, 0, 0)[:9])
