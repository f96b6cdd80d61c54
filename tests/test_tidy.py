"""House rules that a machine can check: import arrows, lengths, determinism, docstrings.

A rule's exceptions stand in a table beside it, each with its reason. An exception that is no longer needed fails too.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache, cached_property
from pathlib import Path
from sys import stdlib_module_names

import pytest

ROOT = Path(__file__).resolve().parents[1]
LONGEST_FUNCTION = 70
LONGEST_FILE = 400

# -- what there is ------------------------------------------------------------------------------------------------


class Module:
    """One source file, parsed."""

    def __init__(self, file: str, text: str) -> None:
        self.file = file
        self.text = text
        self.lines = text.splitlines()
        parts = self.file.removesuffix(".py").split("/")
        self.is_package = parts[-1] == "__init__"
        self.name = ".".join(parts[:-1] if self.is_package else parts)

    @cached_property
    def tree(self) -> ast.Module:
        """Its syntax."""
        return ast.parse(self.text, self.file)

    @cached_property
    def nodes(self) -> list[ast.AST]:
        """Everything in its syntax."""
        return list(ast.walk(self.tree))

    def at(self, node: ast.AST) -> str:
        """Where a node stands."""
        return f"{self.file}:{getattr(node, 'lineno', 1)}"

    def imports(self, *, at_import_only: bool = False) -> Iterator[tuple[ast.stmt, str]]:
        """What it imports: (statement, dotted name); `from a import b` gives both ``a`` and ``a.b``."""
        nodes = _run_at_import(self.tree) if at_import_only else self.nodes
        for node in nodes:
            if isinstance(node, ast.Import):
                for alias in node.names:
                    yield node, alias.name
            elif isinstance(node, ast.ImportFrom):
                source = self._absolute(node)
                yield node, source
                for alias in node.names:
                    yield node, f"{source}.{alias.name}"

    def _absolute(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        parts = self.name.split(".")
        parts = parts[: len(parts) - node.level + self.is_package]
        return ".".join([*parts, *([node.module] if node.module else [])])


def _run_at_import(tree: ast.Module) -> Iterator[ast.stmt]:
    """The statements that run when the module is imported: not those inside functions or `if TYPE_CHECKING`."""
    waiting = list(tree.body)
    while waiting:
        node = waiting.pop(0)
        yield node
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            waiting += node.orelse
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            waiting += [child for child in ast.iter_child_nodes(node) if isinstance(child, ast.stmt)]


def modules(*folders: str) -> tuple[Module, ...]:
    """All source files of some folders of the tree."""
    return tuple(module for folder in folders for module in _modules(folder))


@cache
def _modules(folder: str) -> tuple[Module, ...]:
    return tuple(
        Module(path.relative_to(ROOT).as_posix().removeprefix("model/"), path.read_text(encoding="utf-8"))
        for path in sorted((ROOT / folder).rglob("*.py"))
        if "__pycache__" not in path.parts
    )


def sources() -> tuple[Module, ...]:
    """The files of both packages."""
    return modules("model/wintun_model", "wintunsim")


def folder_of(module: Module) -> str:
    """``wintun_model``, ``wintunsim.kernel``…, or ``wintunsim`` for a file at the top."""
    parts = module.file.split("/")
    return ".".join(parts[:2] if len(parts) > 2 else parts[:1])


def report(found: Iterator[str], exceptions: dict[str, str] | None = None) -> None:
    """Fail with every finding that no exception covers, and with every exception that covers nothing.

    A finding is ``file[:line] what``; an exception is for a file, or for ``file what``'s beginning.
    """
    exceptions = exceptions or {}
    assert all(exceptions.values()), "an exception needs a reason"
    used, wrong = set(), []
    for finding in found:
        where, _, what = finding.partition(" ")
        plain = f"{where.split(':')[0]} {what}"
        covering = [key for key in exceptions if plain == key or plain.startswith(f"{key} ")]
        used.update(covering)
        if not covering:
            wrong.append(finding)
    wrong += [f"{key}: the exception is not needed any more" for key in exceptions if key not in used]
    assert not wrong, "\n" + "\n".join(wrong)


# -- import arrows ------------------------------------------------------------------------------------------------

# From the bottom to the top: a layer imports what stands below it, and itself; never its neighbours.
LAYERS = [
    {"wintun_model", "wintunsim.errors"},
    {"wintunsim.kernel"},
    {"wintunsim.win32", "wintunsim.network", "wintunsim.trace"},
    {"wintunsim.attachment"},
    {"wintunsim.clients", "wintunsim.experiments", "wintunsim.conformance", "wintunsim.explore"},
    {"wintunsim"},
]
LEVEL = {part: level for level, layer in enumerate(LAYERS) for part in layer}
OWN_PACKAGES = {"wintun_model", "wintunsim"}

# Parts that must not need the engine, even by way of others.
FREE_OF = {
    "wintunsim.network": {"simpy", "greenlet"},
    "wintunsim.trace.pcapng": {"simpy", "greenlet"},
    "wintun_model": {"simpy", "greenlet", "numpy", "dpkt"},
}


def part_of(name: str) -> str:
    """The part of the architecture that a dotted name belongs to."""
    return max((part for part in LEVEL if name == part or name.startswith(f"{part}.")), key=len)


def test_the_model_imports_the_standard_library_and_itself() -> None:
    def findings() -> Iterator[str]:
        for module in modules("model/wintun_model"):
            for node, name in module.imports():
                if name.split(".")[0] not in stdlib_module_names | {"wintun_model"}:
                    yield f"{module.at(node)} imports {name}"

    report(findings())


def test_imports_go_down_the_layers() -> None:
    def findings() -> Iterator[str]:
        for module in modules("wintunsim"):
            part = part_of(module.name)
            for node, name in module.imports():
                if name.split(".")[0] not in OWN_PACKAGES or name in OWN_PACKAGES:
                    continue
                target = part_of(name)
                if target != part and LEVEL[target] >= LEVEL[part]:
                    yield f"{module.at(node)} imports {name}"

    report(findings())


def test_every_folder_has_its_layer() -> None:
    folders = {folder_of(module) for module in sources()}
    assert folders <= set(LEVEL), f"new folders need a layer here: {sorted(folders - set(LEVEL))}"


@pytest.mark.parametrize("part", FREE_OF)
def test_parts_that_do_not_need_the_engine_do_not_load_it(part: str) -> None:
    by_name = {module.name: module for module in sources()}

    def findings() -> Iterator[str]:
        waiting = [name for name in by_name if name == part or name.startswith(f"{part}.")]
        seen = set(waiting)
        while waiting:
            module = by_name[waiting.pop()]
            for node, name in module.imports(at_import_only=True):
                if name.split(".")[0] in FREE_OF[part]:
                    yield f"{module.at(node)} imports {name}, which {part} must not need"
                if name in by_name and name not in seen:
                    seen.add(name)
                    waiting.append(name)

    report(findings())


def test_nobody_imports_the_source_root_as_a_package() -> None:
    def findings() -> Iterator[str]:
        for module in (*sources(), *modules("tests", "examples", "benchmarks")):
            if not re.search(r"\bmodel\b", module.text):
                continue  # and need not be parsed
            for node, name in module.imports():
                if name == "model" or name.startswith("model."):
                    yield f"{module.at(node)} imports {name}; it is wintun_model"

    report(findings())


# -- lengths ------------------------------------------------------------------------------------------------------

LONG_FILES: dict[str, str] = {}
LONG_FUNCTIONS: dict[str, str] = {}


def test_files_are_short() -> None:
    def findings() -> Iterator[str]:
        for module in sources():
            if len(module.lines) > LONGEST_FILE:
                yield f"{module.file} has {len(module.lines)} lines"

    report(findings(), LONG_FILES)


def test_functions_fit_on_a_screen() -> None:
    def findings() -> Iterator[str]:
        for module in sources():
            for node in module.nodes:
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                    length = (node.end_lineno or node.lineno) - node.lineno + 1
                    if length > LONGEST_FUNCTION:
                        yield f"{module.at(node)} {node.name} has {length} lines"

    report(findings(), LONG_FUNCTIONS)


# -- determinism --------------------------------------------------------------------------------------------------

# Modules through which the host's clock, entropy, threads, processes or network would come in.
HOST_MODULES = {
    "asyncio",
    "concurrent",
    "datetime",
    "getpass",
    "locale",
    "multiprocessing",
    "platform",
    "random",
    "sched",
    "secrets",
    "signal",
    "socket",
    "subprocess",
    "tempfile",
    "threading",
    "time",
    "_random",
    "_socket",
    "_thread",
}
# Of these, only what comes from the host.
HOST_NAMES = {
    "os": {"environ", "getenv", "getpid", "getppid", "getrandom", "times", "uname", "urandom", "cpu_count", "getlogin"},
    "numpy": {"random"},
    "uuid": {"getnode", "uuid1", "uuid4"},
}
# What a file may use of such a module, and why. A facade names what it wraps.
HOST_USES = {
    "wintunsim/kernel/streams.py random": ("Random", "a stream's raw bits come from a generator with its own seed"),
    "wintunsim/kernel/pages.py tempfile": ("TemporaryFile", "memory mapped twice lies in a file without a name"),
    "wintunsim/kernel/probe.py threading": ("Lock", "host threads share the probing pipe; none is started here"),
    "wintunsim/cli.py os": ("environ", "the command line's default seed"),
    "wintunsim/cli_explore.py os": ("cpu_count", "how many processes explore all scenarios"),
    "wintunsim/cli_run.py signal": (
        "SIGBUS SIGINT SIGSEGV SIG_IGN default_int_handler signal",
        "a person's Ctrl+C, and how the child process ended",
    ),
    "wintunsim/cli_run.py threading": ("Event Thread", "the progress line on a terminal, which only looks"),
    "wintunsim/experiments/pool.py concurrent": (
        "futures.Executor futures.Future",
        "whole runs beside each other; what they come to does not depend on it",
    ),
    "wintunsim/experiments/pool.py os": ("cpu_count", "how many processes a sweep has"),
    "wintunsim/experiments/processes.py concurrent": ("futures.Executor futures.Future", "as in pool.py"),
    "wintunsim/experiments/processes.py multiprocessing": (
        "Pipe connection.Connection get_context parent_process process.BaseProcess",
        "the processes of a sweep",
    ),
    "wintunsim/experiments/processes.py signal": (
        "SIGINT SIGTERM SIG_DFL SIG_IGN signal",
        "a person's Ctrl+C ends a sweep as a whole",
    ),
    "wintunsim/experiments/processes.py threading": (
        "Lock Thread active_count",
        "each waits for one process of a sweep",
    ),
    "wintunsim/explore/parallel.py concurrent": (
        "futures.Future futures.ProcessPoolExecutor futures.process.BrokenProcessPool",
        "explorations beside each other; what they come to does not depend on it",
    ),
    "wintunsim/explore/parallel.py multiprocessing": ("get_context", "how their processes are started"),
    "wintunsim/explore/swarm.py concurrent": (
        "futures.Future futures.ProcessPoolExecutor",
        "programs beside each other; what is found is taken up in the order of their numbers",
    ),
    "wintunsim/explore/swarm.py multiprocessing": ("get_context", "how their processes are started"),
    "wintunsim/explore/search.py time": (
        "perf_counter",
        "how long a search took, and its budget; no verdict but for that",
    ),
    "wintunsim/win32/clocks.py datetime": ("UTC datetime timedelta", "calendar arithmetic on virtual times"),
    "wintunsim/clients/clocks.py time": ("asctime gmtime strftime struct_time", "calendar arithmetic on virtual times"),
    "wintunsim/clients/commands.py subprocess": (
        "CalledProcessError CompletedProcess SubprocessError TimeoutExpired list2cmdline",
        "exceptions, result classes, and quoting; no process is started",
    ),
    "wintunsim/clients/entropy.py _random": ("Random", "the generator; every seed comes from the process's stream"),
    "wintunsim/clients/platform_module.py platform": (
        "python_implementation python_version python_version_tuple system_alias",
        "what is asked of the Python that runs, not of the machine",
    ),
    "wintunsim/clients/sockets.py socket": (
        "AF_INET AF_INET6 gaierror herror inet_ntop inet_pton",
        "address arithmetic and exceptions; no socket is made",
    ),
}
ID_EXCEPTIONS = {
    "wintunsim/kernel/owners.py": "marks host objects that were looked at; their order is never asked for",
}


def test_nothing_of_the_host_comes_in() -> None:
    def findings() -> Iterator[str]:
        for module in sources():
            for node, name in _uses(module):
                top, _, attribute = name.partition(".")
                if top in HOST_MODULES or attribute in HOST_NAMES.get(top, ()):
                    yield f"{module.at(node)} uses {name}"
                if name in ("datetime.now", "datetime.today", "datetime.utcnow", "date.today"):
                    yield f"{module.at(node)} uses {name}()"

    allowed = {}
    for where, (names, reason) in HOST_USES.items():
        file, host_module = where.split()
        allowed |= {f"{file} uses {host_module}.{name}": reason for name in names.split()}
    report(findings(), allowed)


def _uses(module: Module) -> Iterator[tuple[ast.AST, str]]:
    """What it uses of modules, by their own names whatever their alias: ``time.sleep``, ``time as a whole``."""
    alias_of: dict[str, str] = {}
    attributes = {node.value: node.attr for node in module.nodes if isinstance(node, ast.Attribute)}
    for node in module.nodes:
        if isinstance(node, ast.Import):
            alias_of |= {alias.asname or alias.name.split(".")[0]: alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            for alias in node.names:
                yield node, f"{node.module}.{alias.name}"
    for node in module.nodes:
        if isinstance(node, ast.Name) and (node.id in alias_of or node.id in ("datetime", "date")):
            source = alias_of.get(node.id, node.id)
            if node in attributes:
                yield node, f"{source}.{attributes[node]}"
            elif node.id in alias_of:
                yield node, f"{source} as a whole"


def test_no_decision_rests_on_an_address_or_a_hash() -> None:
    def findings() -> Iterator[str]:
        for module in sources():
            if folder_of(module) not in ("wintun_model", "wintunsim.kernel", "wintunsim.win32"):
                continue
            for node, name in _calls(module):
                if name in ("id", "hash"):
                    yield f"{module.at(node)} calls {name}()"

    report(findings(), ID_EXCEPTIONS)


def test_nothing_prints_or_logs_inside_the_semantics() -> None:
    def findings() -> Iterator[str]:
        for module in sources():
            if folder_of(module) not in ("wintun_model", "wintunsim.kernel"):
                continue
            for node, name in module.imports():
                if name.split(".")[0] in ("logging", "warnings"):
                    yield f"{module.at(node)} imports {name}"
            for node, name in _calls(module):
                if name in ("print", "breakpoint", "input"):
                    yield f"{module.at(node)} calls {name}()"

    report(findings())


def _calls(module: Module) -> Iterator[tuple[ast.Call, str]]:
    for node in module.nodes:
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            yield node, node.func.id


# What the nouns of `operations` hold. Routines get at it by yielding operations only.
SHARED_STATE = {"cells", "entries", "exclusive", "marked_offset", "shared", "signalled", "value", "waiters"}
ROUTINES = ["client", "client_strategies", "dispatch", "miniport", "receive", "registration", "send", "session"]


def test_routines_touch_shared_state_by_operations_only() -> None:
    def findings() -> Iterator[str]:
        for module in modules("model/wintun_model"):
            if module.name.split(".")[-1] not in ROUTINES:
                continue
            for node in module.nodes:
                if isinstance(node, ast.Attribute) and node.attr in SHARED_STATE:
                    yield f"{module.at(node)} touches .{node.attr}"

    report(findings())


# -- exceptions ---------------------------------------------------------------------------------------------------


def test_exceptions_have_a_class_of_their_own() -> None:
    def findings() -> Iterator[str]:
        for module in sources():
            for node in module.nodes:
                if isinstance(node, ast.Raise) and node.exc is not None:
                    raised = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
                    if isinstance(raised, ast.Name) and raised.id in ("Exception", "BaseException"):
                        yield f"{module.at(node)} raises a bare {raised.id}"

    report(findings())


def test_no_exception_is_swallowed_unseen() -> None:
    def findings() -> Iterator[str]:
        for module in sources():
            for node in module.nodes:
                if not isinstance(node, ast.ExceptHandler):
                    continue
                caught = "" if node.type is None else ast.unparse(node.type)
                if not caught:
                    yield f"{module.at(node)} has a bare except"
                elif caught in ("Exception", "BaseException") and all(isinstance(s, ast.Pass) for s in node.body):
                    yield f"{module.at(node)} swallows {caught}"

    report(findings())


# -- text ---------------------------------------------------------------------------------------------------------

DOCSTRING_EXCEPTIONS = {
    "wintun_model/effects.py": "each function does what the docstring of its operation says",
}


def test_every_public_thing_has_a_docstring() -> None:
    def findings() -> Iterator[str]:
        for module in sources():
            # What a facade's methods do is told by the documentation of the library that it stands for.
            is_facade = folder_of(module) == "wintunsim.clients"
            if not ast.get_docstring(module.tree):
                yield f"{module.file} module has no docstring"
            for name, node in _public(module.tree, "", methods=not is_facade):
                if not ast.get_docstring(node):
                    yield f"{module.at(node)} {name} has no docstring"

    report(findings(), DOCSTRING_EXCEPTIONS)


Documented = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def _public(parent: ast.Module | ast.ClassDef, prefix: str, *, methods: bool) -> Iterator[tuple[str, Documented]]:
    """Public classes, functions, and methods that are no overrides and more than one statement."""
    for node in parent.body:
        if not isinstance(node, Documented) or node.name.startswith("_"):
            continue
        if isinstance(node, ast.ClassDef):
            yield prefix + node.name, node
            yield from _public(node, f"{prefix}{node.name}.", methods=methods)
        elif isinstance(parent, ast.Module) or (methods and len(node.body) > 1 and not parent.bases):
            yield prefix + node.name, node


def test_every_folder_of_the_packages_is_a_package() -> None:
    for top in (ROOT / "model" / "wintun_model", ROOT / "wintunsim"):
        assert (top / "py.typed").is_file()
        for folder in sorted({path.parent for path in top.rglob("*.py")}):
            assert (folder / "__init__.py").is_file(), f"{folder.relative_to(ROOT)} lacks its __init__.py"


def test_no_tabs_and_no_trailing_blanks() -> None:
    def findings() -> Iterator[str]:
        for module in (*sources(), *modules("tests", "examples", "benchmarks")):
            for number, line in enumerate(module.lines, 1):
                if "\t" in line:
                    yield f"{module.file}:{number} has a tab"
                if line != line.rstrip():
                    yield f"{module.file}:{number} has trailing blanks"
            if module.text and not module.text.endswith("\n"):
                yield f"{module.file} does not end its last line"

    report(findings())


# -- the rules themselves -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "exceptions", "message"),
    [
        (["a.py:3 imports time"], {}, "a.py:3 imports time"),
        (["a.py:3 imports time"], {"b.py": "why"}, "a.py:3 imports time"),
        (["a.py:3 imports time"], {"a.py imports": "why"}, None),
        (["a.py:3 imports time"], {"a.py imports tim": "why"}, "a.py:3 imports time"),
        (["a.py:3 imports time"], {"a.py": "why"}, None),
        ([], {"a.py": "why"}, "not needed any more"),
    ],
)
def test_exceptions_cover_what_they_name_and_no_more(
    found: list[str], exceptions: dict[str, str], message: str | None
) -> None:
    if message is None:
        report(iter(found), exceptions)
    else:
        with pytest.raises(AssertionError, match=message):
            report(iter(found), exceptions)


@pytest.mark.parametrize(
    ("text", "uses"),
    [
        ("import time as clock\nclock.sleep(1)", ["time.sleep"]),
        ("import os\nx = os.environ['A']", ["os.environ"]),
        ("from time import monotonic as m", ["time.monotonic"]),
        ("def f():\n    import random\n    return vars(random)", ["random as a whole"]),
        ("from datetime import datetime\ndatetime.now()", ["datetime.datetime", "datetime.now"]),
        ("from .time import sleep", []),
    ],
)
def test_uses_are_seen_whatever_they_are_called(text: str, uses: list[str]) -> None:
    assert [name for _, name in _uses(Module("wintunsim/kernel/example.py", text))] == uses


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("import a.b", ["a.b"]),
        ("from ..win32 import loader", ["wintunsim.win32", "wintunsim.win32.loader"]),
        ("from . import probe", ["wintunsim.kernel", "wintunsim.kernel.probe"]),
        ("def f():\n    import later", ["later"]),
    ],
)
def test_imports_are_seen_wherever_they_stand(text: str, names: list[str]) -> None:
    assert [name for _, name in Module("wintunsim/kernel/example.py", text).imports()] == names


@pytest.mark.parametrize(
    "text", ["def f():\n    import later", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import later"]
)
def test_imports_that_do_not_run_at_import_can_be_told_apart(text: str) -> None:
    names = [name for _, name in Module("wintunsim/kernel/example.py", text).imports(at_import_only=True)]
    assert "later" not in names
