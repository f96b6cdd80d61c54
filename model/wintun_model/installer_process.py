"""ProcessWintun: what the deferred action does to the machine (spec installer §2, §4, §5)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from wintun_model.installer_evaluate import DATA_INSTALL, DATA_UNINSTALL, SEPARATOR
from wintun_model.installer_state import (
    ERROR_GEN_FAILURE,
    ERROR_INSTALL_FAILED,
    VALUE_NAMES,
    Device,
    DriverCopy,
    Faults,
    Machine,
    RegistryType,
    RegistryValue,
)

HANDLE_WAIT_MS = 200
UNLOAD_POLL_MS = 50
UNLOAD_POLLS = 300

Effect = Callable[[Machine], Machine]
"""What a step that succeeds does to the machine."""

OK, WARNING, ERROR = "ok", "warning", "error"


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the action, with the state after it."""

    name: str
    outcome: str
    """``ok``, ``warning`` or ``error``."""
    note: str
    machine: Machine


@dataclass(frozen=True, slots=True)
class Processed:
    """What ProcessWintun came to."""

    error: int
    """The Win32 error that it returns; 0 is success."""
    machine: Machine
    steps: tuple[Step, ...]


class _Worker:
    """The steps of one run: the machine as it is now, and the log."""

    def __init__(self, machine: Machine, faults: Faults, session: str) -> None:
        self.machine = machine
        self.steps: list[Step] = []
        self._faults = faults
        self._session = session

    def note(self, name: str, outcome: str, text: str) -> None:
        self.steps.append(Step(name, outcome, text, self.machine))

    def fault(self, step: str, target: str = "") -> int | None:
        """The error with which a step fails by the plan; None: it does not."""
        fault = self._faults.find(step, target, self._session)
        return None if fault is None else fault.error or ERROR_INSTALL_FAILED

    def attempt(self, step: str, target: str, effect: Effect, *, refusal: str = "", only_warns: bool) -> int:
        """Do a step, unless the plan or a refusal of the system makes it fail; answers the error, 0 for success."""
        error = self.fault(step, target)
        if error is None and refusal:
            error = ERROR_GEN_FAILURE
        if error is None:
            self.machine = effect(self.machine)
            self.note(step, OK, target)
            return 0
        what = f"{target}: " if target else ""
        self.note(step, WARNING if only_warns else ERROR, f"{what}{refusal or f'failed with error {error}'}")
        return error

    def wait(self, duration_ms: int) -> None:
        self.machine = replace(self.machine, elapsed_ms=self.machine.elapsed_ms + duration_ms)


def process(
    machine: Machine, data: str, *, carried_version: str, faults: Faults | None = None, session: str = ""
) -> Processed:
    """ProcessWintun (spec installer §2): do what the data says.

    `data` is split at every ``-``, and its first word compared with case; "install" needs its three fields, what comes
    after them is left out (so a hash with a ``-`` records the wrong texts). `carried_version` is the driver's that the
    module brings. A step that fails without an error gives ERROR_INSTALL_FAILED.
    """
    worker = _Worker(machine, faults or Faults(), session)
    fields = data.split(SEPARATOR)
    error = 0
    if fields[0] == DATA_INSTALL and len(fields) > len(VALUE_NAMES):
        error = _install(worker, carried_version) or _record(worker, fields[1:])
    elif fields[0] == DATA_UNINSTALL:
        error = _uninstall(worker)
        if not error:
            worker.attempt("delete-key", "", lambda machine: replace(machine, key=None), only_warns=True)
    else:
        worker.note("nothing", OK, "no data" if not data else "unknown data")
    return Processed(error, worker.machine, tuple(worker.steps))


def _record(worker: _Worker, texts: list[str]) -> int:
    """Record hash, build time and version; the first failure ends it."""
    for name, text in zip(VALUE_NAMES, texts, strict=False):
        error = worker.attempt("record", name, _with_text(name, text), only_warns=False)
        if error:
            return error
    return 0


def _with_text(name: str, text: str) -> Effect:
    return lambda machine: machine.with_value(RegistryValue(name, RegistryType.REG_SZ, text))


# -- §4 install or update ---------------------------------------------------------------------------------------------


def _install(worker: _Worker, version: str) -> int:
    """Install or update (spec installer §4)."""
    error = worker.attempt("list-devices", "", lambda machine: machine, only_warns=False)
    if error:
        return error
    remembered: list[str] = []
    if worker.machine.loaded is not None:
        remembered = _stop_devices(worker)
        _wait_for_unload(worker)
    error = _remove_copies(worker)
    if not error:
        error = _put_in(worker, version, remembered)
    for name in reversed(remembered):
        worker.attempt("enable", name, _enabled(name), only_warns=True)
    return error


