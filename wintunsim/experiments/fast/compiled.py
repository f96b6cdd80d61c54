"""Compiling to machine code: what the fast engine's loop is written for.

The functions of `notes`, `tcp`, `sender`, `reader`, `taker` and `loop` are plain Python over an array of 64-bit
integers. numba makes machine code of them when the loop is first called, and keeps that on disk. Without numba they
are never called: the direct engine does what the fast one would.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, TypeVar

from wintunsim.experiments.fast.reasons import has_compiler

F = TypeVar("F", bound=Callable[..., Any])

_numba: Any = import_module("numba") if has_compiler() else None


def compiled(function: F) -> F:
    """The function as part of what is compiled; it is compiled together with whatever calls it."""
    return _made(function, no_cpython_wrapper=True, no_cfunc_wrapper=True)


def kept(function: F) -> F:
    """The same for a function that is called from outside; its machine code is kept on disk, where that is possible."""
    try:
        return _made(function, cache=True)
    except RuntimeError:  # there is no folder that can be written to
        return _made(function)


def _made(function: F, **options: bool) -> F:
    if _numba is None:
        return function
    made: F = _numba.njit(error_model="numpy", **options)(function)
    return made
