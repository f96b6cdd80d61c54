"""The yardstick: one ring and an echoing client as anybody would write them with simpy, in some sixty lines.

No memory, no driver, no events that are set or cleared, no trace: a packet is a size, a ring is a store with a level,
and each part is a process. What the simulator does beyond this is what it is for; this is what that costs.
"""

import simpy

CAPACITY = 0x400000
SEND_NS, WAKE_NS, HANDLE_NS, READ_NS = 1300, 8000, 700, 1400


class Ring:
    """Bytes and packets between two processes."""

    def __init__(self, environment):
        self.environment = environment
        self.content = 0
        self.packets = []
        self.waiting = None

    def put(self, size):
        """Put a packet in, unless it finds no room; wake who waits."""
        stored = size + 7 & ~3
        if self.content + stored > CAPACITY - 4:
            return False
        self.content += stored
        self.packets.append((stored, self.environment.now))
        if self.waiting is not None:
            waiting, self.waiting = self.waiting, None
            waiting.succeed()
        return True

    def get(self):
        """Wait for a packet and take it: how long it stood there, in ns."""
        if not self.packets:
            self.waiting = self.environment.event()
            yield self.waiting
            yield self.environment.timeout(WAKE_NS)
        stored, since = self.packets.pop(0)
        self.content -= stored
        return self.environment.now - since


def run(rate_pps, size, duration_ns):
    """Offer packets for so long: how many went to the client, and how many came back."""
    environment = simpy.Environment()
    send, receive = Ring(environment), Ring(environment)
    counts = [0, 0]

    def system():
        number = 0
        while True:
            due = number * 10**9 // rate_pps
            yield environment.timeout(max(SEND_NS, due - environment.now))
            send.put(size)
            number += 1

    def client():
        while True:
            yield from send.get()
            counts[0] += 1
            yield environment.timeout(HANDLE_NS)
            receive.put(size)

    def reader():
        while True:
            yield from receive.get()
            yield environment.timeout(READ_NS)
            counts[1] += 1

    for process in (system, client, reader):
        environment.process(process())
    environment.run(duration_ns)
    return counts
