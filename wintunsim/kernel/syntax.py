"""Syntax trees: of routines, and of what is put into them."""

from __future__ import annotations

import ast
import inspect
import textwrap
from typing import Any


def source_tree(function: Any) -> ast.FunctionDef | None:
    """A function's definition as a tree, with its own line numbers; None for one without a source."""
    try:
        lines, first = inspect.getsourcelines(function)
    except (OSError, TypeError):
        return None
    tree = ast.parse(textwrap.dedent("".join(lines)))
    ast.increment_lineno(tree, first - 1)
    definition = tree.body[0]
    assert isinstance(definition, ast.FunctionDef)
    return definition


def unplaced(node: ast.AST) -> Any:
    """A tree without its lines, so that it takes those of where it is put."""
    for part in ast.walk(node):
        for name in ("lineno", "col_offset", "end_lineno", "end_col_offset"):
            vars(part).pop(name, None)
    return node


def code_of(text: str) -> list[ast.stmt]:
    """Statements of ours."""
    body: list[ast.stmt] = unplaced(ast.parse(text)).body
    return body


def expression_of_text(text: str) -> ast.expr:
    """An expression of ours."""
    body: ast.expr = unplaced(ast.parse(text, mode="eval")).body
    return body
