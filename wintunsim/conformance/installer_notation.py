"""How vectors write the installer's world: modules, machines, faults, scenarios; and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from wintun_model.installer_evaluate import Module
from wintun_model.installer_scenario import Kind, Position, Scenario
from wintun_model.installer_state import Device, DriverCopy, Fault, Faults, Machine, RegistryType, RegistryValue


def module_fields(module: Module | None) -> dict[str, Any] | None:
    """A merge module's properties as plain data; a property that is null is undefined."""
    if module is None:
        return None
    return {"hash": module.hash, "build_time": module.build_time, "version": module.version}


def module_of(fields: Mapping[str, Any]) -> Module:
    """The module that plain data describes."""
    return Module(fields["hash"], fields["build_time"], fields["version"])


def machine_fields(machine: Machine) -> dict[str, Any]:
    """A machine as plain data."""
    key = machine.key
    return {
        "driver_store": [{"inf": copy.inf, "version": copy.version} for copy in machine.driver_store],
        "loaded": machine.loaded,
        "adapters": [
            {
                "name": device.name,
                "hardware_id": device.hardware_id,
                "is_present": device.is_present,
                "is_disabled": device.is_disabled,
                "is_status_readable": device.is_status_readable,
                "handles": device.handles,
                "driver": device.driver,
            }
            for device in machine.devices
        ],
        "registry": None
        if key is None
        else [{"name": value.name, "type": value.type.name, "data": value.data} for value in key],
        "clients": list(machine.clients),
        "unload_ms": machine.unload_ms,
        "elapsed_ms": machine.elapsed_ms,
    }


def machine_of(fields: Mapping[str, Any]) -> Machine:
    """The machine that plain data describes."""
    registry = fields["registry"]
    return Machine(
        driver_store=tuple(DriverCopy(copy["inf"], copy["version"]) for copy in fields["driver_store"]),
        loaded=fields["loaded"],
        devices=tuple(Device(**device) for device in fields["adapters"]),
        key=None
        if registry is None
        else tuple(RegistryValue(value["name"], RegistryType[value["type"]], value["data"]) for value in registry),
        clients=tuple(fields["clients"]),
        unload_ms=fields["unload_ms"],
        elapsed_ms=fields["elapsed_ms"],
    )


def fault_fields(*faults: Fault) -> list[dict[str, Any]]:
    """A fault plan as plain data."""
    return [
        {"step": fault.step, "target": fault.target, "session": fault.session, "error": fault.error} for fault in faults
    ]


def faults_of(fields: Sequence[Mapping[str, Any]]) -> Faults:
    """The fault plan that plain data describes."""
    return Faults(tuple(Fault(**fault) for fault in fields))


def scenario_of(fields: Mapping[str, Any], revision: str) -> Scenario:
    """The scenario that plain data describes, with the merge module of a revision."""
    return Scenario(
        kind=Kind(fields["kind"]),
        new=module_of(fields["new"]),
        installed=None if fields["installed"] is None else module_of(fields["installed"]),
        position=Position(fields["remove_existing_products_after"]),
        other_products=fields["other_products"],
        revision=revision,
        old_revision=fields["old_revision"] or "",
        faults=faults_of(fields["faults"]),
        start=machine_of(fields["start"]),
    )
