"""The state of one adapter and of the driver; NBLs; rings as they are registered (spec driver §2)."""

from __future__ import annotations

from dataclasses import dataclass, fields

from wintun_model.abi import RING_HEADER_BYTES, WINTUN_LIMITS, Limits
from wintun_model.effects import check_inside
from wintun_model.errors import DriverFault, ModelError
from wintun_model.operations import ActiveList, Entry, Event, Lock, Pages, Pool, ThreadHandle, Variable, Word
from wintun_model.revision import DEFAULT_REVISION, REVISIONS, Revision
from wintun_model.ring import ring_bytes_of, stored_bytes
from wintun_model.status import NdisStatus

_SUCCESS = int(NdisStatus.NDIS_STATUS_SUCCESS)
PAGE_BYTES = 4096


class Packet:
    """A NET_BUFFER: one packet that NDIS hands down.

    `data` is None when its bytes cannot be mapped; `size_bytes` is its length all the same. `source` and `number` say
    which packet it is, in traces and reports: the number of the source's name in the trace, and the packet's place
    among the packets of that source, from 1.
    """

    __slots__ = ("data", "number", "size_bytes", "source")

    def __init__(self, data: bytes | None, size_bytes: int | None = None, *, source: int = 0, number: int = 0) -> None:
        if size_bytes is None:
            if data is None:
                raise ModelError("a packet needs data or a size")
            size_bytes = len(data)
        self.data = data
        self.size_bytes = size_bytes
        self.source = source
        self.number = number


class SendNbl:
    """A NET_BUFFER_LIST on its way down: one or more packets and the status it will be completed with."""

    __slots__ = ("packets", "status")

    def __init__(self, packets: tuple[Packet, ...], status: int = _SUCCESS) -> None:
        self.packets = packets
        self.status = status


class SendChain(Entry):
    """A chain of NBLs that NDIS hands down in one call; it is one entry of the send active list.

    `stale_link` is what the link word held that the driver uses, when NDIS handed the chain down: null as a rule, but
    nothing says that it must be (B7, spec driver §7.1).
    """

    __slots__ = ("nbls", "offset")

    def __init__(self, nbls: tuple[SendNbl, ...], *, stale_link: Entry | None = None) -> None:
        self.marked_offset = 0
        self.link = stale_link
        self.nbls = nbls
        self.offset = 0
        """Where its first packet starts in the ring, once space is reserved."""

    @classmethod
    def of(cls, *packets: Packet) -> SendChain:
        """A chain with one NBL for each packet."""
        return cls(tuple([SendNbl((packet,)) for packet in packets]))

    def required_bytes(self, limits: Limits = WINTUN_LIMITS) -> int:
        """The ring space that the chain needs: packets that are too large need none. A 32-bit sum (§3 step 1)."""
        largest = limits.max_packet_bytes
        required = 0
        for nbl in self.nbls:
            for packet in nbl.packets:
                size = packet.size_bytes
                if size <= largest:
                    required += stored_bytes(size)
        return required & 0xFFFFFFFF

    @property
    def statuses(self) -> list[int]:
        """The status of each NBL, in order."""
        return [nbl.status for nbl in self.nbls]

    def packets(self) -> list[Packet]:
        """All packets of the chain, in order."""
        return [packet for nbl in self.nbls for packet in nbl.packets]


class ForeignEntry(Entry):
    """What a stale link word points to: memory that is no NBL of the driver's (B7).

    `word` is what it holds where an entry has its end offset and mark, and so decides whether the driver takes it for
    completed.
    """

    __slots__ = ()

    def __init__(self, word: int = 0) -> None:
        super().__init__()
        self.marked_offset = word

    @property
    def nbls(self) -> tuple[SendNbl, ...]:
        """There are none: whoever looks here was given what it never handed down."""
        raise DriverFault("the driver completed a chain of NBLs that was never handed down to it (a stale link word)")


class ReceiveNbl(Entry):
    """A NET_BUFFER_LIST on its way up: it points into ring memory (spec driver §4.1 step 3).

    `offset` is where the packet's data starts in the data area, `number` counts the packets of the registration from 1.
    NDIS sets `status` before it returns the NBL.
    """

    __slots__ = ("ip_version", "number", "offset", "ring", "size_bytes", "status")

    def __init__(self, ring: Ring, offset: int, size_bytes: int, ip_version: int, number: int) -> None:
        self.marked_offset = 0
        self.link = None
        self.ring = ring
        self.offset = offset
        self.size_bytes = size_bytes
        self.ip_version = ip_version
        self.number = number
        self.status = _SUCCESS

    @property
    def headroom_bytes(self) -> int:
        """Bytes before the packet that NDIS is told it may use: all from the ring's start on (B5), or none (§9)."""
        return RING_HEADER_BYTES + self.offset if self.ring.revision.offers_headroom else 0

    @property
    def missing_pages(self) -> int:
        """Pages of the packet that its memory descriptor does not list: 0, or 1 in 0.10 (§9).

        That descriptor has room for as many pages as the packet would touch if it began at a page's start. A consumer
        that goes by the mapped address, as a stack does, sees the whole packet all the same; one that goes by the
        descriptor's pages lacks the last one. So it is a fact of the NBL, and no failure of the driver's own.
        """
        if not self.ring.revision.partial_descriptor_one_page_short:
            return 0
        start = (self.ring.address + RING_HEADER_BYTES + self.offset) % PAGE_BYTES
        return _pages_of(start + self.size_bytes) - _pages_of(self.size_bytes)

    def peek(self) -> bytes:
        """The packet's bytes as they stand in the ring now: what a stack reads that holds the NBL.

        Raises `ClientFault` when they go on past the ring (spec driver §1).
        """
        check_inside(self.ring, self.offset, self.size_bytes)
        return bytes(self.ring.data[self.offset : self.offset + self.size_bytes])


