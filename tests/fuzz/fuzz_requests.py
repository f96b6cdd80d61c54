"""Targets: what clients ask of the driver: registration records, and device control requests of any kind (§5, §6)."""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass, field
from functools import cache

from fuzz_input import Input
from fuzz_world import ALL_REVISIONS, EVENT_RIGHTS, FORCE_CLOSE, REGISTER, Ndis
from state_machine_process import Block, ClientProcess, Ledger, followed

from wintun_model import operations as op
from wintun_model.adapter import Adapter, Driver
from wintun_model.dispatch import close, device_control
from wintun_model.errors import ClientFault
from wintun_model.immediate import ImmediateExecutor
from wintun_model.registration import Registration
from wintun_model.revision import Revision
from wintunsim.kernel.devices import FileObject
from wintunsim.kernel.process import Account
from wintunsim.kernel.system import System

SMALLEST, LARGEST = 0x20000, 0x4000000
TRAILING = 0x10000
OK, ALREADY, INVALID = 0, 0xC0000510, 0xC000000D
BAD_HANDLE, NO_EVENT, DENIED = 0xC0000008, 0xC0000024, 0xC0000022
NO_RESOURCES, BAD_BUFFER, FAILED = 0xC000009A, 0xC00000E8, 0xC0000001
NOT_READY, UNKNOWN_CODE, NOTHING_CLOSED = 0xC0010011, 0xC0000010, 0x122
HANDLES = {
    0x44: (op.Event("first", manual_reset=False), EVENT_RIGHTS),
    0x48: (op.Event("second", manual_reset=False), EVENT_RIGHTS),
    0x4C: (op.Event("weak", manual_reset=False), 0x100000),
    0x50: (op.Event("may be set", manual_reset=False), 2),
    0x54: ("no event", EVENT_RIGHTS),
}
FILL = 0xFF
"""What rings are full of: a packet of this size ends the reader at once, wherever it looks."""


class _Huge(Block):
    """A ring of the largest capacity, without guards; nobody looks at its pages, so they take no memory."""

    def __init__(self, address: int, size_bytes: int) -> None:
        self.address = address
        self.size_bytes = size_bytes
        self.view = memoryview(mmap.mmap(-1, size_bytes))
        self.is_read_only = False

    def check(self) -> None:
        """There is nothing to be compared."""


@cache
def _blocks() -> tuple[Block, ...]:
    """Two smallest rings and a little more, one of twice the size, a read-only one, the largest."""
    size = 12 + SMALLEST + TRAILING
    read_only = Block(0x0500_0000, size, FILL)
    read_only.is_read_only = True
    return (
        Block(0x0100_0000, 2 * size + 64, FILL),
        Block(0x8000_0000, size, FILL),
        Block(0x7FFF_0000_0000, size + SMALLEST, FILL),
        read_only,
        _Huge(0x1_0000_0000, 12 + LARGEST + TRAILING + 4),
    )


@dataclass
class _Case:
    """A registration in its surroundings, and what of them decides its status."""

    revision: Revision
    process: ClientProcess
    kernel: ClientProcess | None
    is_attached: bool
    is_owned: bool
    is_locked: bool
    failing: dict[str, int] = field(default_factory=dict)
    """Which attempt to allocate each kind fails, from 1 on."""
    record: bytes = b""
    tails: dict[int, int] = field(default_factory=dict)
    """What stands in `Tail` of a ring at an address."""

    def expected(self) -> int:
        """The status, by the table of spec driver §5 and the revisions of §9."""
        years = [revision.name for revision in ALL_REVISIONS]
        age = years.index(self.revision.name)
        who = self.process
        if self.kernel is None:
            admitted = who.is_local_system
            if age >= years.index("0.12"):
                admitted = (admitted or who.is_administrator) and who.integrity_level >= 0x3000
            if not admitted:
                return DENIED
        if not self.is_attached:
            return NOT_READY
        if self.is_locked or self.is_owned:
            return ALREADY
        takes_24 = age >= years.index("0.9") and self.kernel is None and who.is_32_bit
        if len(self.record) != 48 and not (takes_24 and len(self.record) == 24):
            return INVALID
        owner = self.kernel if self.kernel is not None and age >= years.index("2026-02") else who
        for ring in (0, 1):
            status = self._ring(ring, owner)
            if status:
                return status
        return FAILED if "thread" in self.failing else OK

    def described(self, ring: int) -> tuple[int, int, int]:
        """(ring size, address, event handle) of a ring: 0 for send, 1 for receive."""
        if len(self.record) == 48:
            start, places = 24 * ring, ((0, 4), (8, 8), (16, 8))
        else:
            start, places = 12 * ring, ((0, 4), (4, 4), (8, 4))
        size, address, handle = (
            int.from_bytes(self.record[start + place : start + place + length], "little") for place, length in places
        )
        return size, address, handle

    def _ring(self, ring: int, owner: ClientProcess) -> int:
        size, address, handle = self.described(ring)
        capacity = (size - 12 - TRAILING) % 2**32
        if capacity not in [1 << bit for bit in range(17, 27)] or not handle or not address:
            return INVALID
        if handle not in owner.handles:
            return BAD_HANDLE
        target, rights = owner.handles[handle]
        if not isinstance(target, op.Event):
            return NO_EVENT
        if not rights & 2 or (ring and not rights & 0x100000):
            return DENIED
        if self.failing.get("memory descriptor") == ring + 1:
            return NO_RESOURCES
        block = owner.block_of(address, size)
        if block is None or block.is_read_only:
            return BAD_BUFFER
        if self.failing.get("map") == ring + 1:
            return NO_RESOURCES
        if not ring and self.tails[address] >= capacity:
            return INVALID
        return OK


