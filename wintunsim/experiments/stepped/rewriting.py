"""Routines as they are traced: their own source, where integers that they begin to count with are symbols."""

from __future__ import annotations

import ast
from collections.abc import Callable
from inspect import isfunction
from types import ModuleType
from typing import Any

from wintunsim.kernel.syntax import source_tree


class _Lifting(ast.NodeTransformer):
    """`name = 0` becomes `name = lift(0)`: the name may be something else when a loop comes round."""

    def visit_Assign(self, node: ast.Assign) -> ast.Assign:
        if isinstance(node.value, ast.Tuple):
            node.value.elts = [_lifted(value) for value in node.value.elts]
        else:
            node.value = _lifted(node.value)
        return node


def _lifted(value: ast.expr) -> ast.expr:
    if not isinstance(value, ast.Constant) or type(value.value) is not int:
        return value
    call = ast.copy_location(ast.Call(ast.Name("lift", ast.Load()), [value], []), value)
    return ast.fix_missing_locations(call)


def rewritten(module: ModuleType, lift: Callable[[int], Any], length: Callable[[Any], Any]) -> dict[str, Any]:
    """The module's names. Its functions are made anew: they begin with `lift(0)` for 0, and call `length` for `len`."""
    names: dict[str, Any] = {**vars(module), "lift": lift, "len": length}
    for name, function in list(vars(module).items()):
        if not isfunction(function) or function.__module__ != module.__name__:
            continue
        tree = source_tree(function)
        assert tree is not None
        tree.returns = None
        tree.args.defaults = []
        for argument in tree.args.args:
            argument.annotation = None
        lifted = ast.Module([_Lifting().visit(tree)], [])
        exec(compile(lifted, module.__file__ or "", "exec"), names)
        names[name].__defaults__ = function.__defaults__
    return names
