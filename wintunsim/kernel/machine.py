"""A simulated computer: threads that take turns, what they wait for, clocks and randomness."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from heapq import heappop, heappush, heappushpop
from typing import Any

import simpy

from wintun_model.operations import Event
from wintun_model.trace import Kind
from wintunsim.kernel.costs import Costs
from wintunsim.kernel.prices import Prices
from wintunsim.kernel.scheduler import FOREVER, TIMED_OUT, Scheduler
from wintunsim.kernel.streams import Stream
from wintunsim.kernel.thread import Thread, ThreadKilled, Waitable

__all__ = ["FOREVER", "TIMED_OUT", "Machine", "Thread", "ThreadKilled", "Waitable"]

_SET = int(Kind.SET)
_CLEAR = int(Kind.CLEAR)


class Machine(Scheduler):
    """A simulated computer. `seed` decides all that is random; `costs` says what things cost in virtual time."""

    __slots__ = ("_streams", "seed", "tick_phase_ns")

    def __init__(self, seed: int = 0, costs: Costs | None = None, *, keeps_trace: bool = True) -> None:
        super().__init__(costs or Costs(), keeps_trace=keeps_trace)
        self.seed = seed
        self._streams: dict[str, Stream] = {}
        self.prices = Prices(self.costs, self.stream)
        self.tick_phase_ns = self.stream("kernel.tick").below(self.costs.timer_tick_ns)

    # -- randomness and clocks --------------------------------------------------------------------------------------

    def stream(self, name: str) -> Stream:
        """The machine's stream of randomness of that name; the same one every time."""
        if name not in self._streams:
            self._streams[name] = Stream(self.seed, name)
        return self._streams[name]

    def tick_after(self, time_ns: int) -> int:
        """The first system timer tick at or after `time_ns` (spec win32 §3)."""
        period = self.costs.timer_tick_ns
        return time_ns + (self.tick_phase_ns - time_ns) % period

    def yield_processor(self) -> bool:
        """The running thread lets others of its priority run: whether there were any. Here each has its own."""
        self.spend(self.costs.yield_ns)
        return False

    # -- turns ------------------------------------------------------------------------------------------------------

    # Written out: most of what happens for a packet is that threads take turns.

    def give_way(self) -> None:
        """Let everybody run who is due before `now`, the running thread's time."""
        thread = self.current
        if thread is None or thread.is_killed:
            self._refuse()
        self._take_turns(thread, self.now)

    def block(self, deadline_ns: int = FOREVER) -> Any:
        """Block the running thread until `make_ready`, or until `deadline_ns`, which gives `TIMED_OUT`."""
        if deadline_ns >= FOREVER:
            return super().block()
        thread = self.current
        if thread is None or thread.is_killed:
            self._refuse()
        thread.generation += 1
        thread.wake_value = TIMED_OUT
        self._take_turns(thread, max(deadline_ns, self.now))
        return thread.wake_value

    def _take_turns(self, thread: Thread, due_ns: int) -> None:
        """Whoever is due first goes on; the running thread not before `due_ns`."""
        ready = self._ready
        # At one time a thread has one entry that counts, so its rank alone puts it in its place.
        entry = heappushpop(ready, (due_ns, thread.rank, thread, thread.generation))
        time_ns, rank, following, generation = entry
        while generation != following.generation:
            entry = time_ns, rank, following, generation = heappop(ready)
        horizon = self.foreign
        if time_ns >= horizon:
            heappush(ready, entry)
            self.current = None
            self._hub.switch()
        else:
            self.now = time_ns
            # What `_horizon_of` comes to.
            horizon -= 1
            if ready:
                due, order, _, _ = ready[0]
                if due <= horizon:
                    horizon = due if order > rank else due - 1
            self.horizon = horizon
            self.current = following
            following.switch()
        if thread.is_killed:
            raise ThreadKilled
        if thread.interruption is not None:
            self._raise_interruption(thread)

    # -- simpy's side -----------------------------------------------------------------------------------------------

    def start_process(self, generator: Generator[simpy.Event, Any, Any]) -> simpy.Process:
        """Start a simpy process for something that is not a thread: a traffic source, a timer, the network."""
        return self.environment.process(generator)

    def call_at(self, time_ns: int, function: Callable[[], object]) -> None:
        """Call `function` at `time_ns`, outside of any thread."""
        event = self.environment.timeout(max(0, time_ns - self.time()))
        assert event.callbacks is not None

        def call(_event: object) -> None:
            function()

        event.callbacks.append(call)

    # -- waits ------------------------------------------------------------------------------------------------------

    def wait(self, objects: Sequence[Waitable], *, wait_all: bool = False, deadline_ns: int = FOREVER) -> int:
        """Wait for any of `objects` (the lowest index wins) or, atomically, for all of them (spec win32 §3).

        The answer is the index (0 for wait-all) or `TIMED_OUT`. A deadline that is not in the future polls. Ends of
        timeouts are the caller's to put on a timer tick.
        """
        thread = self.current
        if thread is None or thread.is_killed:
            self._refuse()
        index = self._try_satisfy(thread, objects, wait_all)
        if index is not None:
            self._record_wake(thread, objects, index)
            return index
        if deadline_ns <= self.now:
            return TIMED_OUT
        self._enter_wait(thread, objects, wait_all)
        deadline_trace = deadline_ns if deadline_ns < FOREVER else -1
        number = self._number_of(objects[0])
        self.trace.record((self.now, thread.number, Kind.WAIT, number, len(objects), deadline_trace))
        index = int(self.block(deadline_ns))
        if index == TIMED_OUT:
            self.forget_wait(thread)
            self.trace.record((self.now, thread.number, Kind.WAKE, 0, TIMED_OUT, 0))
        else:
            self._record_wake(thread, objects, index)
        return index

    def wait_quietly(self, objects: Sequence[Waitable], deadline_ns: int, wake_ns: int | None = None) -> int:
        """Wait for any of `objects` without a word in the trace, noticing within `wake_ns`, or the usual time."""
        thread = self.current
        if thread is None or thread.is_killed:
            self._refuse()
        thread.wait_objects = objects = tuple(objects)
        thread.wait_all = False
        thread.waiting_since_ns = self.now
        for item in objects:
            item.waiters.append(thread)
        thread.wake_ns = wake_ns
        index: int = self.block(deadline_ns)
        thread.wake_ns = None
        if thread.wait_objects:
            self.forget_wait(thread)
        return index

    def spin(self, objects: Sequence[Waitable], deadline_ns: int, *, yields: bool = True) -> int:
        """Wait for any of `objects` as a loop does that looks again and again, and may yield its processor between."""
        return self.wait_quietly(objects, deadline_ns, self.costs.pass_ns)

    def _enter_wait(self, thread: Thread, objects: Sequence[Waitable], wait_all: bool) -> None:
        thread.wait_objects = tuple(objects)
        thread.wait_all = wait_all
        thread.waiting_since_ns = self.now
        for item in objects:
            item.waiters.append(thread)

    def _record_wake(self, thread: Thread, objects: Sequence[Waitable], index: int) -> None:
        self.trace.record((self.now, thread.number, Kind.WAKE, self._number_of(objects[index]), index, 0))

    def _number_of(self, item: Any) -> int:
        """The trace number of an object, given to it when it is first seen."""
        if not item.number:
            item.number = self.trace.define(item.name, self.time())
        return int(item.number)

    @staticmethod
    def _try_satisfy(thread: Thread, objects: Sequence[Waitable], wait_all: bool) -> int | None:
        if wait_all:
            if objects and all(item.is_signalled(thread) for item in objects):
                for item in objects:
                    item.consume(thread)
                return 0
            return None
        index = 0
        for item in objects:
            if item.is_signalled(thread):
                item.consume(thread)
                return index
            index += 1  # noqa: SIM113 - a loop over one or two is quicker without enumerate
        return None

    def signalled(self, item: Waitable) -> None:
        """`item` may satisfy waits now: wake those whose wait it does, first come first served."""
        if not item.waiters:
            return
        for thread in item.waiters.copy():
            index = self._try_satisfy(thread, thread.wait_objects, thread.wait_all)
            if index is not None:
                self.forget_wait(thread)
                wake_ns = self.prices.wake_ns() if thread.wake_ns is None else thread.wake_ns
                self.make_ready(thread, (self.time() if self.current is None else self.now) + wake_ns, index)

    def forget_wait(self, thread: Thread) -> None:
        """`thread` waits for nothing any more."""
        for item in thread.wait_objects:
            waiters = item.waiters
            while thread in waiters:
                waiters.remove(thread)
        thread.wait_objects = ()

    def set_event(self, event: Event) -> None:
        """Set an event and wake whom it wakes; no cost of its own."""
        number = event.number or self._number_of(event)
        thread = self.current
        if thread is not None:
            self._record((self.now, thread.number, _SET, number, 1 if event.signalled else 0, 0))
        else:
            self._record((self.time(), 0, _SET, number, 1 if event.signalled else 0, 0))
        if not event.signalled:
            event.signalled = True
            if event.waiters:
                self.signalled(event)

    def clear_event(self, event: Event) -> None:
        """Clear an event; no cost of its own."""
        if event.signalled:
            number = event.number or self._number_of(event)
            thread = self.current
            if thread is not None:
                self._record((self.now, thread.number, _CLEAR, number, 0, 0))
            else:
                self._record((self.time(), 0, _CLEAR, number, 0, 0))
            event.signalled = False
