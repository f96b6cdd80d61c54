"""Routines that users write: a client's side in a file of their own, explored against the driver.

``client.py:produce+receive`` is the function `produce` of that file beside the driver's reader. Such a function takes a
`Client`, yields operations of `wintun_model.operations`, and keeps nothing but its locals.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import module_from_spec, spec_from_file_location
from inspect import isfunction, isgenerator
from pathlib import Path
from types import ModuleType
from typing import Any

from wintun_model.adapter import Adapter, Packet, ReceiveNbl, SendChain
from wintun_model.client import ClientRing
from wintun_model.errors import ModelError
from wintun_model.operations import CopyOut, Routine
from wintun_model.receive import return_nbls
from wintun_model.send import send
from wintunsim.errors import UsageError
from wintunsim.explore.program import Program
from wintunsim.explore.scenario import Scenario, Setting
from wintunsim.explore.violation import Property, Violation
from wintunsim.explore.world import Rings, World, close_handle, ipv4
from wintunsim.explore.writes import State

SIDES = ("receive", "send", "both", "close")
"""What `--with` names: the driver's reader, a sender, both, or a handle that is closed beside the client."""
CAPACITY = 64
PACKETS = (ipv4(1), ipv4(2))
"""What a client is to write to the receive ring."""
SENT = (ipv4(0x81), ipv4(0x82))
"""What the system sends, so what a client finds in the send ring."""


@dataclass(frozen=True, slots=True)
class Client:
    """What a user's function gets: its two rings, and the packets to write.

    `send` is the ring that the client reads, `receive` the one that it writes, both of 64 bytes. `packets` are to be
    written, in this order; `expected` is how many packets the system sends.
    """

    send: ClientRing
    receive: ClientRing
    packets: tuple[bytes, ...]
    expected: int


def is_own(name: str) -> bool:
    """Whether a scenario's name means functions in a file."""
    return ".py:" in name


def own_name(text: str, sides: Sequence[str]) -> str:
    """The full name of a scenario of one's own: ``client.py:produce+receive``. UsageError without a side."""
    for side in sides:
        if side not in SIDES:
            raise UsageError(f"there is no side {side!r} of the driver: choose among {', '.join(SIDES)} for --with")
    if "+" in text.rpartition(":")[2]:
        return text
    if not sides:
        raise UsageError(f"{text}: say what runs beside it with --with {', --with '.join(SIDES)}")
    return "+".join([text, *sides])


def own_scenario(name: str) -> Scenario:
    """The scenario of ``FILE.py:FUNCTION[,FUNCTION]+SIDE[+SIDE]``. UsageError for what is missing or no routine."""
    file, _, rest = name.rpartition(":")
    functions_text, _, sides_text = rest.partition("+")
    sides = set(sides_text.split("+")) if sides_text else set()
    own_name(f"{file}:{functions_text}", sorted(sides))
    if "both" in sides:
        sides = sides - {"both"} | {"receive", "send"}
    module = _load(file)
    functions = [(each, _function(module, file, each)) for each in functions_text.split(",")]
    return Scenario(
        name=name,
        title=f"{functions_text.replace(',', ' and ')} of {Path(file).name} beside {_told(sides)}",
        build=lambda setting: _build(setting, file, functions, sides),
        is_broken=lambda setting: False,
    )


def mistake(name: str, error: ModelError | Violation) -> UsageError | None:
    """What a user's routine did wrong, if it did: so that the search could not go on."""
    if isinstance(error, ModelError):
        return UsageError(f"{name}: {error}")
    if error.property is Property.BOUNDED:
        return UsageError(f"{name}: {error.what}: give every loop a bound")
    if error.property is Property.EXPECTATION:
        return UsageError(f"{name}: {error.what}")
    return None


def _told(sides: set[str]) -> str:
    names = {"receive": "the driver's reader", "send": "a sender", "close": "the closing of its handle"}
    return " and ".join(text for side, text in names.items() if side in sides)


# -- the user's file --------------------------------------------------------------------------------------------------


def _load(file: str) -> ModuleType:
    path = Path(file)
    if not path.is_file():
        raise UsageError(f"there is no file {file}: name one with the functions to explore")
    spec = spec_from_file_location(path.stem, path.absolute())
    assert spec is not None and spec.loader is not None, "a name that ends with .py has a loader"
    module = module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise UsageError(f"{file} cannot be loaded: {_line(error, file)}") from None
    return module


