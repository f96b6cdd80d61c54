"""Sessions of the installer: where the actions run, what each session sees, what comes of it (spec installer §3)."""

from dataclasses import replace
from itertools import product

import pytest

from wintun_model.installer import run
from wintun_model.installer_evaluate import Module
from wintun_model.installer_scenario import ANCHOR, INSTALLER_REVISIONS, Kind, Position, Scenario, start_of
from wintun_model.installer_state import Fault, Faults, Machine, RegistryType, RegistryValue

OLD = Module("abc", "100", "0.8")
NEW = Module("def", "200", "0.8.1")
KEPT, REPLACED, GONE = "kept", "replaced", "gone"
EARLY, LATE = (Position.VALIDATE, Position.INITIALIZE), (Position.EXECUTE, Position.FINALIZE)

BEFORE_SCRIPT = ["CostInitialize", "FileCost", "CostFinalize", "InstallValidate", "InstallInitialize"]
SCRIPT = [
    "ProcessComponents",
    "RemoveRegistryValues",
    "RemoveFiles",
    "InstallFiles",
    "ProcessWintun",
    "WriteRegistryValues",
    "PublishProduct",
]


def major(revision="0.8.1", position=Position.VALIDATE, *faults, **changes):
    plan = Faults(tuple(faults))
    fields = {"kind": Kind.MAJOR, "new": NEW, "installed": OLD, "revision": revision, "position": position}
    return run(Scenario(**{**fields, "faults": plan, **changes}))


def actions(report, session=None, phase="sequence"):
    """Names of the actions of one session, each once, in order."""
    names = []
    for event in report.events:
        if event.session == (session or event.session) and event.phase == phase and names[-1:] != [event.action]:
            names.append(event.action)
    return names


def find(report, session, action, phase="sequence", step=""):
    return [
        event for event in report.events_of(session) if (event.action, event.phase, event.step) == (action, phase, step)
    ]


def versions(machine):
    return [copy.version for copy in machine.driver_store]


def values(machine):
    return None if machine.key is None else {value.name: value.data for value in machine.key}


def recorded(module, *, anchor=True):
    texts = {"InstallerHash": module.hash, "InstallerBuildtime": module.build_time, "Version": module.version}
    return {**({"": 1} if anchor else {}), **texts}


# -- where things stand in the sequence -------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [Kind.INSTALL, Kind.REINSTALL, Kind.MINOR, Kind.UNINSTALL])
def test_all_but_a_major_upgrade_is_one_session(kind):
    report = run(Scenario(kind=kind, new=NEW, installed=OLD))
    assert [(one.name, one.product, one.parent, one.error) for one in report.sessions] == [
        (kind.value, "product", "", 0)
    ]
    before = BEFORE_SCRIPT + SCRIPT[:4] + ["EvaluateWintun"] + SCRIPT[4:] + ["InstallFinalize"]
    assert actions(report) == before
    assert actions(report, phase="script") == SCRIPT


def test_revision_0_8_evaluates_right_after_costing():
    report = run(Scenario(kind=Kind.MINOR, new=NEW, installed=OLD, revision="0.8"))
    first, rest = BEFORE_SCRIPT[:3], BEFORE_SCRIPT[3:]
    assert actions(report) == [*first, "EvaluateWintun", *rest, *SCRIPT, "InstallFinalize"]


