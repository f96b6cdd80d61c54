"""The language of composed programs: its tree, its text, and what it may say.

    [send=16 receive=64 barrier fail=nbl] register; (send(4)*2 | pop*2 | close); register@2

``;`` puts parts one after the other, ``|`` side by side (it binds more tightly, as in a shell), ``*2`` repeats, and
``( )`` groups. A name is a routine (`ROUTINES`), with sizes in bytes or counts in parentheses, ``@2`` for the second
client process and ``#2`` for the second adapter. The part in brackets says what the world is like.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace

from wintunsim.errors import UsageError

CALLS_MAX = 16
"""How many calls a program may have, repetitions counted."""
CLIENTS_MAX = 3
ADAPTERS_MAX = 2
TIMES_MAX = CALLS_MAX
PACKET_MAX = 44
"""Bytes of the largest packet of small worlds."""

FAULTS = {
    "nbl": "NBL",
    "partial": "partial memory descriptor",
    "descriptor": "memory descriptor",
    "thread": "thread",
    "pool": "NBL pool",
}
"""What may fail, by the name that it has here: each attempt is tried both ways."""


@dataclass(frozen=True, slots=True)
class Routine:
    """A name of the language. `who` acts: "ndis", "client" or "system"; `sizes` are (fewest, most, least, largest)."""

    name: str
    who: str
    help: str
    sizes: tuple[int, int, int, int] = (0, 0, 0, 0)
    default: tuple[int, ...] = ()


ROUTINES: dict[str, Routine] = {
    routine.name: routine
    for routine in (
        Routine("register", "client", "open the device and register fresh rings"),
        Routine("close", "client", "close the handle of the registration before it"),
        Routine("exit", "client", "the process ends: the exit notice, then its handles are closed"),
        Routine("force_close", "client", "the force-close request, through a handle of this process"),
        Routine("pop", "client", "take one packet off the send ring, if there is one"),
        Routine("read", "client", "read one packet off the send ring, waiting for it"),
        Routine("wait", "client", "wait until there is a packet in the send ring"),
        Routine("push", "client", "write a packet of so many bytes to the receive ring", (0, 1, 2, PACKET_MAX), (20,)),
        Routine("write", "client", "the same, trying once more when the ring is full", (0, 1, 2, PACKET_MAX), (20,)),
        Routine("session.receive", "client", "wintun.dll: get one packet, if there is one"),
        Routine("session.release", "client", "wintun.dll: give back the oldest packet that was got"),
        Routine("session.allocate", "client", "wintun.dll: room for one packet to send", (0, 1, 2, PACKET_MAX), (20,)),
        Routine("session.send", "client", "wintun.dll: send the oldest packet there is room for"),
        Routine("send", "ndis", "NDIS sends one packet of so many bytes", (0, 1, 2, PACKET_MAX), (4,)),
        Routine("send_chain", "ndis", "NDIS sends one chain with these packets", (1, 3, 2, PACKET_MAX), (4, 4)),
        Routine("return", "ndis", "NDIS keeps so many NBLs, and returns them in one call", (0, 1, 1, 3), (1,)),
        Routine("keep", "ndis", "NDIS keeps so many NBLs for ever", (0, 1, 1, 3), (1,)),
        Routine("echo", "ndis", "the stack sends from inside so many indications", (0, 1, 1, 3), (1,)),
        Routine("resend", "ndis", "the stack sends from inside so many completions", (0, 1, 1, 3), (1,)),
        Routine("pause", "ndis", "NDIS pauses the adapter"),
        Routine("restart", "ndis", "NDIS restarts the adapter"),
        Routine("halt", "ndis", "NDIS halts the adapter, after it has paused it"),
        Routine("initialize", "ndis", "NDIS initializes the adapter, which is paused then"),
        Routine("remove", "system", "the device is removed by surprise, and the adapter halted"),
    )
}
SETTINGS = ("keep", "echo", "resend")
"""Routines that only say how the stack behaves: they take no step of their own."""


@dataclass(frozen=True, slots=True)
class Call:
    """One routine, so many times in a row."""

    name: str
    sizes: tuple[int, ...] = ()
    client: int = 1
    adapter: int = 1
    times: int = 1

    def __str__(self) -> str:
        text = self.name
        if self.sizes:
            text += f"({', '.join(map(str, self.sizes))})"
        text += f"@{self.client}" if self.client > 1 else ""
        text += f"#{self.adapter}" if self.adapter > 1 else ""
        return text + (f"*{self.times}" if self.times > 1 else "")

    @property
    def given(self) -> tuple[int, ...]:
        """The sizes, or what stands for them when none are written."""
        return self.sizes or ROUTINES[self.name].default


@dataclass(frozen=True, slots=True)
class Group:
    """Parts one after the other, or side by side. Make it with `group`, which leaves no group in its like."""

    is_parallel: bool
    parts: tuple[Part, ...]
    times: int = 1

    def __str__(self) -> str:
        text = (" | " if self.is_parallel else "; ").join(
            f"({part})" if isinstance(part, Group) and part.times == 1 else str(part) for part in self.parts
        )
        return text if self.times == 1 else f"({text})*{self.times}"


Part = Call | Group


def group(is_parallel: bool, parts: tuple[Part, ...], times: int = 1) -> Part:
    """Parts as one: those of a part that is a group of the same kind become its own, a single one needs no group."""
    flat: list[Part] = []
    for part in parts:
        if isinstance(part, Group) and part.is_parallel == is_parallel and part.times == 1:
            flat += part.parts
        else:
            flat.append(part)
    if len(flat) == 1:
        return repeated(flat[0], times)
    return Group(is_parallel, tuple(flat), times)


def repeated(part: Part, times: int) -> Part:
    """A part so many times over."""
    return replace(part, times=part.times * times)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the world is like: capacities of the rings in bytes, a client with a barrier (B3), what may fail."""

    send: int = 32
    receive: int = 64
    barrier: bool = False
    fail: tuple[str, ...] = ()

    def __str__(self) -> str:
        words = []
        for field in fields(self):
            value = getattr(self, field.name)
            if value == field.default:
                continue
            if value is True:
                words.append(field.name)
            else:
                words.append(f"{field.name}={','.join(value) if isinstance(value, tuple) else value}")
        return f"[{' '.join(words)}]" if words else ""


