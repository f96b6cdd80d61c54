"""asyncio's event loop in a simulated process: the standard library's base loop on a selector that waits in virtual
time.

This file stands in for ``asyncio.unix_events`` and ``asyncio.windows_events``. As on Windows, timeouts of the loop are
whole
milliseconds and end on a timer tick (spec win32 §3). There are no sockets, hence nothing to select.
"""

from __future__ import annotations

import math
from types import ModuleType
from typing import TYPE_CHECKING, Any, NoReturn

from wintun_model.operations import Event
from wintunsim.kernel.machine import FOREVER

if TYPE_CHECKING:
    from wintunsim.clients.client_process import ClientProcess


class VirtualSelector:
    """What an event loop waits in: until its timeout, or until another thread wakes it."""

    def __init__(self, client: ClientProcess) -> None:
        self._client = client
        self._wake = Event(client.new_name("event loop"), manual_reset=False)

    def select(self, timeout: float | None = None) -> list[Any]:
        client = self._client
        machine = client.machine
        if self._wake.signalled or (timeout is not None and timeout <= 0):
            client.spend(0)
            self._wake.signalled = False
            return []
        client.spend(machine.prices.system_call_ns())
        if self._wake.signalled:
            self._wake.signalled = False
            return []
        deadline_ns = FOREVER
        if timeout is not None:
            deadline_ns = machine.tick_after(machine.now + math.ceil(timeout * 1000) * 1_000_000)
        client.interrupts.wait((self._wake,), deadline_ns)
        return []

    def wake(self) -> None:
        """End the loop's wait, or its next one."""
        machine = self._client.machine
        if not self._wake.signalled:
            self._wake.signalled = True
            machine.signalled(self._wake)

    def close(self) -> None:
        """Nothing to close."""


def make_events_module(client: ClientProcess, name: str) -> ModuleType:
    """The platform's part of asyncio, with Windows' names."""
    importer = client.importer
    base: Any = importer.import_module("asyncio.base_events")
    events: Any = importer.import_module("asyncio.events")

    class ProactorEventLoop(base.BaseEventLoop):  # type: ignore[misc]
        def __init__(self, proactor: object = None) -> None:
            super().__init__()
            self._selector = VirtualSelector(client)

        def _process_events(self, _events: object) -> None:
            """A selector without sockets brings no events."""

        def _write_to_self(self) -> None:
            self._selector.wake()

        def close(self) -> None:
            if self.is_running():
                raise RuntimeError("Cannot close a running event loop")
            if not self.is_closed():
                super().close()
                self._selector.close()

        async def _make_subprocess_transport(self, *_arguments: Any, **_options: Any) -> NoReturn:
            raise NotImplementedError("wintunsim does not run programs under asyncio; use subprocess.run in a thread")

    class SelectorEventLoop(ProactorEventLoop):
        pass

    for loop_type, text in ((ProactorEventLoop, "ProactorEventLoop"), (SelectorEventLoop, "_WindowsSelectorEventLoop")):
        loop_type.__name__ = loop_type.__qualname__ = text
        loop_type.__module__ = "asyncio.windows_events"

    policy_base: Any = events.BaseDefaultEventLoopPolicy

    class WindowsProactorEventLoopPolicy(policy_base):  # type: ignore[misc]
        _loop_factory = ProactorEventLoop

    class WindowsSelectorEventLoopPolicy(policy_base):  # type: ignore[misc]
        _loop_factory = SelectorEventLoop

    module = ModuleType(name)
    module.__dict__.update(
        SelectorEventLoop=SelectorEventLoop,
        ProactorEventLoop=ProactorEventLoop,
        IocpProactor=VirtualSelector,
        EventLoop=ProactorEventLoop,
        DefaultEventLoopPolicy=WindowsProactorEventLoopPolicy,
        WindowsProactorEventLoopPolicy=WindowsProactorEventLoopPolicy,
        WindowsSelectorEventLoopPolicy=WindowsSelectorEventLoopPolicy,
        __all__=(
            "SelectorEventLoop", "ProactorEventLoop", "IocpProactor", "DefaultEventLoopPolicy",
            "WindowsSelectorEventLoopPolicy", "WindowsProactorEventLoopPolicy", "EventLoop",
        ),
    )  # fmt: skip
    return module
