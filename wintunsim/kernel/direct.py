"""The direct engine: routines compiled from their own source into plain functions.

In a compiled routine each `yield OPERATION` has become what the step engine would do for it: its cost is added, whoever
is due runs (before a visible operation), and its effect is called with the operation's fields. No generator, no
operation object and no dispatch is left, which makes it about twice as fast; the lines of the routine, their order and
their numbers stay. What cannot be compiled (an operation in an expression that lets time pass, say) leaves the whole
routine to the step engine. A test compares the two.
"""

from __future__ import annotations

import ast
import copy
import inspect
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from types import CodeType
from typing import Any

from wintun_model import client, client_strategies, receive, ring, send, session
from wintun_model import operations as op
from wintun_model.effects import load
from wintunsim.kernel.clock_use import COSTS_LATER, PRIVATE, VISIBLE, clock_use
from wintunsim.kernel.machine import Machine
from wintunsim.kernel.performers import UNCONTENDED
from wintunsim.kernel.prices import Price
from wintunsim.kernel.syntax import code_of, expression_of_text, place, source_tree, unplaced

ROUTINES: tuple[Any, ...] = (
    send.send,
    send._copy,
    send._complete,
    send._refuse,
    receive.read_ring,
    receive._check_packet,
    receive._sleep,
    receive._discard,
    receive._skip,
    receive.return_nbls,
    session.receive_packet,
    session.release_receive_packet,
    session.allocate_send_packet,
    session.send_packet,
    session._pass_finished,
    client.pop,
    client.read,
    client.linger,
    client.push,
    client.write,
    client.wait_for_space,
    client_strategies.measure,
    client_strategies.is_above,
    client_strategies.pop_batch,
    client_strategies._take,
    client_strategies.read_batch,
    client_strategies.write_shared,
    client_strategies.enqueue,
    client_strategies.enqueue_waiting,
    client_strategies.dequeue,
    client_strategies.work,
    client_strategies.wait_for,
)
"""What runs for each packet; everything else stays with the step engine."""

ATTRIBUTES: dict[str, type[op.Operation]] = {
    "acquire": op.Acquire,
    "acquire_shared": op.AcquireShared,
    "allocate": op.Allocate,
    "clear": op.Clear,
    "free": op.Free,
    "get": op.Get,
    "is_set": op.IsSet,
    "load": op.Load,
    "release": op.Release,
    "release_shared": op.ReleaseShared,
    "set": op.Set,
    "take_completed": op.TakeCompleted,
    "try_acquire": op.TryAcquire,
}
"""Operations that their noun made once, by the attribute that holds them."""

_INLINE: dict[type[op.Operation], str] = {
    op.Get: "{field}.value",
    op.IsSet: "{field}.signalled",
    op.Load: "{field}.cells[{field}.index]",
}
"""Effects that are no more than an expression of the only field."""
_TIMELESS = frozenset(
    (
        op.Allocate,
        op.Append,
        op.Get,
        op.IsSet,
        op.Load,
        op.LoadByte,
        op.LoadSize,
        op.ReadFrequency,
        op.TakeCompleted,
    )
)
"""Operations whose effect lets no time pass, so that they may stand inside an expression."""


_ARITHMETIC = (ring.content, ring.space, ring.stored_bytes, ring.wrap)
"""Pure functions of one expression that are put in place of their calls."""


class _CannotCompile(Exception):
    """A routine has a form that the compiler does not know: `args` say which."""


@cache
def _expression_of(function: Any) -> tuple[ast.expr, tuple[str, ...]]:
    """What a function returns, with the calls of other such functions in it replaced; and its parameters' names."""
    definition = source_tree(function)
    if definition is None or not isinstance(definition.body[-1], ast.Return) or definition.body[-1].value is None:
        raise _CannotCompile(function.__name__)
    inner = _Compiler(function, {}, frozenset(), inlines_locks=True, inlines_loads=True)
    return unplaced(inner.expression(definition.body[-1].value)), tuple(inspect.signature(function).parameters)