def registration(data: bytes) -> None:
    """A registration record of any bytes and length, from any process, in any state, with any failing allocation."""
    source = Input(data)
    ledger = Ledger()
    process, kernel = ClientProcess(ledger, 100), ClientProcess(ledger, 4)
    process.blocks, kernel.blocks = list(_blocks()[:4]), list(_blocks()[4:] + _blocks()[:1])
    if source.flag():
        process.blocks, kernel.blocks = kernel.blocks, process.blocks
    process.handles, kernel.handles = dict(HANDLES), dict(list(HANDLES.items())[:2])
    rights = source.choice((0, 0, 0, 1, 2, 3, 4))
    process.is_local_system = rights < 1
    process.is_administrator = rights < 3
    process.integrity_level = 0x2000 if rights in (2, 4) else 0x3000
    process.is_32_bit = source.flag()
    state = source.below(8)
    case = _Case(
        source.choice(ALL_REVISIONS),
        process,
        kernel if not source.below(4) else None,
        state != 1,
        state == 2,
        state == 3,
    )
    if not source.below(4):
        case.failing = {source.choice(("memory descriptor", "map", "thread")): 1 + source.below(2)}
        if "thread" in case.failing:
            case.failing = {"thread": 1}
    case.record = _record(source)
    _images()
    touched = _write_words(source, case)
    try:
        _register(case, ledger)
    finally:
        _restore(touched)


