"""The engine: simulated threads on greenlets, in virtual time, inside one simpy event (design §5).

Ready threads stand in a small heap of (time, order, thread); the earliest one runs, without leaving Python, until its
time `now` passes `horizon`: the last moment before another thread or a foreign simpy event is due. Ties: simpy's events
come before threads, and threads in the order of their start, whatever else runs.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any, NoReturn

import greenlet
import simpy

from wintun_model.errors import ModelError
from wintun_model.operations import Lock
from wintun_model.trace import Kind, Trace
from wintunsim.kernel.costs import Costs
from wintunsim.kernel.environment import Environment
from wintunsim.kernel.prices import Prices
from wintunsim.kernel.thread import Thread, ThreadKilled

FOREVER = 1 << 62
"""A time that never comes, in ns."""

_RANK_SHIFT = 44
"""In the order of ready threads a thread's number stands from this bit on, and below it when it became ready."""

TIMED_OUT = -1
"""What `Scheduler.block` answers when its deadline came first."""

_PATIENCE = 1000
"""How often a terminated thread may catch `ThreadKilled` and go on, before it is left where it stands."""


class Scheduler:
    """Threads that take turns in virtual time, all in the host thread that calls `run`; the base of `Machine`."""

    __slots__ = (
        "_hub", "_order", "_pump_due", "_pump_event", "_ready", "_record", "costs", "current", "environment",
        "foreign", "horizon", "latest", "limit", "now", "owed_ns", "prices", "threads", "trace",
    )  # fmt: skip

    prices: Prices  # What the costs come to each time; the `Machine` makes it.

    def __init__(self, costs: Costs, *, keeps_trace: bool = True) -> None:
        self.costs = costs
        self.now = 0
        """The running thread's virtual time in ns."""
        self.owed_ns = 0
        """What the running thread's routine has still to let pass: the costs since its last use of the clock."""
        self.latest = 0
        """How far time has come in all runs, in ns."""
        self.horizon = FOREVER
        """The running thread must give way before acting later than this: others are due from then on."""
        self.foreign = FOREVER
        """When the next simpy event is due."""
        self.limit = FOREVER
        """Nobody's turn comes at this time or later: the end of this run. Whose turn it is may go on up to it."""
        self.environment = Environment(self)
        self.trace = Trace(is_kept=keeps_trace)
        self._record = self.trace.record
        self.current: Thread | None = None
        self.threads: list[Thread] = []
        """Threads that have not ended, in the order of their start."""
        self._ready: list[tuple[int, int, Thread, int]] = []
        self._order = 0
        self._hub: Any = greenlet.getcurrent()
        self._pump_due = FOREVER
        self._pump_event: simpy.Event | None = None

    # -- threads ----------------------------------------------------------------------------------------------------

    def start_thread(
        self,
        name: str,
        function: Callable[[], object],
        *,
        process: Any = None,
        priority: int = 8,
        delay_ns: int = 0,
    ) -> Thread:
        """Start a thread that calls `function`, `delay_ns` from now."""
        thread = Thread(name, function, process, priority)
        thread.number = self.trace.define(name, self.time())
        thread.rank = thread.number << _RANK_SHIFT
        thread.greenlet = greenlet.greenlet(self._thread_main, self._hub)
        thread.switch = thread.greenlet.switch
        self.threads.append(thread)
        self.trace.record((self.time(), self._current_number(), Kind.THREAD_START, thread.number, priority, 0))
        self.make_ready(thread, self.time() + delay_ns)
        return thread

    def _thread_main(self, _first: object = None) -> None:
        thread = self.current
        assert thread is not None
        thread.is_started = True
        try:
            thread.function()
        except ThreadKilled:
            pass
        except BaseException as error:
            thread.exception = error
            raise
        finally:
            self._end(thread)

    def _end(self, thread: Thread) -> None:
        thread.generation += 1
        if thread in self.threads:
            self.threads.remove(thread)
        self.trace.record((self.time(), thread.number, Kind.THREAD_END, thread.number, thread.exit_code, 0))
        self.forget_wait(thread)
        thread.ended.signalled = True
        self.signalled(thread.ended)
        if self.current is thread:
            self.current = None

    def kill(self, thread: Thread) -> None:
        """Terminate a thread: it gets `ThreadKilled` where it stands, and time stands still while it unwinds.

        A thread that is in the kernel ends when its request does. A thread that will not unwind (it catches
        everything, again and again) is abandoned after some tries, where it stands.
        """
        if thread.is_killed or thread.ended.signalled:
            return
        if thread.kernel_depth:
            thread.is_doomed = True
            return
        thread.is_killed = True
        thread.killed_ns = self.time()
        thread.generation += 1
        self.forget_wait(thread)
        if not thread.is_started or thread.greenlet.dead:
            self._end(thread)
            return
        if thread is self.current:
            self.horizon = -1  # whatever lets time pass raises ThreadKilled again
            raise ThreadKilled
        caller, now, horizon = self.current, self.now, self.horizon
        self.now = self.time()
        for _ in range(100):
            if thread.ended.signalled:
                break
            self.current = thread
            self.horizon = -1
            thread.greenlet.parent = greenlet.getcurrent()
            thread.greenlet.throw(ThreadKilled)
        else:
            _abandoned.append(thread.greenlet)
            self._end(thread)
        self.current, self.now = caller, now
        self.horizon = horizon if caller is None else min(horizon, self._horizon_of(caller))
        if caller is None and self._ready and self._ready[0][0] < self._pump_due:
            self._schedule_pump(self._ready[0][0])

    def interrupt(self, thread: Thread, error: BaseException) -> None:
        """Raise `error` in a blocked thread, out of its wait. A thread that is in the kernel is left alone."""
        if thread.kernel_depth or thread.is_killed or not thread.is_started or thread.ended.signalled:
            return
        thread.interruption = error
        self.forget_wait(thread)
        self.make_ready(thread, self.time() + self.prices.wake_ns())

    # -- scheduling -------------------------------------------------------------------------------------------------

    def time(self) -> int:
        """Virtual time in ns, from anywhere: inside a thread, or in a simpy process."""
        return self.now if self.current is not None else int(self.environment.now)

    def _current_number(self) -> int:
        return self.current.number if self.current is not None else 0

    def make_ready(self, thread: Thread, time_ns: int, value: Any = None) -> None:
        """Let a blocked thread go on at `time_ns` with `value` as the result of its `block`."""
        thread.generation += 1
        thread.wake_value = value
        self._push(thread, time_ns)

    def _push(self, thread: Thread, time_ns: int) -> None:
        self._order = order = self._order + 1
        heappush(self._ready, (time_ns, thread.rank + order, thread, thread.generation))
        current = self.current
        if time_ns <= self.horizon:
            due = time_ns - 1 if current is None or thread.rank < current.rank else time_ns
            if due < self.horizon:
                self.horizon = due
        if current is None and time_ns < self._pump_due:
            self._schedule_pump(time_ns)

    def ready_ns(self, thread: Thread) -> int | None:
        """When a thread is to go on that does not run; None for one that waits."""
        times = (
            time_ns for time_ns, _, ready, number in self._ready if ready is thread and number == thread.generation
        )
        return next(times, None)

    def spend(self, cost_ns: int) -> None:
        """Let `cost_ns` pass for the running thread; others run meanwhile, if they are due."""
        self.now += cost_ns
        if self.now > self.horizon:
            self.give_way()

    def sleep_until(self, time_ns: int) -> None:
        """Let time pass for the running thread until `time_ns`, or until `make_ready` wakes it before."""
        if time_ns > self.now:
            self.now = time_ns
            if time_ns > self.horizon:
                self.give_way()

    def give_way(self) -> None:
        """Let everybody run who is due before `now`, the running thread's time."""
        raise NotImplementedError

    def block(self, deadline_ns: int = FOREVER) -> Any:
        """Block the running thread until `make_ready`, or until `deadline_ns`, which gives `TIMED_OUT`."""
        thread = self.current
        if thread is None or thread.is_killed:
            self._refuse()
        self._stop_running(thread, deadline_ns)
        self._switch(thread)
        return thread.wake_value

    def _stop_running(self, thread: Thread, deadline_ns: int) -> None:
        """The running thread is about to block."""
        thread.generation += 1
        thread.wake_value = TIMED_OUT
        if deadline_ns < FOREVER:
            self._push(thread, max(deadline_ns, self.now))

    def block_on(self, lock: Lock) -> None:
        """Block the running thread until it is handed `lock`."""
        thread = self.current
        assert thread is not None
        thread.waiting_for = f"the lock {lock.name}"
        thread.waiting_since_ns = self.now
        self.block()
        thread.waiting_for = ""

    def _refuse(self) -> NoReturn:
        thread, running = self.current, greenlet.getcurrent()
        if thread is None:
            # The host unwinds the greenlets of a machine that is gone, as if they were killed.
            thread = next((thread for thread in self.threads if thread.greenlet is running), None)
            if thread is None and running not in _abandoned:
                raise ModelError("only a simulated thread can wait or let time pass")
        if thread is not None:
            thread.refusals += 1
            self.now = thread.killed_ns
            if thread.refusals <= _PATIENCE:
                raise ThreadKilled
            _abandoned.append(running)
            self._end(thread)
        while True:
            running.parent.switch()

    def _switch(self, thread: Thread) -> None:
        """Leave `thread` for whoever is due next; comes back when it is its turn again."""
        following = self._next_thread()
        if following is not thread:
            (self._hub.switch if following is None else following.switch)()
        if thread.is_killed:
            raise ThreadKilled
        if thread.interruption is not None:
            self._raise_interruption(thread)

    @staticmethod
    def _raise_interruption(thread: Thread) -> None:
        """What interrupts a thread waits until it is out of the kernel."""
        if not thread.kernel_depth:
            error, thread.interruption = thread.interruption, None
            assert error is not None
            raise error

    def _next_thread(self) -> Thread | None:
        """Take the next thread from the heap and make it the current one; None when a simpy event comes first."""
        ready = self._ready
        while ready:
            time_ns, _, thread, generation = ready[0]
            if generation != thread.generation:
                heappop(ready)
                continue
            foreign = self.foreign
            if time_ns >= foreign:
                break
            heappop(ready)
            thread.generation += 1
            self.current = thread
            self.now = time_ns
            self.horizon = self._horizon_of(thread)
            return thread
        self.current = None
        return None

    def _horizon_of(self, thread: Thread) -> int:
        """Up to when `thread` may act before anybody else's turn comes."""
        horizon = self.foreign - 1
        ready = self._ready
        if ready:
            time_ns, order, _, _ = ready[0]
            due = time_ns if order > thread.rank else time_ns - 1
            if due < horizon:
                return due
        return horizon

    def _schedule_pump(self, time_ns: int) -> None:
        self._pump_due = time_ns
        self._pump_event = pump = simpy.Event(self.environment)
        pump._ok = True
        pump._value = None
        assert pump.callbacks is not None
        pump.callbacks.append(self._pump)
        self.environment.schedule(pump, delay=time_ns - int(self.environment.now))

    def _pump(self, event: simpy.Event) -> None:
        """The one simpy event: run threads until a foreign event is due."""
        if event is not self._pump_event:
            return  # an earlier one took its place
        self._pump_due = -1  # what becomes ready meanwhile needs no other pump
        self.foreign = self.environment.next_time()
        try:
            while (thread := self._next_thread()) is not None:
                thread.switch()
                self.current = None
                self.foreign = self.environment.next_time()
                self.trace.checkpoint()
        finally:
            self._pump_due = FOREVER
            if self._ready:
                self._schedule_pump(self._ready[0][0])

    # -- what the machine adds --------------------------------------------------------------------------------------

    def signalled(self, item: Any) -> None:
        """`item` may satisfy waits now."""
        raise NotImplementedError

    def forget_wait(self, thread: Thread) -> None:
        """`thread` waits for nothing any more."""
        raise NotImplementedError

    # -- simpy's side -----------------------------------------------------------------------------------------------

    def run(self, until_ns: int = FOREVER) -> bool:
        """Run until nothing can happen any more, `stop` is called, or all is done that happens up to `until_ns`.

        Answers whether anything is left to do.
        """
        step, environment = self.environment.step, self.environment
        self.limit = until_ns + 1 if until_ns < FOREVER else FOREVER
        self._hub = greenlet.getcurrent()
        for thread in self.threads:
            thread.greenlet.parent = self._hub
        while environment.next_time() < self.limit:
            step()
        if self.limit == until_ns + 1 and self._is_due_later():
            self.latest = max(self.latest, until_ns)
        self.latest = max(self.latest, min(max(self.now, int(environment.now)), until_ns))
        environment.advance(self.latest)
        self.trace.flush()
        return environment.has_events()

    def _is_due_later(self) -> bool:
        """Whether a thread or a foreign event waits for a time after this run."""
        return self.environment.has_events() or any(entry[3] == entry[2].generation for entry in self._ready)

    def close(self) -> None:
        """End the system's own threads, after the last run: one that blocks for ever keeps all its machine's memory.

        Threads of processes stay as they are, so that nothing of a client runs any more.
        """
        for thread in list(self.threads):
            if thread.process is None:
                self.kill(thread)

    def stop(self) -> None:
        """End `run` as soon as the running thread gives way."""
        self.limit = self.foreign = 0
        self.horizon = -1


_abandoned: list[Any] = []
"""Greenlets that would not end; kept, as letting go of one would run it once more."""
