"""What an exploration came to, as JSON: for programs, and for the page that steps through a counterexample."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from wintunsim.explore.counterexample import Counterexample
from wintunsim.explore.explorer import Exploration

FORMAT = 1
"""Of the answer; raised when a field changes its meaning or goes."""


def report_json(explorations: Iterable[tuple[Exploration, Counterexample | None]]) -> str:
    """All explorations as JSON text."""
    fields = {"format": FORMAT, "explorations": [exploration_fields(*each) for each in explorations]}
    return json.dumps(fields, indent=1, ensure_ascii=False)


def exploration_fields(explored: Exploration, found: Counterexample | None) -> dict[str, Any]:
    """One exploration as plain data; `SCHEMA` describes it."""
    scenario, setting, outcome = explored.scenario, explored.setting, explored.outcome
    return {
        "scenario": scenario.name,
        "title": scenario.title,
        "claim": scenario.claim,
        "revision": setting.revision.name,
        "switches": setting.revision.switches(),
        "memory": setting.memory,
        "rules": {name: getattr(setting.rules, name) for name in type(setting.rules).__dataclass_fields__},
        "deciding_rules": list(scenario.rules),
        "verdict": outcome.verdict.value,
        "expected": scenario.expected(setting),
        "is_expected": explored.is_expected,
        "executions": outcome.executions,
        "states": outcome.states,
        "operations": outcome.operations,
        "longest": outcome.longest,
        "seconds": outcome.seconds,
        "schedule": explored.schedule,
        "counterexample": None if found is None else counterexample_fields(found),
    }


def counterexample_fields(found: Counterexample) -> dict[str, Any]:
    """A counterexample as plain data."""
    fields = found.as_dict()
    for step, each in zip(fields["steps"], found.steps, strict=True):
        step["text"] = each.text
        step["is_decisive"] = each.is_decisive
    return fields


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": [*properties], "additionalProperties": False}


def _map(of: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": of}


def _list(of: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": of}


_TEXT = {"type": "string"}
_COUNT = {"type": "integer", "minimum": 0}
_FLAG = {"type": "boolean"}
_WORD = {"type": "integer", "minimum": 0, "maximum": 0xFFFFFFFF}
_RINGS = _map(_object(head=_WORD, tail=_WORD, alertable=_WORD, data={"type": "string", "pattern": "^([0-9a-f]{2})*$"}))

_STEP = _object(
    number=_COUNT,
    thread=_TEXT,
    word=_TEXT,
    action=_TEXT,
    result=_TEXT,
    text=_TEXT,
    is_flush=_FLAG,
    rings=_RINGS,
    buffers=_map(_list(_TEXT)),
    changes=_list(_TEXT),
    positions=_map(_TEXT),
    marks=_list({"enum": ["stale", "outdated", "overwrites", "held up", "breaks"]}),
    notes=_list(_TEXT),
    is_decisive=_FLAG,
    kind={"enum": ["load", "store", "barrier", "flush", "other"]},
    place=_TEXT,
    value={"anyOf": [{"type": "null"}, _WORD]},
)

_COUNTEREXAMPLE = _object(
    reference=_TEXT,
    scenario=_TEXT,
    title=_TEXT,
    claim=_TEXT,
    revision=_TEXT,
    memory={"enum": ["sc", "tso"]},
    rules=_map(_FLAG),
    deciding_rules=_list(_TEXT),
    rules_told=_TEXT,
    property=_TEXT,
    what=_TEXT,
    schedule=_TEXT,
    threads=_list(_TEXT),
    capacities=_map(_COUNT),
    start=_RINGS,
    steps=_list(_STEP),
    preemptions=_COUNT,
)

SCHEMA = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    **_object(
        format={"const": FORMAT},
        explorations=_list(
            _object(
                scenario=_TEXT,
                title=_TEXT,
                claim=_TEXT,
                revision=_TEXT,
                switches=_map(_FLAG),
                memory={"enum": ["sc", "tso"]},
                rules=_map(_FLAG),
                deciding_rules=_list(_TEXT),
                verdict={"enum": ["safe", "broken", "not found"]},
                expected={"enum": ["safe", "broken"]},
                is_expected=_FLAG,
                executions=_COUNT,
                states=_COUNT,
                operations=_COUNT,
                longest=_COUNT,
                seconds={"type": "number", "minimum": 0},
                schedule=_TEXT,
                counterexample={"anyOf": [{"type": "null"}, _COUNTEREXAMPLE]},
            )
        ),
    ),
}
"""JSON Schema of the answer."""
