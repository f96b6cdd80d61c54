"""Loops of client code cost virtual time: a hook on every iteration, put in when the source is compiled (design §5).

The file stays as it is. The hook stands where the first statement of the loop's body stands, so that line numbers,
tracebacks and pdb show what they show on Windows.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable
from types import CodeType
from typing import TYPE_CHECKING, Any, TypeVar

import greenlet

from wintun_model.errors import ClientFault
from wintunsim.kernel.machine import FOREVER

if TYPE_CHECKING:
    from wintunsim.clients.client_process import ClientProcess

HOOK_NAME = "<loop>"
"""The hook's name among the process's builtins; no client can write such a name."""

DEFAULT_LOOP_LIMIT = 20_000_000
_MOST_REFUSALS = 1_000

Loop = TypeVar("Loop", ast.While, ast.For, ast.AsyncFor)


class _Hooks(ast.NodeTransformer):
    """Adds a call of the hook to each iteration of each loop."""

    def _loop(self, node: Loop) -> Loop:
        self.generic_visit(node)
        node.body.insert(0, ast.copy_location(ast.Expr(_call(node.body[0])), node.body[0]))
        return node

    def visit_While(self, node: ast.While) -> ast.While:
        return self._loop(node)

    def visit_For(self, node: ast.For) -> ast.For:
        return self._loop(node)

    def visit_AsyncFor(self, node: ast.AsyncFor) -> ast.AsyncFor:
        return self._loop(node)

    def visit_comprehension(self, node: ast.comprehension) -> ast.comprehension:
        self.generic_visit(node)
        # The hook answers None.
        node.ifs.insert(0, ast.copy_location(ast.UnaryOp(ast.Not(), _call(node.target)), node.target))
        return node


def _call(at: ast.AST) -> ast.Call:
    name = ast.copy_location(ast.Name(HOOK_NAME, ast.Load()), at)
    return ast.copy_location(ast.Call(name, [], []), at)


def compile_with_hooks(source: Any, filename: str, mode: str = "exec", flags: int = 0, optimize: int = -1) -> CodeType:
    """Compile client source (text, bytes or a tree) with the loop hook. Raises what `compile` raises."""
    if isinstance(source, ast.AST):
        tree: Any = source
    else:
        tree = compile(source, filename, mode, flags | ast.PyCF_ONLY_AST, dont_inherit=True)
    code: CodeType = compile(_Hooks().visit(tree), filename, mode, flags, dont_inherit=True, optimize=optimize)
    return code


def make_loop_hook(client: ClientProcess) -> Callable[[], None]:
    """The hook of one process: an iteration costs `loop_ns`; others run when they are due.

    A loop that can never end is stopped with a `ClientFault`: nothing else is due in the machine, and the process made
    no call for `loop_limit` iterations.
    """
    machine, calls, observe = client.machine, client.calls, client.observe
    loop_ns = machine.costs.loop_ns
    period_ns = max(1, client.loop_limit * loop_ns)
    look_at_ns = machine.time() + period_ns
    seen: tuple[object, int] = (None, -1)

    def look() -> None:
        nonlocal look_at_ns, seen
        thread = machine.current
        if thread is None:
            return
        if machine.now > machine.horizon or thread.is_killed:
            _give_way(client)
        client.interrupts.check()
        if machine.now > look_at_ns:
            now_seen = (thread, calls[0])
            if machine.horizon >= FOREVER - 1 and seen == now_seen:
                frame = sys._getframe(2)
                raise ClientFault(
                    f"the loop at {frame.f_code.co_filename}:{frame.f_lineno} can never end: {client.loop_limit} "
                    "iterations without a call, and nothing else is left to happen in the simulation"
                )
            seen = now_seen
            look_at_ns = machine.now + period_ns

    if observe is None:

        def loop() -> None:
            machine.now = now = machine.now + loop_ns
            if now > machine.horizon or now > look_at_ns:
                look()
    else:
        observer = observe

        def loop() -> None:
            observer()
            machine.now = now = machine.now + loop_ns
            if now > machine.horizon or now > look_at_ns:
                look()

    return loop


def _give_way(client: ClientProcess) -> None:
    """Let others run. A killed thread that catches whatever is raised in it, for ever, stays here."""
    machine = client.machine
    thread = machine.current
    if thread is not None and thread.is_killed:
        refusals = thread.local.get("refusals", 0) + 1
        thread.local["refusals"] = refusals
        while refusals > _MOST_REFUSALS:
            try:
                greenlet.getcurrent().parent.switch()
            except BaseException:
                continue
    machine.give_way()
