"""Syntax trees: of routines, and of what is put into them."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Sequence
from typing import Any


def source_tree(function: Any) -> ast.FunctionDef | None:
    """A function's definition as a tree, with its own line numbers; None for one without a source."""
    try:
        lines, first = inspect.getsourcelines(function)
    except (OSError, TypeError):
        return None
    definition = ast.parse("\n" * (first - 1) + textwrap.dedent("".join(lines))).body[0]
    assert isinstance(definition, ast.FunctionDef)
    return definition


def unplaced(node: ast.AST) -> Any:
    """A tree without its lines, so that it takes those of where it is put."""
    for part in ast.walk(node):
        for name in ("lineno", "col_offset", "end_lineno", "end_col_offset"):
            vars(part).pop(name, None)
    return node


def place(statements: Sequence[ast.stmt], origin: ast.stmt) -> None:
    """Give what a statement has become its lines. Statements that have theirs are not looked into again."""
    left: list[ast.AST] = list(statements)
    while left:
        node = left.pop()
        if not hasattr(node, "lineno") and isinstance(node, ast.stmt | ast.expr):
            ast.copy_location(node, origin)
        for part in ast.iter_child_nodes(node):
            if not (isinstance(part, ast.stmt) and hasattr(part, "lineno")):
                left.append(part)


def code_of(text: str) -> list[ast.stmt]:
    """Statements of ours."""
    body: list[ast.stmt] = unplaced(ast.parse(text)).body
    return body


def expression_of_text(text: str) -> ast.expr:
    """An expression of ours."""
    body: ast.expr = unplaced(ast.parse(text, mode="eval")).body
    return body