@dataclass(frozen=True, slots=True)
class Composition:
    """A composed program: its tree and its options. Its text is what `parse` reads."""

    body: Part
    options: Options = Options()

    def __str__(self) -> str:
        options = str(self.options)
        return f"{options} {self.body}" if options else str(self.body)


def calls_of(part: Part) -> Iterator[Call]:
    """All calls of a part in the order of the text, repetitions unrolled."""
    for _ in range(part.times):
        if isinstance(part, Call):
            yield part
        else:
            for inner in part.parts:
                yield from calls_of(inner)


def count_of(part: Part) -> int:
    """How many calls that is, repetitions counted."""
    return part.times * (1 if isinstance(part, Call) else sum(map(count_of, part.parts)))


# -- reading ----------------------------------------------------------------------------------------------------------

_TOKEN = re.compile(r"\s*(?:(?P<name>[a-z][a-z_.]*)|(?P<number>\d+)|(?P<sign>[;|()*@#,=\[\]]))")


class _Reader:
    """Reads a text once, from left to right."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens: list[tuple[str, int]] = []
        at, end = 0, len(text.rstrip())
        while at < end:
            match = _TOKEN.match(text, at)
            if match is None:
                place = at + len(text[at:]) - len(text[at:].lstrip())
                raise self.mistake(f"{text[place]!r} means nothing", place)
            self.tokens.append((match[match.lastgroup or 0], match.start(match.lastgroup or 0)))
            at = match.end()
        self.tokens.append(("", end))
        self.at = 0

    @property
    def token(self) -> str:
        return self.tokens[self.at][0]

    @property
    def place(self) -> int:
        return self.tokens[self.at][1]

    def mistake(self, what: str, place: int | None = None) -> UsageError:
        """What is wrong, and where."""
        place = self.place if place is None else place
        return UsageError(f"{what}: at character {place + 1} of the program {self.text!r}")

    def take(self, sign: str) -> bool:
        """Whether the next token is `sign`, which is passed then."""
        if self.token != sign:
            return False
        self.at += 1
        return True

    def need(self, sign: str, after: str) -> None:
        if not self.take(sign):
            raise self.mistake(f"{self.token or 'the end'!r} stands where {sign!r} must follow {after}")

    def number(self, least: int, largest: int, what: str) -> int:
        """A number within bounds."""
        if not self.token.isdigit():
            raise self.mistake(f"{self.token or 'the end'!r} stands where a number must: {what}")
        value = int(self.token)
        if not least <= value <= largest:
            raise self.mistake(f"{what} {value} is out of range: {least} to {largest}")
        self.at += 1
        return value

    # -- the grammar ------------------------------------------------------------------------------------------------

    def series(self) -> Part:
        parts = [self.beside()]
        while self.take(";"):
            parts.append(self.beside())
        return group(False, tuple(parts))

    def beside(self) -> Part:
        parts = [self.term()]
        while self.take("|"):
            parts.append(self.term())
        return group(True, tuple(parts))

    def term(self) -> Part:
        if self.take("("):
            part = self.series()
            self.need(")", "a group")
        else:
            part = self.call()
        if self.take("*"):
            part = repeated(part, self.number(1, TIMES_MAX, "the number of times"))
        return part

    def call(self) -> Call:
        name, place = self.token, self.place
        routine = ROUTINES.get(name)
        if routine is None:
            raise self.mistake(f"{name or 'the end'!r} stands where a routine must: choose among {', '.join(ROUTINES)}")
        self.at += 1
        sizes: list[int] = []
        if self.take("("):
            fewest, most, least, largest = routine.sizes
            if not most:
                raise self.mistake(f"{name} takes no numbers", place)
            sizes.append(self.number(least, largest, f"the number for {name}"))
            while self.take(","):
                sizes.append(self.number(least, largest, f"the number for {name}"))
            self.need(")", f"the numbers for {name}")
            if not fewest <= len(sizes) <= most:
                raise self.mistake(f"{name} takes {most} numbers at most, and not {len(sizes)}", place)
        client = self.number(1, CLIENTS_MAX, "the client's number") if self.take("@") else 1
        adapter = self.number(1, ADAPTERS_MAX, "the adapter's number") if self.take("#") else 1
        return Call(name, tuple(sizes), client, adapter)

    def options(self) -> Options:
        if not self.take("["):
            return Options()
        found: dict[str, object] = {}
        while not self.take("]"):
            name, place = self.token, self.place
            self.at += 1
            if name == "barrier":
                found[name] = True
            elif name in ("send", "receive"):
                self.need("=", name)
                place = self.place
                capacity = self.number(16, 256, "the capacity")
                if capacity & (capacity - 1):
                    raise self.mistake(f"the capacity {capacity} is no power of two", place)
                found[name] = capacity
            elif name == "fail":
                self.need("=", name)
                faults = [self.fault()]
                while self.take(","):
                    faults.append(self.fault())
                found[name] = tuple(sorted(set(faults)))
            else:
                raise self.mistake(
                    f"{name or 'the end'!r} is no option: choose among send, receive, barrier, fail", place
                )
        return Options(**found)  # type: ignore[arg-type]

    def fault(self) -> str:
        if self.token not in FAULTS:
            raise self.mistake(f"{self.token or 'the end'!r} cannot fail: choose among {', '.join(FAULTS)}")
        self.at += 1
        return self.tokens[self.at - 1][0]


def is_program(text: str) -> bool:
    """Whether a text means a composed program, and not the name of a scenario."""
    return text in ROUTINES or any(mark in text for mark in " ;|()[]*@#")


def parse(text: str) -> Composition:
    """The program of a text. UsageError, with the place, for what is not in the language."""
    reader = _Reader(text)
    options = reader.options()
    body = reader.series()
    if reader.token:
        raise reader.mistake(f"{reader.token!r} stands where the program must end, or go on with ';' or '|'")
    count = count_of(body)
    if count > CALLS_MAX:
        raise UsageError(f"the program {text!r} has {count} calls: {CALLS_MAX} are the most that can be explored")
    return Composition(body, options)
