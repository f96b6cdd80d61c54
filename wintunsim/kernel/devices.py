"""Adapters as devices: their names, file objects, requests (spec win32 §4, driver §5, §6)."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from wintun_model.abi import FILE_READ_DATA, FILE_WRITE_DATA
from wintun_model.adapter import Adapter
from wintun_model.dispatch import close, device_control
from wintun_model.operations import Routine
from wintun_model.registration import Registration
from wintun_model.status import NtStatus
from wintun_model.trace import Kind
from wintunsim.kernel.adapter_keys import IF_TYPE_PROP_VIRTUAL, AdapterKeys
from wintunsim.kernel.ndis import Port
from wintunsim.kernel.objects import KernelObject

if TYPE_CHECKING:
    from wintunsim.kernel.device_tree import DeviceNode
    from wintunsim.kernel.process import Process
    from wintunsim.kernel.system import System

INTERFACE_CLASS = uuid.UUID("cac88484-7515-4c03-82e6-71a87abac361")
"""The device interface class of Wintun adapters (spec driver §8)."""


def luid_index(number: int) -> int:
    """The index that distinguishes an adapter's LUID from those of others of its type."""
    return number + 1


class AdapterDevice:
    """An adapter on the machine. Names and numbers are simulated and depend on the order of creation and the seed.

    `node` is the device node that it belongs to, `keys` what the registry has of it.
    """

    def __init__(self, system: System, node: DeviceNode, keys: AdapterKeys, number: int, guid: uuid.UUID) -> None:
        self.system = system
        self.node = node
        self.keys = keys
        self.number = number
        self.guid = guid
        self.port = Port(
            system.executor,
            Adapter(self.name, system.driver, is_initialized=False),
            system.network,
            system.adapter_taken,
        )
        self.is_present = False
        """Whether it is started: the machine has an interface of it, which can be opened."""
        self.is_removal_pending = False
        """Whether the driver is asked just now if it can be stopped: meanwhile it cannot be opened."""
        self.interface_index = 10 + number
        self.luid = IF_TYPE_PROP_VIRTUAL << 48 | luid_index(number) << 24
        self.files: list[FileObject] = []
        self.local: dict[Any, Any] = {}
        """What layers above keep for the adapter while it is started, by their own keys."""

    @property
    def name(self) -> str:
        """The name of the connection, which the registry has; the GUID while there is none."""
        return self.keys.connection.text("Name") or str(self.guid)

    @name.setter
    def name(self, name: str) -> None:
        self.keys.connection.set_text("Name", name)

    @property
    def instance_id(self) -> str:
        """The device instance id (spec win32 §4)."""
        return self.node.instance_id

    @property
    def description(self) -> str:
        """What Windows shows as the adapter's description: the node's friendly name, else its description."""
        key = self.node.key
        return key.text("FriendlyName") or key.text("DeviceDesc") or ""

    @property
    def adapter(self) -> Adapter:
        """The adapter of the model's that the device has now: a new one each time it is started."""
        return self.port.adapter

    @property
    def interface_path(self) -> str:
        """The path that `CreateFileW` opens (spec win32 §4)."""
        instance = self.instance_id.replace("\\", "#")
        return f"\\\\?\\{instance}#{{{INTERFACE_CLASS}}}\\{{{str(self.guid).upper()}}}"

    def open(self, process: Process, access: int) -> FileObject:
        """Open the device; the file object has no handle yet."""
        file_object = FileObject(self, process, access)
        machine = self.system.machine
        number = machine.current.number if machine.current else 0
        machine.trace.record((machine.time(), number, int(Kind.OPEN), self.port.trace_number, access, 0))
        self.files.append(file_object)
        return file_object

    def __repr__(self) -> str:
        return f"AdapterDevice({self.name})"


class FileObject(KernelObject):
    """An open of a device. It is released, which the driver sees as a close, when its last handle is closed and no
    request on it is outstanding (spec driver §6.2)."""

    type_name = "File"

    def __init__(self, device: AdapterDevice, process: Process, access: int) -> None:
        super().__init__(f"{device.name} file")
        self.device = device
        self.adapter = device.adapter
        """The adapter as it was opened: requests on it fail once that is halted, whatever comes after it."""
        self.access = access
        self.is_released = False
        """Whether the close is over and nothing of it is left."""
        self._requests = 0
        self._is_closing = False

    def control(self, process: Process, code: int, data: bytes, output_bytes: int = 0) -> tuple[int, int]:
        """A device control request of `process` on the current thread: (NTSTATUS, bytes returned)."""
        system = self.device.system
        machine = system.machine
        device, thread = self.device, machine.current
        number = thread.number if thread else 0
        trace_number = device.port.trace_number
        machine.trace.record((machine.now, number, Kind.REQUEST, trace_number, code, len(data)))
        needed = code >> 14 & 3
        if needed & FILE_READ_DATA & ~self.access or needed & FILE_WRITE_DATA & ~self.access:
            status, information = int(NtStatus.STATUS_ACCESS_DENIED), 0
        else:
            request = Registration(process, self, data)
            status, information = system.executor.request(self._control(request, code))
        machine.spend(0)
        machine.trace.record((machine.now, number, Kind.STATUS, trace_number, status, information))
        return int(status), information

    def _control(self, request: Registration, code: int) -> Routine[tuple[int, int]]:
        """The request, and the release that waited for its end: both in the kernel, where no thread is ended."""
        self._requests += 1
        answer = yield from device_control(self.adapter, request, code)
        self._requests -= 1
        if not self.handle_count:
            yield from self._release()
        return answer

    def last_handle_closed(self) -> None:
        """The last handle is gone: release the file object, unless a request on it is outstanding."""
        if not self._requests:
            self.device.system.executor.request(self._release())

    def _release(self) -> Routine[None]:
        if self._is_closing or self._requests:
            return
        self._is_closing = True
        device = self.device
        machine = device.system.machine
        thread = machine.current
        machine.trace.record(
            (machine.time(), thread.number if thread else 0, int(Kind.CLOSE), device.port.trace_number, 0, 0)
        )
        yield from close(self.adapter, self)
        device.files.remove(self)
        self.is_released = True