@pytest.mark.parametrize("position", Position)
@pytest.mark.parametrize("revision", INSTALLER_REVISIONS)
def test_a_major_upgrade_is_two_sessions_nested(revision, position):
    report = major(revision, position)
    assert [(one.name, one.product, one.parent, one.error) for one in report.sessions] == [
        ("major", "new", "", 0),
        ("removal", "old", "major", 0),
    ]
    outer = [name for name in actions(report, "major") if name != "EvaluateWintun"]
    if position in EARLY:
        place = BEFORE_SCRIPT.index(position) + 1
        expected = [*BEFORE_SCRIPT[:place], "RemoveExistingProducts", *BEFORE_SCRIPT[place:], *SCRIPT]
        expected += ["InstallFinalize"]
    elif position is Position.EXECUTE:
        expected = [*BEFORE_SCRIPT, *SCRIPT, "InstallExecute", "RemoveExistingProducts", "InstallFinalize"]
    else:
        expected = [*BEFORE_SCRIPT, *SCRIPT, "InstallFinalize", "RemoveExistingProducts"]
    assert outer == expected
    # The removal is a full session, all of it between the two notes of RemoveExistingProducts.
    inner = [name for name in actions(report, "removal") if name != "EvaluateWintun"]
    assert inner == [*BEFORE_SCRIPT, *SCRIPT, "InstallFinalize"]
    places = [number for number, event in enumerate(report.events) if event.action == "RemoveExistingProducts"]
    assert {event.session for event in report.events[places[0] + 1 : places[1]]} == {"removal"}
    assert len(report.events_of("removal")) == places[1] - places[0] - 1


@pytest.mark.parametrize("position", Position)
def test_0_8_evaluates_once_in_a_major_upgrade_and_0_8_1_in_each_session(position):
    outcomes = {
        revision: [(e.session, e.outcome) for e in major(revision, position).events if e.action == "EvaluateWintun"]
        for revision in INSTALLER_REVISIONS
    }
    assert sorted(outcomes["0.8"]) == [("major", "skipped"), ("removal", "ok")]
    assert sorted(outcomes["0.8.1"]) == [("major", "ok"), ("removal", "ok")]


@pytest.mark.parametrize("session", ["major", "removal"])
def test_0_8_1_evaluates_just_before_the_deferred_action(session):
    names = actions(major(), session)
    place = names.index("EvaluateWintun")
    assert names[place - 1 : place + 2] == ["InstallFiles", "EvaluateWintun", "ProcessWintun"]


def test_the_deferred_action_acts_when_the_script_runs():
    report = run(Scenario(kind=Kind.MINOR, new=NEW, installed=OLD))
    runs = [event.note for event in find(report, "minor", "InstallFinalize")]
    assert runs == ["runs the script", "ends the transaction"]
    first = report.events.index(find(report, "minor", "InstallFinalize")[0])
    assert {event.machine for event in report.events[: first + 1]} == {report.start}
    assert {event.phase for event in report.events[first + 1 : -1]} == {"script"}
    assert report.events[-1].machine == report.end


def test_install_execute_runs_the_script_before_the_old_product_goes():
    report = major("0.8.1", Position.EXECUTE)
    [execute] = find(report, "major", "InstallExecute")
    assert (execute.note, execute.machine) == ("runs the script", report.start)
    started = find(report, "major", "RemoveExistingProducts")[0]
    assert (versions(started.machine), started.machine.clients) == (["0.8.1"], ("old", "new"))
    # Nothing is left for InstallFinalize.
    finalize = report.events.index(find(report, "major", "InstallFinalize")[0])
    assert [event.action for event in report.events[finalize:]] == ["InstallFinalize", "InstallFinalize"]


def test_evaluation_reads_the_registry_at_its_own_place():
    early = find(major("0.8.1", Position.INITIALIZE), "major", "EvaluateWintun")
    assert [event.note for event in early] == ["install (nothing is recorded); rollback disabled"]
    late = find(major("0.8.1", Position.EXECUTE), "major", "EvaluateWintun")
    assert [event.note for event in late] == ["install (not older, and another installer hash); rollback disabled"]


# -- what each session sees -------------------------------------------------------------------------------------------


def costs(report):
    return {event.session: event.note for event in report.events if event.action == "CostFinalize"}


def test_the_component_is_seen_from_the_session_s_own_product():
    assert costs(major()) == {
        "major": "component absent, asked: local",
        "removal": "component local, asked: absent",
    }
    for kind in (Kind.MINOR, Kind.REINSTALL):
        assert costs(run(Scenario(kind=kind, new=NEW, installed=OLD)))[kind] == "component local, asked: local"


