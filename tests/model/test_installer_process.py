"""ProcessWintun: its data, install, uninstall, every failure (spec installer §2, §4, §5)."""

from dataclasses import replace

import pytest

from wintun_model.installer_process import process
from wintun_model.installer_state import (
    STEPS,
    Device,
    DriverCopy,
    Fault,
    Faults,
    Machine,
    RegistryType,
    RegistryValue,
)

INSTALL = "install-abc-100-0.8.1"
RECORDED = {"InstallerHash": "abc", "InstallerBuildtime": "100", "Version": "0.8.1"}


def device(name, **changes):
    return Device(name=name, **{"driver": "0.8", **changes})


def machine(*devices, versions=("0.8",), loaded="0.8", **changes):
    """Some adapters on a driver that is loaded."""
    store = tuple(DriverCopy(f"oem{number}.inf", version) for number, version in enumerate(versions, 1))
    return Machine(driver_store=store, loaded=loaded, devices=devices, **changes)


def perform(state, data=INSTALL, *faults):
    plan = Faults(tuple(fault if isinstance(fault, Fault) else Fault(*fault.split("=")) for fault in faults))
    return process(state, data, carried_version="0.8.1", faults=plan)


def log(result):
    marks = {"ok": "", "warning": "! ", "error": "!! "}
    return [f"{marks[step.outcome]}{step.name} {step.note}".rstrip() for step in result.steps]


def versions(result):
    return [copy.version for copy in result.machine.driver_store]


def values(result):
    return None if result.machine.key is None else {value.name: value.data for value in result.machine.key}


def disabled(result):
    return [one.name for one in result.machine.devices if one.is_disabled]


# -- §2 what the data says --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "note"),
    [("", "no data"), *[(text, "unknown data") for text in ("Install-a-1-2", "install", "install-a-1", "remove", "-")]],
)
def test_empty_or_unknown_data_is_success_and_does_nothing(data, note):
    before = machine(device("a"))
    result = perform(before, data, *STEPS)
    assert (result.error, result.machine, log(result)) == (0, before, [f"nothing {note}"])


def test_install_records_the_three_texts_as_strings():
    result = perform(Machine())
    assert values(result) == RECORDED
    assert {value.type for value in result.machine.key} == {RegistryType.REG_SZ}
    assert result.error == 0


def test_recording_keeps_the_anchor_and_replaces_what_was_there():
    anchor = RegistryValue("", RegistryType.REG_DWORD, 1)
    before = Machine(key=(anchor, RegistryValue("VERSION", RegistryType.REG_DWORD, 7)))
    assert values(perform(before)) == {"": 1, **RECORDED}


def test_a_hash_with_a_separator_records_the_wrong_texts():
    result = perform(Machine(), "install-ab-cd-100-0.8.1")
    assert values(result) == {"InstallerHash": "ab", "InstallerBuildtime": "cd", "Version": "100"}
    assert versions(result) == ["0.8.1"]


def test_empty_fields_are_recorded_empty():
    assert values(perform(Machine(), "install---")) == dict.fromkeys(RECORDED, "")


def test_a_failed_install_records_nothing():
    result = perform(Machine(), INSTALL, "copy-inf")
    assert (result.error, values(result)) == (31, None)


@pytest.mark.parametrize(("name", "kept"), [("InstallerHash", 0), ("InstallerBuildtime", 1), ("Version", 2)])
def test_failing_to_record_fails_though_the_driver_is_in(name, kept):
    result = perform(Machine(), INSTALL, Fault("record", name, error=5))
    assert result.error == 5
    assert versions(result) == ["0.8.1"]
    assert values(result) == (dict(list(RECORDED.items())[:kept]) or None)
    assert log(result)[-1] == f"!! record {name}: failed with error 5"


def test_uninstall_deletes_the_whole_key():
    before = machine(key=(RegistryValue("", RegistryType.REG_DWORD, 1), RegistryValue("x", RegistryType.REG_SZ, "y")))
    result = perform(before, "uninstall")
    assert (result.error, values(result), versions(result)) == (0, None, [])


def test_failing_to_delete_the_key_is_ignored():
    before = machine(key=(RegistryValue("", RegistryType.REG_DWORD, 1),))
    result = perform(before, "uninstall-and-more", "delete-key")
    assert (result.error, result.machine.key, versions(result)) == (0, before.key, [])
    assert log(result)[-1] == "! delete-key failed with error 31"


