"""What installer vectors ask (spec installer §1-§5), systematically."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from typing import Any

from wintun_model.installer_evaluate import Module
from wintun_model.installer_scenario import ANCHOR, Kind, Position, Scenario, start_of
from wintun_model.installer_state import (
    VALUE_NAMES,
    Device,
    DriverCopy,
    Fault,
    InstallState,
    Machine,
    RegistryType,
    RegistryValue,
)
from wintunsim.conformance.installer_notation import fault_fields, machine_fields, module_fields
from wintunsim.conformance.records import Case, Flags

EMPTY = Machine()
OLD, NEW = Module("abc", "100", "0.8"), Module("def", "200", "0.8.1")
_VERSIONS = ("", "0", "0.8", "0.8.1", "0.8.1.0", "0.10", "1", "1.2.3.4", "1.2.3.4.5", "65535.65535.65535.65535")
_BAD_VERSIONS = (
    "0.65536",
    "65536",
    "0.0.0.65536",
    "1.x",
    "x.1",
    " 1.2",
    "1 .2",
    "-1",
    "0.-1",
    "4294967296",
    "+1.+2",
    "1..2",
)
_TIMES = ("", "0", "1", "100", "0100", " 100", "+100", "-100", "- 100", "100x", "x100", "1e3", "9223372036854775807")
_BAD_TIMES = ("9223372036854775808", "-9223372036854775808", "-9223372036854775809", "99999999999999999999999")


def cases() -> Iterator[Case]:
    """All cases."""
    yield from _numbers()
    yield from _predicates()
    yield from _newer()
    yield from _unreadable()
    yield from _process()
    yield from _scenarios()


def _numbers() -> Iterator[Case]:
    for number, text in enumerate((*_VERSIONS, *_BAD_VERSIONS)):
        flags: Flags = ("model-choice",) if text in _BAD_VERSIONS[3:] else ()
        comment = "four fields, missing ones 0, OR-ed at bits 48, 32, 16 and 0 without masking"
        yield Case("installer §2", f"version-{number}", "version", comment, {"text": text}, flags)
    for number, text in enumerate((*_TIMES, *_BAD_TIMES)):
        flags = ("model-choice",) if not text.isdigit() or text in _BAD_TIMES else ()
        comment = "decimal signed 64-bit"
        yield Case("installer §2", f"build-time-{number}", "build-time", comment, {"text": text}, flags)


def recorded(module: Module, **types: RegistryType) -> Machine:
    """A machine on which a module is recorded; a keyword changes one value's type."""
    texts = dict(zip(VALUE_NAMES, module.texts, strict=True))
    values = [RegistryValue(name, types.get(name, RegistryType.REG_SZ), text) for name, text in texts.items()]
    return Machine(key=(ANCHOR, *values))


def _evaluated(
    name: str,
    comment: str,
    machine: Machine,
    module: Module = NEW,
    *,
    installed: InstallState = InstallState.LOCAL,
    action: InstallState = InstallState.LOCAL,
    section: str = "2",
    flags: Flags = (),
    is_component_there: bool = True,
    is_state_readable: bool = True,
) -> Case:
    fields = {
        "installed": installed.name.lower(),
        "action": action.name.lower(),
        "module": module_fields(module),
        "registry": machine_fields(machine)["registry"],
        "is_component_there": is_component_there,
        "is_state_readable": is_state_readable,
    }
    return Case(f"installer §{section}", f"evaluate-{name}", "evaluate", comment, fields, flags)


def _predicates() -> Iterator[Case]:
    for installed, action in product(InstallState, InstallState):
        name = f"{installed.name.lower()}-to-{action.name.lower()}"
        comment = "installing, reinstalling and uninstalling by the component's states"
        yield _evaluated(name, comment, recorded(OLD), installed=installed, action=action)
    comment = "evaluation fails: an error, rollback untouched"
    flags: Flags = ("fault",)
    yield _evaluated("no-component", comment, recorded(OLD), flags=flags, is_component_there=False)
    yield _evaluated("no-state", comment, recorded(OLD), flags=flags, is_state_readable=False)


