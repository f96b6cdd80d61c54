"""Is an address good? Asked of the host before the simulator touches memory that a client named.

A wild pointer in a client must give the status of the specification (spec driver §5 check 7, spec win32 §4) and never
a crash of the host process. Three ways of asking, one meaning:

- ``map``: Linux. One ``PROCMAP_QUERY`` request a mapping where the kernel has it (6.11), else the text of
  ``/proc/self/maps``.
- ``region``: macOS, ``mach_vm_region``.
- ``pipe``: everywhere. One byte of each page goes through a pipe; for a bad address the system call answers EFAULT.

The first two do not touch pages, so that a ring that was never written costs nothing. (Of memory that a file backs the
last byte asked about is read through the pipe: the file may end before its mapping does, and a touch beyond is SIGBUS.)
Nothing is remembered between calls.

The pipe reads a byte and, to learn whether it can be written, puts the same byte back. That loses nothing as long as
nobody writes the byte in between: clients are greenlets of the thread that probes, so none of them can run there.
"""

import ctypes
import errno
import mmap
import os
import struct
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

Method = Literal["map", "region", "pipe"]

#: User addresses end below this on every system; what lies above is the kernel's.
ADDRESS_LIMIT = 1 << 63
_PAGE_BYTES = mmap.PAGESIZE
_CHUNK_BYTES = 65536


class AccessViolation(OSError):
    """A client's access to memory that is not there, with the text that ``ctypes`` gives it on Windows.

    `kind` is ``"reading"`` or ``"writing"``, `address` the first bad address of the range. It can be rebuilt from its
    ``args``, which are those of the ``OSError`` on Windows: the text alone.
    """

    def __init__(self, kind: str, address: int | None = None) -> None:
        super().__init__(kind if address is None else f"exception: access violation {kind} 0x{address:016X}")


class _Region(NamedTuple):
    """A range of this process's memory with one protection; `backed`: by a file that may be shorter."""

    start: int
    end: int
    readable: bool
    writable: bool
    backed: bool


# --- system calls that take an address --------------------------------------------------------------------------------

# The calls never block, so they keep the interpreter lock (PyDLL), which is quicker and lets no other thread in.
_LIBC = ctypes.PyDLL(None, use_errno=True)
_SYSTEM_WRITE = _LIBC.write
_SYSTEM_WRITE.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t)
_SYSTEM_WRITE.restype = ctypes.c_ssize_t
_SYSTEM_READ = _LIBC.read
_SYSTEM_READ.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t)
_SYSTEM_READ.restype = ctypes.c_ssize_t


class _Pipe:
    """The pipe through which bytes of doubtful addresses go; the system call finds out about the address."""

    def __init__(self) -> None:
        self._ends: tuple[int, int] | None = None
        self._lock = threading.Lock()

    def fetch(self, address: int, size: int) -> bytes:
        """At most `size` bytes from `address` on; none when there is no readable byte."""
        with self._lock:
            try:
                source, sink = self._open()
                count: int = _SYSTEM_WRITE(sink, address, size)
                if count > 0:
                    return os.read(source, count)
                self._fault(count)
            except BaseException:
                self._discard()
                raise
            return b""

    def store(self, address: int, data: bytes | memoryview) -> int:
        """How many of `data`, at most `_CHUNK_BYTES`, could be written from `address` on."""
        with self._lock:
            done = 0
            try:
                source, sink = self._open()
                waiting = os.write(sink, data)
                while done < waiting:
                    count: int = _SYSTEM_READ(source, address + done, waiting - done)
                    if count <= 0:
                        self._fault(count)
                        break
                    done += count
            except BaseException:
                self._discard()
                raise
            return done

    def forget(self) -> None:
        """After a fork: the parent's pipe is not the child's, and a lock another thread held stays locked."""
        self._lock = threading.Lock()
        self._discard()

    def _open(self) -> tuple[int, int]:
        if self._ends is None:
            self._ends = os.pipe()
            for end in self._ends:
                os.set_blocking(end, False)
        return self._ends

    def _fault(self, count: int) -> None:
        number = ctypes.get_errno()
        # Bytes may be left inside (and Linux leaves an empty slot after a fault): the next caller gets a fresh pipe.
        self._discard()
        if count < 0 and number != errno.EFAULT:
            raise OSError(number, os.strerror(number))

    def _discard(self) -> None:
        ends, self._ends = self._ends, None
        for end in ends or ():
            os.close(end)