def test_a_failed_uninstall_keeps_the_key():
    before = machine(key=(RegistryValue("", RegistryType.REG_DWORD, 1),))
    result = perform(before, "uninstall", "remove-copy")
    assert (result.error, result.machine.key) == (31, before.key)


def test_a_step_that_leaves_no_error_gives_install_failed():
    assert perform(Machine(), INSTALL, Fault("copy-inf", error=0)).error == 15609
    assert perform(machine(), "uninstall", Fault("remove-copy", error=0)).error == 15609


# -- §4 install or update ---------------------------------------------------------------------------------------------


def test_the_steps_of_an_update_in_their_order():
    before = machine(device("a", handles=2), device("b"), versions=("0.8", "0.7"), unload_ms=120)
    result = perform(before)
    assert log(result) == [
        "list-devices",
        "force-close a",
        "disable a",
        "force-close b",
        "disable b",
        "unload after 150 ms",
        "remove-copy oem1.inf",
        "remove-copy oem2.inf",
        "copy-inf oem1.inf",
        "update a, b",
        "enable b",
        "enable a",
        "record InstallerHash",
        "record InstallerBuildtime",
        "record Version",
    ]
    after = result.machine
    assert (result.error, versions(result), after.loaded, after.elapsed_ms) == (0, ["0.8.1"], "0.8.1", 2 * 200 + 150)
    assert [(one.handles, one.is_disabled, one.driver) for one in after.devices] == [(0, False, "0.8.1")] * 2


def test_a_list_of_devices_that_cannot_be_opened_fails_at_once():
    before = machine(device("a"))
    result = perform(before, INSTALL, "list-devices")
    assert (result.error, result.machine, log(result)) == (31, before, ["!! list-devices failed with error 31"])
    assert perform(Machine(), INSTALL, "list-devices").error == 31


def test_adapters_are_left_alone_while_the_driver_is_not_loaded():
    result = perform(machine(device("a", is_disabled=True), loaded=None))
    assert log(result)[:3] == ["list-devices", "remove-copy oem1.inf", "copy-inf oem1.inf"]
    assert (disabled(result), result.machine.elapsed_ms) == (["a"], 0)


def test_only_present_running_readable_wintun_adapters_are_disabled_and_come_back():
    others = [
        device("absent", is_present=False),
        device("other", hardware_id="tap0901"),
        device("off", is_disabled=True),
    ]
    result = perform(machine(*others, device("on", hardware_id="WINTUN")))
    assert [line for line in log(result) if line.split()[0] in ("status", "disable", "enable", "update")] == [
        "status off: disabled already, left alone",
        "disable on",
        "update on",
        "enable on",
    ]
    assert disabled(result) == ["off"]
    assert [one.driver for one in result.machine.devices] == ["0.8", "0.8", "0.8", "0.8.1"]


def test_an_adapter_whose_status_is_unreadable_keeps_the_driver_loaded():
    result = perform(machine(device("a", is_status_readable=False, handles=3)))
    assert log(result)[:3] == [
        "list-devices",
        "status a: not readable, left alone",
        "! unload still loaded: a reboot is likely to be needed",
    ]
    after = result.machine
    assert (result.error, after.loaded, after.elapsed_ms, after.device("a").handles) == (0, "0.8", 300 * 50, 3)
    assert versions(result) == ["0.8.1"]


def test_handles_that_stay_open_only_warn_and_the_adapter_is_waited_for_in_any_case():
    result = perform(machine(device("a", handles=2)), INSTALL, "force-close")
    assert log(result)[1:4] == [
        "! force-close a: failed with error 31",
        "! disable a: refused: 2 open handles",
        "! unload still loaded: a reboot is likely to be needed",
    ]
    assert "enable a" not in log(result)
    assert "update a" not in log(result)
    assert (result.error, result.machine.elapsed_ms) == (0, 200 + 300 * 50)
    one = perform(machine(device("a", handles=1)), INSTALL, "force-close")
    assert log(one)[2] == "! disable a: refused: 1 open handle"
    none = perform(machine(device("a")), INSTALL, "force-close")
    assert log(none)[2] == "disable a"


