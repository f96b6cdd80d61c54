"""Counterexamples as ready pytest functions: each runs a schedule again and asks for the same failure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from string import Template

from wintunsim.explore.counterexample import Counterexample

_HEAD = '''\
"""Written by `wintunsim explore --pytest`: each schedule below breaks a property, and its test asks for that.

Once the driver or the client is mended, a test fails: turn it round then, or explore the scenario anew.
"""

from wintunsim.explore.explorer import replay
from wintunsim.explore.reference import decode
from wintunsim.explore.scenarios_named import scenario_named
'''

_FUNCTION = Template('''

def test_$name():
    """$title."""
    reference = decode($reference)
    world = scenario_named(reference.scenario).build(reference.setting())
    _, violation = replay(world, world.start(), reference.steps)
    assert violation is not None, "the schedule breaks nothing any more"
    assert violation.property.value == $property
    assert violation.what == $what
''')


def pytest_text(found: Iterable[Counterexample]) -> str:
    """The text of a file with a test function for each counterexample."""
    parts = [_HEAD]
    taken: Counter[str] = Counter()
    for each in found:
        name = re.sub(r"\W+", "_", f"{each.scenario}_{each.revision}_{each.memory}").strip("_").lower()
        taken[name] += 1
        if taken[name] > 1:
            name += f"_again_{taken[name]}"
        title = f"{each.scenario}: {each.title}".replace("\\", "/").replace('"', "'").rstrip(".")
        parts.append(
            _FUNCTION.substitute(
                name=name,
                title=title,
                reference=_quoted(each.reference),
                property=_quoted(each.property),
                what=_quoted(each.what),
            )
        )
    return "".join(parts)


def _quoted(text: str) -> str:
    return '"' + repr(text)[1:-1].replace("\\'", "'").replace('"', '\\"') + '"'