def _stop_devices(worker: _Worker) -> list[str]:
    """Close the handles of the running adapters and disable them; answers those that were disabled, in order."""
    remembered = []
    for device in worker.machine.wintun_devices:
        if not device.is_status_readable:
            worker.note("status", OK, f"{device.name}: not readable, left alone")
            continue
        if device.is_disabled:
            worker.note("status", OK, f"{device.name}: disabled already, left alone")
            continue
        _close_handles(worker, device)
        error = worker.attempt(
            "disable",
            device.name,
            _changed(device.name, is_disabled=True),
            refusal=_refusal(worker, device.name),
            only_warns=True,
        )
        if not error:
            remembered.append(device.name)
    return remembered


def _close_handles(worker: _Worker, device: Device) -> None:
    """Force the handles closed (spec driver §6.5), then wait in any case."""
    worker.attempt(
        "force-close",
        device.name,
        _changed(device.name, handles=0),
        only_warns=True,
    )
    worker.wait(HANDLE_WAIT_MS)


def _refusal(worker: _Worker, name: str) -> str:
    """An orderly stop is refused while handles are open (spec driver §7.1)."""
    handles = worker.machine.device(name).handles
    return f"refused: {handles} open handle{'s' if handles > 1 else ''}" if handles else ""


def _wait_for_unload(worker: _Worker) -> None:
    """Poll until the driver is unloaded, up to a bound."""
    stays = worker.machine.is_driver_in_use or worker.fault("unload") is not None
    for poll in range(UNLOAD_POLLS + 1):
        if not stays and worker.machine.unload_ms <= poll * UNLOAD_POLL_MS:
            worker.machine = replace(worker.machine, loaded=None)
            worker.note("unload", OK, f"after {poll * UNLOAD_POLL_MS} ms")
            return
        if poll < UNLOAD_POLLS:
            worker.wait(UNLOAD_POLL_MS)
    worker.note("unload", WARNING, "still loaded: a reboot is likely to be needed")


def _remove_copies(worker: _Worker) -> int:
    """Remove every copy of the driver from the driver store.

    All are tried; the last failure's error is answered. An error of the enumeration only ends it.
    """
    failure = 0
    for copy in worker.machine.driver_store:
        if (error := worker.fault("enumerate-copies", copy.inf)) is not None:
            worker.note("enumerate-copies", WARNING, f"broke off before {copy.inf} with error {error}")
            break
        error = worker.attempt(
            "remove-copy",
            copy.inf,
            _without_copy(copy),
            only_warns=False,
        )
        failure = error or failure
    return failure


def _put_in(worker: _Worker, version: str, remembered: list[str]) -> int:
    """Copy the new INF into the driver store, then update what was remembered, even if the copying failed."""
    taken = {copy.inf for copy in worker.machine.driver_store}
    inf = next(name for number in range(1, len(taken) + 2) if (name := f"oem{number}.inf") not in taken)
    error = worker.attempt(
        "copy-inf",
        inf,
        lambda machine: replace(machine, driver_store=(*machine.driver_store, DriverCopy(inf, version))),
        only_warns=False,
    )
    if remembered:
        worker.attempt(
            "update",
            ", ".join(remembered),
            _updated(remembered, version),
            refusal="there is no driver to update to" if error else "",
            only_warns=True,
        )
    return error


def _without_copy(copy: DriverCopy) -> Effect:
    return lambda machine: replace(machine, driver_store=tuple(kept for kept in machine.driver_store if kept != copy))


def _changed(name: str, **changes: Any) -> Effect:
    """A device with some fields changed."""
    return lambda machine: machine.with_device(replace(machine.device(name), **changes))


def _updated(names: list[str], version: str) -> Effect:
    def effect(machine: Machine) -> Machine:
        for name in names:
            machine = machine.with_device(replace(machine.device(name), driver=version))
        return machine

    return effect


def _enabled(name: str) -> Effect:
    """Enable an adapter. It starts, and so loads the driver, unless the driver store is empty."""

    def effect(machine: Machine) -> Machine:
        device = replace(machine.device(name), is_disabled=False)
        if not machine.driver_store:
            return machine.with_device(replace(device, driver=None))
        return replace(machine.with_device(device), loaded=machine.loaded or device.driver)

    return effect


# -- §5 uninstall -----------------------------------------------------------------------------------------------------


def _uninstall(worker: _Worker) -> int:
    """Uninstall (spec installer §5).

    Only the last step counts, so a list of devices that cannot be opened warns here. The driver unloads by itself when
    the last adapter is gone; nobody waits for it.
    """
    if not worker.attempt("list-devices", "", lambda machine: machine, only_warns=True):
        for device in worker.machine.wintun_devices:
            _close_handles(worker, device)
            worker.attempt(
                "remove", device.name, _without(device.name), refusal=_refusal(worker, device.name), only_warns=True
            )
    is_free = worker.machine.loaded is not None and not worker.machine.is_driver_in_use
    if is_free and worker.fault("unload") is None:
        worker.machine = replace(worker.machine, loaded=None)
        worker.note("unload", OK, "by itself")
    return _remove_copies(worker)


def _without(name: str) -> Effect:
    """The removal of one device."""
    return lambda machine: replace(machine, devices=tuple(device for device in machine.devices if device.name != name))