def test_an_adapter_that_cannot_be_disabled_is_warned_about_and_not_remembered():
    result = perform(machine(device("a"), device("b")), INSTALL, Fault("disable", "a", error=170))
    assert "! disable a: failed with error 170" in log(result)
    assert [line for line in log(result) if line.startswith(("update", "enable"))] == ["update b", "enable b"]
    assert result.machine.loaded == "0.8"
    assert [one.driver for one in result.machine.devices] == ["0.8", "0.8.1"]


@pytest.mark.parametrize(
    ("unload_ms", "waited_ms", "is_unloaded"),
    [(0, 0, True), (1, 50, True), (50, 50, True), (51, 100, True), (15000, 15000, True), (15001, 15000, False)],
)
def test_the_wait_for_the_unload_is_polled_and_bounded(unload_ms, waited_ms, is_unloaded):
    result = perform(machine(unload_ms=unload_ms))
    assert result.machine.elapsed_ms == waited_ms
    assert (result.machine.loaded is None) is is_unloaded
    text = f"unload after {waited_ms} ms" if is_unloaded else "! unload still loaded: a reboot is likely to be needed"
    assert log(result)[1] == text


def test_a_driver_that_does_not_unload_goes_on_with_the_old_one_loaded():
    result = perform(machine(device("a")), INSTALL, "unload")
    assert (result.error, versions(result), result.machine.loaded) == (0, ["0.8.1"], "0.8")
    assert result.machine.elapsed_ms == 200 + 15000
    assert not disabled(result)


def test_every_copy_goes_whatever_its_version():
    result = perform(machine(versions=("0.9", "0.8", "0.8.1")))
    assert versions(result) == ["0.8.1"]


def test_all_copies_are_tried_and_any_failure_stops_the_install_with_the_last_error():
    before = machine(device("a"), versions=("0.6", "0.7", "0.8"))
    faults = [Fault("remove-copy", "oem1.inf", error=5), Fault("remove-copy", "oem2.inf", error=32)]
    result = perform(before, INSTALL, *faults)
    assert log(result)[4:] == [
        "!! remove-copy oem1.inf: failed with error 5",
        "!! remove-copy oem2.inf: failed with error 32",
        "remove-copy oem3.inf",
        "enable a",
    ]
    assert (result.error, versions(result), values(result)) == (32, ["0.6", "0.7"], None)
    assert perform(before, INSTALL, faults[0]).error == 5


def test_an_error_of_the_enumeration_only_ends_it():
    before = machine(versions=("0.6", "0.7"))
    result = perform(before, INSTALL, "enumerate-copies=oem2.inf")
    assert log(result)[2:5] == [
        "remove-copy oem1.inf",
        "! enumerate-copies broke off before oem2.inf with error 31",
        "copy-inf oem1.inf",
    ]
    assert (result.error, versions(result)) == (0, ["0.7", "0.8.1"])
    assert [copy.inf for copy in result.machine.driver_store] == ["oem2.inf", "oem1.inf"]
    first = perform(before, INSTALL, "enumerate-copies")
    assert [copy.inf for copy in first.machine.driver_store] == ["oem1.inf", "oem2.inf", "oem3.inf"]
    both = perform(before, INSTALL, "enumerate-copies=oem2.inf", Fault("remove-copy", "oem1.inf", error=5))
    assert both.error == 5


def test_a_failed_copy_after_the_removal_leaves_no_driver():
    result = perform(machine(device("a"), device("b")), INSTALL, Fault("copy-inf", error=2))
    assert log(result)[-4:] == [
        "!! copy-inf oem1.inf: failed with error 2",
        "! update a, b: there is no driver to update to",
        "enable b",
        "enable a",
    ]
    assert (result.error, versions(result), result.machine.loaded) == (2, [], None)
    assert not disabled(result)
    assert [one.driver for one in result.machine.devices] == [None, None]


def test_a_failing_update_only_warns():
    result = perform(machine(device("a")), INSTALL, Fault("update", error=259))
    assert "! update a: failed with error 259" in log(result)
    assert (result.error, versions(result), result.machine.loaded) == (0, ["0.8.1"], "0.8")
    assert values(result) == RECORDED


def test_a_failing_enable_only_warns():
    result = perform(machine(device("a"), device("b")), INSTALL, "enable=b")
    assert log(result)[-5:-3] == ["! enable b: failed with error 31", "enable a"]
    assert (result.error, disabled(result), values(result)) == (0, ["b"], RECORDED)