class _Compiler:
    """Turns one routine's statements into those of a plain function. `_t` is the running thread's time."""

    def __init__(
        self,
        function: Any,
        names: dict[str, str],
        drawn: frozenset[type[op.Operation]],
        *,
        inlines_locks: bool,
        inlines_loads: bool,
    ) -> None:
        self.globals = function.__globals__
        self.names = names
        self.drawn = drawn
        self.inlines_locks = inlines_locks
        self.inlines_loads = inlines_loads
        self._temporaries = 0

    def _cost(self, kind: type[op.Operation]) -> str:
        """What an operation costs: a constant, or what is drawn when it begins."""
        return f"_c_{kind.__name__}()" if kind in self.drawn else f"_c_{kind.__name__}"

    # -- operations -------------------------------------------------------------------------------------------------

    def _operation(self, node: ast.expr | None) -> tuple[type[op.Operation], list[ast.expr], list[ast.keyword]]:
        """The class of the operation that `node` gives, and its fields as a call's arguments."""
        if isinstance(node, ast.Attribute) and node.attr in ATTRIBUTES:
            return ATTRIBUTES[node.attr], [node.value], []
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            kind = self.globals.get(node.func.id)
            if isinstance(kind, type) and issubclass(kind, op.Operation):
                return kind, list(node.args), list(node.keywords)
        if isinstance(node, ast.Name) and isinstance(self.globals.get(node.id), op.Operation):
            operation = self.globals[node.id]
            kind = type(operation)
            fields = inspect.signature(kind).parameters
            return kind, [ast.Attribute(ast.Name(node.id, ast.Load()), field, ast.Load()) for field in fields], []
        raise _CannotCompile(ast.unparse(node) if node is not None else "a bare yield")

    def _is_inlined(self, kind: type[op.Operation], fields: list[ast.expr]) -> bool:
        """Whether the effect is an expression that lets no time pass, in place of a call."""
        if kind is op.Load:
            return self.inlines_loads and isinstance(fields[0], ast.Attribute | ast.Name)
        return kind in _INLINE

    def _effect(self, kind: type[op.Operation], fields: list[ast.expr], keywords: list[ast.keyword]) -> ast.expr:
        if self._is_inlined(kind, fields):
            return expression_of_text(_INLINE[kind].format(field=ast.unparse(fields[0])))
        return ast.Call(ast.Name(f"_e_{kind.__name__}", ast.Load()), fields, keywords)

    def _inside(self, node: ast.Yield) -> ast.expr:
        """An operation in the middle of an expression: `(effect if cost else None)`, where the cost is never 0."""
        kind, fields, keywords = self._operation(node.value)
        if kind not in _TIMELESS:
            raise _CannotCompile(f"{kind.__name__} inside an expression")
        if clock_use(kind) == VISIBLE:
            cost = f"(_t := _visible(_t + {self._cost(kind)}))"
        else:
            cost = f"(_t := _t + {self._cost(kind)})"
        return ast.IfExp(expression_of_text(f"{cost} >= 0"), self._effect(kind, fields, keywords), ast.Constant(None))

    def _alone(self, node: ast.Yield, targets: list[ast.expr] | None) -> list[ast.stmt]:
        """An operation as a statement of its own, or the whole right side of an assignment."""
        kind, fields, keywords = self._operation(node.value)
        use = clock_use(kind)
        statements: list[ast.stmt] = []
        plain: list[ast.expr] = []
        for field in fields:
            field = self.expression(field)
            if use == VISIBLE and not isinstance(field, ast.Name | ast.Constant | ast.Attribute):
                # What the operation is made of is computed before others run, as the step engine does.
                self._temporaries += 1
                name = f"_f{self._temporaries}"
                statements.append(ast.Assign([ast.Name(name, ast.Store())], field))
                field = ast.Name(name, ast.Load())
            plain.append(field)
        cost = self._cost(kind)
        if use == COSTS_LATER and kind in self.drawn:
            statements += code_of(f"_cost = {cost}")
            cost = "_cost"
        if kind in UNCONTENDED and targets is None and self.inlines_locks:
            lock, name = ast.unparse(plain[0]), f"_e_{kind.__name__}"
            text = UNCONTENDED[kind].format(lock="_lock", effect=f"{name}(_lock)\n    _t = _m.now")
            return statements + code_of(f"_m.now = _t = _t + {cost}\n_lock = {lock}\n{text}")
        if use == 0:
            statements += code_of(f"_t += {cost}")
        elif use == PRIVATE:
            statements += code_of(f"_m.now = _t = _t + {cost}")
        elif use == COSTS_LATER:
            statements += code_of("_m.now = _t\nif _t > _m.horizon:\n    _m.give_way()")
        else:
            # Later, where another thread had the processor meanwhile.
            statements += code_of(f"_m.now = _t = _t + {cost}\nif _t > _m.horizon:\n    _m.give_way()\n    _t = _m.now")
        is_inlined = self._is_inlined(kind, plain)
        effect = self._effect(kind, plain, keywords)
        statements.append(ast.Expr(effect) if targets is None else ast.Assign(targets, effect))
        if use == COSTS_LATER:
            statements += code_of(f"_t = _m.now + {cost}")
        elif use and not is_inlined:
            statements += code_of("_t = _m.now")
        return statements

    def _call(self, node: ast.YieldFrom, targets: list[ast.expr] | None) -> list[ast.stmt]:
        """Another routine: its compiled form, or whatever the executor does with it."""
        value = node.value
        if isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id in self.names:
            called: ast.expr = ast.Call(
                ast.Name(self.names[value.func.id], ast.Load()),
                [self.expression(argument) for argument in value.args],
                value.keywords,
            )
        elif isinstance(value, ast.Name):
            called = ast.Call(ast.Name("_run", ast.Load()), [value], [])
        else:
            raise _CannotCompile(ast.unparse(node))
        call: ast.stmt = ast.Expr(called) if targets is None else ast.Assign(targets, called)
        return [*code_of("_m.now = _t"), call, *code_of("_t = _m.now")]

    # -- statements -------------------------------------------------------------------------------------------------

    def expression(self, node: ast.expr) -> ast.expr:
        """An expression with its operations performed in place."""
        result: ast.expr = _Inside(self).visit(node)
        return result

    def in_place(self, node: ast.Call) -> ast.expr:
        """A call of ring arithmetic with plain names as arguments, as the expression that it stands for."""
        function = self.globals.get(node.func.id) if isinstance(node.func, ast.Name) else None
        if function not in _ARITHMETIC or node.keywords:
            return node
        expression, parameters = _expression_of(function)
        arguments = dict(zip(parameters, node.args, strict=True))
        uses = Counter(part.id for part in ast.walk(expression) if isinstance(part, ast.Name))
        for parameter, argument in arguments.items():
            is_plain = isinstance(argument, ast.Name | ast.Constant)
            if not is_plain and uses[parameter] > 1:
                return node
        scope = function.__globals__

        class Replace(ast.NodeTransformer):
            def visit_Name(self, node: ast.Name) -> ast.expr:
                return arguments[node.id] if node.id in arguments else ast.Constant(scope[node.id])

        result: ast.expr = Replace().visit(copy.deepcopy(expression))
        return result

    def statements(self, body: Sequence[ast.stmt]) -> list[ast.stmt]:
        """Compile a block."""
        result: list[ast.stmt] = []
        for statement in body:
            compiled = self._statement(statement)
            place(compiled, statement)
            result += compiled
        return result

    def _statement(self, node: ast.stmt) -> list[ast.stmt]:
        value = getattr(node, "value", None)
        if isinstance(node, ast.Expr | ast.Assign) and isinstance(value, ast.Yield | ast.YieldFrom):
            targets = node.targets if isinstance(node, ast.Assign) else None
            make = self._alone if isinstance(value, ast.Yield) else self._call
            return make(value, targets)  # type: ignore[arg-type]
        if isinstance(node, ast.Return):
            leave = code_of("_m.now = _t")
            if node.value is None:
                return [*leave, node]
            self._temporaries += 1
            name = f"_r{self._temporaries}"
            keep = ast.Assign([ast.Name(name, ast.Store())], self.expression(node.value))
            return [keep, *leave, ast.Return(ast.Name(name, ast.Load()))]
        if isinstance(node, ast.If | ast.While):
            node.test = self.expression(node.test)
        elif isinstance(node, ast.For):
            node.iter = self.expression(node.iter)
        elif isinstance(node, ast.Try | ast.With | ast.Match | ast.FunctionDef):
            raise _CannotCompile(type(node).__name__)
        else:
            for field, child in ast.iter_fields(node):
                if isinstance(child, ast.expr):
                    setattr(node, field, self.expression(child))
            return [node]
        node.body = self.statements(node.body)
        node.orelse = self.statements(node.orelse)
        return [node]


