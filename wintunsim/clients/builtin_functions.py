"""The builtins of a simulated process: the host's, but for those that reach the surrounding Python."""

# A client's paths are strings, and os is what they are for.

from __future__ import annotations
import __future__

import ast
import builtins
import inspect
import sys
from collections.abc import Mapping
from types import CodeType, FrameType, ModuleType
from typing import TYPE_CHECKING, Any, NoReturn

from wintunsim.clients.importer import View
from wintunsim.clients.loops import HOOK_NAME, compile_with_hooks, make_loop_hook

if TYPE_CHECKING:
    from wintunsim.clients.client_process import ClientProcess

_FUTURE_FLAGS = 0
for _name in __future__.all_feature_names:
    _FUTURE_FLAGS |= getattr(__future__, _name).compiler_flag
_FUTURE_FLAGS &= ~inspect.CO_NESTED


def _namespaces(frame: FrameType, globals: Any, locals: Any) -> tuple[dict[str, Any], Any]:
    """The namespaces that `exec` and `eval` work on when called from `frame`."""
    if globals is None:
        globals = frame.f_globals
        if locals is None:
            locals = frame.f_locals
            if frame.f_code.co_flags & inspect.CO_OPTIMIZED:
                locals = dict(locals)
    return globals, globals if locals is None else locals


_NOT_BUILTIN = frozenset(["_", "__spec__", "__loader__", "__IPYTHON__", "get_ipython", "display"])
"""What interactive shells add, and what is not a builtin."""


class _Evaluation:
    """`compile`, `exec` and `eval` for one view: code that a client makes has the loop hook too."""

    def __init__(self, namespace: dict[str, Any], view: View) -> None:
        self._namespace = namespace
        self._hooked = view is View.CLIENT

    def _compile(self, source: Any, filename: Any, mode: str, flags: int, optimize: int = -1) -> Any:
        if self._hooked and mode == "exec" and not flags & ast.PyCF_ONLY_AST:
            name = filename if isinstance(filename, str) else bytes(filename).decode()
            return compile_with_hooks(source, name, mode, flags, optimize)
        return compile(source, filename, mode, flags, dont_inherit=True, optimize=optimize)

    def compile(
        self,
        source: Any,
        filename: Any,
        mode: str,
        flags: int = 0,
        dont_inherit: bool = False,
        optimize: int = -1,
        **keywords: Any,
    ) -> Any:
        if keywords:
            return compile(source, filename, mode, flags, dont_inherit=True, optimize=optimize, **keywords)
        if not dont_inherit:
            flags |= sys._getframe(1).f_code.co_flags & _FUTURE_FLAGS
        return self._compile(source, filename, mode, flags, optimize)

    def _run(
        self, function: Any, mode: str, source: Any, frame: FrameType, globals: Any, locals: Any, more: Any
    ) -> Any:
        globals, locals = _namespaces(frame, globals, locals)
        if not isinstance(globals, dict):
            raise TypeError(f"{function.__name__}() globals must be a dict, not {type(globals).__name__}")
        globals.setdefault("__builtins__", self._namespace)
        if not isinstance(source, CodeType):
            if isinstance(source, str) and mode == "eval":
                source = source.lstrip(" \t")
            source = self._compile(source, "<string>", mode, frame.f_code.co_flags & _FUTURE_FLAGS)
        return function(source, globals, locals, **more)

    def exec(self, source: Any, /, globals: Any = None, locals: Any = None, **keywords: Any) -> None:
        self._run(exec, "exec", source, sys._getframe(1), globals, locals, keywords)

    def eval(self, source: Any, /, globals: Any = None, locals: Any = None) -> Any:
        return self._run(eval, "eval", source, sys._getframe(1), globals, locals, {})


class _Streams:
    """`print`, `input` and `open` on the process's own streams and files."""

    def __init__(self, client: ClientProcess) -> None:
        self._client = client

    def print(
        self, *values: object, sep: str | None = " ", end: str | None = "\n", file: Any = None, flush: bool = False
    ) -> None:
        if file is None:
            file = self._client.system.stdout
            if file is None:
                return
        print(*values, sep=sep, end=end, file=file, flush=flush)

    def input(self, prompt: object = "", /) -> str:
        system = self._client.system
        system.stdout.write(str(prompt))
        system.stdout.flush()
        line: str = system.stdin.readline()
        if not line:
            raise EOFError("EOF when reading a line")
        return line.removesuffix("\n")

    def open(
        self,
        file: Any,
        mode: str = "r",
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
        closefd: bool = True,
        opener: Any = None,
    ) -> Any:
        if encoding is None and "b" not in mode:
            encoding = "utf-8"
        path = self._client.files.localize(file)
        return open(path, mode, buffering, encoding, errors, newline, closefd, opener)

    def breakpoint(self, *arguments: Any, **keywords: Any) -> Any:
        return self._client.system.breakpointhook(*arguments, **keywords)


class _Quitter:
    """`exit` and `quit`."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return f"Use {self._name}() or Ctrl-Z plus Return to exit"

    def __call__(self, code: object = None) -> NoReturn:
        raise SystemExit(code)


def make_builtins(client: ClientProcess, view: View) -> dict[str, Any]:
    """The builtins of one view, to stand as ``__builtins__`` in module namespaces."""
    module = ModuleType("builtins")
    namespace: dict[str, Any] = module.__dict__
    replaced: Mapping[str, Any] = vars(builtins)
    namespace.update({name: value for name, value in replaced.items() if name not in _NOT_BUILTIN})
    evaluation = _Evaluation(namespace, view)
    streams = _Streams(client)
    namespace.update(
        __import__=client.importer.make_import(view),
        compile=evaluation.compile,
        exec=evaluation.exec,
        eval=evaluation.eval,
        print=streams.print,
        input=streams.input,
        open=streams.open,
        breakpoint=streams.breakpoint,
        exit=_Quitter("exit"),
        quit=_Quitter("quit"),
    )
    if view is View.CLIENT:
        namespace["WindowsError"] = OSError
        namespace[HOOK_NAME] = make_loop_hook(client)
        client.importer.modules["builtins"] = module
    else:
        client.importer.stdlib_view["builtins"] = module
    return namespace
