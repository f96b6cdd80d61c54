"""What clients, NDIS and plug and play can do to a `World`; each action does nothing where it makes no sense."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

from state_machine_clients import Clients
from state_machine_oracle import DATA, HEAD, STOPPED, TAIL
from state_machine_parts import ClientRing, File, Nic, Registered
from state_machine_process import ClientProcess

from wintun_model import operations as op
from wintun_model.dispatch import close, device_control, process_exit, remove
from wintun_model.miniport import halt, initialize, pause, restart
from wintun_model.oids import oid_request, statistics_record
from wintun_model.receive import return_nbls
from wintun_model.registration import Registration

REGISTER, FORCE_CLOSE = 0xCA6CE5C0, 0xCA6CE5C7
OK, ALREADY, INVALID, BAD_HANDLE, BAD_BUFFER = 0, 0xC0000510, 0xC000000D, 0xC0000008, 0xC00000E8
NO_RESOURCES, FAILED, NOT_READY, DENIED = 0xC000009A, 0xC0000001, 0xC0010011, 0xC0000022
UNKNOWN_CODE, NOTHING_CLOSED = 0xC0000010, 0x122
NOWHERE = 0xDEAD0000

# How a record can be spoilt: (field of the record, value, status). Fields: size, address, handle of send, of receive.
SPOILT: dict[str, tuple[int, int, int]] = {
    "size": (0, DATA + 100 + 300, INVALID),
    "no event": (2, 0, INVALID),
    "no such event": (2, 0x3330, BAD_HANDLE),
    "no memory": (1, NOWHERE, BAD_BUFFER),
    "receive size": (3, 0, INVALID),
    "no receive memory": (4, NOWHERE, BAD_BUFFER),
    "no such receive event": (5, 0x3330, BAD_HANDLE),
}
# Which attempt to allocate fails: (kind, attempts before it, status).
LACKING: dict[str, tuple[str, int, int]] = {
    "first descriptor": ("memory descriptor", 0, NO_RESOURCES),
    "second descriptor": ("memory descriptor", 1, NO_RESOURCES),
    "first map": ("map", 0, NO_RESOURCES),
    "second map": ("map", 1, NO_RESOURCES),
    "thread": ("thread", 0, FAILED),
}
STARTS: dict[str, Callable[[ClientRing], tuple[int, int]]] = {
    "empty": lambda ring: (0, 0),
    "late": lambda ring: (ring.capacity - 4, ring.capacity - 4),
    "bad Head": lambda ring: (STOPPED, 0),
    "bad Tail": lambda ring: (0, ring.capacity),
    "odd": lambda ring: (ring.capacity - 29, ring.capacity - 29),
    "even": lambda ring: (ring.capacity - 30, ring.capacity - 30),
    "last byte": lambda ring: (ring.capacity - 1, ring.capacity - 1),
    "garbage": lambda ring: (8, 100),
}
POLICIES = ("return", "keep", "return late", "reply", "push a header")


class Actions(Clients):
    """A world in which something can be done."""

    def __init__(self, revision: str) -> None:
        super().__init__(revision)
        for index in range(len(self.nics)):
            self.initialize(index)
            self.restart(index)

    # -- plug and play, NDIS ------------------------------------------------------------------------------------------

    def initialize(self, index: int, lacking: str = "") -> None:
        """A halted adapter, or one that has never run, is initialized; `lacking` names what there is no memory for."""
        nic = self.nics[index]
        if nic.is_started and not nic.is_halted:
            return
        if nic.is_halted or nic.has_failed:
            nic = self.nics[index] = self.new_nic(nic.adapter.name)
        if lacking:
            self.faults.coming[lacking] = 1

        def done(answer: tuple[int, Any]) -> None:
            status, attributes = answer
            assert (status, attributes is None) == ((NO_RESOURCES, True) if lacking else (OK, False))
            nic.is_started = not lacking
            nic.has_failed = bool(lacking)
            if not lacking:
                assert nic.link is (False if self.revision.indicates_link_down_at_start else None)

        self.start(nic, initialize(nic.adapter), "initialize", done, is_miniport=True)

    def restart(self, index: int) -> None:
        nic = self.nics[index]
        if nic.can_be_managed() and not nic.flags.running:
            self._manage(nic, restart(nic.adapter), "restart")

    def pause(self, index: int) -> None:
        nic = self.nics[index]
        if nic.can_be_managed() and nic.flags.running:
            self._manage(nic, pause(nic.adapter), "pause")

    def halt(self, index: int) -> None:
        """Comes after a pause; NDIS holds it back for sends that are not complete (§7.1)."""
        nic = self.nics[index]
        if not nic.can_be_managed() or nic.flags.running or nic.chains:
            return

        if nic.registered is not None:
            nic.registered.may_end = True

        def done(_: None) -> None:
            nic.is_halted = True
            adapter = nic.adapter
            assert (adapter.context.outstanding, adapter.nbl_pool.is_ready) == (0, False)

        self._manage(nic, halt(nic.adapter), "halt", done)

    def remove(self, index: int, carries_file: bool) -> None:
        """Query-remove or surprise removal, as far as the driver sees it before NDIS does (§9)."""
        nic = self.nics[index]
        if nic.can_be_managed():
            registered = nic.registered
            carried = registered.file if carries_file and registered is not None else None

            def done(_: None) -> None:
                if registered is not None and self.revision.closes_handles_on_removal and carried is None:
                    assert not registered.has_owner and not self.list_handles(registered.file)

            had_owner = registered is not None and registered.has_owner
            self._manage(nic, remove(nic.adapter, carried), "remove", done)
            if registered is not None and (carried is not None or not self.revision.closes_handles_on_removal):
                assert registered.has_owner == had_owner, "a removal that closes no handles ended the registration"

    def _manage(self, nic: Nic, routine: op.Routine[Any], name: str, done: Callable[[Any], None] | None = None) -> None:
        def over(result: Any) -> None:
            nic.busy = False
            if done is not None:
                done(result)

        nic.busy = True
        self.start(nic, routine, name, over, is_miniport=name != "remove")

    def send(self, index: int, nbls: list[list[tuple[int, bool]]], is_slow: bool = False) -> None:
        """NDIS hands a chain down; a slow sender stops when it has copied."""
        nic = self.nics[index]
        if not nic.is_started or nic.is_halted:
            return
        gate = op.Event("gate", manual_reset=True) if is_slow else None
        if gate is not None:
            self.gates.append((nic, gate))
        self.start(nic, self.sending(nic, self.chain(nbls), gate), "send")

    def open_gate(self, place: int) -> None:
        """A slow sender goes on."""
        if self.gates:
            self.gates.pop(place % len(self.gates))[1].signalled = True
            self.settle()

    def give_back(self, index: int, places: list[int], status: int) -> None:
        """NDIS returns some of the NBLs that it keeps, in any order, in one call."""
        nic = self.all_nics[index % len(self.all_nics)]
        kept = list(nic.kept)
        nbls = tuple(kept.pop(place % len(kept))[0] for place in places if kept)
        if not nbls:
            return
        for nbl in nbls:
            nbl.status = status
        self.start(nic, return_nbls(nic.adapter, nbls), "return", lambda _: self.count_returned(nic, nbls))

    def query(self, index: int) -> None:
        """OIDs tell what was counted."""
        nic = self.nics[index]
        counted, adapter = nic.flags.counters, nic.adapter
        for oid, amount in ((0x00020101, counted.out_packets), (0x00020102, counted.in_packets)):
            assert oid_request(adapter, 0, oid, 8).data == amount.to_bytes(8, "little")
        assert oid_request(adapter, 0, 0x00020106, 152).data == statistics_record(adapter.statistics)

    def policy(self, index: int, policy: str) -> None:
        """What NDIS does with the next NBLs of an adapter."""
        self.nics[index].policy = policy

    def lack(self, kind: str) -> None:
        """The reader's next allocation of a kind fails."""
        if kind == "NBL" or self.revision.allocates_partial_descriptor:
            self.faults.coming[kind] += 1
            self.expected_faults[kind] += 1

    # -- handles and processes -----------------------------------------------------------------------------------------

    def open(self, index: int, process: int) -> None:
        """A process opens the device."""
        nic = self.nics[index]
        if nic.is_started and not nic.is_halted:
            self._insert(File(nic.adapter), self.processes[process])

    @staticmethod
    def _insert(file: File, process: ClientProcess) -> None:
        process.insert(file, 3)
        file.handles += 1

    def handles(self) -> list[tuple[ClientProcess, int, File]]:
        """All handles to files."""
        return [
            (process, handle, file)
            for process in self.processes
            for handle, (file, _) in process.handles.items()
            if isinstance(file, File)
        ]

    def duplicate(self, place: int, process: int) -> None:
        """A process gets a handle to a file that another one has opened, perhaps."""
        handles = self.handles()
        if handles:
            self._insert(handles[place % len(handles)][2], self.processes[process])

    def close(self, place: int) -> None:
        """A handle is closed."""
        handles = self.handles()
        if handles:
            process, handle, _ = handles[place % len(handles)]
            self._closed(self.close_handle(process, handle), lambda: None)

    def _closed(self, file: File | None, done: Callable[[], None]) -> None:
        if file is None:
            done()
        else:
            nic = self.nic_of(file.adapter)
            registered = nic.registered
            self.ends(file)

            def closed(_: None) -> None:
                assert registered is None or registered.file is not file or not registered.has_owner
                done()

            self.start(nic, close(file.adapter, file), "close", closed)

    def kill(self, index: int) -> None:
        """A process ends: the driver is told, then its handles are closed (§6.3). Another process takes its place."""
        process = self.processes[index]
        if any(file.requests for owner, _, file in self.handles() if owner is process):
            return
        self.processes[index] = self.new_process()
        self.dying.append(process)
        owned = [
            nic for nic in self.registrations if nic.registered and nic.registered.process_id == process.process_id
        ]

        def close_next(_: object = None) -> None:
            for handle in list(process.handles):
                file = self.close_handle(process, handle)
                if file is not None:
                    self._closed(file, close_next)
                    return
            self.dying.remove(process)

        nic = owned[0] if owned else self.nics[0]
        registered = nic.registered if owned else None
        if registered is not None:
            registered.may_end = True

        def exited(_: None) -> None:
            assert registered is None or not registered.has_owner, "the process's earliest registration has not ended"
            close_next()

        self.start(nic, process_exit(self.driver, process.process_id), "process exit", exited)

    def force_close(self, place: int) -> None:
        """A process asks for all handles of other processes to be closed (§6.5)."""
        handles = self.handles()
        if not handles:
            return
        process, _, file = handles[place % len(handles)]
        others = [entry for entry in self.list_handles(file.adapter) if entry[0] is not process]
        expected = NOTHING_CLOSED if self.revision.force_close_tells_nothing_closed and not others else OK
        if not self.revision.has_force_close:
            expected = UNKNOWN_CODE
        if not process.is_local_system and self.revision.has_force_close:
            expected = DENIED

        def done(answer: tuple[int, int]) -> None:
            assert answer == (expected, 0), f"force close answers {answer[0]:#x}, not {expected:#x}"
            if expected in (OK, NOTHING_CLOSED):
                assert all(handle not in owner.handles for owner, handle, _ in others)

        nic = self.nic_of(file.adapter)
        self.start(nic, self._request(nic, file, process, b"", FORCE_CLOSE, None), "force close", done)

    # -- registration -----------------------------------------------------------------------------------------------

    def register(
        self, place: int, capacities: tuple[int, int], starts: tuple[str, str], wrong: str = "", shift: int = 0
    ) -> None:
        """A process registers two new rings on one of its files; `wrong` names what is wrong with that."""
        handles = self.handles()
        if not handles:
            return
        process, _, file = handles[place % len(handles)]
        rings = [
            ClientRing(process, 0x100000 * (len(self.rings) + number + 1) + shift, capacity)
            for number, capacity in enumerate(capacities)
        ]
        self.rings += rings
        for ring, start in zip(rings, starts, strict=True):
            head, tail = STARTS[start](ring)
            ring.set_word(HEAD, head)
            ring.set_word(TAIL, tail)
        fields = [value for ring in rings for value in (ring.block.size_bytes, ring.block.address, ring.handle)]
        expected = INVALID if starts[0] == "bad Tail" else OK
        if wrong in SPOILT:
            field, value, status = SPOILT[wrong]
            fields[field] = value
            # The send ring's Tail is looked at before anything of the receive ring is.
            expected = status if field < 3 or not expected else expected
        if wrong in LACKING and (not expected or wrong.startswith("first")):
            expected = LACKING[wrong][2]
        record = struct.pack("<I4xQQI4xQQ", *fields)
        if wrong == "length":
            record, expected = record[:-1], INVALID
        registered = Registered(file, *rings)
        registered.process_id = process.process_id
        registered.is_send_spoilt = starts[0] not in ("empty", "late")
        registered.is_receive_spoilt = starts[1] not in ("empty", "late")
        asked = _Asked(registered, expected, wrong, process.is_local_system)

        def done(answer: tuple[int, int]) -> None:
            assert answer == (asked.expected, 0), f"registering answers {answer[0]:#x}, not {asked.expected:#x}"

        nic = self.nic_of(file.adapter)
        self.start(nic, self._request(nic, file, process, record, REGISTER, asked), "register", done)

    def _request(
        self, nic: Nic, file: File, process: ClientProcess, record: bytes, code: int, asked: _Asked | None
    ) -> op.Routine[tuple[int, int]]:
        """A device control request; a close that came meanwhile follows it."""
        file.requests += 1
        routine = device_control(nic.adapter, Registration(process, file, record), code)
        result: Any = None
        while True:
            try:
                operation = routine.send(result)
            except StopIteration as stop:
                answer: tuple[int, int] = stop.value
                break
            result = yield operation
            if asked is not None and not asked.is_decided and isinstance(operation, op.AcquireShared):
                self._decide(nic, asked)
        file.requests -= 1
        if asked is not None:
            self._asked_and_answered(nic, asked, answer[0])
        if not file.handles:
            self.ends(file)
            yield from close(nic.adapter, file)
        return answer

    def _decide(self, nic: Nic, asked: _Asked) -> None:
        """The request has got to the driver's checks: what must it answer? (§5)"""
        asked.is_decided = True
        adapter = nic.adapter
        if not adapter.is_attached.value:
            assert nic.is_halted or nic.busy
            asked.expected = NOT_READY
        elif not adapter.registration_lock.is_free() or (nic.registered is not None and nic.registered.has_owner):
            asked.expected = ALREADY
        elif asked.wrong in LACKING and asked.expected == LACKING[asked.wrong][2]:
            kind, before, _ = LACKING[asked.wrong]
            self.faults.passing[kind], self.faults.coming[kind] = before, 1
        self.asking[adapter] = asked.registered

    def _asked_and_answered(self, nic: Nic, asked: _Asked, status: int) -> None:
        if not asked.is_decided:
            asked.expected = DENIED
            assert not asked.is_local_system
        if status == OK:
            self.registrations.append(nic)
        elif nic.registered is asked.registered:
            nic.registered = None

    def reconnect(self, index: int, process: int, capacity: int, starts: tuple[str, str]) -> None:
        """A client whose registration has ended, or whose reader has, closes the device, opens it and registers."""
        nic, registered = self.nics[index], self.nics[index].registered
        if not nic.is_started or nic.is_halted:
            return
        if registered is not None:
            if registered.receive_ring.word(HEAD) != STOPPED:
                return
            for place, (_, _, file) in reversed(list(enumerate(self.handles()))):
                if file is registered.file:
                    self.close(place)
        self.open(index, process)
        places = [place for place, (_, _, file) in enumerate(self.handles()) if file.adapter is nic.adapter]
        self.register(places[-1], (capacity, capacity), starts)

    # -- the end ------------------------------------------------------------------------------------------------------

    def drain(self) -> None:
        """All senders go on and all NBLs come back: then nothing waits any more."""
        for nic in self.all_nics:
            nic.policy = "return"
        while self.gates or any(nic.kept for nic in self.all_nics):
            while self.gates:
                self.open_gate(0)
            for index, nic in enumerate(self.all_nics):
                if nic.kept:
                    self.give_back(index, [0], 0)
        self.settle()
        assert not self.pending, f"these never end: {[(thread, thread.blocked_on) for thread, _ in self.pending]}"

    def end(self) -> None:
        """Every handle is closed: nothing is left."""
        self.drain()
        self.check()
        while self.handles():
            self.close(0)
        self.drain()
        self.check()
        assert self.ledger.held() == (0, 0) and self.executor.threads == [] and self.driver.registered.value == ()
        locks = [self.driver.context_guard, self.driver.device_list_lock]
        for nic in self.all_nics:
            adapter = nic.adapter
            locks += [adapter.transition_lock, adapter.send_lock, adapter.receive_lock]
            locks += [adapter.registration_lock] if adapter.registration_lock.is_ready else []
            assert not nic.chains and not nic.kept and adapter.owner.value is None
            assert adapter.context.outstanding == int(nic.is_started and not nic.is_halted)
        assert all(lock.is_free() for lock in locks)


class _Asked:
    """A registration that was asked for: what it must answer, as far as that is known yet."""

    def __init__(self, registered: Registered, expected: int, wrong: str, is_local_system: bool) -> None:
        self.registered = registered
        self.expected = expected
        self.wrong = wrong
        self.is_local_system = is_local_system
        self.is_decided = False
