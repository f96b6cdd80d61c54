"""Write docs/races.md from the scenarios and what the search finds: `python -m tests.documents.races`."""

from pathlib import Path
from textwrap import fill

from tests.documents.executions import find_execution
from wintun_model.revision import PROPOSED_CHANGES, REVISIONS, revision_named
from wintunsim.explore.claims import CLAIMS
from wintunsim.explore.scenario import MEMORIES, Setting, all_scenarios

PAGE = Path(__file__).resolve().parents[2] / "docs" / "races.md"
COLUMNS = ("0.8.1", "0.14", "2026-02", "proposed")
NAMES = (*REVISIONS, "proposed")
WIDTH = 120
MEMORY_NAMES = {"sc": "sequentially consistent memory", "tso": "x86's store buffers"}

_HEAD = """\
# Races

Which races the driver has, found by running its routines in every order: `wintunsim explore`. A *claim* is something
that may go wrong: B1 to B14 are those of the [specification](spec/driver.md) §10; later ones are new, and were found
while the search was put to use. A *scenario* is a small program over the driver's, the client's and the system's
routines, with rings of some dozen bytes. It is *broken* when one of its executions breaks a property, and *safe* when
none does, of all there are. That is looked at on sequentially consistent memory (sc), and with the store buffers of x86
processors (tso), where a store becomes visible some time after it was made.

"Proposed" is 2026-02 with the smallest change to each routine that closes a race; nobody ships it. All verdicts hold
for surroundings that behave as specification §7.1 says; where one rests on a certain rule, it is named.

This page is written by `make races` from the scenarios themselves and from what the search finds; a test fails when it
is not up to date. In the tables of executions each row is one thread that takes some steps; those that no other thread
could notice are left out, and the step that breaks the property is in bold.
"""


def page():
    """The whole page."""
    scenarios = [scenario for scenario in all_scenarios().values() if not scenario.leaves_out]
    by_claim = {name: [each for each in scenarios if each.claim == name] for name in CLAIMS}
    confirmed = [name for name, those in by_claim.items() if any(_is_ever_broken(each) for each in those)]
    refuted = [name for name, those in by_claim.items() if those and name not in confirmed]
    parts = [_HEAD, _verdict_table(by_claim)]
    parts.append("\n## Confirmed\n")
    parts += [_claim_section(CLAIMS[name], by_claim[name]) for name in confirmed]
    parts.append("\n## Refuted\n")
    parts += [_claim_section(CLAIMS[name], by_claim[name]) for name in refuted]
    parts.append(_refuted_in_part(confirmed, by_claim, any_as_a_whole=bool(refuted)))
    parts.append(_safe_section([each for each in scenarios if not _is_ever_broken(each)]))
    return "".join(parts)


# -- verdicts ---------------------------------------------------------------------------------------------------------


def _broken_memories(scenario, name):
    return [memory for memory in MEMORIES if scenario.is_broken(Setting(revision=revision_named(name), memory=memory))]


def _is_ever_broken(scenario):
    return any(_broken_memories(scenario, name) for name in NAMES)


def _verdict(scenarios, name):
    if not scenarios:
        return "not looked at"
    broken = [memory for memory in MEMORIES if any(memory in _broken_memories(each, name) for each in scenarios)]
    if not broken:
        return "safe"
    return "**broken**" if len(broken) == len(MEMORIES) else f"**broken** ({', '.join(broken)})"


def _verdict_table(by_claim):
    lines = ["", "## Verdicts", "", f"| | claim | {' | '.join(COLUMNS)} |", f"| --- | --- |{' --- |' * len(COLUMNS)}"]
    for name, scenarios in by_claim.items():
        title = CLAIMS[name].title + (" (new)" if CLAIMS[name].is_new else "")
        verdicts = " | ".join(_verdict(scenarios, column) for column in COLUMNS)
        lines.append(f"| {_link(name) if scenarios else name} | {title} | {verdicts} |")
    lines += ["", "Not looked at: there is no scenario for it. Broken (tso): with store buffers only.", ""]
    return "\n".join(lines)


def _link(name):
    return f"[{name}](#{name.lower()})"


def _who_has_it(scenarios):
    """The revisions with a broken scenario, as ranges."""
    having = [any(_broken_memories(each, name) for each in scenarios) for name in REVISIONS]
    ranges, names = [], list(REVISIONS)
    for place, has in enumerate(having):
        if has and (not place or not having[place - 1]):
            ranges.append([names[place], names[place]])
        elif has:
            ranges[-1][1] = names[place]
    texts = [
        first if first == last else f"from {first} on" if last == names[-1] else f"{first} to {last}"
        for first, last in ranges
    ]
    return ", ".join("all revisions" if text == f"from {names[0]} on" else text for text in texts) or "no revision"