def _pages_of(size: int) -> int:
    return (size + PAGE_BYTES - 1) // PAGE_BYTES


class WholeRing:
    """A ring's memory from its first byte on, header included: what an NBL's headroom reaches (B5)."""

    __slots__ = ("data",)

    def __init__(self, data: memoryview) -> None:
        self.data = data


class Ring:
    """A registered ring: the client's own memory, viewed, never copied. `address` is where the client has it."""

    __slots__ = (
        "address",
        "alertable",
        "capacity",
        "data",
        "head",
        "name",
        "pages",
        "revision",
        "tail",
        "tail_moved",
        "whole",
    )

    def __init__(
        self,
        name: str,
        pages: Pages,
        capacity: int,
        tail_moved: Event,
        limits: Limits,
        *,
        address: int = 0,
        revision: Revision = REVISIONS[DEFAULT_REVISION],
    ) -> None:
        view = pages.view
        if len(view) != ring_bytes_of(capacity, limits):
            raise ModelError(f"the {name} ring's memory has {len(view)} bytes, its capacity needs another size")
        words = view[:RING_HEADER_BYTES].cast("I")
        data = view[RING_HEADER_BYTES:]
        pages.views.extend((words, data))
        self.name = name
        self.pages = pages
        self.capacity = capacity
        self.tail_moved = tail_moved
        self.head = Word(words, 0, f"{name}.Head")
        self.tail = Word(words, 1, f"{name}.Tail")
        self.alertable = Word(words, 2, f"{name}.Alertable")
        self.data = data
        self.whole = WholeRing(view)
        self.address = address
        self.revision = revision


@dataclass(slots=True)
class Statistics:
    """What the miniport counts (spec driver §7). Everything counts as unicast."""

    out_octets: int = 0
    out_unicast_octets: int = 0
    out_unicast_packets: int = 0
    out_errors: int = 0
    out_discards: int = 0
    in_octets: int = 0
    in_unicast_octets: int = 0
    in_unicast_packets: int = 0
    in_errors: int = 0
    in_discards: int = 0

    def as_dict(self) -> dict[str, int]:
        """The counters by name, in this order."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


class Driver:
    """What exists once for all adapters of the driver: its revision, its two locks, the list of registered devices.

    With `rereads_size` its compiler made use of the freedom to read a packet's `Size` twice, in the revisions that
    leave it that freedom (B4).
    """

    def __init__(
        self,
        revision: Revision = REVISIONS[DEFAULT_REVISION],
        limits: Limits = WINTUN_LIMITS,
        *,
        rereads_size: bool = False,
    ) -> None:
        self.revision = revision
        self.rereads_size = rereads_size and revision.may_reread_size
        self.limits = limits
        self.context_guard = Lock("context guard")
        self.device_list_lock = Lock("device list")
        self.registered: Variable[tuple[Adapter, ...]] = Variable("registered devices", ())


class Adapter:
    """The state of one adapter. Its words, variables, locks and events are touched by yielding operations only.

    It is as `miniport.initialize` leaves it, unless `is_initialized` is given as false.
    """

    def __init__(self, name: str, driver: Driver | None = None, *, is_initialized: bool = True) -> None:
        self.name = name
        self.driver = driver or Driver()
        self.limits = self.driver.limits
        self.revision = self.driver.revision
        self.rereads_size = self.driver.rereads_size
        self.context = Pool("adapter context")
        """The memory of this very state: one is outstanding from initialize to halt."""
        self.context.outstanding = int(is_initialized)
        self.is_attached: Variable[bool] = Variable(f"{name}.attached", is_initialized)
        """Whether requests find the adapter's context: false once halted."""
        self.running: Variable[bool] = Variable(f"{name}.running", False)
        self.transition_lock = Lock(f"{name}.transition", is_spin=True)
        self.registration_lock = Lock(f"{name}.registration", is_ready=is_initialized)
        self.owner: Variable[object | None] = Variable(f"{name}.owner", None)
        self.closing: Variable[object | None] = Variable(f"{name}.closing", None)
        """The owner whose handles a removal closes, while it holds the registration lock (0.14, spec driver §9)."""
        self.owner_process_id: Variable[int] = Variable(f"{name}.owner process", 0)
        self.disconnected = Event(f"{name}.disconnected", manual_reset=True, signalled=True)
        self.send_ring: Variable[Ring | None] = Variable(f"{name}.send ring", None)
        self.send_lock = Lock(f"{name}.send", is_spin=True)
        self.send_reserved_tail: Variable[int] = Variable(f"{name}.send reserved tail", 0)
        self.send_active: ActiveList[SendChain] = ActiveList(f"{name}.send active")
        self.receive_ring: Variable[Ring | None] = Variable(f"{name}.receive ring", None)
        self.receive_lock = Lock(f"{name}.receive", is_spin=True)
        self.receive_active: ActiveList[ReceiveNbl] = ActiveList(f"{name}.receive active")
        self.receive_empty = Event(f"{name}.receive list empty", manual_reset=True, signalled=True)
        self.receive_outstanding: Variable[int] = Variable(f"{name}.receive outstanding", 0)
        """NBLs that are indicated, and whose return call is not over yet (the proposed revision counts them)."""
        self.reader: Variable[ThreadHandle | None] = Variable(f"{name}.reader", None)
        self.nbl_pool = Pool("NBL", is_ready=is_initialized)
        self.memory_descriptors = Pool("memory descriptor")
        self.partial_descriptors = Pool("partial memory descriptor")
        self.statistics = Statistics()

    def __repr__(self) -> str:
        return f"Adapter({self.name})"
