"""The hive in memory (spec win32 §4)."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from wintunsim.kernel.process import Account
from wintunsim.kernel.registry import Key, Registry, ValueType, Watch

NAMES = st.sampled_from(["a", "A", "b", "Key", "KEY", "0000", "0001", "x y"])


def make() -> Registry:
    return Registry(lambda: 5)


def test_the_current_control_set_is_a_link() -> None:
    registry = make()
    system = registry.machine.find("System")
    assert system is not None and system.subkeys() == ["ControlSet001", "CurrentControlSet"]
    assert system.find("currentcontrolset\\control\\class") is registry.control_set.find("Control\\Class")


def test_rights_are_inherited() -> None:
    registry = make()
    assert registry.machine.create("SOFTWARE\\New").writers == {Account.SYSTEM, Account.ADMINISTRATOR}
    assert registry.control_set.create("Enum\\ROOT").writers == {Account.SYSTEM}
    assert registry.users.create("me\\Software").writers == set(Account)


def test_values_by_what_they_mean() -> None:
    key = make().machine.create("SOFTWARE\\x")
    key.set_text("Text", "hällo")
    key.set_texts("Texts", ["a", "b"])
    key.set_number("Number", 7)
    assert (key.text("text"), key.texts("TEXTS"), key.number("number")) == ("hällo", ["a", "b"], 7)
    assert (key.text("Number"), key.texts("Text"), key.number("Text"), key.text("none")) == (None, [], 0, None)
    key.set("Odd", ValueType.REG_SZ, b"a\0b")
    assert key.text("Odd") == "a"
    assert key.written_ns == 5 and key.path == "HKEY_LOCAL_MACHINE\\SOFTWARE\\x"


def test_what_is_deleted_is_told() -> None:
    registry = make()
    key = registry.machine.create("SOFTWARE\\a\\b")
    told: list[str] = []
    key.watches.append(Watch(lambda: told.append("itself"), False))
    software = registry.machine.create("SOFTWARE")
    software.watches.append(Watch(lambda: told.append("above"), True))
    software.watches.append(Watch(lambda: told.append("children"), False))
    parent = registry.machine.find("SOFTWARE\\a")
    assert parent is not None
    parent.delete()
    assert sorted(told) == ["above", "children", "itself"]
    assert key.is_deleted and parent.is_deleted and registry.machine.find("SOFTWARE\\a") is None


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["create", "delete", "set", "remove"]), NAMES, NAMES, st.binary(max_size=4))))
def test_a_hive_agrees_with_dictionaries(steps: list[tuple[str, str, str, bytes]]) -> None:
    root: Key = make().machine.create("SOFTWARE\\test")
    oracle: dict[str, tuple[str, dict[str, tuple[str, bytes]]]] = {}
    for step, name, value, data in steps:
        key, known = root.find(name), oracle.get(name.lower())
        assert (key is None) == (known is None)
        if step == "create":
            root.create(name)
            oracle.setdefault(name.lower(), (name, {}))
        elif key is not None and known is not None:
            if step == "delete":
                key.delete()
                del oracle[name.lower()]
            elif step == "set":
                key.set(value, 3, data)
                first = known[1].get(value.lower(), (value, b""))[0]
                known[1][value.lower()] = (first, data)
            else:
                assert key.remove(value) == (known[1].pop(value.lower(), None) is not None)
    assert root.subkeys() == [oracle[name][0] for name in sorted(oracle)]
    for name, values in oracle.values():
        key = root.find(name.upper())
        assert key is not None
        assert [(value.name, value.data) for value in key.values()] == list(values.values())
