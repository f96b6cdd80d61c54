"""Each experiment of each notebook, made shorter: all engines come to the same.

The experiments are those that a notebook really asks for: its cells are executed.
"""

import ast
from dataclasses import replace
from functools import partialmethod

import matplotlib as mpl
import pytest

from tests.test_notebooks import SOURCES, execute
from wintunsim.experiments import Experiment, Sweep
from wintunsim.experiments.cache import packed

pytest.importorskip("numba")

LEAST_NS = 250_000
ANSWER = "**Answer:**"
run = Experiment.run


class WithoutClaims(ast.NodeTransformer):
    """What a notebook asserts is true of its whole runs only."""

    def visit_Assert(self, node):
        return ast.copy_location(ast.Pass(), node)


def is_run(node):
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "run"


def experiments_of(path, shorter, monkeypatch):
    """The experiments that a notebook runs, each once and so many times `shorter`; of several seeds only the first."""
    found, results = [], {}

    def short_run(experiment, **options):
        duration_ns = min(experiment.duration_ns, max(LEAST_NS, experiment.duration_ns // shorter))
        experiment = experiment.with_values({"duration": f"{duration_ns}ns"})
        if options.get("window_ns") is not None:
            options["window_ns"] = (0, duration_ns)  # what is to be seen may come later
        key = (experiment.with_values({"seed": 0}), tuple(sorted(options.items())))
        if key not in results:
            results[key] = run(experiment, **options)
            if experiment not in found:
                found.append(experiment)
        return results[key]

    monkeypatch.setattr(Experiment, "run", short_run)
    monkeypatch.setattr(Sweep, "run", partialmethod(Sweep.run, workers=1))
    names = {}
    for cell in execute.read(path).cells:
        if cell.cell_type != "code":
            continue
        tree = ast.parse(cell.source)
        if ANSWER in cell.source:
            # It tells what is there already, and cannot from runs so short.
            assert not any(map(is_run, ast.walk(tree)))
            continue
        exec(compile(ast.fix_missing_locations(WithoutClaims().visit(tree)), path.name, "exec"), names)
    monkeypatch.undo()
    return found


def whole(result):
    """All that a result has, as values that can be compared; but for which engine it was."""
    arrays = {}
    data = packed(replace(result, engine_used="", engine_reason=None), "result", arrays)
    return data, {name: (values.dtype, values.tolist()) for name, values in arrays.items()}


@pytest.fixture(autouse=True)
def no_windows():
    from matplotlib import pyplot as plt

    before = mpl.get_backend()
    mpl.use("Agg")
    yield
    plt.close("all")
    mpl.use(before)


@pytest.mark.filterwarnings("ignore")  # of means of nothing: no notebook is made for runs so short
@pytest.mark.parametrize(("shorter", "step"), [(50, 12), pytest.param(10, 1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_all_engines_come_to_the_same(path, shorter, step, monkeypatch):
    """The quick test compares one in twelve: first ones and some of each sweep."""
    experiments = experiments_of(path, shorter, monkeypatch)
    assert experiments
    for experiment in experiments[::step]:
        expected = whole(run(replace(experiment, engine="interpreted")))
        for engine in ("direct", "step", "fast"):
            result = run(replace(experiment, engine=engine))
            assert whole(result) == expected, (engine, experiment)
            if engine == experiment.engine == "fast":
                # A notebook that asks for it gets it, unless its run is over before the rings are registered.
                assert result.engine_reason in ("", "a run that ends before it has begun")