_PIPE = _Pipe()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_PIPE.forget)


def _first_bad_by_pipe(address: int, end: int, write: bool) -> int | None:
    at = address
    while at < end:
        byte = _PIPE.fetch(at, 1)
        if not byte or (write and not _PIPE.store(at, byte)):
            return at
        at = at - at % _PAGE_BYTES + _PAGE_BYTES
    return None


# --- Linux ------------------------------------------------------------------------------------------------------------

_PROCMAP_QUERY = 0xC0686611  # _IOWR('f', 17, struct procmap_query), 104 bytes, <linux/fs.h>
_COVERING_OR_NEXT = 0x10
_PROCMAP_RECORD = struct.Struct("=9Q4I2Q")
_MAPS = "/proc/self/maps"


def _regions_by_query(address: int) -> Iterator[_Region] | None:
    """The mappings from `address` on, or None where the kernel does not know the request."""
    import fcntl  # not on every platform

    def ask(handle: int, at: int) -> tuple[int, ...] | None:
        record = bytearray(_PROCMAP_RECORD.pack(_PROCMAP_RECORD.size, _COVERING_OR_NEXT, at, *[0] * 12))
        try:
            fcntl.ioctl(handle, _PROCMAP_QUERY, record)
        except OSError as error:
            if error.errno == errno.ENOENT:
                return None
            raise
        return _PROCMAP_RECORD.unpack(record)

    def walk(handle: int, answer: tuple[int, ...] | None) -> Iterator[_Region]:
        try:
            while answer is not None:
                start, end, flags, inode = answer[3], answer[4], answer[5], answer[8]
                yield _Region(start, end, bool(flags & 1), bool(flags & 2), inode != 0 or not flags & 2)
                answer = ask(handle, end)
        finally:
            os.close(handle)

    handle = os.open(_MAPS, os.O_RDONLY | os.O_CLOEXEC)
    try:
        first = ask(handle, address)
    except OSError:
        os.close(handle)
        return None
    return walk(handle, first)


def _regions_by_text(address: int) -> Iterator[_Region]:
    """The mappings from `address` on, out of the text of the process's map."""
    with open(_MAPS, "rb", buffering=_CHUNK_BYTES) as lines:  # noqa: PTH123 - a Path would cost more than the look-up
        for line in lines:
            dash = line.index(b"-")
            space = line.index(b" ", dash)
            end = int(line[dash + 1 : space], 16)
            if end > address:
                fields = line.split(None, 5)
                rights = fields[1]
                writable = rights[1:2] == b"w"
                backed = fields[4] != b"0" or not writable
                yield _Region(int(line[:dash], 16), end, rights[:1] == b"r", writable, backed)


def _regions_linux(address: int) -> Iterator[_Region]:
    return _regions_by_query(address) or _regions_by_text(address)


# --- macOS ------------------------------------------------------------------------------------------------------------

_VM_REGION_BASIC_INFO_64 = 9
_VM_REGION_BASIC_INFO_COUNT_64 = 9  # 32-bit words; the first is the protection
_VM_PROT_READ, _VM_PROT_WRITE = 1, 2


def _regions_macos(address: int) -> Iterator[_Region]:
    """The regions from `address` on, from the Mach virtual memory system."""
    library = ctypes.CDLL(None)
    mach_vm_region = library.mach_vm_region
    mach_vm_region.restype = ctypes.c_int
    task = ctypes.c_uint32.in_dll(library, "mach_task_self_")
    start, size = ctypes.c_uint64(address), ctypes.c_uint64(0)
    info = (ctypes.c_int32 * _VM_REGION_BASIC_INFO_COUNT_64)()
    name = ctypes.c_uint32(0)
    while True:
        count = ctypes.c_uint32(_VM_REGION_BASIC_INFO_COUNT_64)
        result = mach_vm_region(
            task,
            ctypes.byref(start),
            ctypes.byref(size),
            ctypes.c_int(_VM_REGION_BASIC_INFO_64),
            info,
            ctypes.byref(count),
            ctypes.byref(name),
        )
        if result != 0:  # no region at or above the address
            return
        end = start.value + size.value
        # Whether a file backs the region is not told: always look at the last byte.
        yield _Region(start.value, end, bool(info[0] & _VM_PROT_READ), bool(info[0] & _VM_PROT_WRITE), True)
        start.value = end


