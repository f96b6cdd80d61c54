"""What the surroundings of the driver allow in a composed program: the rules of spec driver §7.1 as gates.

Each rule that is denied lets more happen. Bookkeeping that no routine of a program can notice is left out, so that
programs stay small: without a life cycle NDIS need not count its sends.
"""

from __future__ import annotations

from typing import NamedTuple

from wintun_model.adapter import Adapter
from wintun_model.dispatch import close, process_exit, remove
from wintun_model.miniport import halt, initialize, pause, restart
from wintun_model.operations import Put, Routine, Variable
from wintun_model.status import is_success
from wintunsim.explore.files import FileObject, Handle
from wintunsim.explore.gate import Decision, Gate
from wintunsim.explore.rules import Rules
from wintunsim.explore.world import SmallProcess, World


class Ndis(NamedTuple):
    """What NDIS knows of one adapter."""

    state: str = "running"
    """running, paused, halted; or pausing, restarting, halting, initializing: nothing else begins then."""
    sends: int = 0
    """Chains that are not completed yet."""
    calls: int = 0
    """Send calls that are executing, where that matters."""
    returns: int = 0
    """Return calls that are executing."""
    has_started: bool = True
    """Whether the device has started once: opens are refused before."""
    is_going: bool = False
    """Whether plug and play removes the device: it does nothing else to it meanwhile."""


STABLE = ("running", "paused", "halted")


