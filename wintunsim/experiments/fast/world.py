"""A registered adapter and its rings, for routines to be walked through, or traced, on their own."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

from wintun_model import operations as op
from wintun_model.adapter import Adapter, Driver, Ring
from wintun_model.client import ClientRing
from wintun_model.revision import Revision
from wintun_model.ring import ring_bytes_of

CAPACITY = 0x20000


class World(NamedTuple):
    """An adapter, and its rings as the client has them."""

    adapter: Adapter
    send: ClientRing
    receive: ClientRing


def world(revision: Revision, capacity: int = CAPACITY, **of_client: Any) -> World:
    """A world in which the rings have just been registered, and nothing has happened in them.

    `of_client` is what `ClientRing` may be told beside its memory.
    """
    adapter = Adapter("a", Driver(revision))
    own = []
    for name, variable in (("send", adapter.send_ring), ("receive", adapter.receive_ring)):
        memory = np.zeros(ring_bytes_of(capacity), np.uint8).data
        pages: Any = SimpleNamespace(view=memory, views=[memory])
        event = op.Event(f"{name} moved", manual_reset=False, signalled=False)
        variable.value = Ring(name, pages, capacity, event, adapter.limits, revision=revision)
        own.append(ClientRing(name, memory, capacity, event, **of_client))
    adapter.running.value = True
    adapter.disconnected.signalled = False
    for pool in (adapter.nbl_pool, adapter.partial_descriptors, adapter.memory_descriptors):
        pool.is_ready = True
    return World(adapter, *own)
