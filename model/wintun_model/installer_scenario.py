"""Scenarios for the installer, and reports of what came of them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from wintun_model.installer_evaluate import Module
from wintun_model.installer_state import (
    ANCHOR_VALUE,
    VALUE_NAMES,
    Device,
    DriverCopy,
    Faults,
    Machine,
    RegistryType,
    RegistryValue,
)

ANCHOR = RegistryValue(ANCHOR_VALUE, RegistryType.REG_DWORD, 1)
"""The anchor component's value as its products write it (spec installer §1)."""
NO_MODULE, NO_FAULTS = Module(), Faults()


class Kind(StrEnum):
    """What is asked of Windows Installer. All but `INSTALL` take the product as installed."""

    INSTALL = "install"
    REINSTALL = "reinstall"
    MINOR = "minor"
    MAJOR = "major"
    UNINSTALL = "uninstall"


class Position(StrEnum):
    """The action that RemoveExistingProducts stands right after."""

    VALIDATE = "InstallValidate"
    INITIALIZE = "InstallInitialize"
    EXECUTE = "InstallExecute"
    FINALIZE = "InstallFinalize"


EVALUATES_AFTER = {"0.8": "CostFinalize", "0.8.1": "InstallFiles"}
"""Where each revision of the merge module runs EvaluateWintun: after which action (spec installer §3)."""
INSTALLER_REVISIONS = tuple(EVALUATES_AFTER)

STANDARD_ACTIONS = (
    "CostInitialize",
    "FileCost",
    "CostFinalize",
    "InstallValidate",
    "InstallInitialize",
    "ProcessComponents",
    "RemoveRegistryValues",
    "RemoveFiles",
    "InstallFiles",
    "ProcessWintun",
    "WriteRegistryValues",
    "PublishProduct",
    "InstallExecute",
    "InstallFinalize",
)
"""The sequence of a session; InstallExecute stands in it only where RemoveExistingProducts follows."""

REMOVAL = "removal"
"""The session of a major upgrade that removes the old product; the others are named after their `Kind`."""
SESSION_NAMES = (*Kind, REMOVAL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A question to the installer."""

    kind: Kind
    new: Module = NO_MODULE
    """The module in the package that is installed; an uninstallation does not look at it."""
    installed: Module | None = None
    """What is recorded as installed on the machine before; None: Wintun is not there."""
    position: Position = Position.VALIDATE
    """Where RemoveExistingProducts stands; of a major upgrade only."""
    other_products: int = 0
    """How many other products hold the anchor component."""
    revision: str = "0.8.1"
    """Of the merge module in the package: one of `INSTALLER_REVISIONS`."""
    old_revision: str = ""
    """Of the merge module in the old product of a major upgrade; empty: the same."""
    faults: Faults = NO_FAULTS
    start: Machine | None = None
    """The machine before; None: `start_of`."""


def products_of(kind: Kind) -> tuple[str, str]:
    """The names of the product that a session is for and, in a major upgrade, of the old one."""
    return ("new", "old") if kind is Kind.MAJOR else ("product", "")


def start_of(scenario: Scenario) -> Machine:
    """The machine before a scenario: what is installed is recorded, in the driver store, and running on one adapter."""
    product, old = products_of(scenario.kind)
    holder = {Kind.MAJOR: (old,), Kind.INSTALL: ()}.get(scenario.kind, (product,))
    clients = (*holder, *(f"other{number}" for number in range(1, scenario.other_products + 1)))
    values = (ANCHOR,) if clients else ()
    if scenario.installed is None:
        return Machine(key=values or None, clients=clients)
    texts = scenario.installed.texts
    version = texts[-1]
    recorded = tuple(
        RegistryValue(name, RegistryType.REG_SZ, text) for name, text in zip(VALUE_NAMES, texts, strict=True)
    )
    return Machine(
        driver_store=(DriverCopy("oem1.inf", version),),
        loaded=version,
        devices=(Device(name="Wintun", handles=1, driver=version),),
        key=(*values, *recorded),
        clients=clients,
    )


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened in a session, with the state after it."""

    session: str
    phase: str
    """``sequence``: the action's own place; ``script``: a deferred action runs; ``rollback``: it is undone."""
    action: str
    step: str
    """A step inside ProcessWintun; empty for the action itself."""
    outcome: str
    """``ok``, ``warning``, ``error`` or ``skipped``."""
    note: str
    machine: Machine


@dataclass(frozen=True, slots=True)
class Session:
    """One session of Windows Installer."""

    name: str
    product: str
    parent: str
    """The session that started it; empty for the first."""
    error: int
    """What it returns: 0, or ERROR_INSTALL_FAILURE."""


@dataclass(frozen=True, slots=True)
class Report:
    """The answer to a scenario."""

    start: Machine
    sessions: tuple[Session, ...]
    """In the order in which they began."""
    events: tuple[Event, ...]

    @property
    def end(self) -> Machine:
        """The machine after the last action."""
        return self.events[-1].machine

    @property
    def error(self) -> int:
        """What the first session returns."""
        return self.sessions[0].error

    def events_of(self, session: str) -> tuple[Event, ...]:
        """The events of one session, in order."""
        return tuple(event for event in self.events if event.session == session)
