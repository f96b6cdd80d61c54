"""The stories that life-cycle vectors tell (spec driver §6, §7, §9)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from wintunsim.conformance.records import Case, Flags

Step = dict[str, Any]

A, B = "A", "B"
RESTART: Step = {"do": "restart", "adapter": A}
PAUSE: Step = {"do": "pause", "adapter": A}
HALT: Step = {"do": "halt", "adapter": A}


def cases() -> Iterator[Case]:
    """All cases."""
    yield from _close()
    yield from _waiting()
    yield from _process_exit()
    yield from _force_close()
    yield from _halt()
    yield from _remove()
    yield from _pause()
    yield from _initialize()


def _case(
    section: str,
    name: str,
    comment: str,
    *steps: Step,
    keeps: bool = False,
    handles: Sequence[tuple[int, int, str, str]] = (),
    adapters: Sequence[str] = (A,),
    flags: Flags = (),
) -> Case:
    keys = ("process", "handle", "adapter", "file")
    fields = {
        "adapters": list(adapters),
        "ndis": "keeps" if keeps else "returns",
        "handles": [dict(zip(keys, handle, strict=True)) for handle in handles],
        "steps": list(steps),
    }
    return Case(f"driver §{section}", name, "steps", comment, fields, flags)


def _register(file: str = "f1", process: int = 100, adapter: str = A) -> Step:
    return {"do": "register", "adapter": adapter, "file": file, "process": process}


def _closed(file: str = "f1", adapter: str = A) -> Step:
    return {"do": "close", "adapter": adapter, "file": file}


def _sent(size: int = 84) -> Step:
    return {"do": "send", "adapter": A, "size": size}


def _written(size: int = 84, adapter: str = A) -> Step:
    return {"do": "write", "adapter": adapter, "size": size}


def _returned(nbl: int) -> Step:
    return {"do": "return", "adapter": A, "nbl": nbl}


def _exited(process: int = 100) -> Step:
    return {"do": "process-exit", "process": process}


def _close() -> Iterator[Case]:
    comment = "register, send, write, close: Tail and Head become 0xFFFFFFFF, TailMoved is set, the link goes down"
    yield _case("6.1", "close", comment, RESTART, _register(), _sent(), _written(), _closed(), _sent())
    yield _case("6.1", "close-paused", "a registration while paused is closed", _register(), _closed())
    yield _case("6.1", "close-twice", "a second close does nothing", _register(), _closed(), _closed())
    yield _case("6.1", "close-never", "a close without a registration does nothing", _closed())
    comment = "a close of another file object does nothing"
    yield _case("6.1", "close-other", comment, _register(), _closed("f2"), _closed())
    comment = "the second file object is refused; its close ends nothing"
    yield _case("6.1", "second-client", comment, _register(), _register("f2", 200), _closed("f2"), _closed())
    comment = "the way back: close, and register again with fresh rings"
    steps = [RESTART, _register(), _sent(), _closed(), _register("f2"), _sent(20), _written(20), _closed("f2")]
    yield _case("6.1", "register-again", comment, *steps)
    comment = "after an abort the registration stays: sends go on, writes are not read; then close and register again"
    steps = [RESTART, _register(), _written(8), _sent(), _written(), _register("f2"), _closed(), _register("f2")]
    yield _case("4.3", "abort-stays-registered", comment, *steps)


def _waiting() -> Iterator[Case]:
    start = [RESTART, _register(), _written(20), _written(24)]
    comment = "a network stack that keeps an NBL holds up the close; the reader's end and the last words come after it"
    steps = [*start, _closed(), _sent(), _returned(1), _returned(0)]
    yield _case("6.1", "close-waits", comment, *steps, keeps=True, flags=("waits",))
    comment = "registering while an unregister waits: check 1 fails, then nobody is registered"
    steps = [*start, _closed(), _register("f2"), _returned(0), _returned(1), _register("f2")]
    yield _case("5", "register-while-closing", comment, *steps, keeps=True, flags=("waits",))
    comment = "process exit waits for NBLs like a close"
    steps = [*start, _exited(), _returned(0), _returned(1), _closed()]
    yield _case("6.3", "process-exit-waits", comment, *steps, keeps=True, flags=("waits",))
    comment = "halt waits for NBLs, then the context goes"
    steps = [*start, HALT, _returned(1), _returned(0), _register("f2")]
    yield _case("6.4", "halt-waits", comment, *steps, keeps=True, flags=("waits",))
    comment = "pause waits for NBLs; meanwhile packets are refused"
    steps = [*start, PAUSE, _sent(), _returned(0), _returned(1), RESTART, _sent()]
    yield _case("7", "pause-waits", comment, *steps, keeps=True, flags=("waits",))


def _process_exit() -> Iterator[Case]:
    comment = "the process that registered ends: unregistered by force, whoever the owner file object is"
    yield _case("6.3", "process-exit", comment, RESTART, _register(), _exited(), _closed())
    comment = "another process ends: nothing happens"
    yield _case("6.3", "process-exit-other", comment, _register(), _exited(200))
    yield _case("6.3", "process-exit-never", "a process without registrations ends", _exited())
    comment = "only the earliest registered device of the process goes; the other one when its handle is closed"
    both = [_register("f2", 100, B), _register("f1", 100, A)]
    yield _case("6.3", "process-exit-two", comment, *both, _exited(), _closed("f1"), adapters=(A, B), flags=("order",))
    comment = "a second notice would take the second device"
    yield _case("6.3", "process-exit-twice", comment, *both, _exited(), _exited(), adapters=(A, B))
    comment = "the earliest device of that process, not of all"
    mixed = [_register("f2", 200, B), _register("f1", 100, A)]
    yield _case("6.3", "process-exit-mixed", comment, *mixed, _exited(), adapters=(A, B))


def _force_close() -> Iterator[Case]:
    force = {"do": "force-close", "adapter": A, "process": 300}
    yield _case("6.5", "force-close-none", "there are no handles", force)
    own = [(300, 4, A, "f3")]
    yield _case("6.5", "force-close-own", "the caller's own handles stay", force, handles=own)
    handles = [(100, 4, A, "f1"), (200, 8, A, "f2"), *own]
    comment = "every handle of other processes is closed, registered or not; the registration ends inside"
    yield _case(
        "6.5", "force-close", comment, RESTART, _register(), _written(), force, _register("f3", 300), handles=handles
    )
    comment = "handles to other devices stay"
    handles = [(100, 4, A, "f1"), (100, 8, B, "f2")]
    yield _case("6.5", "force-close-device", comment, _register(), force, handles=handles, adapters=(A, B))
    comment = "the owner is the caller's own process: its registration stays"
    handles = [(100, 4, A, "f1"), (300, 4, A, "f3")]
    yield _case("6.5", "force-close-own-registration", comment, _register("f3", 300), force, handles=handles)
    comment = "a duplicate in the caller's process keeps the file object"
    handles = [(100, 4, A, "f1"), (300, 8, A, "f1")]
    yield _case("6.5", "force-close-duplicate", comment, _register(), force, handles=handles)


def _halt() -> Iterator[Case]:
    comment = "halt ends the registration by force; later requests find no context, the close does nothing"
    yield _case("6.4", "halt", comment, RESTART, _register(), _sent(), PAUSE, HALT, _register("f2"), _closed())
    yield _case("6.4", "halt-unregistered", "halt without a registration", HALT, _register())
    comment = "halt of one adapter leaves the other alone"
    steps = [_register("f1", 100, A), _register("f2", 100, B), HALT]
    yield _case("6.4", "halt-one", comment, *steps, adapters=(A, B))


def _remove() -> Iterator[Case]:
    def removal(file: str | None = None) -> Step:
        return {"do": "remove", "adapter": A, "file": file}

    handles = [(100, 4, A, "f1"), (200, 8, A, "f1"), (200, 12, A, "f2")]
    comment = "every handle to the owner file object is closed, in every process; other handles stay"
    yield _case("9", "remove", comment, RESTART, _register(), _written(), removal(), _sent(), handles=handles)
    comment = "a request that carries the owner file object itself closes nothing"
    yield _case("9", "remove-with-owner", comment, _register(), removal("f1"), handles=handles)
    comment = "a request that carries another file object"
    yield _case("9", "remove-with-other", comment, _register(), removal("f2"), handles=handles)
    yield _case("9", "remove-unregistered", "nobody has registered: nothing is closed", removal(), handles=handles)
    comment = "removal, then halt: the way an adapter goes"
    yield _case("9", "remove-halt", comment, RESTART, _register(), removal(), PAUSE, HALT, handles=handles)


def _pause() -> Iterator[Case]:
    comment = "while paused sends are refused and what the client writes is discarded; restart goes on"
    steps = [RESTART, _register(), PAUSE, _sent(), _written(), RESTART, _sent(), _written()]
    yield _case("7", "pause", comment, *steps)
    yield _case("7", "pause-twice", "pause and restart again and again", PAUSE, RESTART, PAUSE, RESTART, RESTART)
    comment = "pause does not end a registration"
    yield _case("7", "pause-close", comment, RESTART, _register(), PAUSE, _closed())


def _initialize() -> Iterator[Case]:
    comment = "initialize: what is told to NDIS"
    yield Case("driver §7", "initialize", "initialize", comment, {"faults": []})
    for what in ("adapter context", "NBL pool"):
        comment = f"initialize without memory for the {what}"
        faults = [{"what": what, "attempt": 1}]
        name = f"initialize-no-{what.lower().replace(' ', '-')}"
        yield Case("driver §7", name, "initialize", comment, {"faults": faults}, ("fault", "model-choice"))
    comment = "halt, then initialize: a new life"
    start = {"do": "initialize", "adapter": A}
    yield _case("7", "initialize-again", comment, _register(), HALT, start, RESTART, _register("f2"), _sent())