def test_a_component_that_others_hold_is_not_asked_to_go():
    notes = {position: costs(major(position=position))["removal"] for position in LATE}
    assert set(notes.values()) == {"component local, asked: nothing: new still holds it"}
    shared = run(Scenario(kind=Kind.UNINSTALL, installed=OLD, other_products=2))
    assert costs(shared) == {"uninstall": "component local, asked: nothing: other1, other2 still hold it"}
    assert (versions(shared.end), values(shared.end)) == (["0.8"], recorded(OLD))


def test_uninstalling_what_does_not_hold_the_component_asks_nothing():
    report = run(Scenario(kind=Kind.UNINSTALL, installed=OLD, start=Machine()))
    assert costs(report) == {"uninstall": "component absent, asked: nothing"}
    assert (report.end, report.error) == (Machine(), 0)


# -- all combinations against the rules, written as a table -----------------------------------------------------------

# The new module against 0.8 / 100 / abc: what a product that has it already does with it (reinstalling), and what one
# that comes new does.
NEWCOMERS = {
    "all newer": (Module("def", "200", "0.8.1"), REPLACED, REPLACED),
    "later build": (Module("def", "200", "0.8"), REPLACED, REPLACED),
    "other hash only": (Module("ABC", "100", "0.8"), REPLACED, REPLACED),
    "the very same": (Module("abc", "100", "0.8"), REPLACED, KEPT),
    "same hash, later": (Module("abc", "200", "0.8.1"), REPLACED, KEPT),
    "lower version": (Module("def", "200", "0.7"), KEPT, KEPT),
    "earlier build": (Module("def", "50", "0.8.1"), KEPT, KEPT),
    "undefined": (Module(), KEPT, KEPT),
    "unreadable": (Module("x" * 256, "200", "0.8.1"), KEPT, KEPT),
}

# kind, RemoveExistingProducts, others hold the component, 0.8 or 0.8.1 -> what becomes of an installed Wintun; a
# number: the column of NEWCOMERS that says it.
ALREADY, FRESH = 1, 2
RULES = {
    (Kind.INSTALL, None, False): (FRESH, FRESH),
    (Kind.INSTALL, None, True): (FRESH, FRESH),
    (Kind.REINSTALL, None, False): (ALREADY, ALREADY),
    (Kind.REINSTALL, None, True): (ALREADY, ALREADY),
    (Kind.MINOR, None, False): (ALREADY, ALREADY),
    (Kind.MINOR, None, True): (ALREADY, ALREADY),
    (Kind.UNINSTALL, None, False): (GONE, GONE),
    (Kind.UNINSTALL, None, True): (KEPT, KEPT),
    (Kind.MAJOR, Position.VALIDATE, False): (GONE, "afresh"),
    (Kind.MAJOR, Position.VALIDATE, True): (KEPT, FRESH),
    (Kind.MAJOR, Position.INITIALIZE, False): (GONE, "afresh"),
    (Kind.MAJOR, Position.INITIALIZE, True): (KEPT, FRESH),
    (Kind.MAJOR, Position.EXECUTE, False): (KEPT, FRESH),
    (Kind.MAJOR, Position.EXECUTE, True): (KEPT, FRESH),
    (Kind.MAJOR, Position.FINALIZE, False): (KEPT, FRESH),
    (Kind.MAJOR, Position.FINALIZE, True): (KEPT, FRESH),
}
HOLDERS = {
    Kind.INSTALL: ((), ("product",)),
    Kind.REINSTALL: (("product",), ("product",)),
    Kind.MINOR: (("product",), ("product",)),
    Kind.UNINSTALL: (("product",), ()),
    Kind.MAJOR: (("old",), ("new",)),
}


