"""Steps of the surroundings: NDIS's, the I/O manager's or a scenario's own bookkeeping, each in one step.

A driver's routines know only the vocabulary of `wintun_model.operations`. What stands around them (who may start to
send, which handle is the last, who waits for whose end) is not the driver's: a `Gate` looks at variables of the
surroundings, lets its thread pass or keeps it waiting, and notes what it has decided, all at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from wintun_model import operations as op
from wintunsim.explore.program import Node
from wintunsim.explore.writes import State

if TYPE_CHECKING:
    from wintunsim.explore.steps import Steps

Decision = tuple[Any, tuple[Any, ...]]
"""What the routine gets, and the new values of the gate's variables."""
Rule = Callable[[tuple[Any, ...], Any], Decision | None]
"""Decides by the variables' values and the gate's argument; None keeps the thread waiting."""


class Gate(op.Operation):
    """Wait until `rule` decides, and carry out what it decides. Sends back the decision's result.

    `rule` is a function of the values of `variables` and of `argument`, nothing else. With `only_reads` it changes no
    variable. What a routine would have in its store buffer is visible before it passes.
    """

    __slots__ = ("argument", "name", "only_reads", "rule", "variables")

    def __init__(
        self,
        name: str,
        variables: tuple[op.Variable[Any], ...],
        rule: Rule,
        argument: Any = None,
        *,
        only_reads: bool = False,
    ) -> None:
        self.name = name
        self.variables = variables
        self.rule = rule
        self.argument = argument
        self.only_reads = only_reads


def wait_until(name: str, variables: tuple[op.Variable[Any], ...], holds: Callable[[tuple[Any, ...]], bool]) -> Gate:
    """A gate that opens when something holds, and changes nothing."""

    def rule(values: tuple[Any, ...], argument: Any) -> Decision | None:
        return (None, values) if holds(values) else None

    return Gate(name, variables, rule, only_reads=True)


def compile_gate(steps: Steps, node: Node, operation: Gate) -> None:
    """What a gate does to a state."""
    layout = steps.machine.layout
    slots = [layout.slot(variable, variable.name, variable.value) for variable in operation.variables]
    argument, rule = node.thread.canonical(operation.argument), operation.rule
    mask = 0
    for slot in slots:
        mask |= layout.masks[slot]
    node.text = operation.name
    node.drains = True
    node.enablers = node.reads = mask
    if not operation.only_reads:
        node.writes = mask

    def decide(state: State) -> Decision | None:
        return rule(tuple(state[slot] for slot in slots), argument)

    node.guard = lambda state: decide(state) is not None

    def step(state: State, node: Node) -> Any:
        decision = decide(state)
        assert decision is not None, "a gate is passed while it is closed"
        result, values = decision
        for slot, value in zip(slots, values, strict=True):
            state[slot] = value
        return result

    node.step = step