def _function(module: ModuleType, file: str, name: str) -> Callable[[Client], Any]:
    function = getattr(module, name, None)
    if not isfunction(function):
        there = [
            key for key, value in vars(module).items() if isfunction(value) and value.__module__ == module.__name__
        ]
        has = f"it has {', '.join(there)}" if there else "it has no functions"
        raise UsageError(f"there is no function {name!r} in {file}: {has}")
    return function


def _line(error: Exception, file: str) -> str:
    """An exception in a user's code, with the line of the file where it was raised."""
    path = Path(file).absolute()
    lines = [each.lineno for each in traceback.extract_tb(error.__traceback__) if Path(each.filename) == path]
    where = f"line {lines[-1]}: " if lines else ""
    return f"{where}{type(error).__name__}: {error}"


# -- the world --------------------------------------------------------------------------------------------------------


def _build(
    setting: Setting, file: str, functions: Sequence[tuple[str, Callable[[Client], Any]]], sides: set[str]
) -> World:
    world = setting.world()
    adapter, process = world.adapter(), world.process()
    rings = world.rings(process, send=CAPACITY, receive=CAPACITY)
    world.ndis.receive = _look_and_return
    file_object = world.registered(adapter, process, rings)
    client = Client(rings.send, rings.receive, PACKETS, len(SENT) if "send" in sides else 0)
    is_empty = world.is_empty(rings.send_region)
    threads = [
        world.thread(name, lambda name=name, function=function: _guarded(f"{file}:{name}", file, function, client),  # type: ignore[misc]
                     idle=is_empty)
        for name, function in functions
    ]  # fmt: skip
    if "send" in sides:
        world.thread("sender", lambda: _send_all(adapter))
    if "close" in sides:
        (handle,) = file_object.handles
        world.thread("close", lambda: close_handle(handle))
    _expect(world, adapter, rings, threads, sides)
    return world


def _guarded(name: str, file: str, function: Callable[[Client], Any], client: Client) -> Routine[Any]:
    """A user's routine; what goes wrong in its code is a mistake of the user's, told in a sentence."""
    try:
        routine = function(client)
        if not isgenerator(routine):
            raise UsageError(f"{name} is no routine: it has to be a generator, with a yield for each operation")
        return (yield from routine)
    except (UsageError, ModelError):
        raise
    except Exception as error:
        raise UsageError(f"{name} fails: {_line(error, file)}") from None


def _send_all(adapter: Adapter) -> Routine[None]:
    for packet in SENT:
        yield from send(adapter, SendChain.of(Packet(packet)))


def _look_and_return(adapter: Adapter, nbl: ReceiveNbl) -> Routine[None]:
    """NDIS reads an indicated packet, and returns it inside the indication."""
    yield CopyOut(nbl.ring, nbl.offset, nbl.size_bytes)
    yield from return_nbls(adapter, (nbl,))


def _expect(world: World, adapter: Adapter, rings: Rings, threads: Sequence[Program], sides: set[str]) -> None:
    """At the end: the packets have arrived in order, none lost or doubled; after a close perhaps not all."""
    may_lack = "close" in sides

    def check(state: State) -> str | None:
        results = [world.result(state, thread) if state[thread.slot].has_ended else () for thread in threads]
        if "send" in sides:
            for got in results:
                if isinstance(got, tuple | list) and (wrong := _compare("the client", got, SENT, may_lack or not got)):
                    return wrong
        if "receive" in sides:
            written = [len(PACKETS) if count is None else count for count in results]
            whole = sum(count for count in written if isinstance(count, int))
            return _compare("the driver", _received(world, state, adapter), PACKETS[:whole], may_lack)
        return None

    world.expect(check, Property.PACKETS_IN_ORDER)


def _received(world: World, state: State, adapter: Adapter) -> list[bytes]:
    """What the driver's reader has handed up."""
    return [
        key
        for program in world.machine.programs
        if program.name == f"{adapter.name} reader"
        for node, key in state[program.slot].history()
        if isinstance(node.operation, CopyOut)
    ]


def _compare(who: str, got: Sequence[Any], expected: Sequence[bytes], may_lack: bool) -> str | None:
    if list(got) == list(expected[: len(got)]) and (may_lack or len(got) == len(expected)):
        return None
    return f"{who} gets {_packets(got)}, and should get {_packets(expected)}"


def _packets(packets: Sequence[Any]) -> str:
    told = [packet[:4].hex() + "…" if isinstance(packet, bytes) else repr(packet) for packet in packets]
    return f"{len(told)} packet{'' if len(told) == 1 else 's'} ({', '.join(told)})" if told else "nothing"