class AdapterGates:
    """NDIS and plug and play around one adapter. `has_life_cycle` says whether anything but data moves."""

    def __init__(self, adapter: Adapter, rules: Rules, *, begins: str, has_life_cycle: bool) -> None:
        self.adapter = adapter
        self.rules = rules
        self.has_life_cycle = has_life_cycle
        self.known: Variable[Ndis] = Variable(f"NDIS of {adapter.name}", Ndis(begins, has_started=begins != "halted"))

    def _gate(self, name: str, decide: object) -> Gate:
        return Gate(name, (self.known,), decide)  # type: ignore[arg-type]

    # -- data -------------------------------------------------------------------------------------------------------

    def begin_send(self) -> Routine[bool]:
        """NDIS is about to hand down a chain: whether it may."""
        if not self.has_life_cycle:
            return True
        counts_calls = self.rules.halt_waits_for_send_calls
        refusing = ["halted", "initializing"]
        if self.rules.pause_waits_for_sends:
            refusing += ["pausing", "paused", "restarting"]
        if self.rules.halt_waits_for_sends:
            refusing.append("halting")

        def decide(values: tuple[Ndis], argument: None) -> Decision:
            (known,) = values
            if known.state in refusing:
                return False, values
            return True, (known._replace(sends=known.sends + 1, calls=known.calls + counts_calls),)

        return (yield self._gate("NDIS begins a send", decide))  # type: ignore[no-any-return]

    def end_send(self) -> Routine[None]:
        """A chain has come back."""
        if self.has_life_cycle:

            def decide(values: tuple[Ndis], argument: None) -> Decision:
                return None, (values[0]._replace(sends=values[0].sends - 1),)

            yield self._gate("NDIS has a chain back", decide)

    def end_send_call(self) -> Routine[None]:
        """The call that handed a chain down has come back."""
        if self.has_life_cycle and self.rules.halt_waits_for_send_calls:

            def decide(values: tuple[Ndis], argument: None) -> Decision:
                return None, (values[0]._replace(calls=values[0].calls - 1),)

            yield self._gate("a send call ends", decide)

    def begin_return(self) -> Routine[None]:
        """NDIS is about to return NBLs; it waits for another call only if returns are serialised."""
        serialised = self.rules.returns_are_serialised
        if serialised or (self.has_life_cycle and self.rules.halt_waits_for_returns):

            def decide(values: tuple[Ndis], argument: None) -> Decision | None:
                if serialised and values[0].returns:
                    return None
                return None, (values[0]._replace(returns=values[0].returns + 1),)

            yield self._gate("NDIS begins a return", decide)

    def end_return(self) -> Routine[None]:
        """The return call has come back."""
        if self.rules.returns_are_serialised or (self.has_life_cycle and self.rules.halt_waits_for_returns):

            def decide(values: tuple[Ndis], argument: None) -> Decision:
                return None, (values[0]._replace(returns=values[0].returns - 1),)

            yield self._gate("NDIS ends a return", decide)

    # -- the life cycle ---------------------------------------------------------------------------------------------

    def _begin(self, name: str, froms: tuple[str, ...], to: str, *, is_stop: bool = False) -> Gate:
        """Change the state, once nothing else is changing it: whether it was one to change from.

        `is_stop`: plug and play has it done, and not while it removes the device.
        """

        def decide(values: tuple[Ndis], argument: None) -> Decision | None:
            (known,) = values
            if known.state not in STABLE or (is_stop and known.is_going):
                return None
            if known.state not in froms:
                return False, values
            return True, (known._replace(state=to),)

        return self._gate(f"NDIS begins to {name}", decide)

    def _become(
        self, state: str, *, sends: bool = False, calls: bool = False, returns: bool = False, started: bool = False
    ) -> Gate:
        """The next state, once sends and returns are over where that is asked for."""

        def decide(values: tuple[Ndis], argument: None) -> Decision | None:
            (known,) = values
            if (sends and known.sends) or (calls and known.calls) or (returns and known.returns):
                return None
            return None, (known._replace(state=state, has_started=known.has_started or started),)

        return self._gate(f"NDIS: {self.adapter.name} is {state}", decide)

    def pause(self) -> Routine[bool]:
        """NDIS pauses the miniport."""
        if not (yield self._begin("pause", ("running",), "pausing")):
            return False
        yield from self._pause()
        yield self._become("paused")
        return True

    def _pause(self) -> Routine[None]:
        """Protocols and filters above are paused first: their sends are back."""
        if self.rules.pause_waits_for_sends:
            yield self._become("pausing", sends=True)
        yield from pause(self.adapter)

    def restart(self) -> Routine[bool]:
        """NDIS restarts the miniport."""
        if not (yield self._begin("restart", ("paused",), "restarting")):
            return False
        yield from restart(self.adapter)
        yield self._become("running")
        return True

    def halt(self) -> Routine[bool]:
        """The device is stopped: NDIS halts the miniport, which is paused first."""
        return (yield from self._halt(is_stop=True))

    def _halt(self, *, is_stop: bool) -> Routine[bool]:
        rules = self.rules
        pauses = rules.halt_follows_pause
        if pauses and (yield self._begin("pause", ("running",), "pausing", is_stop=is_stop)):
            yield from self._pause()
            yield self._become("halting")
        elif not (yield self._begin("halt", ("running", "paused"), "halting", is_stop=is_stop)):
            return False
        waits_for = {
            "sends": rules.halt_waits_for_sends,
            "calls": rules.halt_waits_for_send_calls,
            "returns": rules.halt_waits_for_returns,
        }
        if any(waits_for.values()):
            yield self._become("halting", **waits_for)
        yield from halt(self.adapter)
        yield self._become("halted")
        return True

    def initialize(self) -> Routine[bool]:
        """The device is started: NDIS initializes the miniport, which is paused then."""
        if not (yield self._begin("initialize", ("halted",), "initializing", is_stop=True)):
            return False
        status, _ = yield from initialize(self.adapter)
        worked = is_success(status)
        if not worked and self.rules.failed_restart_is_removed:
            yield from remove(self.adapter)
        yield self._become("paused" if worked else "halted", started=worked)
        return worked

    def remove(self) -> Routine[bool]:
        """The device is gone: the driver hears of it before NDIS, which halts the adapter.

        What the driver does with a removal of an adapter that is halted already, the specification does not say: it
        does not hear of that.
        """

        def decide(values: tuple[Ndis], argument: None) -> Decision | None:
            (known,) = values
            if known.is_going or known.state not in STABLE:
                return None
            return (False, values) if known.state == "halted" else (True, (known._replace(is_going=True),))

        def gone(values: tuple[Ndis], argument: None) -> Decision:
            return None, (values[0]._replace(is_going=False),)

        if not (yield self._gate("the device is removed", decide)):
            return False
        yield from remove(self.adapter)
        yield from self._halt(is_stop=False)
        yield self._gate("the device is gone", gone)
        return True

    def open_device(self, is_open: Variable[bool]) -> Routine[bool]:
        """Open the device, which is done from the start where it has started: whether that worked."""
        if self.known.value.has_started or not self.rules.opens_wait_for_start:
            return True

        def decide(values: tuple[Ndis, bool], argument: None) -> Decision:
            known, is_open = values
            return known.has_started, (known, is_open or known.has_started)

        return (yield Gate("open the device", (self.known, is_open), decide))  # type: ignore[no-any-return]