# -- claims -----------------------------------------------------------------------------------------------------------


def _claim_section(claim, scenarios):
    lines = ["", f'<a id="{claim.name.lower()}"></a>', "", f"### {claim.name}: {claim.title}", ""]
    lines += [_wrapped(f"**How it shows:** {claim.shows}"), ""]
    memories = [
        memory for memory in MEMORIES if any(memory in _broken_memories(each, n) for each in scenarios for n in NAMES)
    ]
    where = "" if len(memories) != 1 else f", with {MEMORY_NAMES[memories[0]]} only"
    lines += [f"**Who has it:** {_who_has_it(scenarios)}{where}.", ""]
    lines += [_wrapped(f"**What closes it:** {claim.closed_by}"), ""]
    switches = [switch for switch in claim.switches if switch in PROPOSED_CHANGES]
    lines += [_wrapped(f"- `{switch}`: {PROPOSED_CHANGES[switch]}", "  ") for switch in switches]
    lines += [""] if switches else []
    for scenario in scenarios:
        lines += _scenario_part(scenario)
    return "\n".join(lines)


def _refuted_in_part(confirmed, by_claim, *, any_as_a_whole):
    """What of confirmed claims does not happen."""
    lines = ["" if any_as_a_whole else "\nNo claim is refuted as a whole. What does not happen, of those above:\n"]
    for name in confirmed:
        memories = {memory for each in by_claim[name] for column in NAMES for memory in _broken_memories(each, column)}
        if len(memories) == 1:
            (missing,) = set(MEMORIES) - memories
            text = f"{name} on {MEMORY_NAMES[missing]}. None of its scenarios is broken there, in any revision."
            lines.append(_wrapped(f"- {text}", "  "))
        for scenario in by_claim[name]:
            if not _is_ever_broken(scenario):
                text = f"{name}, `{scenario.name}` ({scenario.title}). {scenario.story}"
                lines.append(_wrapped(f"- {text}", "  "))
    return "\n".join(lines) + "\n"


def _scenario_part(scenario):
    lines = [f"#### `{scenario.name}`: {scenario.title}", ""]
    lines += [_wrapped(scenario.story), ""] if scenario.story else []
    if scenario.rules:
        lines += [_wrapped(f"The verdict rests on {_rules(scenario)}."), ""]
    setting = _setting_to_show(scenario)
    if setting is None:
        return [*lines, "Safe in all revisions.", ""]
    found = find_execution(scenario, setting)
    where = f"Driver {setting.revision.name}, {MEMORY_NAMES[setting.memory]}."
    lines += [_wrapped(f"{where} Broken: *{found.what}*."), "", "| steps | thread | |", "| --- | --- | --- |"]
    lines += [f"| {_span(first, last)} | {thread} | {text} |" for first, last, thread, text in found.rows]
    lines += [f"| | {thread} | **{text}, for ever** |" for thread, text in found.waiting]
    return [*lines, "", f"Schedule: `{found.schedule}`", ""]


def _setting_to_show(scenario):
    """The latest revision that has it, on the simpler memory if it is broken there."""
    for name in reversed(NAMES):
        for memory in _broken_memories(scenario, name)[:1]:
            return Setting(revision=revision_named(name), memory=memory)
    return None


def _rules(scenario):
    rules = Setting().rules
    told = [f"`{name}` ({'on' if getattr(rules, name) else 'off'} by default)" for name in scenario.rules]
    return f"the rule{'s' if len(told) > 1 else ''} {' and '.join(told)}"


def _wrapped(text, indent=""):
    return fill(text, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def _span(first, last):
    return str(first) if first == last else f"{first} to {last}"


def _safe_section(scenarios):
    lines = ["", "## Safe", "", "What might be feared and does not happen, in any revision, on either memory.", ""]
    lines += ["| scenario | | why | what would break it |", "| --- | --- | --- | --- |"]
    every = all_scenarios()
    for scenario in scenarios:
        breaks = [f"the rule `{name}` turned over" for name in scenario.rules]
        if scenario.twin:
            twin = every[scenario.twin]
            breaks.append(f"a driver without {twin.leaves_out}" if twin.leaves_out else f"see `{twin.name}`")
        lines.append(f"| `{scenario.name}` | {scenario.title} | {scenario.story} | {'; '.join(breaks)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
