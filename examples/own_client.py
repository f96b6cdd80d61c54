"""A client's side of the receive ring, written as routines to explore: two with a mistake, and one without.

    wintunsim explore examples/own_client.py:asks_first --with receive --driver 2026-02

Each function writes the packets that it is given, and wakes the driver's reader; docs/own-routines.md tells more.
"""

from wintun_model.operations import CopyIn, Fence, Store, StoreSize
from wintun_model.ring import stored_bytes, wrap


def asks_first(client):
    """Asks whether the reader sleeps before it moves Tail: a reader that goes to sleep in between is not woken."""
    ring = client.receive
    for packet in client.packets:
        sleeps = yield ring.alertable.load
        yield from put(ring, packet)
        if sleeps:
            yield ring.tail_moved.set


def no_barrier(client):
    """Moves Tail first; but the processor may still keep that store to itself while Alertable is loaded."""
    ring = client.receive
    for packet in client.packets:
        yield from put(ring, packet)
        if (yield ring.alertable.load):
            yield ring.tail_moved.set


def produce(client):
    """The same with a full barrier between the store of Tail and the load of Alertable."""
    ring = client.receive
    for packet in client.packets:
        yield from put(ring, packet)
        yield Fence()
        if (yield ring.alertable.load):
            yield ring.tail_moved.set


def put(ring, packet):
    """Write a packet, then move Tail. The ring has space for all packets of this example."""
    tail = yield ring.tail.load
    yield StoreSize(ring, tail, len(packet))
    yield CopyIn(ring, tail + 4, packet, len(packet))
    yield Store(ring.tail, wrap(tail + stored_bytes(len(packet)), ring.capacity))
