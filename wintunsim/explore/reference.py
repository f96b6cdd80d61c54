"""Naming an execution so that anybody can run it again: scenario, revision, memory model, rules and steps in one word.

``senders@0.8.1+tso/A5b2B!`` is the schedule ``A5b2B!`` of the scenario `senders` with driver 0.8.1 on x86-TSO. After
the revision come the switches that differ from it, after the memory model the rules that differ from the usual ones,
each with a comma before it, and with a minus where it is off: ``senders@0.8.1,clears_link+sc,-release_drains``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace

from wintun_model.revision import PROPOSED, REVISIONS, revision_named
from wintunsim.errors import UsageError
from wintunsim.explore.scenario import MEMORIES, Setting
from wintunsim.explore.schedule import words

_FORM = re.compile(r"(?P<scenario>.+)@(?P<revision>[^@+/]+)\+(?P<memory>[^@+/]+)(?:/(?P<steps>[^/@]*))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A scenario in a setting, with a schedule or (`steps` empty) without. `switches` and `rules` are what differs."""

    scenario: str
    revision: str
    memory: str
    steps: str = ""
    switches: Mapping[str, bool] = field(default_factory=dict)
    rules: Mapping[str, bool] = field(default_factory=dict)

    @classmethod
    def of(cls, scenario: str, setting: Setting, steps: str = "") -> Reference:
        """The reference of a schedule, found in this setting."""
        known = revision_named(setting.revision.name)
        base = (known or setting.revision).switches()
        usual = Setting().rules
        return cls(
            scenario=scenario,
            revision=setting.revision.name,
            memory=setting.memory,
            steps=steps,
            switches={name: value for name, value in setting.revision.switches().items() if value != base[name]},
            rules={
                rule.name: getattr(setting.rules, rule.name)
                for rule in fields(usual)
                if getattr(setting.rules, rule.name) != getattr(usual, rule.name)
            },
        )

    def setting(self) -> Setting:
        """The setting that is named."""
        revision = revision_named(self.revision)
        if revision is None:
            raise UsageError(f"there is no driver revision {self.revision!r}: choose among {_revisions()}")
        revision = replace(revision, **dict(self.switches))  # type: ignore[arg-type]
        return Setting(revision=revision, memory=self.memory, rules=replace(Setting().rules, **dict(self.rules)))

    def encode(self) -> str:
        """As text; `decode` reads it."""
        head = f"{self.scenario}@{self.revision}{_turned(self.switches)}+{self.memory}{_turned(self.rules)}"
        return f"{head}/{self.steps}" if self.steps else head


def decode(text: str) -> Reference:
    """The reference that a text stands for. UsageError for a text that is none, or that names what is not there."""
    match = _FORM.fullmatch(text.strip())
    if match is None:
        raise UsageError(
            f"{text!r} names no execution: give SCENARIO@REVISION+MEMORY/STEPS, such as senders@0.8.1+sc/A5B2"
        )
    revision_name, switches = _parts(match["revision"])
    revision = revision_named(revision_name)
    if revision is None:
        raise UsageError(f"there is no driver revision {revision_name!r}: choose among {_revisions()}")
    _known("switch", switches, revision.switches())
    memory, rules = _parts(match["memory"])
    if memory not in MEMORIES:
        raise UsageError(f"there is no memory model {memory!r}: choose {' or '.join(MEMORIES)}")
    _known("rule", rules, [rule.name for rule in fields(Setting().rules)])
    steps = match["steps"] or ""
    for _ in words(steps):
        pass
    return Reference(
        scenario=match["scenario"], revision=revision_name, memory=memory, steps=steps, switches=switches, rules=rules
    )


def _turned(differing: Mapping[str, bool]) -> str:
    return "".join(f",{'' if value else '-'}{name}" for name, value in differing.items())


def _parts(text: str) -> tuple[str, dict[str, bool]]:
    first, *rest = text.split(",")
    return first, {part.removeprefix("-"): not part.startswith("-") for part in rest}


def _known(kind: str, given: Mapping[str, bool], names: object) -> None:
    known = list(names)  # type: ignore[call-overload]
    for name in given:
        if name not in known:
            raise UsageError(f"there is no {kind} {name!r}: choose among {', '.join(known)}")


def _revisions() -> str:
    return ", ".join([*REVISIONS, PROPOSED.name])