class _Inside(ast.NodeTransformer):
    """Performs the operations in an expression in their places."""

    def __init__(self, compiler: _Compiler) -> None:
        self._compiler = compiler

    def visit_Call(self, node: ast.Call) -> ast.expr:
        self.generic_visit(node)
        return self._compiler.in_place(node)

    def visit_Yield(self, node: ast.Yield) -> ast.expr:
        return self._compiler._inside(node)

    def visit_YieldFrom(self, node: ast.YieldFrom) -> ast.expr:
        raise _CannotCompile(ast.unparse(node))


@cache
def compiled_code(
    *, inlines_locks: bool = True, inlines_loads: bool = True, drawn: frozenset[type[op.Operation]] = frozenset()
) -> dict[Any, CodeType]:
    """The code of each of `ROUTINES` that can be compiled, once for a host process.

    Without `inlines_locks` free locks are taken by their effect too, for a machine to which holding them means more.
    Without `inlines_loads` so are words loaded, for a machine where stores stay in a buffer. The costs of the
    operations in `drawn` are drawn each time.
    """
    codes: dict[Any, CodeType] = {}
    names = {function.__name__: f"_direct_{function.__name__}" for function in ROUTINES}
    for function in ROUTINES:
        definition = source_tree(function)
        if definition is None:
            continue
        try:
            compiler = _Compiler(function, names, drawn, inlines_locks=inlines_locks, inlines_loads=inlines_loads)
            body = compiler.statements(definition.body)
        except _CannotCompile:
            continue
        definition.body = [*code_of("_t = _m.now"), *body, *code_of("_m.now = _t")]
        definition.name = names[function.__name__]
        definition.returns = None
        definition.decorator_list = []
        for argument in (*definition.args.args, *definition.args.kwonlyargs):
            argument.annotation = None
        for part in definition.body:
            ast.copy_location(part, definition)
        module = ast.fix_missing_locations(ast.Module([definition], []))
        codes[function] = compile(module, inspect.getsourcefile(function) or "<routine>", "exec")
    return codes