def expectation(rule, newcomer, is_there):
    """What stays: the version in the driver store (or none), by the tables."""
    module, already, fresh = NEWCOMERS[newcomer]
    outcome = {ALREADY: already, FRESH: fresh}.get(rule, rule)
    if rule in (ALREADY, FRESH, "afresh") and (not is_there or rule == "afresh"):
        # Nothing recorded: everything that can be read is newer.
        outcome = KEPT if newcomer == "unreadable" else REPLACED
        is_there = is_there and rule != "afresh"
    if outcome == REPLACED:
        return module
    return OLD if outcome == KEPT and is_there else None


@pytest.mark.parametrize(("kind", "position", "is_shared"), RULES)
def test_every_combination_comes_out_as_the_rules_say(kind, position, is_shared):
    held_before, held_after = HOLDERS[kind]
    others = ("other1",) if is_shared else ()
    for (column, revision), newcomer, is_there in product(enumerate(INSTALLER_REVISIONS), NEWCOMERS, (True, False)):
        for old_revision in INSTALLER_REVISIONS if kind is Kind.MAJOR else ("",):
            scenario = Scenario(
                kind=kind,
                new=NEWCOMERS[newcomer][0],
                installed=OLD if is_there else None,
                position=position or Position.VALIDATE,
                other_products=len(others),
                revision=revision,
                old_revision=old_revision,
            )
            report = run(scenario)
            expected = expectation(RULES[kind, position, is_shared][column], newcomer, is_there)
            after = report.end
            assert report.error == 0
            assert report.start.clients == held_before + others
            assert sorted(after.clients) == sorted(held_after + others)
            assert versions(after) == ([expected.version or ""] if expected else []), scenario
            texts = {name: text or "" for name, text in recorded(expected).items() if name} if expected else {}
            anchor = {"": 1} if after.clients else {}
            assert (values(after) or {}) == {**anchor, **texts}, scenario


def test_the_published_case():
    """After a major upgrade 0.8 leaves Wintun uninstalled, 0.8.1 does not."""
    for position in EARLY:
        gone, there = (major(revision, position) for revision in INSTALLER_REVISIONS)
        assert (gone.error, gone.end.is_wintun_installed, gone.end.loaded, gone.end.devices) == (0, False, None, ())
        assert (there.error, versions(there.end), values(there.end)) == (0, ["0.8.1"], recorded(NEW))
    assert find(major("0.8"), "removal", "EvaluateWintun")[0].note == (
        "uninstall (the component goes); rollback disabled"
    )
    assert find(major("0.8"), "major", "ProcessWintun", "script", "nothing")[0].note == "no data"


def test_a_new_product_of_0_8_1_mends_the_upgrade_from_0_8():
    assert versions(major("0.8.1", old_revision="0.8").end) == ["0.8.1"]
    assert versions(major("0.8", old_revision="0.8.1").end) == []


def test_a_reinstallation_mends_what_the_upgrade_left():
    left = major("0.8").end
    start = replace(left, clients=("product",))
    report = run(Scenario(kind=Kind.REINSTALL, new=NEW, start=start, revision="0.8"))
    assert (versions(report.end), values(report.end)) == (["0.8.1"], recorded(NEW))


@pytest.mark.parametrize("kind", [Kind.INSTALL, Kind.REINSTALL, Kind.MINOR, Kind.UNINSTALL])
@pytest.mark.parametrize("others", [0, 1])
def test_single_sessions_come_out_the_same_in_both_revisions(kind, others):
    reports = [
        run(Scenario(kind=kind, new=NEW, installed=OLD, other_products=others, revision=revision))
        for revision in INSTALLER_REVISIONS
    ]
    scripts = [[event for event in report.events if event.phase == "script"] for report in reports]
    assert scripts[0] == scripts[1]
    assert reports[0].end == reports[1].end


def test_the_same_scenario_has_the_same_answer():
    assert major() == major()


# -- the state around the actions -------------------------------------------------------------------------------------


