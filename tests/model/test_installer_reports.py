"""Whole reports of the installer, as a person reads them: every action in its place, with its outcome and its words."""

from wintun_model.installer import run
from wintun_model.installer_evaluate import Module
from wintun_model.installer_scenario import Kind, Scenario
from wintun_model.installer_state import Fault, Faults, Machine

OLD, NEW = Module("abc", "100", "0.8"), Module("def", "200", "0.8.1")

COSTING = """\
{0} sequence: CostInitialize ok
{0} sequence: FileCost ok
"""
WRITING = """\
{0} sequence: ProcessComponents ok: written to the script
{0} sequence: RemoveRegistryValues ok: written to the script
{0} sequence: RemoveFiles ok: written to the script
{0} sequence: InstallFiles ok: written to the script
"""
WRITING_ON = """\
{0} sequence: ProcessWintun ok: written to the script
{0} sequence: WriteRegistryValues ok: written to the script
{0} sequence: PublishProduct ok: written to the script
{0} sequence: InstallFinalize ok: runs the script
"""
REMOVAL_SCRIPT = """\
removal script: ProcessComponents ok: old lets the component go
removal script: RemoveRegistryValues ok: the anchor's value goes
removal script: RemoveFiles ok
removal script: InstallFiles ok
removal script: ProcessWintun/list-devices ok
removal script: ProcessWintun/force-close ok: Wintun
removal script: ProcessWintun/remove ok: Wintun
removal script: ProcessWintun/unload ok: by itself
removal script: ProcessWintun/remove-copy ok: oem1.inf
removal script: ProcessWintun/delete-key ok
removal script: ProcessWintun ok: succeeded
removal script: WriteRegistryValues ok
removal script: PublishProduct ok
removal sequence: InstallFinalize ok: ends the transaction
"""

UPGRADE_0_8_1 = f"""\
{COSTING.format("major")}\
major sequence: CostFinalize ok: component absent, asked: local
major sequence: InstallValidate ok
major sequence: RemoveExistingProducts ok: starts the removal of the old product
{COSTING.format("removal")}\
removal sequence: CostFinalize ok: component local, asked: absent
removal sequence: InstallValidate ok
removal sequence: InstallInitialize ok
{WRITING.format("removal")}\
removal sequence: EvaluateWintun ok: uninstall (the component goes); rollback disabled
{WRITING_ON.format("removal")}\
{REMOVAL_SCRIPT}\
major sequence: RemoveExistingProducts ok: ended
major sequence: InstallInitialize ok
{WRITING.format("major")}\
major sequence: EvaluateWintun ok: install (nothing is recorded); rollback disabled
{WRITING_ON.format("major")}\
major script: ProcessComponents ok: new holds the component
major script: RemoveRegistryValues ok
major script: RemoveFiles ok
major script: InstallFiles ok
major script: ProcessWintun/list-devices ok
major script: ProcessWintun/copy-inf ok: oem1.inf
major script: ProcessWintun/record ok: InstallerHash
major script: ProcessWintun/record ok: InstallerBuildtime
major script: ProcessWintun/record ok: Version
major script: ProcessWintun ok: succeeded
major script: WriteRegistryValues ok: the anchor's value is set
major script: PublishProduct ok
major sequence: InstallFinalize ok: ends the transaction
"""

# 0.8 evaluates early and once, so the new product installs no driver; and its rollback is on when its script fails.
FAILED_UPGRADE_0_8 = f"""\
{COSTING.format("major")}\
major sequence: CostFinalize ok: component absent, asked: local
major sequence: EvaluateWintun skipped: 0.8 runs it once in a major upgrade: in the removal
major sequence: InstallValidate ok
major sequence: RemoveExistingProducts ok: starts the removal of the old product
{COSTING.format("removal")}\
removal sequence: CostFinalize ok: component local, asked: absent
removal sequence: EvaluateWintun ok: uninstall (the component goes); rollback disabled
removal sequence: InstallValidate ok
removal sequence: InstallInitialize ok
{WRITING.format("removal")}\
{WRITING_ON.format("removal")}\
{REMOVAL_SCRIPT}\
major sequence: RemoveExistingProducts ok: ended
major sequence: InstallInitialize ok
{WRITING.format("major")}\
{WRITING_ON.format("major")}\
major script: ProcessComponents ok: new holds the component
major script: RemoveRegistryValues ok
major script: RemoveFiles ok
major script: InstallFiles ok
major script: ProcessWintun/nothing ok: no data
major script: ProcessWintun ok: succeeded
major script: WriteRegistryValues ok: the anchor's value is set
major script: PublishProduct error: failed with error 31
major rollback: WriteRegistryValues ok: undone
major rollback: ProcessComponents ok: undone
"""

UNREADABLE = f"""\
{COSTING.format("minor")}\
minor sequence: CostFinalize ok: component local, asked: local
minor sequence: InstallValidate ok
minor sequence: InstallInitialize ok
{WRITING.format("minor")}\
minor sequence: EvaluateWintun error: error 1607: the anchor component is not in the package
minor rollback: Rollback warning: nothing is undone
"""


def told(report):
    """A report as lines of text."""
    return "".join(
        f"{event.session} {event.phase}: {event.action}{'/' if event.step else ''}{event.step} {event.outcome}"
        f"{': ' if event.note else ''}{event.note}\n"
        for event in report.events
    )


def test_a_major_upgrade_of_0_8_1():
    assert told(run(Scenario(kind=Kind.MAJOR, new=NEW, installed=OLD))) == UPGRADE_0_8_1


def test_a_major_upgrade_of_0_8_that_fails_at_its_end():
    plan = Faults((Fault("action", "PublishProduct", "major"),))
    report = run(Scenario(kind=Kind.MAJOR, new=NEW, installed=OLD, revision="0.8", faults=plan))
    assert told(report) == FAILED_UPGRADE_0_8


def test_an_evaluation_that_fails():
    plan = Faults((Fault("find-component"),))
    assert told(run(Scenario(kind=Kind.MINOR, new=NEW, installed=OLD, faults=plan))) == UNREADABLE


def test_nothing_to_do_is_said():
    report = run(Scenario(kind=Kind.INSTALL, new=OLD, installed=OLD))
    assert "EvaluateWintun ok: nothing to do (the same installer hash); rollback disabled\n" in told(report)


def test_every_event_has_the_machine_after_it():
    report = run(Scenario(kind=Kind.MAJOR, new=NEW, installed=OLD))
    assert all(isinstance(event.machine, Machine) for event in report.events)
    steps = {(event.session, event.step): event.machine for event in report.events}
    assert steps["removal", "remove"].devices == ()
    assert steps["removal", "remove-copy"].driver_store == ()
    assert steps["removal", "delete-key"].key is None
    assert [copy.version for copy in steps["major", "copy-inf"].driver_store] == ["0.8.1"]


def test_a_fault_of_one_session_spares_the_other():
    """Both sessions open the list of devices; for the removal a failure only warns."""
    for session, outcomes in (("major", ["ok", "error"]), ("removal", ["warning", "ok"])):
        plan = Faults((Fault("list-devices", session=session),))
        report = run(Scenario(kind=Kind.MAJOR, new=NEW, installed=OLD, faults=plan))
        assert [event.outcome for event in report.events if event.step == "list-devices"] == outcomes