# --- the question -----------------------------------------------------------------------------------------------------


def default_method() -> Method:
    """The cheapest way of asking that this host has."""
    if sys.platform == "darwin":
        return "region"
    return "map" if os.access(_MAPS, os.R_OK) else "pipe"


_DEFAULT = default_method()
_REGIONS: dict[Method, Callable[[int], Iterator[_Region]]] = {"map": _regions_linux, "region": _regions_macos}


def first_inaccessible(address: int, size: int, *, write: bool, method: Method | None = None) -> int | None:
    """The first address of ``[address, address + size)`` that cannot be read (or written); None for none.

    `size` is in bytes. As with ``ProbeForWrite``, a range of no bytes is not probed and therefore good, wherever it is.
    A negative size or an address outside of the user's part of the address space is bad at `address`; a range that
    leaves that part is bad where it leaves it or before. Never crashes, and raises nothing for any integers. `method`
    is for tests; default: the host's best. Follows spec driver §5 check 7.
    """
    if size == 0 and 0 <= address < 1 << 64:
        return None
    if size < 0 or not 0 <= address < ADDRESS_LIMIT:
        return address
    method = method or _DEFAULT
    end = min(address + size, ADDRESS_LIMIT)
    if method == "pipe":
        bad = _first_bad_by_pipe(address, end, write)
    else:
        bad = _first_bad_by_regions(_REGIONS[method](address), address, end, write)
    return end if bad is None and end < address + size else bad


def _first_bad_by_regions(regions: Iterator[_Region], address: int, end: int, write: bool) -> int | None:
    at = address
    for region in regions:
        if region.start > at or not region.readable or (write and not region.writable):
            return at
        stop = min(region.end, end)
        if region.backed and not _PIPE.fetch(stop - 1, 1):
            bad = _first_bad_by_pipe(at, stop, False)
            return stop - 1 if bad is None else bad
        at = stop
        if at == end:
            return None
    return at


def is_accessible(address: int, size: int, *, write: bool, method: Method | None = None) -> bool:
    """Whether all of ``[address, address + size)`` can be read (or, with `write`, written) in this process.

    Sizes in bytes; see `first_inaccessible` for empty and absurd ranges, which never raise.
    """
    return first_inaccessible(address, size, write=write, method=method) is None


def read_bytes(address: int, size: int) -> bytes:
    """A copy of the `size` bytes at `address`; raises `AccessViolation` with the first bad address, never crashes."""
    if size <= 0 or not 0 <= address <= ADDRESS_LIMIT - size:
        if size == 0:
            return b""
        raise AccessViolation("reading", _named(address, max(size, 1), False))
    data = _PIPE.fetch(address, min(size, _CHUNK_BYTES))
    if len(data) == size:
        return data
    parts = [data]
    done = len(data)
    while done < size:
        if not data:
            raise AccessViolation("reading", _named(address, size, False, done))
        data = _PIPE.fetch(address + done, min(size - done, _CHUNK_BYTES))
        parts.append(data)
        done += len(data)
    return b"".join(parts)


def write_bytes(address: int, data: bytes | bytearray | memoryview) -> None:
    """Copy `data` to `address`. Raises `AccessViolation`, naming the first bad address, and never crashes.

    As with ``memmove`` on Windows, bytes before the first bad address may have been written by then.
    """
    source = memoryview(data).cast("B")
    size = len(source)
    if size and not 0 <= address <= ADDRESS_LIMIT - size:
        raise AccessViolation("writing", _named(address, size, True))
    done = 0
    while done < size:
        count = _PIPE.store(address + done, source[done : done + _CHUNK_BYTES])
        if not count:
            raise AccessViolation("writing", _named(address, size, True, done))
        done += count


def _named(address: int, size: int, write: bool, done: int = 0) -> int:
    bad = first_inaccessible(address, size, write=write)
    return (address + done if bad is None else bad) % (1 << 64)