def compile_routines(
    machine: Machine,
    effects: dict[type[op.Operation], Callable[..., Any]],
    costs: Mapping[type[op.Operation], int | Price],
    run: Callable[[Any], Any],
    *,
    inlines_locks: bool,
) -> dict[CodeType, Callable[..., Any]]:
    """The compiled routines of one machine, by the code of the generator function that each stands for.

    `costs` has what each operation costs in ns, or what draws that.
    """

    def visible(now: int) -> int:
        machine.now = now
        if now > machine.horizon:
            machine.give_way()
        return machine.now  # later, where another thread had the processor meanwhile

    own: dict[str, Any] = {"_m": machine, "_run": run, "_visible": visible}
    for kind, effect in effects.items():
        own[f"_e_{kind.__name__}"] = effect
        own[f"_c_{kind.__name__}"] = costs[kind]

    def stepped(routine: Any) -> Callable[..., Any]:
        return lambda *arguments, **keywords: run(routine(*arguments, **keywords))

    drawn = frozenset(kind for kind, cost in costs.items() if callable(cost))
    codes = compiled_code(inlines_locks=inlines_locks, inlines_loads=effects[op.Load] is load, drawn=drawn)
    own |= {f"_direct_{routine.__name__}": stepped(routine) for routine in ROUTINES if routine not in codes}
    compiled: dict[CodeType, Callable[..., Any]] = {}
    for routine, code in codes.items():
        namespace = {**routine.__globals__, **own}
        exec(code, namespace)
        own[f"_direct_{routine.__name__}"] = compiled[routine.__code__] = namespace[f"_direct_{routine.__name__}"]
    for function in compiled.values():
        function.__globals__.update(own)
    return compiled
