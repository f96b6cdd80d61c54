"""A machine with so many processors: threads compete for them by priority, quantum and preemption (spec win32 §3, §7).

A thread's operation that is under way occupies its processor until the operation's end; a thread that is preempted in
the middle of one does the rest of it when it runs again. A thread that holds a spin lock runs at DISPATCH_LEVEL: it is
not preempted. One that spins occupies its processor; the driver's reader, whose spin yields, gives way to anybody.
"""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heapify, heappop, heappush
from typing import Any

from wintun_model.operations import Event, Lock
from wintunsim.kernel.background import start_background
from wintunsim.kernel.balance_set import BOOSTED_NS, BOOSTED_PRIORITY, BalanceSetManager
from wintunsim.kernel.host import Host
from wintunsim.kernel.machine import FOREVER, TIMED_OUT, Machine, Thread, Waitable
from wintunsim.kernel.scheduler import Scheduler
from wintunsim.kernel.scheduling import Processor, Scheduling

BOOST_DRIVER = 2
"""What a thread's priority is raised by when the driver's send event wakes it: the network increment."""
BOOST_EVENT = 1
"""The same for an event that a program sets: the event increment."""
SLICE_NS = 250_000
"""How exactly the end of a quantum is kept inside of work that lasts longer."""
REAL_TIME = 16
"""Priorities from here on are not boosted."""


