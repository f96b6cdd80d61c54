"""The litmus export: well formed for herd7, and our own TSO model allows on it what the counterexample showed.

The reader below knows the part of herd7's X86_64 grammar that is written; what it reads is explored as a program of its
own, so that the export is checked against the memory model and not against itself.
"""

import re
from pathlib import Path

import pytest

from wintun_model import operations as op
from wintunsim.errors import UsageError
from wintunsim.explore.litmus import litmus_text
from wintunsim.explore.machine import Machine
from wintunsim.explore.strategies.exhaustive import exhaustive

ROOT = Path(__file__).resolve().parents[2]
REGISTERS = {"eax": "rax", "ebx": "rbx", "ecx": "rcx", "edx": "rdx", "esi": "rsi", "edi": "rdi"}
NAME = r"[A-Za-z][A-Za-z0-9_]*"


def read_litmus(text):
    """(initial values, programs, condition): instructions are tuples, a condition is {(thread, register): value}."""
    match = re.fullmatch(
        rf'X86_64 [\w.+-]+\n"[^"\n]*"\n\{{\n((?: uint32_t {NAME}=\d+;\n)+)\}}\n((?: .*;\n)+)exists \((.*)\)\n', text
    )
    assert match is not None, text
    initial = {name: int(value) for name, value in re.findall(rf"({NAME})=(\d+);", match[1])}
    rows = [[cell.strip() for cell in line.rstrip(";").split("|")] for line in match[2].splitlines() if line]
    rows = [[cell.removesuffix(";").strip() for cell in row] for row in rows]
    assert rows[0] == [f"P{number}" for number in range(len(rows[0]))]
    programs = [[parse(cell) for cell in column if cell] for column in zip(*rows[1:], strict=True)]
    condition = {}
    for part in match[3].split(r" /\ "):
        thread, register, value = re.fullmatch(r"(\d+):(r[a-d]x|r[sd]i)=(\d+)", part).groups()
        condition[int(thread), register] = int(value)
    return initial, programs, condition


def parse(cell):
    if cell == "mfence":
        return ("mfence",)
    if stored := re.fullmatch(rf"movl \$(\d+),\(({NAME})\)", cell):
        return "store", stored[2], int(stored[1])
    loaded = re.fullmatch(rf"movl \(({NAME})\),%(e[a-d]x|e[sd]i)", cell)
    assert loaded is not None, cell
    return "load", loaded[1], REGISTERS[loaded[2]]


def outcomes(initial, programs, memory):
    """Every set of register values that our own memory model allows."""
    machine = Machine(None, memory=memory)
    variables = {name: op.Variable(name, value) for name, value in initial.items()}

    def routine(instructions):
        registers = ()
        for kind, *rest in instructions:
            if kind == "mfence":
                yield op.Fence()
            elif kind == "store":
                yield op.Put(variables[rest[0]], rest[1])
            else:
                value = yield variables[rest[0]].get
                registers += ((rest[1], value),)
        return registers

    threads = [
        machine.add_thread(f"P{number}", lambda code=code: routine(code)) for number, code in enumerate(programs)
    ]

    def ending(state):
        return frozenset(
            ((number, register), value)
            for number, thread in enumerate(threads)
            for register, value in state[thread.slot].result
        )

    return exhaustive(machine, machine.initial(), ending=ending).endings


CASES = [
    ("receive-wakeup", "0.8.1"),
    ("receive-wakeup-client-barrier", "0.8.1"),
    (f"{ROOT}/examples/own_client.py:no_barrier+receive", "2026-02"),
]


@pytest.mark.parametrize(("name", "revision"), CASES)
def test_tso_allows_what_the_test_asks_for_and_sc_does_not(found, name, revision):
    initial, programs, condition = read_litmus(litmus_text(found(name, revision, "tso")[1]))
    wanted = frozenset(condition.items())
    assert wanted in outcomes(initial, programs, "tso")
    assert wanted not in outcomes(initial, programs, "sc")


def test_a_barrier_on_one_side_is_exported(found):
    _, programs, _ = read_litmus(litmus_text(found("receive-wakeup-client-barrier", "0.8.1", "tso")[1]))
    assert [("mfence",) in program for program in programs].count(True) == 1


def test_the_reader_tells_sb_with_both_barriers_from_sb():
    """The classic: a barrier on each side forbids what the store buffers allow."""
    text = """X86_64 SB
"both"
{
 uint32_t x=0;
 uint32_t y=0;
}
 P0            | P1            ;
 movl $1,(x)   | movl $1,(y)   ;
 mfence        | mfence        ;
 movl (y),%eax | movl (x),%eax ;
exists (0:rax=0 /\\ 1:rax=0)
"""
    initial, programs, condition = read_litmus(text)
    assert frozenset(condition.items()) not in outcomes(initial, programs, "tso")


def test_a_counterexample_without_store_buffers_has_no_core(found):
    with pytest.raises(UsageError, match="senders has no store-buffering core"):
        litmus_text(found("senders", "0.8.1", "sc")[1])