# -- §5 uninstall -----------------------------------------------------------------------------------------------------


def test_the_steps_of_an_uninstall_in_their_order():
    devices = [
        device("a", handles=1),
        device("gone", is_present=False),
        device("off", is_disabled=True),
        device("blind", is_status_readable=False),
        device("other", hardware_id="tap0901"),
    ]
    result = perform(machine(*devices, versions=("0.8", "0.7"), unload_ms=10**6), "uninstall")
    assert log(result) == [
        "list-devices",
        "force-close a",
        "remove a",
        "force-close off",
        "remove off",
        "force-close blind",
        "remove blind",
        "unload by itself",
        "remove-copy oem1.inf",
        "remove-copy oem2.inf",
        "delete-key",
    ]
    assert (result.error, versions(result), result.machine.loaded) == (0, [], None)
    assert [one.name for one in result.machine.devices] == ["gone", "other"]
    assert result.machine.elapsed_ms == 3 * 200


def test_uninstalling_does_not_look_whether_the_driver_is_loaded():
    result = perform(machine(device("a", is_disabled=True), loaded=None), "uninstall")
    assert log(result) == ["list-devices", "force-close a", "remove a", "remove-copy oem1.inf", "delete-key"]


def test_failures_at_adapters_only_warn_when_uninstalling():
    before = machine(device("a", handles=1), device("b"))
    result = perform(before, "uninstall", "force-close=a", Fault("remove", "b", error=5))
    assert log(result)[1:6] == [
        "! force-close a: failed with error 31",
        "! remove a: refused: 1 open handle",
        "force-close b",
        "! remove b: failed with error 5",
        "remove-copy oem1.inf",
    ]
    assert (result.error, versions(result), result.machine.loaded) == (0, [], "0.8")
    assert [one.name for one in result.machine.devices] == ["a", "b"]
    assert result.machine.elapsed_ms == 400


def test_uninstalling_goes_on_without_the_list_of_devices():
    result = perform(machine(device("a")), "uninstall", "list-devices")
    assert log(result) == ["! list-devices failed with error 31", "remove-copy oem1.inf", "delete-key"]
    assert (result.error, [one.name for one in result.machine.devices]) == (0, ["a"])


def test_the_driver_may_stay_loaded_after_an_uninstall():
    result = perform(machine(device("a")), "uninstall", "unload")
    assert (result.error, result.machine.loaded) == (0, "0.8")


def test_success_of_an_uninstall_is_that_of_the_driver_store():
    before = machine(device("a"), versions=("0.8", "0.7"))
    result = perform(before, "uninstall", Fault("remove-copy", "oem2.inf", error=32))
    assert (result.error, versions(result), result.machine.devices) == (32, ["0.7"], ())
    assert perform(before, "uninstall", "enumerate-copies").error == 0


# -- faults and states ------------------------------------------------------------------------------------------------


def test_a_fault_may_be_limited_to_a_session():
    plan = Faults((Fault("copy-inf", session="removal"),))
    here = process(Machine(), INSTALL, carried_version="1", faults=plan, session="minor")
    there = process(Machine(), INSTALL, carried_version="1", faults=plan, session="removal")
    assert (here.error, there.error) == (0, 31)


def test_without_a_plan_nothing_fails():
    assert process(machine(device("a")), INSTALL, carried_version="0.8.1").error == 0


def test_every_step_carries_the_state_after_it():
    result = perform(machine(device("a")))
    by_name = {step.name: step.machine for step in result.steps}
    assert by_name["disable"].device("a").is_disabled
    assert by_name["disable"].loaded == "0.8"
    assert by_name["unload"].loaded is None
    assert by_name["remove-copy"].driver_store == ()
    assert by_name["copy-inf"].driver_store == (DriverCopy("oem1.inf", "0.8.1"),)
    assert by_name["enable"].loaded == "0.8.1"
    assert by_name["record"] == result.machine


def test_the_machine_before_is_not_changed():
    before = machine(device("a", handles=1))
    copy = replace(before)
    perform(before)
    perform(before, "uninstall")
    assert before == copy


def test_removing_the_last_value_takes_the_key_along():
    one = Machine(key=(RegistryValue("", RegistryType.REG_DWORD, 1),))
    assert one.without_value("").key is None
    assert one.without_value("Version") == one
    assert Machine().without_value("") == Machine()
