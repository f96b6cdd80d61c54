"""`wintunsim installer`: what Windows Installer and Wintun's merge module do in a scenario, action by action."""

from __future__ import annotations

import argparse
import json
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from wintun_model.installer import run
from wintun_model.installer_evaluate import Module
from wintun_model.installer_scenario import (
    INSTALLER_REVISIONS,
    SESSION_NAMES,
    STANDARD_ACTIONS,
    Kind,
    Position,
    Scenario,
    start_of,
)
from wintun_model.installer_state import (
    STEPS,
    VALUE_NAMES,
    Device,
    DriverCopy,
    Fault,
    Faults,
    Machine,
    RegistryType,
    RegistryValue,
)
from wintunsim.cli_installer_report import report_fields, table
from wintunsim.errors import UsageError

POSITIONS = {
    "after-install-validate": Position.VALIDATE,
    "after-install-initialize": Position.INITIALIZE,
    "after-install-execute": Position.EXECUTE,
    "after-install-finalize": Position.FINALIZE,
}
_SCENARIO_KEYS = {
    "upgrade": str,
    "installed": dict,
    "new": dict,
    "remove_existing_products": str,
    "other_products": int,
    "revision": str,
    "old_revision": str,
    "adapters": list,
    "driver_store": list,
    "loaded": str,
    "registry": dict,
    "clients": list,
    "unload_ms": int,
    "faults": list,
}
_TYPE_NAMES = {str: "a text", int: "an integer", bool: "true or false", dict: "a table", list: "a list"}
_MODULE_KEYS = {"version": str, "hash": str, "time": str}
_ADAPTER_KEYS = {"name": str, "disabled": bool, "absent": bool, "unreadable": bool, "handles": int, "hardware_id": str}
_FAULT_KEYS = {"step": str, "target": str, "session": str, "error": int}
_MOST_PRODUCTS = 1000

EPILOG = f"""\
A hash that is not given is made up from the version (another version, another hash); a time that is not given is 0.
All kinds of --upgrade but install take the product as installed, whether Wintun is still there or not.

adapters (SPEC of --adapter, repeatable): NAME[,disabled][,absent][,unreadable][,handles=N]
failures (SPEC of --fail, repeatable): [SESSION/]STEP[=TARGET][:ERROR], as in removal/disable=Wintun:170
sessions: {", ".join(SESSION_NAMES)}
steps:
{"".join(f"  {name:<18}{meaning}{chr(10)}" for name, meaning in STEPS.items())}
actions: {", ".join(STANDARD_ACTIONS[:7])},
  {", ".join(STANDARD_ACTIONS[7:])}

exit code: 0 when the scenario was answered, whatever came of it; 2 for a mistake in what was asked for.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `wintunsim installer`."""
    parser.description = "What Windows Installer and Wintun's merge module do in a scenario, action by action."
    parser.epilog = EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--scenario", metavar="FILE", help="a scenario as .json or .toml; options go before it")
    parser.add_argument("--upgrade", metavar="KIND", help=f"one of {', '.join(Kind)} (default: install)")
    for prefix, what in (("installed", "what is installed (default: nothing)"), ("new", "what the package brings")):
        parser.add_argument(f"--{prefix}-version", metavar="VERSION", help=f"{what}: Wintun's version")
        parser.add_argument(f"--{prefix}-hash", metavar="HASH", help="its installer hash")
        parser.add_argument(f"--{prefix}-time", metavar="TIME", help="its installer build time")
    parser.add_argument(
        "--remove-existing-products",
        metavar="WHERE",
        help=f"in a major upgrade: {', '.join(POSITIONS)} (default: the first)",
    )
    parser.add_argument("--other-products", metavar="N", help="how many others share the component")
    parser.add_argument("--revision", help=f"of the merge module: {' or '.join(INSTALLER_REVISIONS)} (default: 0.8.1)")
    parser.add_argument("--old-revision", metavar="REVISION", help="in a major upgrade, the old product's, if another")
    parser.add_argument("--adapter", metavar="SPEC", action="append", help="an adapter (default: one, if installed)")
    parser.add_argument("--fail", metavar="SPEC", action="append", help="a step that fails; see below")
    parser.add_argument("--format", choices=("table", "json"), default="table", help="of the answer (default: table)")


def installer(options: argparse.Namespace) -> int:
    """Carry out `wintunsim installer`; answers the exit code. Raises `UsageError` for a mistake in the scenario."""
    fields = _read(Path(options.scenario)) if options.scenario else {}
    _overlay(fields, options)
    scenario = scenario_of(fields)
    report = run(scenario)
    if options.format == "json":
        json.dump(report_fields(scenario, report), sys.stdout, indent=1)
        print()
    else:
        print(table(scenario, report))
    return 0


# -- from files and options to a scenario -----------------------------------------------------------------------------