class FileGates:
    """The I/O manager's side of one file object: a close comes when its handle is closed and no request is left."""

    def __init__(self, file_object: FileObject, gates: AdapterGates) -> None:
        rules = gates.rules
        self.file_object = file_object
        self.gates = gates
        self.is_alone = rules.close_is_alone
        self.handle: Handle = file_object.handles[0]
        self.handle.open.value = gates.known.value.has_started or not rules.opens_wait_for_start
        self.requests: Variable[int] = Variable(f"requests on {file_object}", 0)

    def _gate(self, name: str, decide: object) -> Gate:
        return Gate(name, (self.handle.open, self.requests), decide)  # type: ignore[arg-type]

    def begin_request(self) -> Routine[bool]:
        """The device is opened, if it is not yet, and a request begins: whether there is a handle for it."""
        if not (yield from self.gates.open_device(self.handle.open)):
            return False

        def decide(values: tuple[bool, int], argument: None) -> Decision:
            is_open, requests = values
            return (True, (True, requests + 1)) if is_open else (False, values)

        return (yield self._gate("a request begins", decide))  # type: ignore[no-any-return]

    def end_request(self) -> Routine[None]:
        """A request is done; it may have been all that held back the close."""

        def decide(values: tuple[bool, int], argument: None) -> Decision:
            is_open, requests = values
            return self.is_alone and not is_open and requests == 1, (is_open, requests - 1)

        if (yield self._gate("a request ends", decide)):
            yield from self._release()

    def close(self) -> Routine[None]:
        """`CloseHandle`, which does nothing when the handle is closed already."""

        def decide(values: tuple[bool, int], argument: None) -> Decision:
            is_open, requests = values
            if not is_open:
                return 0, values
            return (1 if requests and self.is_alone else 2), (False, requests)

        what = yield self._gate("close the handle", decide)
        if what == 2:
            yield from self._release()

    def _release(self) -> Routine[None]:
        yield from close(self.file_object.adapter, self.file_object)
        yield Put(self.file_object.released, True)


class Client:
    """A client process. `may_exit` says whether the program ends it, so that its threads must be counted."""

    def __init__(self, world: World, number: int, *, may_exit: bool) -> None:
        self.process: SmallProcess = world.process(f"client {number}", 100 + number)
        self.world = world
        self.may_exit = may_exit
        self.files: list[FileGates] = []
        self.busy: Variable[tuple[bool, int]] = Variable(f"{self.process.name} alive, busy", (True, 0))

    def begin(self) -> Routine[bool]:
        """A thread of the process is about to do something: whether the process is still there."""
        if not self.may_exit:
            return True

        def decide(values: tuple[tuple[bool, int]], argument: None) -> Decision:
            ((is_alive, busy),) = values
            return (True, ((True, busy + 1),)) if is_alive else (False, values)

        return (yield Gate("a client's thread goes on", (self.busy,), decide))  # type: ignore[no-any-return]

    def end(self) -> Routine[None]:
        """It has done it."""
        if self.may_exit:

            def decide(values: tuple[tuple[bool, int]], argument: None) -> Decision:
                ((is_alive, busy),) = values
                return None, ((is_alive, busy - 1),)

            yield Gate("a client's thread is between two calls", (self.busy,), decide)

    def exit(self) -> Routine[bool]:
        """The process ends: its threads are gone by then. The notice comes before its handles are closed."""

        def decide(values: tuple[tuple[bool, int]], argument: None) -> Decision | None:
            ((is_alive, busy),) = values
            if not is_alive:
                return False, values
            return None if busy else (True, ((False, 0),))

        if not (yield Gate("the process ends", (self.busy,), decide)):
            return False
        notice = process_exit(self.world.driver, self.process.process_id)
        if self.world.rules.exit_precedes_close:
            yield from notice
        for file in self.files:
            yield from file.close()
        if not self.world.rules.exit_precedes_close:
            yield from notice
        return True
