"""File objects and handles: how the system around the driver counts who uses a device, and when it closes one.

These routines are the I/O manager's and the object manager's: a file object is released, and the driver told, when its
last handle is closed and no request on it is outstanding (spec driver §6.2, §7.1).
"""

from __future__ import annotations

from wintun_model import operations as op
from wintun_model.adapter import Adapter, Driver
from wintun_model.dispatch import close, process_exit
from wintun_model.status import NtStatus


class FileObject:
    """An open of an adapter's device. `references` counts handles and outstanding requests, under `lock`."""

    def __init__(self, name: str, adapter: Adapter) -> None:
        self.name = name
        self.adapter = adapter
        self.handles: list[Handle] = []
        self.lock = op.Lock(name, is_spin=True)
        self.references: op.Variable[int] = op.Variable(f"{name} references", 0)
        self.released: op.Variable[bool] = op.Variable(f"{name} released", False)

    def __repr__(self) -> str:
        return self.name


class Handle:
    """A handle of a process to a file object."""

    def __init__(self, caller: op.Caller, value: int, file_object: FileObject) -> None:
        self.caller = caller
        self.value = value
        self.file_object = file_object
        self.open: op.Variable[bool] = op.Variable(f"handle {value:#x} open", True)


def request(handle: Handle, routine: op.Routine[tuple[int, int]], *, is_held: bool = True) -> op.Routine[int]:
    """A request on a handle: its status. Its file object is held until it is over, unless `is_held` is false."""
    file_object = handle.file_object
    yield file_object.lock.acquire
    is_open = yield handle.open.get
    if is_open and is_held:
        yield op.Put(file_object.references, (yield file_object.references.get) + 1)
    yield file_object.lock.release
    if not is_open:
        routine.close()
        return NtStatus.STATUS_INVALID_HANDLE
    status, _ = yield from routine
    if is_held:
        yield file_object.lock.acquire
        yield from _let_go(file_object)
    return status


def close_handle(handle: Handle, *, is_inside: bool = False) -> op.Routine[None]:
    """`CloseHandle`: the last handle to a file object releases it. `is_inside` says that the driver closes it."""
    file_object = handle.file_object
    yield file_object.lock.acquire
    if not (yield handle.open.get):
        yield file_object.lock.release
        return
    yield op.Put(handle.open, False)
    yield from _let_go(file_object, is_inside=is_inside)


def exit_process(driver: Driver, process_id: int, *handles: Handle, notice_first: bool = True) -> op.Routine[None]:
    """A process ends: the driver gets its notice, and the process's handles are closed, in either order (§7.1)."""
    if notice_first:
        yield from process_exit(driver, process_id)
    for handle in handles:
        yield from close_handle(handle)
    if not notice_first:
        yield from process_exit(driver, process_id)


def _let_go(file_object: FileObject, *, is_inside: bool = False) -> op.Routine[None]:
    """One reference less, under the lock, which is released; with the last one the file object is closed."""
    left = (yield file_object.references.get) - 1
    yield op.Put(file_object.references, left)
    yield file_object.lock.release
    if left:
        return
    closing = close(file_object.adapter, file_object)
    yield from closing if is_inside else _elsewhere(file_object.adapter, closing)
    yield op.Put(file_object.released, True)


def _elsewhere(adapter: Adapter, routine: op.Routine[None]) -> op.Routine[None]:
    """A close that no removal makes.

    A lock may be taken again by the thread that holds it, and by no other. The model's driver, though, knows a
    removal's closes by their file object (`Adapter.closing`), whoever makes them: here that is answered for the thread.
    """
    asks, result = adapter.closing.get, None
    while True:
        try:
            operation = routine.send(result)
        except StopIteration:
            return
        result = yield operation
        if operation is asks:
            result = None