def test_the_machine_before():
    assert start_of(Scenario(kind=Kind.INSTALL)) == Machine()
    assert start_of(Scenario(kind=Kind.MINOR)) == Machine(key=(ANCHOR,), clients=("product",))
    shared = start_of(Scenario(kind=Kind.INSTALL, installed=OLD, other_products=2))
    assert shared.clients == ("other1", "other2")
    assert (versions(shared), shared.loaded, values(shared)) == (["0.8"], "0.8", recorded(OLD))
    assert [(one.name, one.handles, one.driver) for one in shared.devices] == [("Wintun", 1, "0.8")]
    left_over = start_of(Scenario(kind=Kind.INSTALL, installed=OLD))
    assert (left_over.clients, values(left_over)) == ((), recorded(OLD, anchor=False))


def test_standard_actions_keep_the_anchor_s_value_and_its_holders():
    def notes(kind, **changes):
        report = run(Scenario(kind=kind, new=NEW, installed=OLD, **changes))
        names = ("ProcessComponents", "RemoveRegistryValues", "WriteRegistryValues")
        return [find(report, kind, name, "script")[0].note for name in names]

    assert notes(Kind.INSTALL) == ["product holds the component", "", "the anchor's value is set"]
    assert notes(Kind.MINOR) == ["", "", "the anchor's value is set"]
    assert notes(Kind.UNINSTALL) == ["product lets the component go", "the anchor's value goes", ""]
    assert notes(Kind.UNINSTALL, other_products=1) == ["product lets the component go", "", ""]


def test_the_anchor_s_value_is_a_dword_of_1():
    report = run(Scenario(kind=Kind.INSTALL, new=NEW))
    assert report.end.value("") == RegistryValue("", RegistryType.REG_DWORD, 1)


def test_the_driver_that_is_put_in_is_the_module_s():
    report = run(Scenario(kind=Kind.INSTALL, new=Module("a-b", "1", "0.9")))
    assert versions(report.end) == ["0.9"]
    assert values(report.end)["Version"] == "1"


# -- failures ---------------------------------------------------------------------------------------------------------


def failures(report):
    return [
        (event.session, event.action, event.step, event.note) for event in report.events if event.outcome == "error"
    ]


@pytest.mark.parametrize(
    ("step", "note"),
    [
        ("find-component", "error 1607: the anchor component is not in the package"),
        ("read-component", "error 1609: the component's state is not readable"),
    ],
)
@pytest.mark.parametrize("revision", INSTALLER_REVISIONS)
def test_an_evaluation_that_fails_ends_the_session_before_anything_is_done(revision, step, note):
    plan = Faults((Fault(step),))
    report = run(Scenario(kind=Kind.MINOR, new=NEW, installed=OLD, revision=revision, faults=plan))
    assert failures(report) == [("minor", "EvaluateWintun", "", note)]
    assert (report.error, report.end) == (1603, report.start)
    assert (report.events[-1].action, report.events[-1].note) == ("Rollback", "nothing is undone")


@pytest.mark.parametrize("step", ["find-component", "read-component"])
def test_faults_of_an_evaluation_may_be_limited_to_a_session(step):
    report = major("0.8.1", Position.FINALIZE, Fault(step, session="removal"))
    assert [(one.name, one.error) for one in report.sessions] == [("major", 1603), ("removal", 1603)]
    report = major("0.8.1", Position.VALIDATE, Fault(step, session="major"))
    assert [(one.name, one.error) for one in report.sessions] == [("major", 1603), ("removal", 0)]
    # The removal is not undone: its rollback was disabled, and the driver has no way back.
    assert (versions(report.end), values(report.end)) == ([], None)


def test_a_deferred_action_that_fails_ends_the_session_and_nothing_is_undone():
    plan = Faults((Fault("copy-inf", error=5),))
    report = run(Scenario(kind=Kind.INSTALL, new=NEW, faults=plan))
    assert failures(report) == [
        ("install", "ProcessWintun", "copy-inf", "oem1.inf: failed with error 5"),
        ("install", "ProcessWintun", "", "failed with error 5"),
    ]
    assert (report.error, report.end.clients) == (1603, ("product",))
    assert "WriteRegistryValues" not in actions(report, phase="script")