def _read(path: Path) -> dict[str, Any]:
    if path.suffix not in (".json", ".toml"):
        raise UsageError(f"{path}: a scenario is a .json or a .toml file")
    try:
        text = path.read_text(encoding="utf-8")
        fields = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except OSError as error:
        raise UsageError(f"{path}: the scenario cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path}: no valid {path.suffix[1:].upper()}: {error}") from None
    if not isinstance(fields, dict):
        raise UsageError(f"{path}: a scenario is a table of fields, not {type(fields).__name__}")
    return fields


def _overlay(fields: dict[str, Any], options: argparse.Namespace) -> None:
    """Let the options go before the file's fields."""
    for name in ("upgrade", "remove_existing_products", "other_products", "revision", "old_revision"):
        if getattr(options, name) is not None:
            fields[name] = getattr(options, name)
    if isinstance(number := fields.get("other_products"), str):
        if not (number.isascii() and number.isdigit()):
            raise UsageError(f"--other-products: {number!r} is no number: give 0 to {_MOST_PRODUCTS}")
        fields["other_products"] = int(number[:9])
    for prefix in ("installed", "new"):
        given = {key: getattr(options, f"{prefix}_{key}") for key in _MODULE_KEYS}
        given = {key: text for key, text in given.items() if text is not None}
        if given:
            before = fields.get(prefix)
            fields[prefix] = {**(before if isinstance(before, dict) else {}), **given}
    if options.adapter is not None:
        fields["adapters"] = [_adapter_fields(spec) for spec in options.adapter]
    if options.fail is not None:
        fields["faults"] = [_fault_fields(spec) for spec in options.fail]


def _adapter_fields(spec: str) -> dict[str, Any]:
    name, *parts = spec.split(",")
    fields: dict[str, Any] = {"name": name}
    for part in parts:
        word, is_given, text = part.partition("=")
        if word == "handles" and text.isascii() and text.isdigit():
            fields[word] = int(text[:10])
        elif word in ("disabled", "absent", "unreadable") and not is_given:
            fields[word] = True
        else:
            raise UsageError(f"--adapter {spec}: {part!r} is none of disabled, absent, unreadable, handles=N")
    return fields


def _fault_fields(spec: str) -> dict[str, Any]:
    where, has_session, rest = spec.rpartition("/")
    rest, has_error, error = rest.partition(":")
    step, _, target = rest.partition("=")
    fields: dict[str, Any] = {"step": step, "target": target, "session": where if has_session else ""}
    if has_error:
        if not (error.isascii() and error.isdigit()):
            raise UsageError(f"--fail {spec}: {error!r} is no Win32 error: give a decimal number after the colon")
        fields["error"] = int(error[:11])
    return fields


def _checked(where: str, fields: Any, keys: Mapping[str, type]) -> dict[str, Any]:
    """The fields of a table, each known and of its type; null counts as not given."""
    if not isinstance(fields, dict):
        raise UsageError(f"{where}: give a table with {', '.join(keys)}")
    for key, value in fields.items():
        if key not in keys:
            raise UsageError(f"{where}: {key!r} is none of {', '.join(keys)}")
        is_right = isinstance(value, keys[key]) and isinstance(value, bool) == (keys[key] is bool)
        if value is not None and not is_right:
            raise UsageError(f"{where}: {key} is {value!r}; give {_TYPE_NAMES[keys[key]]}")
    return {key: value for key, value in fields.items() if value is not None}


def _one_of(where: str, text: str, choices: Any) -> str:
    if text not in choices:
        raise UsageError(f"{where}: {text!r} is none of {', '.join(choices)}")
    return text


def _number(where: str, value: int, most: int) -> int:
    if not 0 <= value <= most:
        raise UsageError(f"{where}: {value} is out of range: give 0 to {most}")
    return value


def _module(where: str, fields: Any) -> Module:
    """A module's properties. A key that is null is undefined; the hash and time that are not given are made up."""
    given = _checked(where, fields, _MODULE_KEYS)
    if "version" not in fields:
        raise UsageError(f"{where}: the version is missing: give {where}-version (in a file: {where[2:]}.version)")
    version = given.get("version")
    build_time = given.get("time") if "time" in fields else "0"
    return Module(given.get("hash") if "hash" in fields else f"hash of {version or ''}", build_time, version)


def scenario_of(fields: dict[str, Any]) -> Scenario:
    """A scenario from the fields of a scenario file. Raises `UsageError` that names the field."""
    given = _checked("the scenario", fields, _SCENARIO_KEYS)
    kind = Kind(_one_of("--upgrade", given.get("upgrade", "install"), list(Kind)))
    installed = _module("--installed", given["installed"]) if "installed" in given else None
    if kind is Kind.UNINSTALL and "new" in given:
        raise UsageError("--new-version: an uninstallation brings no Wintun: leave --new-* out")
    if "new" in given:
        new = _module("--new", given["new"])
    elif kind is Kind.UNINSTALL or (kind is Kind.REINSTALL and installed is not None):
        new = installed or Module()
    else:
        raise UsageError(f"--new-version: the Wintun that the package of this {kind} brings is missing: give it")
    for name in ("remove_existing_products", "old_revision"):
        if name in given and kind is not Kind.MAJOR:
            raise UsageError(f"--{name.replace('_', '-')}: only a major upgrade has it: leave it out of this {kind}")
    where = _one_of(
        "--remove-existing-products", given.get("remove_existing_products", next(iter(POSITIONS))), POSITIONS
    )
    revision = _one_of("--revision", given.get("revision", "0.8.1"), INSTALLER_REVISIONS)
    scenario = Scenario(
        kind=kind,
        new=new,
        installed=installed,
        position=POSITIONS[where],
        other_products=_number("--other-products", given.get("other_products", 0), _MOST_PRODUCTS),
        revision=revision,
        old_revision=_one_of("--old-revision", given.get("old_revision", revision), INSTALLER_REVISIONS),
    )
    start = _start(start_of(scenario), given)
    return replace(scenario, start=start, faults=_faults(given.get("faults", []), start))


