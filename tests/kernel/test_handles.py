"""Handle tables (spec win32 §2): values, reuse, the last handle of an object."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wintunsim.kernel.handles import HandleTable
from wintunsim.kernel.objects import EventObject, KernelObject


class Thing(KernelObject):
    """Notes when its last handle goes."""

    def __init__(self, name="thing"):
        super().__init__(name)
        self.closings = 0

    def last_handle_closed(self):
        self.closings += 1


def test_values_are_multiples_of_four_and_never_0():
    table = HandleTable()
    values = [table.insert(Thing(), 0) for _ in range(100)]
    assert values == list(range(4, 404, 4))
    assert table.values() == values


def test_the_value_closed_last_is_reused_first():
    table = HandleTable()
    first, second, third = (table.insert(Thing(), 0) for _ in range(3))
    assert table.close(first)
    assert table.close(third)
    assert [table.insert(Thing(), 0) for _ in range(3)] == [third, first, third + 4]
    assert second in table.values()


def test_the_two_low_bits_do_not_count():
    table, thing = HandleTable(), Thing()
    value = table.insert(thing, 0x1234)
    for tag in range(4):
        entry = table.get(value + tag)
        assert entry is not None
        assert (entry.target, entry.access, entry.flags) == (thing, 0x1234, 0)
    assert table.close(value + 3)
    assert table.get(value) is None


@pytest.mark.parametrize("value", [0, 1, 3, 4, 8, -1, 1 << 64, 0xFFFFFFFF])
def test_unknown_values_name_nothing(value):
    table = HandleTable()
    assert table.get(value) is None
    assert table.remove(value) is None
    assert not table.close(value)
    table.close(table.insert(Thing(), 0))
    assert not table.close(4)


def test_the_object_is_told_once_its_last_handle_in_any_process_is_closed():
    table, other, thing = HandleTable(), HandleTable(), Thing()
    first, second, elsewhere = table.insert(thing, 1), table.insert(thing, 2), other.insert(thing, 3)
    assert thing.handle_count == 3
    assert [table.get(first).access, table.get(second).access, other.get(elsewhere).access] == [1, 2, 3]
    table.close(first)
    other.close(elsewhere)
    assert (thing.handle_count, thing.closings) == (1, 0)
    table.close(second)
    assert (thing.handle_count, thing.closings) == (0, 1)


def test_taking_a_handle_out_has_no_consequences():
    table, thing = HandleTable(), Thing()
    assert table.remove(table.insert(thing, 0)) is thing
    assert (thing.handle_count, thing.closings) == (0, 0)


def test_events_are_objects_too():
    table, event = HandleTable(), EventObject("event", manual_reset=True, signalled=True)
    table.close(table.insert(event, 0))
    assert event.handle_count == 0
    assert event.signalled


@given(st.lists(st.one_of(st.none(), st.integers(0, 30)), max_size=60))
def test_a_table_follows_a_dictionary(actions):
    table, expected, freed = HandleTable(), {}, []
    for action in actions:
        if action is None:
            thing = Thing()
            value = table.insert(thing, 0)
            assert value not in expected
            assert value == (freed.pop() if freed else 4 * len(expected) + 4)
            expected[value] = thing
        else:
            value = 4 * action
            thing = expected.pop(value, None)
            assert table.close(value) is (thing is not None)
            if thing is not None:
                freed.append(value)
                assert thing.closings == 1
        assert table.values() == sorted(expected)
    assert all(table.get(value).target is thing for value, thing in expected.items())