@pytest.mark.parametrize("position", Position)
def test_a_removal_that_fails_fails_the_upgrade(position):
    report = major("0.8.1", position, Fault("action", "InstallFiles", "removal", error=112))
    assert ("removal", "InstallFiles", "", "failed with error 112") in failures(report)
    assert failures(report)[-1] == ("major", "RemoveExistingProducts", "", "the removal failed with error 1603")
    assert [one.error for one in report.sessions] == [1603, 1603]
    assert versions(report.end) == (["0.8"] if position in EARLY else ["0.8.1"])


def undone(report):
    return [(event.session, event.action) for event in report.events if event.phase == "rollback"]


def test_what_0_8_leaves_undisabled_is_rolled_back_latest_first():
    report = major("0.8", Position.VALIDATE, Fault("action", "PublishProduct", "major"))
    assert undone(report) == [("major", "WriteRegistryValues"), ("major", "ProcessComponents")]
    steps = [event.machine for event in report.events if event.phase == "rollback"]
    assert [(machine.key, machine.clients) for machine in steps] == [(None, ("new",)), (None, ())]
    assert {event.note for event in report.events if event.phase == "rollback"} == {"undone"}
    # The driver and its record went with the removal, whose rollback was disabled.
    assert (report.error, versions(report.end), report.end.clients) == (1603, [], ())


def test_a_rollback_restores_another_anchor_value():
    odd = RegistryValue("", RegistryType.REG_SZ, "odd")
    start = Machine(key=(odd,), clients=("old", "other"))
    report = major("0.8", Position.FINALIZE, Fault("action", "PublishProduct"), start=start)
    assert report.end == start
    assert undone(report) == [("major", "WriteRegistryValues"), ("major", "ProcessComponents")]


def test_0_8_1_has_disabled_rollback_by_then():
    report = major("0.8.1", Position.VALIDATE, Fault("action", "PublishProduct", "major"))
    assert undone(report) == [("major", "Rollback")]
    assert (report.error, versions(report.end), report.end.clients) == (1603, ["0.8.1"], ("new",))


def test_after_the_transaction_nothing_is_rolled_back():
    report = major("0.8", Position.FINALIZE, Fault("action", "CostInitialize", "removal"))
    assert undone(report) == [("removal", "Rollback"), ("major", "Rollback")]
    assert (report.error, report.end.clients) == (1603, ("old", "new"))
    inside = major("0.8", Position.EXECUTE, Fault("action", "CostInitialize", "removal"))
    assert undone(inside) == [("removal", "Rollback"), ("major", "ProcessComponents")]
    assert inside.end == inside.start


@pytest.mark.parametrize("action", ["CostInitialize", "CostFinalize", "EvaluateWintun", "InstallFinalize"])
def test_an_action_that_fails_in_the_sequence_ends_the_session_there(action):
    plan = Faults((Fault("action", action, error=0),))
    report = run(Scenario(kind=Kind.UNINSTALL, installed=OLD, faults=plan))
    assert failures(report) == [("uninstall", action, "", "failed with error 1603")]
    assert (report.error, report.end) == (1603, report.start)
    assert actions(report)[-1] == action


def test_a_scripted_action_that_fails_does_so_when_the_script_runs():
    plan = Faults((Fault("action", "ProcessWintun", error=0),))
    report = run(Scenario(kind=Kind.UNINSTALL, installed=OLD, faults=plan))
    [event] = [event for event in report.events if event.outcome == "error"]
    assert (event.action, event.phase, event.note) == ("ProcessWintun", "script", "failed with error 1603")
    assert versions(report.end) == ["0.8"]


def test_a_warning_does_not_fail_a_session():
    report = major("0.8.1", Position.FINALIZE, Fault("enable"))
    assert report.error == 0
    assert [event.step for event in report.events if event.outcome == "warning"] == ["enable"]
    assert report.end.devices[0].is_disabled
