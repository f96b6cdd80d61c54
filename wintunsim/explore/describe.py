"""What a step does and what came of it, in words for people: ``load send.Head`` and ``8``."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import fields
from typing import Any

from wintun_model import operations as op
from wintun_model.abi import STOPPED
from wintunsim.explore.layout import NOT_READY
from wintunsim.explore.machine import Machine
from wintunsim.explore.program import Node
from wintunsim.explore.rules import Rules
from wintunsim.explore.writes import State, hexadecimal

BUFFERED = " (buffered)"
"""What follows the action of a store that waits in its thread's store buffer."""
_SHOWN_BYTES = 4


def rules_text(deciding: Iterable[str], rules: Rules) -> str:
    """Under which rules of the surroundings a verdict holds: those that decide it, and those that are not as usual."""
    usual, deciding = Rules(), set(deciding)
    return ", ".join(
        f"{rule.name} {'holds' if getattr(rules, rule.name) else 'does not hold'}"
        for rule in fields(rules)
        if rule.name in deciding or getattr(rules, rule.name) != getattr(usual, rule.name)
    )


def word_text(value: int) -> str:
    """A ring's word."""
    return "stopped" if value == STOPPED else hexadecimal(value)


def bytes_text(value: bytes) -> str:
    """Bytes in hexadecimal; of many, the first ones."""
    if len(value) <= _SHOWN_BYTES:
        return value.hex() or "nothing"
    return f"{value[:_SHOWN_BYTES].hex()}…"


def value_text(value: Any) -> str:
    """The value of a variable."""
    if value is None or isinstance(value, bool | str):
        return str(value).lower() if not isinstance(value, str) else value
    if isinstance(value, int):
        return word_text(value)
    if isinstance(value, bytes):
        return bytes_text(value)
    name = getattr(value, "name", None)
    kind = type(value).__name__
    return f"{kind} {name}" if isinstance(name, str) else f"a {kind}"


def word_name(machine: Machine, word: op.Word) -> str:
    """A word as the layout names it, whoever looks at it: ``send.Tail``."""
    mapping, offset = machine.layout.find(word.cells, 4 * word.index)
    return machine.layout.names[mapping.region.words[offset // 4]]


def _place(machine: Machine, operation: Any, size: int) -> str:
    """Bytes of a ring's data area: ``send[4…23]``."""
    mapping, start = machine.layout.find(operation.memory.data, operation.offset)
    start -= 12
    return f"{mapping.region.name}[{start}…{start + size - 1}]" if size > 1 else f"{mapping.region.name}[{start}]"


def action_text(machine: Machine, node: Node) -> str:
    """What a node's operation does; memory by its own names, values included."""
    node = node.twin_of or node
    operation = node.operation
    match operation:
        case op.Load():
            return f"load {word_name(machine, operation.word)}"
        case op.Spin():
            return f"spin on {word_name(machine, operation.word)}"
        case op.Store():
            return f"store {word_name(machine, operation.word)} = {word_text(operation.value & 0xFFFFFFFF)}"
        case op.LoadSize():
            return f"load Size at {_place(machine, operation, 1)}"
        case op.StoreSize():
            return f"store Size at {_place(machine, operation, 1)} = {operation.value}"
        case op.LoadByte():
            return f"load byte {_place(machine, operation, 1)}"
        case op.CopyOut():
            return f"copy out {_place(machine, operation, operation.size)}"
        case op.CopyIn():
            value = bytes(operation.size) if operation.data is None else operation.data[: operation.size]
            return f"copy in {_place(machine, operation, operation.size)} = {bytes_text(value)}"
        case op.Put():
            return f"write {operation.variable.name} = {value_text(operation.value)}"
    return node.text


def word_access(machine: Machine, node: Node) -> tuple[str, str, int | None]:
    """(kind, ring word, value to be stored) of a node's operation, for who looks at words only."""
    match node.operation:
        case op.Load(word=word) | op.Spin(word=word):
            return "load", word_name(machine, word), None
        case op.Store(word=word, value=value):
            return "store", word_name(machine, word), value & 0xFFFFFFFF
        case op.Fence():
            return "barrier", "", None
    return "other", "", None


def stored_text(action: str) -> str:
    """What a storing step stores, its action without the verb: ``send.Tail = 8``."""
    for verb in ("store ", "write ", "copy in "):
        if action.startswith(verb):
            return action.removeprefix(verb).removesuffix(BUFFERED)
    return action.removesuffix(BUFFERED)


def result_text(operation: op.Operation | None, key: Any) -> str:
    """What came of an operation, empty where that says nothing. `key` is the key of its result."""
    match operation:
        case op.Load() | op.Spin():
            return word_text(key)
        case op.LoadSize():
            return str(key)
        case op.LoadByte():
            return f"{key:#04x}"
        case op.CopyOut():
            return bytes_text(key)
        case op.Get():
            return value_text(key) if key is None or isinstance(key, int | str | bytes) else ""
        case op.TryAcquire():
            return "taken" if key else "not taken"
        case op.IsSet():
            return "set" if key else "not set"
        case op.TakeCompleted():
            return "none" if key is None else "one"
        case op.Append():
            return "the first" if key else ""
        case op.Wait() if isinstance(key, int):
            return operation.events[key].name if len(operation.events) > 1 else "set"
        case op.Allocate() | op.Initialize():
            return "" if key else "fails"
        case op.StartThread() | op.LockPages():
            return "fails" if key is None else ""
    return ""


def position_text(machine: Machine, node: Node) -> str:
    """Where a thread stands: what it does next, or what it waits for."""
    is_about_to = node.operation is not None and node.twin_of is None
    return action_text(machine, node) if is_about_to else node.text


def result_key(before: Node, after: Node) -> Any:
    """The key of the result that led from one node to another. None when there is none."""
    for key, child in before.children.items():
        if child is after:
            return key
    return None


def changes_text(machine: Machine, before: State, after: State, skipped: set[int]) -> list[str]:
    """Locks and events that a step has changed; `skipped` slots are told elsewhere."""
    told = []
    name_of = _names(machine)
    for slot, value in enumerate(after):
        old = before[slot] if slot < len(before) else machine.layout.initial[slot]
        if slot in skipped or value is old or value == old:
            continue
        name = machine.layout.names[slot]
        if name.endswith(" lock"):
            told.append(f"{name}: {_lock_text(value, name_of)}")
        elif isinstance(value, bool) or _is_waiting(value):
            told.append(f"{name}: {_flag_text(value, old, name_of)}")
    return told


def _names(machine: Machine) -> Callable[[int], str]:
    return lambda index: machine.programs[index].name


def _lock_text(value: Any, name_of: Callable[[int], str]) -> str:
    if value is None:
        return "free"
    if value is NOT_READY:
        return "not ready"
    return f"shared by {-value}" if value < 0 else f"held by {name_of(value)}"


def _is_waiting(value: Any) -> bool:
    return isinstance(value, tuple) and bool(value) and all(type(index) is int for index in value)


def _flag_text(value: Any, old: Any, name_of: Callable[[int], str]) -> str:
    if isinstance(value, tuple):
        return f"{', '.join(map(name_of, value))} waits"
    if _is_waiting(old):
        return "set" if value else "nobody waits any more"
    return "set" if value else "clear"
