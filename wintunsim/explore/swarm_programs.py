"""Programs that a swarm makes up from a seed, and what is left of one when something is taken away."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from wintunsim.errors import UsageError
from wintunsim.explore.composing.compose import compose
from wintunsim.explore.composing.text import (
    FAULTS,
    ROUTINES,
    SETTINGS,
    Call,
    Composition,
    Options,
    Part,
    calls_of,
    group,
)
from wintunsim.kernel.streams import Stream

CALLS = 7
"""How many calls a made-up program may have."""
_MEANINGLESS_WITHOUT = {
    "return": ("push", "write", "session.allocate"),
    "keep": ("push", "write", "session.allocate"),
    "echo": ("push", "write", "session.allocate"),
    "resend": ("send", "send_chain", "echo"),
    "pop": ("send", "send_chain", "echo"),
    "read": ("send", "send_chain", "echo", "close", "halt", "exit"),
    "wait": ("send", "send_chain", "echo", "close", "halt", "exit"),
    "session.receive": ("send", "send_chain", "echo"),
    "session.release": ("session.receive",),
    "session.send": ("session.allocate",),
    "session.allocate": ("session.send",),
    "restart": ("pause", "initialize"),
    "initialize": ("halt", "remove"),
    "force_close": ("register",),
}
_ALONE = (("pop", "read", "wait"), ("push", "write"))
"""Names that one thread at a time may have; which of these a program has, only one of its branches gets."""
_WEIGHTS = {
    "send": 6, "push": 6, "pop": 4, "return": 4, "close": 4, "send_chain": 2, "read": 2, "write": 2, "pause": 2,
    "halt": 2, "exit": 2, "register": 2, "force_close": 1, "remove": 1, "restart": 1, "initialize": 1, "wait": 1,
    "echo": 1, "keep": 1, "session.receive": 1, "session.allocate": 1,
}  # fmt: skip
"""How often a routine is among those that a program knows, against others. Where one needs another, that comes too."""


def make_up(seed: int, number: int) -> Composition:
    """Program `number` of a seed: the same on every Python and platform, and for any number of workers."""
    stream = Stream(seed, f"swarm program {number}")
    while True:
        composition = _draw(stream)
        if _has_meaning(composition):
            try:
                compose(composition)
            except UsageError:
                continue
            return composition


def _one_in(stream: Stream, count: int) -> bool:
    return stream.below(count) == 0


def _draw(stream: Stream) -> Composition:
    # Each program knows some of the routines only: so that none is crowded out by the others (Groce and others, 2012).
    known = _known(stream)
    clients = 2 if _one_in(stream, 4) else 1
    parts: list[Part] = []
    if _one_in(stream, 10):
        parts += [Call("initialize"), Call("restart")]
    if not _one_in(stream, 5):
        parts.append(Call("register"))
    parts += [Call(name) for name in SETTINGS if name in known]
    known = [name for name in known if name not in SETTINGS]
    for _ in range(2 if _one_in(stream, 4) else 1):
        parts.append(_side_by_side(stream, known, clients))
        if _one_in(stream, 2):
            parts.append(Call("register"))
    return Composition(group(False, tuple(parts)), _options(stream))


def _known(stream: Stream) -> list[str]:
    known: list[str] = []
    left = dict(_WEIGHTS)
    for _ in range(1 + stream.below(5)):
        place = stream.below(sum(left.values()))
        names = iter(left)
        while place >= left[name := next(names)]:
            place -= left[name]
        known.append(name)
        del left[name]
    for name, follows, one_in in (("echo", "resend", 4), ("session.receive", "session.release", 2)):
        if name in known and _one_in(stream, one_in):
            known.append(follows)
    for name in known:
        others = _MEANINGLESS_WITHOUT.get(name, ())
        if others and not set(others) & set(known):
            known.append(others[stream.below(min(len(others), 2))])
    return known


def _side_by_side(stream: Stream, known: list[str], clients: int) -> Part:
    branches: list[Part] = []
    count = 2 + (stream.below(8) + 1) // 4
    owners = [stream.below(count) for _ in _ALONE]
    shared = [name for name in known if not any(name in alone for alone in _ALONE)]
    several = (
        group(False, tuple(_call(stream, shared, clients) for _ in range(1 + stream.below(2)))) if shared else None
    )
    for index in range(count):
        # Several threads that do the same are what races are made of.
        if several is not None and index not in owners and _one_in(stream, 2):
            branches.append(several)
            continue
        names = list(known)
        for alone, owner in zip(_ALONE, owners, strict=True):
            if owner != index:
                names = [name for name in names if name not in alone]
        if names:
            calls = [_call(stream, names, clients) for _ in range(1 + stream.below(3))]
            branches.append(group(False, tuple(calls)))
    return group(True, tuple(branches)) if branches else Call("register")


def _call(stream: Stream, names: list[str], clients: int) -> Call:
    name = names[stream.below(len(names))]
    routine = ROUTINES[name]
    sizes: tuple[int, ...] = ()
    if routine.sizes[1] and _one_in(stream, 3):
        if name.startswith("send"):
            sizes = tuple((4, 8, 4, 12)[stream.below(4)] for _ in range(1 + stream.below(routine.sizes[1])))
        elif name == "return":
            sizes = (2,)
        else:
            sizes = ((20, 24, 28, 8)[stream.below(4)],)
    if name == "send_chain" and not sizes:
        sizes = (4, 4)
    client = 1 + stream.below(clients) if routine.who == "client" else 1
    return Call(name, sizes, client, 1, 2 if _one_in(stream, 5) else 1)


def _options(stream: Stream) -> Options:
    fail = tuple(sorted(name for name in FAULTS if _one_in(stream, 12)))
    return Options(
        send=(16, 16, 32, 64)[stream.below(4)],
        receive=(32, 64, 64, 128)[stream.below(4)],
        barrier=_one_in(stream, 3),
        fail=fail,
    )


def _has_meaning(composition: Composition) -> bool:
    calls = list(calls_of(composition.body))
    names = {call.name for call in calls}
    if len(calls) > CALLS or "register" not in names:
        return False
    return all(name not in names or names & set(others) for name, others in _MEANINGLESS_WITHOUT.items())


# -- taking away ------------------------------------------------------------------------------------------------------


def smaller(composition: Composition) -> Iterator[Composition]:
    """Programs with one thing less, those that are much smaller first."""
    for body in _less(composition.body):
        yield replace(composition, body=body)
    options = composition.options
    for name in options.fail:
        yield replace(
            composition, options=replace(options, fail=tuple(other for other in options.fail if other != name))
        )
    plain = Options()
    if options.barrier:
        yield replace(composition, options=replace(options, barrier=False))
    for field in ("send", "receive"):
        if getattr(options, field) != getattr(plain, field):
            yield replace(composition, options=replace(options, **{field: getattr(plain, field)}))


def _less(part: Part) -> Iterator[Part]:
    if part.times > 1:
        yield replace(part, times=1)
    if isinstance(part, Call):
        if part.sizes and part.sizes != ROUTINES[part.name].default:
            yield replace(part, sizes=())
        if part.client > 1:
            yield replace(part, client=1)
        if part.adapter > 1:
            yield replace(part, adapter=1)
        if part.name == "send_chain":
            yield replace(part, name="send", sizes=part.sizes[:1])
        return
    for index in range(len(part.parts)):
        yield group(part.is_parallel, (*part.parts[:index], *part.parts[index + 1 :]), part.times)
    for index, inner in enumerate(part.parts):
        for less in _less(inner):
            yield group(part.is_parallel, (*part.parts[:index], less, *part.parts[index + 1 :]), part.times)
    if part.is_parallel:
        yield group(False, part.parts, part.times)