def _newer() -> Iterator[Case]:
    versions = {"older": "0.7.9", "same": "0.8", "newer": "0.8.1"}
    times = {"older": "99", "same": "100", "newer": "101"}
    hashes = {"same": "abc", "case": "ABC", "other": "abd"}
    for (version, text), (time, stamp), (kind, digest) in product(versions.items(), times.items(), hashes.items()):
        for mode, installed in (("reinstall", InstallState.LOCAL), ("install", InstallState.ABSENT)):
            comment = f"{version} version, {time} build time, {kind} hash, {mode}ing"
            name = f"{mode}-version-{version}-time-{time}-hash-{kind}"
            yield _evaluated(name, comment, recorded(OLD), Module(digest, stamp, text), installed=installed)


def _unreadable() -> Iterator[Case]:
    absent = InstallState.ABSENT
    yield _evaluated("no-key", "nothing is recorded", EMPTY, installed=absent)
    yield _evaluated("only-anchor", "the key holds the anchor alone", Machine(key=(ANCHOR,)), installed=absent)
    for name in VALUE_NAMES:
        slug = name.lower()
        same = recorded(OLD)
        comment = f"{name} is missing"
        yield _evaluated(f"missing-{slug}", comment, same.without_value(name), OLD, installed=absent)
        comment = f"{name} is no string"
        number = same.with_value(RegistryValue(name, RegistryType.REG_DWORD, 1))
        yield _evaluated(f"number-{slug}", comment, number, OLD, installed=absent)
        for length in (255, 256):
            comment = f"{name} has {length} characters; 255 can be read"
            long = same.with_value(RegistryValue(name, RegistryType.REG_SZ, "1" * length))
            yield _evaluated(f"long-{length}-{slug}", comment, long, OLD, installed=absent, flags=("limit",))
    for place, name in enumerate(("hash", "build-time", "version")):
        for length in (255, 256):
            texts: list[str | None] = [*NEW.texts]
            texts[place] = "9" * length
            comment = f"the module's {name} has {length} characters; 255 can be read"
            yield _evaluated(f"module-long-{length}-{name}", comment, EMPTY, Module(*texts), flags=("limit",))
        texts = [*NEW.texts]
        texts[place] = None
        comment = f"the module's {name} is undefined: reads as empty"
        yield _evaluated(f"module-undefined-{name}", comment, recorded(OLD), Module(*texts))


# -- ProcessWintun ----------------------------------------------------------------------------------------------------

_INSTALL, _UNINSTALL = "install-def-200-0.8.1", "uninstall"


def _busy() -> Machine:
    """Two copies in the driver store, the driver loaded, adapters of all sorts."""
    start = recorded(OLD)
    devices = (
        Device(name="first", driver="0.8", handles=2),
        Device(name="disabled", driver="0.8", is_disabled=True),
        Device(name="absent", driver="0.8", is_present=False),
        Device(name="unreadable", driver="0.8", is_status_readable=False, is_disabled=True),
        Device(name="other", hardware_id="tap0901", driver="9"),
        Device(name="second", driver="0.8"),
    )
    copies = (DriverCopy("oem1.inf", "0.7"), DriverCopy("oem4.inf", "0.8"))
    return replace(start, driver_store=copies, loaded="0.8", devices=devices, unload_ms=120)


def _processed(section: str, name: str, comment: str, data: str, machine: Machine, *faults: Fault) -> Case:
    fields = {
        "data": data,
        "carried_version": "0.8.1",
        "start": machine_fields(machine),
        "faults": fault_fields(*faults),
    }
    return Case(f"installer §{section}", f"process-{name}", "process", comment, fields, ("fault",) if faults else ())


