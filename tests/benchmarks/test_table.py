"""The benchmark's table: what is shown, what is kept, what has become slower."""

import importlib.util
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"


def load(name):
    spec = importlib.util.spec_from_file_location(f"benchmarks_{name}", FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


table = load("table")


def row(engine, ratio, **values):
    return table.Row(
        workload="open", client="routine", engine=engine, packets_per_s=1000 * ratio, ratio=ratio, **values
    )


def test_only_what_is_clearly_slower_is_a_regression():
    kept = [row("step", 1.0), row("direct", 2.0), row("gone", 1.0), row("fast", 4.0)]
    rows = [row("step", 0.74), row("direct", 1.6), row("new", 0.1), row("fast", 8.0)]
    assert table.regressions(rows, kept) == {("open", "routine", "step"): pytest.approx(0.74)}
    assert table.regressions(rows, []) == {}


def test_the_table_shows_what_changed():
    rows = [
        row("step", 0.5),
        row("fast", 2.5, virtual_over_real=0.123456, note="by direct: its faults"),
        row("new", 1.0),
    ]
    assert table.table(rows, [row("step", 1.0), row("fast", 2.0)]).splitlines() == [
        "workload  client   engine  packets/s  ratio  virtual/real  since kept",
        "open      routine  step          500  0.500                      -50%  SLOWER",
        "open      routine  fast        2,500  2.500         0.123        +25%  by direct: its faults",
        "open      routine  new         1,000  1.000",
    ]


def test_rows_are_kept_and_read_again(tmp_path):
    rows = [row("step", 0.5, virtual_over_real=0.1), row("fast", 2.5)]
    path = tmp_path / "kept.json"
    assert table.read_kept(path) == []
    path.write_text(table.to_json(rows), encoding="utf-8")
    assert table.read_kept(path) == rows


@pytest.mark.parametrize("text", ["", "{", "[]", '{"form": 0, "rows": []}', '{"form": 1, "rows": [{"ratio": 1}]}'])
def test_what_was_kept_by_another_form_is_not_compared_with(text):
    assert table.from_json(text) == []


def test_the_yardstick_moves_packets():
    to_client, back = load("simpy_ring").run(100_000, 1400, 5_000_000)
    assert 480 < back <= to_client <= 500