class LimitedMachine(Machine):
    """A `Machine` with the processors of a host."""

    __slots__ = (
        "_balance", "_boost", "_queue", "_queue_order", "_state", "draw_idle_exit", "draw_switch", "host",
        "preemptions", "processors",
    )  # fmt: skip

    def __init__(self, seed: int, host: Host, *, keeps_trace: bool = True) -> None:
        super().__init__(seed, host.costs, keeps_trace=keeps_trace)
        assert host.processors is not None
        self.host = host
        self.processors = [Processor(number) for number in range(host.processors)]
        self.preemptions = 0
        self._queue: list[tuple[int, int, Thread]] = []
        """Ready threads without a processor: (-priority, order, thread)."""
        self._queue_order = 0
        self._balance = BalanceSetManager(self.stream("kernel.balance set"))
        self._state: dict[Thread, Scheduling] = {}
        self._boost = 0
        self.draw_switch = host.switch.sampler(self.stream("kernel.host switch"))
        self.draw_idle_exit = host.idle_exit.sampler(self.stream("kernel.host idle_exit"))
        for load in host.background:
            for _ in range(load.threads):
                start_background(self, load)

    # -- what threads do ------------------------------------------------------------------------------------------

    def scheduling(self, thread: Thread) -> Scheduling:
        """What is known of a thread."""
        state = self._state.get(thread)
        if state is None:
            state = self._state[thread] = Scheduling()
        return state

    def priority_of(self, thread: Thread) -> int:
        """A thread's priority now, with its boost."""
        base = thread.priority
        return base if base >= REAL_TIME else min(REAL_TIME - 1, base + self.scheduling(thread).boost)

    def spend(self, cost_ns: int) -> None:
        """Let `cost_ns` pass for the running thread, in slices: a quantum may end in the middle of it."""
        while cost_ns > SLICE_NS:
            super().spend(SLICE_NS)
            cost_ns -= SLICE_NS
        super().spend(cost_ns)

    def give_way(self) -> None:
        """Let everybody run who is due before `now`, the running thread's time; at the quantum's end, equals too."""
        thread = self.current
        if thread is None or thread.is_killed:
            self._refuse()
        state = self.scheduling(thread)
        if self.now >= state.quantum_end_ns and not state.level:
            self._end_quantum(thread, state)
        if state.processor is not None:
            state.due_ns = self.now
            self._order += 1
            heappush(self._ready, (self.now, thread.rank + self._order, thread, thread.generation))
        self._switch(thread)

    block = Scheduler.block

    def _end_quantum(self, thread: Thread, state: Scheduling) -> None:
        state.lower_boost()
        state.quantum_end_ns = self.now + self.host.quantum_ns
        if self._is_wanted(self.priority_of(thread)):
            self._requeue(thread, state, self.now)

    def yield_processor(self) -> bool:
        """The running thread lets another ready one of its priority or above run: whether there was one."""
        thread = self.current
        assert thread is not None
        state = self.scheduling(thread)
        self.spend(self.costs.yield_ns)
        if state.level or not self._is_wanted(self.priority_of(thread)):
            return False
        self._requeue(thread, state, self.now)
        self._switch(thread)
        return True

    def _stop_running(self, thread: Thread, deadline_ns: int) -> None:
        """A thread that blocks leaves its processor to others, unless it spins."""
        super()._stop_running(thread, deadline_ns)
        state = self.scheduling(thread)
        if not state.is_spinning:
            state.end_rescue()
            self._release(state, self.now)
        elif state.yields and not state.level and self._queue:
            self._requeue(thread, state, self.now)

    def block_on(self, lock: Lock) -> None:
        """A thread that waits for a spin lock occupies its processor, and is not preempted."""
        if not lock.is_spin:
            super().block_on(lock)
            return
        thread = self.current
        assert thread is not None
        state = self.scheduling(thread)
        state.is_spinning = True
        state.level += 1
        try:
            super().block_on(lock)
        finally:
            state.is_spinning = False
            state.level -= 1

    def spin(self, objects: Sequence[Waitable], deadline_ns: int, *, yields: bool = True) -> int:
        """A spin occupies the processor; one that yields gives it to anybody who wants it."""
        thread = self.current
        if thread is None or thread.is_killed:
            self._refuse()
        state = self.scheduling(thread)
        state.is_spinning, state.yields = True, yields
        try:
            return super().spin(objects, deadline_ns)
        finally:
            state.is_spinning = state.yields = False

    def sleep_until(self, time_ns: int) -> None:
        """Sleep: without the processor, unlike time that is spent."""
        if time_ns > self.now:
            self.block(time_ns)

    def raise_level(self, thread: Thread | None) -> None:
        """A thread took a spin lock."""
        if thread is not None:
            self.scheduling(thread).level += 1

    def lower_level(self, thread: Thread | None) -> None:
        """A thread released a spin lock: whoever was kept out by its level runs now."""
        if thread is None:
            return
        state = self.scheduling(thread)
        state.level -= 1
        if not state.level and self._is_wanted(self.priority_of(thread) + 1):
            self.preemptions += 1
            self._requeue(thread, state, self.now, in_front=True)
            self._switch(thread)

    def set_event(self, event: Event) -> None:
        """Set an event; whom it wakes is boosted, by who set it."""
        if event.waiters and not event.signalled and self.host.boosts:
            from_driver = self.current is not None and self.current.process is None
            self._boost = BOOST_DRIVER if from_driver else BOOST_EVENT
        try:
            super().set_event(event)
        finally:
            self._boost = 0

    def make_ready(self, thread: Thread, time_ns: int, value: Any = None) -> None:
        """Let a blocked thread compete for a processor from `time_ns` on."""
        if self._boost:
            state = self.scheduling(thread)
            # The driver's own threads wait for events that give no increment.
            state.boost = max(state.boost, self._boost if thread.process is not None else 0)
        super().make_ready(thread, time_ns, value)

    # -- processors -----------------------------------------------------------------------------------------------

    def _next_thread(self) -> Thread | None:
        ready = self._ready
        while ready:
            time_ns, _, thread, generation = ready[0]
            if generation != thread.generation:
                heappop(ready)
                continue
            if time_ns >= self._balance.due_ns < self.foreign:
                self._rescue(self._balance.due_ns)
                continue
            if time_ns >= self.foreign:
                break
            heappop(ready)
            state = self.scheduling(thread)
            if state.processor is None and not self._arrive(thread, state, time_ns):
                continue
            thread.generation += 1
            self.current = thread
            self.now = time_ns
            self.horizon = self._horizon_of(thread)
            if self._queue and not state.level and state.quantum_end_ns <= self.horizon:
                # Somebody waits for a processor: look at the quantum when it ends.
                self.horizon = max(time_ns, state.quantum_end_ns - 1)
            if self._balance.due_ns <= self.horizon:
                self.horizon = self._balance.due_ns - 1
            return thread
        self.current = None
        return None

    def _arrive(self, thread: Thread, state: Scheduling, now: int) -> bool:
        """A thread wants to run: whether it does so at once. Else it was given a later time, or stands in the queue."""
        if thread.wake_value == TIMED_OUT and thread.wait_objects:
            # Its wait has ended, whenever it comes to run.
            self.forget_wait(thread)
        if thread.is_killed:
            return True
        if state.is_queued:
            # It was displaced while it spun, and what it spun for has come.
            state.is_spinning = False
            return False
        processor = self._idle_processor(thread) or self._take_processor(thread, now)
        if processor is None:
            self._enqueue(thread, state, now)
            return False
        delay = self._dispatch(processor, thread, state, now)
        if delay:
            state.due_ns = now + delay
            self._push(thread, now + delay)
        return not delay

    def _idle_processor(self, thread: Thread) -> Processor | None:
        idle = [processor for processor in self.processors if processor.thread is None]
        for processor in idle:
            if processor.last is thread:
                return processor
        return max(idle, key=lambda processor: (processor.idle_since_ns, -processor.number), default=None)

    def _take_processor(self, thread: Thread, now: int) -> Processor | None:
        """The processor of the least important thread that `thread` may preempt, taken from it."""
        best: tuple[int, int, Processor] | None = None
        for processor in self.processors:
            running = processor.thread
            assert running is not None
            state = self.scheduling(running)
            if state.level:
                continue
            priority = -1 if state.is_spinning and state.yields else self.priority_of(running)
            if best is None or (priority, processor.number) < best[:2]:
                best = priority, processor.number, processor
        if best is None or best[0] >= self.priority_of(thread):
            return None
        victim = best[2].thread
        assert victim is not None
        state = self.scheduling(victim)
        self.preemptions += 1
        if not state.is_spinning:
            state.remaining_ns = max(0, state.due_ns - now)
            victim.generation += 1
        # It goes on where it was taken off, with what is left of its quantum.
        state.quantum_left_ns = max(0, state.quantum_end_ns - now)
        self._leave(state, now)
        self._enqueue(victim, state, now, in_front=True)
        return best[2]

    def _enqueue(self, thread: Thread, state: Scheduling, now: int, *, in_front: bool = False) -> None:
        self._queue_order += 1
        state.is_queued = True
        state.ready_since_ns = now
        if self.host.boosts:
            self._balance.expect(now)
        order = -self._queue_order if in_front else self._queue_order
        heappush(self._queue, (-self.priority_of(thread), order, thread))

    def _is_wanted(self, priority: int) -> bool:
        """Whether a ready thread of this priority or above has no processor."""
        return bool(self._queue) and -self._queue[0][0] >= priority

    def _requeue(self, thread: Thread, state: Scheduling, now: int, *, in_front: bool = False) -> None:
        """A thread that could go on lets the next one have its processor, and goes to the queue's end, or its front."""
        processor = state.processor
        assert processor is not None
        state.remaining_ns = 0
        if not in_front:
            state.end_rescue()
        self._leave(state, now)
        self._enqueue(thread, state, now, in_front=in_front)
        self._dispatch_next(processor, now)

    def _dispatch(self, processor: Processor, thread: Thread, state: Scheduling, now: int) -> int:
        """Give a processor to a thread: how long that takes, in ns."""
        delay = 0
        if processor.thread is None and now - processor.idle_since_ns >= self.host.idle_after_ns:
            delay += self.draw_idle_exit()
        if processor.last is not thread:
            delay += self.draw_switch()
            state.switches += 1
        processor.thread = processor.last = thread
        state.processor = processor
        state.since_ns = now
        state.quantum_end_ns = now + delay + (state.quantum_left_ns or self.host.quantum_ns)
        state.quantum_left_ns = 0
        return delay

    def _leave(self, state: Scheduling, now: int) -> None:
        processor = state.processor
        assert processor is not None
        processor.busy_ns += now - state.since_ns
        state.busy_ns += now - state.since_ns
        processor.thread = None
        processor.idle_since_ns = now
        state.processor = None

    def _release(self, state: Scheduling, now: int) -> None:
        processor = state.processor
        if processor is not None:
            self._leave(state, now)
            self._dispatch_next(processor, now)

    def _dispatch_next(self, processor: Processor, now: int) -> None:
        """Give a processor that is free to the first in the queue."""
        while self._queue:
            _, _, thread = heappop(self._queue)
            state = self.scheduling(thread)
            if thread.ended.signalled or not state.is_queued:
                continue
            self._run_queued(processor, thread, state, now)
            break
        if not self._queue:
            self._balance.due_ns = FOREVER

    def _run_queued(self, processor: Processor, thread: Thread, state: Scheduling, now: int) -> None:
        """Let a thread that was in the queue go on where it was taken off."""
        state.is_queued = False
        delay = self._dispatch(processor, thread, state, now)
        if not state.is_spinning:
            state.due_ns = now + delay + state.remaining_ns
            state.remaining_ns = 0
            self._push(thread, state.due_ns)

    def _rescue(self, now: int) -> None:
        """The balance set manager boosts threads that have starved."""
        ready = [
            (state.ready_since_ns, thread)
            for _, _, thread in self._queue
            if (state := self.scheduling(thread)).is_queued and self.priority_of(thread) < BOOSTED_PRIORITY
        ]
        for thread in self._balance.look(ready, now):
            self._queue = [row for row in self._queue if row[2] is not thread]
            heapify(self._queue)
            state = self.scheduling(thread)
            state.rescue(BOOSTED_PRIORITY - thread.priority, BOOSTED_NS)
            processor = self._take_processor(thread, now)
            if processor is None:
                self._enqueue(thread, state, now)
            else:
                self._run_queued(processor, thread, state, now)

    def _schedule_pump(self, time_ns: int) -> None:
        super()._schedule_pump(min(time_ns, self._balance.due_ns))

    def _end(self, thread: Thread) -> None:
        now = self.time()
        super()._end(thread)
        state = self.scheduling(thread)
        state.is_queued = False
        self._release(state, now)

    # -- the outcome ----------------------------------------------------------------------------------------------

    def report(self) -> dict[str, Any]:
        """How busy processors and threads were: busy time in ns, dispatches, preemptions, boosts of threads
        that had starved."""
        now = self.latest
        for state in self._state.values():
            if state.processor is not None and now > state.since_ns:
                state.processor.busy_ns += now - state.since_ns
                state.busy_ns += now - state.since_ns
                state.since_ns = now
        return {
            "name": self.host.name,
            "processors": [processor.busy_ns for processor in self.processors],
            "preemptions": self.preemptions,
            "starved": self._balance.boosted,
            "threads": [
                {"name": thread.name, "busy_ns": state.busy_ns, "dispatches": state.switches}
                for thread, state in self._state.items()
            ],
        }
