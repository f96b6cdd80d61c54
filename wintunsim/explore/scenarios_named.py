"""Finding scenarios by what people write: the name of one, a file with routines of their own, or a composed program."""

from __future__ import annotations

from difflib import get_close_matches

from wintunsim.errors import UsageError
from wintunsim.explore.composing.compose import compose
from wintunsim.explore.composing.text import is_program
from wintunsim.explore.own_routines import is_own, own_scenario
from wintunsim.explore.scenario import Scenario, all_scenarios


def scenario_named(name: str) -> Scenario:
    """The scenario of a name, of ``FILE.py:FUNCTION+SIDE``, or of a program such as ``register; (send | pop)``.

    UsageError when there is none.
    """
    if is_own(name):
        return own_scenario(name)
    if is_program(name):
        return compose(name)
    known = all_scenarios()
    if name not in known:
        close = get_close_matches(name, known, n=3)
        hint = f"is it {' or '.join(close)}? " if close else ""
        raise UsageError(f"there is no scenario {name!r}: {hint}wintunsim explore --list tells all of them")
    return known[name]