def _process() -> Iterator[Case]:
    for name, data in (("empty", ""), ("unknown", "repair"), ("case", "Install-a-1-2"), ("short", "install-a-1")):
        yield _processed("2", f"data-{name}", "unknown data: success, nothing is done", data, _busy())
    comment = "a hash with a separator in it: the wrong texts are recorded"
    yield _processed("2", "data-separator", comment, "install-a-b-1-2", Machine())
    for section, what, data in (("4", "install", _INSTALL), ("5", "uninstall", _UNINSTALL)):
        yield _processed(section, f"{what}-empty", f"{what} on an empty machine", data, Machine())
        yield _processed(section, f"{what}-busy", f"{what} with adapters of all sorts", data, _busy())
        unloaded = replace(_busy(), loaded=None)
        yield _processed(section, f"{what}-not-loaded", f"{what} while no driver is loaded", data, unloaded)
    slow = replace(_busy(), unload_ms=20000)
    yield _processed("4", "install-slow", "the driver does not unload within 300 times 50 ms", _INSTALL, slow)
    steps = {
        "4": (_INSTALL, ("list-devices", "force-close", "disable", "unload", "enumerate-copies", "remove-copy")),
        "5": (_UNINSTALL, ("list-devices", "force-close", "remove", "unload", "enumerate-copies", "remove-copy")),
    }
    later = {"4": ("copy-inf", "update", "enable", "record"), "5": ("delete-key",)}
    for section, (data, failing) in steps.items():
        for step in (*failing, *later[section]):
            for error in (31, 0) if step in ("copy-inf", "remove-copy", "record") else (31,):
                comment = f"{step} fails{'' if error else ' without an error'}"
                fault = Fault(step, error=error)
                yield _processed(section, f"{data.split('-')[0]}-no-{step}-{error}", comment, data, _busy(), fault)
    fault = Fault("remove-copy", "oem1.inf", error=5)
    yield _processed(
        "4", "install-one-copy-stays", "one copy cannot be removed: all are tried", _INSTALL, _busy(), fault
    )
    fault = Fault("disable", "first", error=170)
    yield _processed(
        "4", "install-one-not-disabled", "an adapter that stays on is not remembered", _INSTALL, _busy(), fault
    )


# -- whole scenarios --------------------------------------------------------------------------------------------------


def _scenario(name: str, comment: str, scenario: Scenario, flags: Flags = (), section: str = "3") -> Case:
    fields: dict[str, Any] = {
        "kind": scenario.kind.value,
        "new": module_fields(scenario.new),
        "installed": module_fields(scenario.installed),
        "remove_existing_products_after": scenario.position.value,
        "other_products": scenario.other_products,
        "old_revision": scenario.old_revision or None,
        "faults": fault_fields(*scenario.faults.faults),
        "start": machine_fields(scenario.start or start_of(scenario)),
    }
    return Case(f"installer §{section}", f"scenario-{name}", "scenario", comment, fields, flags)


def _scenarios() -> Iterator[Case]:
    for kind in (Kind.INSTALL, Kind.REINSTALL, Kind.MINOR, Kind.UNINSTALL):
        for installed, others in product((None, OLD, NEW), (0, 1)):
            if installed is None and kind is Kind.INSTALL and others:
                continue
            had = {None: "nothing", OLD: "old", NEW: "same"}[installed]
            scenario = Scenario(kind=kind, new=NEW, installed=installed, other_products=others)
            comment = f"{kind.value}, {had} recorded, {others} other products hold the component"
            yield _scenario(f"{kind.value}-{had}-others-{others}", comment, scenario)
    for position, others in product(Position, (0, 1)):
        for had, installed in (("old", OLD), ("same", NEW), ("nothing", None)):
            scenario = Scenario(kind=Kind.MAJOR, new=NEW, installed=installed, position=position, other_products=others)
            comment = f"major upgrade, RemoveExistingProducts after {position.value}, {had} recorded, {others} others"
            name = f"major-{position.value.lower()}-{had}-others-{others}"
            flags: Flags = ("model-choice",)
            yield _scenario(name, comment, scenario, flags)
    for old in ("0.8", "0.8.1"):
        scenario = Scenario(kind=Kind.MAJOR, new=NEW, installed=OLD, old_revision=old)
        comment = f"the old product came with the merge module of {old}"
        yield _scenario(f"major-from-module-{old}", comment, scenario, ("model-choice",))
