"""Draw docs/life-cycles.md from the tables of `wintun_model.life_cycles`: `python tests/documents/life_cycles.py`."""

from pathlib import Path

from wintun_model.life_cycles import LIFE_CYCLES, RECEIVE_NBL, SEND_CHAIN, LifeCycle

PAGE = Path(__file__).resolve().parents[2] / "docs" / "life-cycles.md"

_HEAD = """\
# Life cycles

What the driver's miniport, a registration, its reader thread and the packets on their way go through. The diagrams
and tables are drawn from [the model's own tables](../model/wintun_model/life_cycles.py) by `make life-cycles`; a test
drives the routines through every step and fails for one that is not here. Steps that stay where they are stand in the
tables only. The sections are those of the [specification](spec/driver.md).
"""


def page() -> str:
    """The whole page."""
    return _HEAD + "".join(map(_section, LIFE_CYCLES))


def _section(cycle: LifeCycle) -> str:
    title = cycle.name[0].upper() + cycle.name[1:]
    lines = ["", f"## {title}", "", "```mermaid", "stateDiagram-v2"]
    if cycle in (SEND_CHAIN, RECEIVE_NBL):
        lines.append("    direction LR")
    names = {state: f"s{place}" for place, state in enumerate(cycle.states)}
    lines += [f'    state "{state}" as {name}' for state, name in names.items()]
    lines.append(f"    [*] --> {names[cycle.initial]}")
    arrows: dict[tuple[str, str], list[str]] = {}
    for step in (step for step in cycle.steps if step.source != step.target):
        arrows.setdefault((step.source, step.target), []).append(step.trigger)
    for (source, target), triggers in arrows.items():
        # A colon ends a label in a diagram.
        label = "<br>".join(trigger.replace(":=", "=") for trigger in triggers)
        lines.append(f"    {names[source]} --> {names[target]}: {label}")
    lines += ["```", "", "| state | |", "| --- | --- |"]
    lines += [f"| **{state}** | {meaning} |" for state, meaning in cycle.states.items()]
    lines += ["", "| in state | step | leads to | specification |", "| --- | --- | --- | --- |"]
    lines += [f"| {step.source} | {step.trigger} | {step.target} | {step.section} |" for step in cycle.steps]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