def _record(source: Input) -> bytes:
    """A record: fields that are likely to be good, or not, or whatever the bytes are."""
    kind = source.below(8)
    if kind == 0:
        return source.take(64)
    is_short = kind == 1
    values: list[int] = []
    for _ in range(2):
        capacity = source.choice(
            (SMALLEST, SMALLEST, 2 * SMALLEST, LARGEST, LARGEST * 2, SMALLEST // 2, SMALLEST + 4, 0)
        )
        size = source.number(4) if not source.below(16) else (12 + TRAILING + capacity + source.below(2)) % 2**32
        block = source.choice(_blocks())
        address = source.number(8) if not source.below(16) else block.address + source.choice((0, 0, 0, 1, 4, 8, 64))
        if not source.below(8):
            address = source.choice((0, block.address - 4, 0xFFFFFFFFFFFFFFFF, 0x0100_0000 + 12 + SMALLEST + TRAILING))
        handle = source.number(8) if not source.below(16) else source.choice((0x44, 0x48, 0x44, 0x4C, 0x50, 0x54, 0))
        values += [size, address, handle]
    if is_short:
        return struct.pack("<6I", *(value & 0xFFFFFFFF for value in values))
    record = struct.pack("<I4xQQI4xQQ", *values)
    return record[: source.byte()] if not source.below(8) else record


Touched = list[tuple[Block, int, bytes]]
"""Where the client wrote before it registered, and what stood there."""


def _write_words(source: Input, case: _Case) -> Touched:
    """What stands in the words of the rings that the record names."""
    touched: Touched = []
    if len(case.record) not in (24, 48):
        return []
    for ring in (0, 1):
        size, address, _ = case.described(ring)
        capacity = (size - 12 - TRAILING) % 2**32 or 1
        for block, start in _places(case, address):
            words = [source.word(capacity) if source.flag() else 0 for _ in range(3)]
            _write(touched, block, start, struct.pack("<3I", *words))
    size, address, _ = case.described(1)
    for block, start in _places(case, address):
        # A ring of zeros is full of packets of no bytes, which 0.14 skips, 16 million of them in the largest ring: the
        # packet at Head ends the reader in every revision.
        head = start + 12 + struct.unpack_from("<I", block.view, start)[0]
        _write(touched, block, head, bytes([FILL]) * max(0, min(4, block.size_bytes - head)))
    for ring in (0, 1):
        address = case.described(ring)[1]
        places = _places(case, address)
        case.tails[address] = struct.unpack_from("<I", places[0][0].view, places[0][1] + 4)[0] if places else 0
    return touched


def _places(case: _Case, address: int) -> list[tuple[Block, int]]:
    """Where an address is, in the process's memory and in the kernel's: (block, offset in it)."""
    blocks = [process.block_of(address, 12) for process in (case.process, case.kernel) if process is not None]
    return [(block, address - block.address) for block in blocks if block is not None]


def _write(touched: Touched, block: Block, start: int, data: bytes) -> None:
    touched.append((block, start, bytes(block.view[start : start + len(data)])))
    block.view[start : start + len(data)] = data


def _register(case: _Case, ledger: Ledger) -> None:
    """Ask, compare the answer with the table, close, and see that nothing is left."""
    ndis = Ndis()
    heads: list[int] = []
    attempts: dict[str, int] = {}

    def fails(what: str) -> bool:
        attempts[what] = attempts.get(what, 0) + 1
        return case.failing.get(what) == attempts[what]

    def look(operation: op.Operation, result: int) -> None:
        if isinstance(operation, op.Dereference):
            ledger.dereferenced(operation.event)
        elif isinstance(operation, op.Load) and operation.word.name.endswith("receive.Head") and not heads:
            heads.append(result)

    executor = ImmediateExecutor(ndis, fails=fails)  # type: ignore[arg-type]
    adapter = Adapter("tun", Driver(case.revision))
    adapter.is_attached.value = case.is_attached
    if case.is_owned:
        adapter.owner.value = "another file"
    if case.is_locked:
        adapter.registration_lock.exclusive = "somebody"
    request = Registration(case.process, "file", case.record, case.kernel)
    expected = case.expected()
    try:
        answer = executor.run(followed(device_control(adapter, request, REGISTER), look))
    except ClientFault:
        assert heads[0] & 3, "only an unaligned start leads out of the ring"
        assert expected == OK
        return
    assert answer == (expected, 0), f"status {answer[0]:#x}, the table says {expected:#x}"
    if expected == OK:
        assert adapter.driver.registered.value == (adapter,) and ndis.links == [True]
        assert ledger.held() == (2, 2)
        executor.run(followed(close(adapter, "file"), look))
        assert ndis.links == [True, False]
    else:
        assert ndis.links == []
    assert ledger.held() == (0, 0) and executor.threads == []
    assert adapter.memory_descriptors.outstanding == 0 and adapter.driver.registered.value == ()
    assert adapter.disconnected.signalled
    assert adapter.owner.value == ("another file" if case.is_owned else None)


def _restore(touched: Touched) -> None:
    """Put back what the client wrote over. Then every block is as it was: the driver wrote nothing but words."""
    for block, start, before in reversed(touched):
        block.view[start : start + len(before)] = before
    for block, image in zip(_blocks(), _images(), strict=False):
        assert block.cells == image, "bytes that are no words of a ring were written"


@cache
def _images() -> tuple[bytes, ...]:
    """What the blocks look like, guards and all; not the huge one."""
    return tuple(bytes(block.cells) for block in _blocks()[:4])


# -- device control requests, in the simulated system -----------------------------------------------------------------


class _Computer:
    """A system with an adapter and two processes for each revision; each input leaves it as it was."""

    def __init__(self, revision: Revision) -> None:
        self.revision = revision
        self.system = System(revision=revision.name)
        self.device = self.system.create_adapter("tun")
        self.processes = [self.system.create_process(account.value, account) for account in Account]
        self.uses = 0


_computers: dict[str, _Computer] = {}
_USES_MOST = 400


def _computer(revision: Revision) -> _Computer:
    computer = _computers.get(revision.name)
    if computer is None or computer.uses >= _USES_MOST:
        # The trace keeps the names of all threads that ever were.
        computer = _computers[revision.name] = _Computer(revision)
    computer.uses += 1
    return computer


def control_codes(data: bytes) -> None:
    """Requests with any code, any input, and any access of the handle, from any account, with any files open."""
    source = Input(data)
    computer = _computer(source.choice(ALL_REVISIONS))
    # A halted adapter stays halted: it gets a computer of its own.
    if not source.below(32):
        computer = _Computer(computer.revision)
        computer.system.devices.clear()
        computer.device.adapter.is_attached.value = False
    failures: list[BaseException] = []

    def client() -> None:
        try:
            _requests(computer, source)
        except BaseException as error:
            failures.append(error)

    machine = computer.system.machine
    machine.start_thread("client", client)
    machine.run()
    if failures:
        _computers.pop(computer.revision.name, None)
        raise failures[0]
    assert machine.threads == []
    machine.trace.flush()


def _requests(computer: _Computer, source: Input) -> None:
    device = computer.device
    files: list[tuple[int, FileObject]] = []
    for _ in range(1 + source.below(3)):
        owner = source.below(3)
        access = source.number(4) if not source.below(4) else source.choice((3, 3, 1, 2, 0x1F01FF))
        opened = device.open(computer.processes[owner], access)
        computer.processes[owner].handles.insert(opened, access)
        files.append((owner, opened))
    for _ in range(8):
        owner, used = files[source.byte() % len(files)]
        asking = owner if source.below(4) else source.below(3)
        code = REGISTER if source.flag() else FORCE_CLOSE
        if source.flag():
            code = source.number(4) if source.flag() else code ^ (1 << source.below(32))
        record = _harmless(source.take(source.choice((0, 4, 23, 24, 25, 47, 48, 49, 200, 48, 48))))
        others = sum(1 for other, opened in files if other != asking and opened.handle_count)
        if not used.handle_count:
            break
        status, information = used.control(computer.processes[asking], code, record)
        allowed = _allowed(computer, asking, used.access, code, len(record), others)
        assert information == 0
        assert status in allowed, f"code {code:#x} answers {status:#x}, where {[hex(s) for s in allowed]} may be"
        if code == FORCE_CLOSE and status in (OK, NOTHING_CLOSED):
            assert all(other == asking or not opened.handle_count for other, opened in files)
        if not source:
            break
    for process in computer.processes:
        for handle in process.handles.values():
            process.handles.close(handle)
    assert device.files == [] and device.adapter.owner.value is None


def _harmless(record: bytes) -> bytes:
    """No address of the host's own memory: the lowest 64 KiB belong to nobody, the upper half to no process."""
    if len(record) != 48:
        return record
    fields = list(struct.unpack("<I4xQQI4xQQ", record))
    for place in (1, 4):
        fields[place] = fields[place] & 0xFFFF or 1 << 63 | fields[place]
    return struct.pack("<I4xQQI4xQQ", *fields)


def _allowed(computer: _Computer, asking: int, access: int, code: int, length: int, others: int) -> tuple[int, ...]:
    """The statuses that spec driver §5, §6.5 and §9 allow."""
    years = [revision.name for revision in ALL_REVISIONS]
    age = years.index(computer.revision.name)
    needed = code >> 14 & 3
    if needed & ~access & 3:
        return (DENIED,)
    if code not in (REGISTER, FORCE_CLOSE) or (code == FORCE_CLOSE and age >= years.index("0.14")):
        return (UNKNOWN_CODE,)
    account = list(Account)[asking]
    is_admitted = account is Account.SYSTEM or (account is Account.ADMINISTRATOR and age >= years.index("0.12"))
    if not is_admitted:
        return (DENIED,)
    if code == FORCE_CLOSE:
        return (NOTHING_CLOSED if age >= years.index("0.9") and not others else OK,)
    if not computer.device.adapter.is_attached.value:
        return (NOT_READY,)
    return (INVALID,) if length != 48 else (INVALID, BAD_HANDLE, NO_EVENT, DENIED, BAD_BUFFER)
