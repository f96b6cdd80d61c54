"""How a client starts and ends; its modules; what it may do to them."""

import sys
import textwrap
import time
from pathlib import Path

import pytest

from wintunsim.clients import ClientProcess


@pytest.mark.parametrize(
    ("statement", "exit_code", "error"),
    [
        ("pass", 0, ""),
        ("sys.exit()", 0, ""),
        ("sys.exit(3)", 3, ""),
        ("sys.exit('no')", 1, "no\n"),
        ("exit(4)", 4, ""),
        ("os._exit(5)", 5, ""),
        ("raise SystemExit(-1)", 0xFFFFFFFF, ""),
        ("raise KeyboardInterrupt", 0xC000013A, "KeyboardInterrupt\n"),
        ("os.kill(os.getpid(), 9)", 9, ""),
    ],
)
def test_exit_codes(computer, statement, exit_code, error):
    client = computer.run(f"import os, sys\n{statement}\n")
    assert client.exit_code == exit_code
    assert client.stderr.getvalue().endswith(error)


def test_tracebacks_show_the_client_alone(computer):
    (computer.directory / "helper.py").write_text("def fail():\n    import json\n    return json.loads('{')\n")
    client = computer.run(
        """
        import helper, threading, time, traceback
        def run():
            for _ in range(2):
                with threading.Lock():
                    helper.fail()
        try:
            time.sleep(-1)
        except ValueError:
            print(traceback.format_exc().count("File"))
        try:
            run()
        except ValueError as error:
            raise RuntimeError("outer") from error
        """
    )
    assert client.exit_code == 1
    assert isinstance(client.exception, RuntimeError)
    assert client.stdout.getvalue() == "1\n"
    error = client.stderr.getvalue()
    assert 'client1.py", line 6, in run' in error
    assert 'helper.py", line 3, in fail' in error
    assert "The above exception was the direct cause" in error
    assert error.endswith("RuntimeError: outer\n")
    assert "wintunsim" not in error


def test_a_module_is_run_by_name(computer, monkeypatch):
    package = computer.directory / "package_to_run"
    package.mkdir()
    (package / "__init__.py").write_text("name = 'package'\n")
    (package / "__main__.py").write_text(
        "from . import name\nimport sys\nprint(__name__, __package__, name, sys.argv[1:])\n"
    )
    monkeypatch.chdir(computer.directory)
    import io

    from wintunsim.kernel.process import Process

    process = Process(computer.machine, 1, "client")
    client = ClientProcess(process, computer.start("pass").loader, stdout=io.StringIO(), arguments=["x"])
    process.start_thread(client.main_module("package_to_run"), "main")
    computer.machine.run()
    assert client.stdout.getvalue() == "__main__ package_to_run package ['x']\n"
    assert "package_to_run" not in sys.modules


def test_own_modules_packages_and_circular_imports(computer):
    package = computer.directory / "pack"
    package.mkdir()
    (package / "__init__.py").write_text("from .a import A\n")
    (package / "a.py").write_text("from . import b\nfrom pack.b import B\nclass A(B):\n    pass\n")
    (package / "b.py").write_text("import sys\nfrom . import a\nclass B:\n    platform = sys.platform\n")
    (computer.directory / "space").mkdir()
    (computer.directory / "space" / "inner.py").write_text("value = 1\n")
    lines = computer.output(
        """
        import importlib, importlib.util, sys
        import pack, pack.b as b, space.inner
        from pack import *
        print(pack.A.platform, A is pack.A, b.B, space.inner.value, end=" ")
        print(sorted(m for m in sys.modules if m.startswith("pack")))
        print(importlib.import_module(".a", "pack") is pack.a, importlib.util.find_spec("space.inner").origin[-8:])
        print(importlib.util.find_spec("nothere"), importlib.reload(space.inner) is space.inner)
        for name in ["nothere", "pack.nothere", "pack.a.x"]:
            try:
                importlib.import_module(name)
            except ModuleNotFoundError as error:
                print(error, error.name)
        """
    )
    assert lines == [
        "win32 True <class 'pack.b.B'> 1 ['pack', 'pack.a', 'pack.b']",
        "True inner.py",
        "None True",
        "No module named 'nothere' nothere",
        "No module named 'pack.nothere' pack.nothere",
        "No module named 'pack.a.x'; 'pack.a' is not a package pack.a.x",
    ]


