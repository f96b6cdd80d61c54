"""Executions that break a property, for pages: few changes of threads, and only the steps that others can notice."""

from dataclasses import dataclass

from wintun_model import operations as op
from wintunsim.explore.explorer import explore
from wintunsim.explore.files import FileObject
from wintunsim.explore.machine import FLUSH
from wintunsim.explore.schedule import Roster, decode, encode
from wintunsim.explore.search import Verdict
from wintunsim.explore.violation import Property, Violation
from wintunsim.explore.writes import hexadecimal

MOST_TOLD = 8
"""How many steps of one run are told."""
LONGEST_STORE = 40
"""Characters of a store that becomes visible."""


@dataclass
class Execution:
    """What was found: `rows` are (number of the first step, of the last one, thread, what it does)."""

    what: str
    schedule: str
    rows: list[tuple[int, int, str, str]]
    waiting: list[tuple[str, str]]
    """Who waits for ever at its end: (thread, for what)."""


@dataclass
class _Step:
    program: object
    text: str
    reads: int
    writes: int
    is_told: bool = False
    """Whether it is told although nobody else may notice."""


def find_execution(scenario, setting):
    """An execution of the scenario that breaks a property; None when there is none."""
    found = explore(scenario, setting)
    if found.outcome.verdict is not Verdict.BROKEN:
        return None
    world = scenario.build(setting)
    start = world.start()
    machine = world.machine
    transitions, violation = _take(machine, start, _transitions(machine, start, found.schedule))
    transitions, violation = _fewer_changes(machine, start, transitions, violation)
    steps, roster, state = _steps(machine, start, transitions)
    waiting = _waiting(machine, roster, state) if violation.property is Property.NO_LOST_WAKEUP else []
    return Execution(str(violation), encode(machine, start, transitions), _rows(steps, roster), waiting)


def _waiting(machine, roster, state):
    waiting = []
    for program in roster.threads:
        node = state[program.slot]
        if not node.has_ended and not (program.idle is not None and program.idle(state)):
            text = node.text if node.twin_of is not None else f"cannot {node.text}"
            waiting.append((f"{roster.letter(program)} {program.name}", text))
    return waiting


def _transitions(machine, start, schedule):
    taken = []
    try:
        for transition, state in decode(machine, start, schedule):
            taken.append(transition)
            machine.apply(state, transition)
    except Violation:
        pass
    return taken


def _take(machine, start, wanted):
    """(the transitions that were taken, the violation): those wanted, where they are possible, and then the rest."""
    state, taken = list(start), []
    machine.complete(state)
    try:
        for transition in wanted:
            if transition in machine.enabled(state):
                taken.append(transition)
                machine.apply(state, transition)
        while enabled := machine.enabled(state):
            same = [transition for transition in enabled if taken and transition >> 2 == taken[-1] >> 2]
            taken.append((same or enabled)[0])
            machine.apply(state, taken[-1])
        machine.check_end(state)
    except Violation as violation:
        return taken, violation
    return taken, None


def _runs(transitions):
    runs = []
    for transition in transitions:
        if runs and runs[-1][-1] >> 2 == transition >> 2:
            runs[-1].append(transition)
        else:
            runs.append([transition])
    return runs


def _fewer_changes(machine, start, transitions, violation):
    """Bring the steps of each thread together, as long as the same property is broken."""
    while True:
        runs = _runs(transitions)
        for candidate in _candidates(runs):
            taken, broken = _take(machine, start, [step for run in candidate for step in run])
            if broken is None or broken.property is not violation.property:
                continue
            if (len(_runs(taken)), len(taken)) < (len(runs), len(transitions)):
                transitions, violation = taken, broken
                break
        else:
            return transitions, violation


def _candidates(runs):
    """Other orders of an execution's runs: two of a thread together, or one left to the end."""
    for first in range(len(runs)):
        for second in range(first + 1, len(runs)):
            if runs[first][0] >> 2 == runs[second][0] >> 2:
                between = runs[first + 1 : second]
                yield [*runs[: first + 1], runs[second], *between, *runs[second + 1 :]]
                yield [*runs[:first], *between, *runs[first : first + 1], *runs[second:]]
    for place in range(len(runs)):
        yield runs[:place] + runs[place + 1 :]


def _steps(machine, start, transitions):
    """(what each step does, the letters of threads, the last state)"""
    steps, state = [], list(start)
    machine.complete(state)
    roster = Roster(machine, state)
    for transition in transitions:
        program = machine.programs[transition >> 2]
        roster.look(state)
        if transition & 3 == FLUSH:
            write = state[program.buffer][0]
            step = _Step(program, f"visible: {_clipped(write.text)}", write.reads, write.writes)
        else:
            node = state[program.slot]
            reads, writes = node.reads | node.later_reads, node.writes | node.later_writes
            step = _Step(program, _action(node), reads, writes)
        steps.append(step)
        try:
            machine.apply(state, transition)
        except Violation:
            step.text = f"**{step.text}**"
            break
        _tell_result(step, state, program, transition)
    return steps, roster, state


def _clipped(text):
    return text if len(text) <= LONGEST_STORE else f"{text[:LONGEST_STORE]}…"


def _action(node):
    """What a node's operation does; stores with their value."""
    text = node.text or type(node.operation).__name__
    match node.operation:
        case op.Store(value=value):
            return f"{text} = {hexadecimal(value & 0xFFFFFFFF)}"
        case op.Put(value=None | bool() | int() | FileObject() as value):
            return f"{text} = {_told(value)}"
    return text


def _told(value):
    if value is None or isinstance(value, bool):
        return {True: "yes", False: "no", None: "none"}[value]
    return hexadecimal(value) if isinstance(value, int) else str(value)


def _tell_result(step, state, program, transition):
    if transition & 3 == FLUSH:
        return
    node = state[program.slot]
    if transition & 3:
        step.text += ": it fails"
        step.is_told = True
    elif node.twin_of is not None:
        step.text += ": it has to wait"
    elif (
        not node.has_ended
        and step.text.startswith(("load", "read ", "try"))
        and isinstance(node.key, bool | int | FileObject | None)
    ):
        step.text += f": {_told(node.key)}"


def _rows(steps, roster):
    """One row for each run: what other threads' steps depend on, and its last step."""
    rows, number = [], 0
    while number < len(steps):
        first, program = number, steps[number].program
        while number < len(steps) and steps[number].program is program:
            number += 1
        told = [
            steps[place].text
            for place in range(first, number)
            if place == number - 1 or steps[place].text.startswith("**") or _is_noticed(steps, place)
        ]
        rows.append((first + 1, number, f"{roster.letter(program)} {program.name}", _short(told)))
    return rows


def _is_noticed(steps, place):
    step = steps[place]
    return step.is_told or any(
        step.writes & (other.reads | other.writes) or step.reads & other.writes
        for other in steps
        if other.program is not step.program
    )


def _short(texts):
    told = []
    for text in texts:
        if not told or told[-1] != text:
            told.append(text)
    if len(told) > MOST_TOLD:
        told[MOST_TOLD // 2 : -(MOST_TOLD // 2)] = ["…"]
    return "; ".join(told)