def _start(machine: Machine, given: dict[str, Any]) -> Machine:
    """The machine before, with what the scenario says about it."""
    if "driver_store" in given:
        versions = _texts("driver_store", given["driver_store"])
        copies = tuple(DriverCopy(f"oem{number}.inf", version) for number, version in enumerate(versions, 1))
        machine = replace(machine, driver_store=copies)
    driver = machine.driver_store[-1].version if machine.driver_store else None
    if "adapters" in given:
        devices = tuple(_adapter(fields, driver) for fields in given["adapters"])
        names = [device.name for device in devices]
        for name in names:
            if names.count(name) > 1:
                raise UsageError(f"--adapter: there are two named {name!r}: give each its own name")
        machine = replace(machine, devices=devices)
    else:
        machine = replace(machine, devices=tuple(replace(device, driver=driver) for device in machine.devices))
    machine = replace(machine, loaded=given.get("loaded", driver if machine.is_driver_in_use else None))
    if machine.loaded is None and machine.is_driver_in_use:
        raise UsageError("loaded: an adapter that runs needs its driver loaded: leave it out, or disable the adapter")
    for name, fields in given.get("registry", {}).items():
        machine = _with_registry(machine, name, fields)
    if "clients" in given:
        machine = replace(machine, clients=_texts("clients", given["clients"]))
    return replace(machine, unload_ms=_number("unload_ms", given.get("unload_ms", 0), 1 << 31))


def _texts(where: str, values: list[Any]) -> tuple[str, ...]:
    for value in values:
        if not isinstance(value, str):
            raise UsageError(f"{where}: {value!r} is no text: give a list of texts")
    return tuple(values)


def _adapter(fields: Any, driver: str | None) -> Device:
    given = _checked("adapters", fields, _ADAPTER_KEYS)
    if not given.get("name"):
        raise UsageError("--adapter: an adapter has no name: give one")
    return Device(
        name=given["name"],
        hardware_id=given.get("hardware_id", "wintun"),
        is_present=not given.get("absent", False),
        is_disabled=given.get("disabled", False),
        is_status_readable=not given.get("unreadable", False),
        handles=_number("adapters: handles", given.get("handles", 0), 1 << 24),
        driver=driver,
    )


def _with_registry(machine: Machine, name: str, fields: Any) -> Machine:
    """One value of the key: a text, null for none, or its type and data."""
    if fields is None:
        return machine.without_value(name)
    if isinstance(fields, str):
        fields = {"data": fields}
    if isinstance(fields, dict) and isinstance(fields.get("data"), int):
        given = _checked(f"registry: {name}", fields, {"type": str, "data": int})
    else:
        given = _checked(f"registry: {name}", fields, {"type": str, "data": str})
    if "data" not in given:
        raise UsageError(f"registry: {name}: its data is missing: give a text or a number")
    default = "REG_SZ" if isinstance(given["data"], str) else "REG_DWORD"
    kind = _one_of(f"registry: {name}: type", given.get("type", default), [kind.name for kind in RegistryType])
    return machine.with_value(RegistryValue(name, RegistryType[kind], given["data"]))


def _faults(entries: list[Any], start: Machine) -> Faults:
    faults = []
    for fields in entries:
        given = _checked("faults", fields, _FAULT_KEYS)
        step = _one_of("--fail", given.get("step", ""), STEPS)
        session = given.get("session", "")
        if session:
            _one_of(f"--fail {step}: the session", session, SESSION_NAMES)
        target = given.get("target", "")
        if target and (known := _targets(step, start)) is not None:
            _one_of(f"--fail {step}: the target", target, known or ["(there are no adapters)"])
        if step == "action" and not target:
            raise UsageError("--fail action: which one fails is missing: give action=NAME")
        error = _number(f"--fail {step}: the error", given.get("error", Fault("").error), 0xFFFF_FFFF)
        faults.append(Fault(step, target, session, error))
    return Faults(tuple(faults))


def _targets(step: str, start: Machine) -> list[str] | None:
    """What a step can be limited to; None: not known beforehand."""
    if step in ("force-close", "disable", "enable", "remove"):
        return [device.name for device in start.devices]
    if step == "record":
        return list(VALUE_NAMES)
    if step == "action":
        return [*STANDARD_ACTIONS, "EvaluateWintun", "RemoveExistingProducts"]
    return None