def test_code_that_is_made_at_run_time(computer):
    lines = computer.output(
        """
        import dataclasses, enum, collections, typing, pickle, sys
        scope = {"x": 2}
        exec("import sys\\ny = x + 1\\nplatform = sys.platform", scope)
        print(scope["y"], scope["platform"], eval("x * 3", scope), eval("sys.platform"))
        def inside():
            local = 5
            return eval("local + 1"), sorted(locals())
        print(inside(), __name__, "scope" in globals())
        code = compile("for i in range(3): total = i", "made", "exec")
        exec(code)
        print(total, code.co_filename)
        @dataclasses.dataclass
        class Point:
            x: int
            y: "int" = 3
        @dataclasses.dataclass(frozen=True)
        class Only:
            z: "typing.ClassVar[int]" = 1
        print(Point(1), typing.get_type_hints(Point), [f.name for f in dataclasses.fields(Only)])
        class Color(enum.Enum):
            RED = 1
        print(Color(1), pickle.loads(pickle.dumps([Color.RED, Point(2)])))
        print(collections.namedtuple("T", "a b")(1, 2))
        """
    )
    assert lines == [
        "3 win32 6 win32",
        "(6, ['local']) __main__ True",
        "2 made",
        "Point(x=1, y=3) {'x': <class 'int'>, 'y': <class 'int'>} []",
        "Color.RED [<Color.RED: 1>, Point(x=2, y=3)]",
        "T(a=1, b=2)",
    ]


def test_numpy_is_shared_and_seeded_by_the_simulation(computer):
    source = """
        import numpy as np
        import numpy.random
        from numpy.random import default_rng, RandomState
        print(np.arange(4).mean(), np.linalg.norm([3, 4]), numpy is np)
        print(np.random.rand(), default_rng().random(), RandomState().rand(), np.random.PCG64().random_raw())
        print(np.random.default_rng(1).random(), isinstance(default_rng(), np.random.Generator))
        np.random.seed(5); print(np.random.random())
    """
    import numpy as np

    before = np.random.get_state()[1].tolist()
    lines = computer.output(source)
    assert lines[0] == "1.5 5.0 True"
    assert lines[2] == f"{np.random.default_rng(1).random()} True"
    assert lines[3] == str(np.random.RandomState(5).random())
    assert np.random.get_state()[1].tolist() == before
    again = type(computer)(computer.directory)
    assert again.output(source) == lines


def test_print_and_input_use_the_clients_streams(computer):
    import io

    client = computer.run(
        """
        import sys
        print(input("name? "), file=sys.stderr)
        sys.stdout.write("direct\\n")
        """,
        stdin=io.StringIO("me\n"),
    )
    assert client.stdout.getvalue() == "name? direct\n"
    assert client.stderr.getvalue() == "me\n"


def test_pdb_stops_time_and_steps_through_the_client(computer):
    import io

    client = computer.run(
        """
        import time
        before = time.monotonic()
        breakpoint()
        value = 41
        for n in range(2):
            value += 1
        print(value, time.monotonic() - before < 0.001)
        """,
        stdin=io.StringIO("next\nnext\np value\nnext\nnext\nwhere\ncontinue\n"),
    )
    output = client.stdout.getvalue()
    assert client.exit_code == 0, client.stderr.getvalue()
    assert "(Pdb) 41" in output
    assert "-> value += 1" in output
    assert output.endswith("43 True\n")
    assert sys.gettrace() is None or "pdb" not in repr(sys.gettrace())


# -- callables --------------------------------------------------------------------------------------------------------


def helper_of_this_module():
    return sys.platform, time.monotonic()


def top_level(results):
    results.append(helper_of_this_module())


def test_a_function_of_a_module_is_loaded_fresh(computer):
    results = []
    assert computer.run(top_level, results).exit_code == 0
    assert results[0][0] == "win32"
    assert results[0][1] < 1


def test_a_nested_function_is_rebound_with_its_closure_and_helpers(computer):
    results = []

    def inner():
        return helper_of_this_module()

    def client(extra, *, key="k"):
        import ctypes

        while len(results) < 3:
            results.append((sys.platform, inner()[0], hasattr(ctypes, "WinDLL"), extra, key, Path(__file__).name))
        time.sleep(1)

    assert computer.run(client, 5).exit_code == 0
    assert results == [("win32", "win32", True, 5, "k", "test_main.py")] * 3
    assert computer.machine.time() >= 1_000_000_000
    assert sys.platform != "win32"


def test_a_callable_that_raises(computer):
    def client():
        raise ValueError("bad")

    ended = computer.run(client)
    assert ended.exit_code == 1
    assert ended.stderr.getvalue().endswith("ValueError: bad\n")
    assert textwrap.dedent("in client\n") in ended.stderr.getvalue()
