"""A registered adapter and its rings, for routines to be traced with."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np

from wintun_model import operations as op
from wintun_model.adapter import Adapter, Driver, Ring
from wintun_model.client import ClientRing
from wintun_model.revision import Revision
from wintun_model.ring import ring_bytes_of
from wintunsim.experiments.client import Client


@dataclass(frozen=True, slots=True)
class World:
    """An adapter, and its rings as the client has them."""

    adapter: Adapter
    send: ClientRing
    receive: ClientRing


def world(revision: Revision, capacity: int, client: Client) -> World:
    """A world in which the rings have just been registered, and nothing has happened in them."""
    adapter = Adapter("a", Driver(revision))
    own = []
    for name, variable in (("send", adapter.send_ring), ("receive", adapter.receive_ring)):
        memory = np.zeros(ring_bytes_of(capacity), np.uint8).data
        pages: Any = SimpleNamespace(view=memory, views=[memory])
        event = op.Event(f"{name} moved", manual_reset=False, signalled=False)
        variable.value = Ring(name, pages, capacity, event, adapter.limits, revision=revision)
        own.append(
            ClientRing(
                name, memory, capacity, event, has_barrier=client.barrier, always_sets=client.always_set,
                recheck_ticks=client.rechecking_ticks,
            )
        )  # fmt: skip
    adapter.running.value = True
    adapter.disconnected.signalled = False
    return World(adapter, *own)
