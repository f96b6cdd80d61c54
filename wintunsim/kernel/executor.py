"""The virtual-time executor: every operation costs virtual ns, blocking ones block (design §1).

`run` performs a routine on the current thread. The order of things in one step: its cost passes, so whoever is due
before it runs; then it takes effect, at `machine.now`. There are two engines with the same results: the step engine
takes one operation after the other from the generator; the direct one calls the routine's source, compiled into a plain
function (see `direct`).
"""

from __future__ import annotations

from collections.abc import Callable
from types import CodeType
from typing import Any, Protocol, TypeVar

from wintun_model import operations as op
from wintun_model.errors import DriverFault, ModelError
from wintunsim.kernel.clock_use import costs_of, prices_of
from wintunsim.kernel.direct import compile_routines
from wintunsim.kernel.effects import Surroundings, TimedEffects
from wintunsim.kernel.machine import Machine, ThreadKilled
from wintunsim.kernel.performers import performers
from wintunsim.kernel.processors import LimitedMachine
from wintunsim.kernel.store_buffer import BufferedEffects

T = TypeVar("T")


class Monitor(Protocol):
    """Something that looks at ring memory now and then."""

    def poll(self) -> None:
        """See what the client stored."""


def _explained(error: ValueError) -> Exception:
    """A use of released ring memory is the driver's fault; any other error is what it is."""
    if "released memoryview" in str(error):
        return DriverFault("the driver touched ring memory that it had already given back")
    return error


class Executor:
    """Performs routines in virtual time for all threads of one machine. `engine` is "direct" or "step".

    With `kernel`, the executor of the driver's routines, it is one for routines in user mode on the same machine, where
    waiting and setting events are system calls. With `store_buffer_ns` stores of ring words stay in a store buffer for
    so long (see `store_buffer`).
    """

    def __init__(
        self,
        machine: Machine,
        surroundings: Surroundings,
        *,
        engine: str = "direct",
        kernel: Executor | None = None,
        store_buffer_ns: int = 0,
    ) -> None:
        self.machine = machine
        self.surroundings = surroundings
        self.effects: TimedEffects
        if kernel is not None:
            self.effects = kernel.effects
        elif store_buffer_ns:
            self.effects = BufferedEffects(machine, surroundings, self.run, store_buffer_ns)
        else:
            self.effects = TimedEffects(machine, surroundings, self.run)
        self.spins = self.effects.spins
        self.monitors: list[Monitor] = [] if kernel is None else kernel.monitors
        """What watches the rings that are registered."""
        self.must_check = False
        """Whether memory of such rings may go at any time, because nothing holds it."""
        costs = costs_of(machine.costs, in_user_mode=kernel is not None)
        plain = self.effects.table
        cost = {kind: costs.get(kind, machine.costs.load_ns) for kind in plain}
        prices = prices_of(machine.prices, in_user_mode=kernel is not None)
        locks_are_plain = not isinstance(machine, LimitedMachine) and not isinstance(self.effects, BufferedEffects)
        self._table = performers(machine, plain, {**cost, **prices}, inlines_locks=locks_are_plain)
        self._direct: dict[CodeType, Callable[..., Any]] = {}
        self._called: dict[Any, Callable[..., Any]] = {}
        """The same by the routine itself, for those that were called already."""
        if engine == "direct":
            self._direct = compile_routines(machine, plain, {**cost, **prices}, self.run, inlines_locks=locks_are_plain)

    def replace(self, routine: Callable[..., op.Routine[Any]], function: Callable[..., Any]) -> None:
        """Have `function` called with the routine's arguments wherever that routine is to begin."""
        self._direct[routine.__code__] = function
        self._called.clear()

    def poll(self) -> None:
        """See what clients stored in ring words. Raises `ClientFault` when such memory has gone."""
        if self.must_check:
            self.surroundings.check_memory()
        for monitor in self.monitors:
            monitor.poll()

    def run(self, routine: op.Routine[T]) -> T:
        """Run a routine to its end on the current thread, in virtual time, and answer its result."""
        try:
            # A routine that is compiled and has not begun is called instead, with the generator's own arguments.
            direct = self._direct.get(getattr(routine, "gi_code", None))  # type: ignore[arg-type]
            if direct is not None:
                result = direct(**routine.gi_frame.f_locals)  # type: ignore[attr-defined]
                routine.close()
                return result  # type: ignore[no-any-return]
            return self._step(routine)
        except ValueError as error:
            raise _explained(error) from error

    def call(self, routine: Callable[..., op.Routine[T]], *arguments: Any) -> T:
        """Run the routine that `routine` makes of `arguments`; quicker than `run` where it is compiled."""
        direct = self._called.get(routine)
        if direct is None:
            direct = self._direct.get(routine.__code__)
            if direct is None:
                direct = self._stepped(routine)
            self._called[routine] = direct
        try:
            return direct(*arguments)  # type: ignore[no-any-return]
        except ValueError as error:
            raise _explained(error) from error

    def _stepped(self, routine: Callable[..., op.Routine[Any]]) -> Callable[..., Any]:
        step = self._step
        return lambda *arguments: step(routine(*arguments))

    def _step(self, routine: op.Routine[T]) -> T:
        table, kind_of, send = self._table, type, routine.send
        value: Any = None
        try:
            while True:
                operation = send(value)
                value = table[kind_of(operation)](operation)
        except StopIteration as stop:
            machine = self.machine
            machine.now += machine.owed_ns
            machine.owed_ns = 0
            return stop.value  # type: ignore[no-any-return]
        except KeyError as error:
            if isinstance(error.args[0], type):
                raise ModelError(f"{error.args[0].__name__} is outside the vocabulary of operations") from error
            raise
        finally:
            # What a routine owes that fails is not paid any more.
            self.machine.owed_ns = 0

    def request(self, routine: op.Routine[T]) -> T:
        """Run a routine in kernel mode: a thread that is terminated meanwhile ends only when the routine has ended."""
        thread = self.machine.current
        if thread is None or thread.is_killed:
            raise ThreadKilled
        self.surroundings.check_memory()
        thread.kernel_depth += 1
        try:
            return self.run(routine)
        finally:
            thread.kernel_depth -= 1
            if thread.is_doomed and not thread.kernel_depth:
                self.machine.kill(thread)
