"""Single statements of the specification on threads and processors that no other test is about (spec win32 §3, §7)."""

import pytest

from wintun_model import operations as op
from wintunsim.kernel.costs import Costs
from wintunsim.kernel.host import Host, profile, profiles
from wintunsim.kernel.processors import LimitedMachine

LIMITED = [name for name, host in profiles().items() if not host.is_unlimited]


class Owner:
    """A process, as far as the machine asks."""


@pytest.mark.parametrize(
    ("setter_is_driver", "waiter_is_driver", "setter_priority", "preempts"),
    [
        # The driver's send event: 2.
        (True, False, 9, True),
        (True, False, 10, False),
        # SetEvent from user mode: 1.
        (False, False, 8, True),
        (False, False, 9, False),
        # What the driver's own threads wait for: 0.
        (True, True, 7, True),
        (True, True, 8, False),
        (False, True, 8, False),
    ],
)
def test_the_increments_of_a_wake_up(setter_is_driver, waiter_is_driver, setter_priority, preempts):
    """On one processor the woken thread of priority 8 runs at once when its boost lifts it above who set the event."""
    machine = LimitedMachine(0, Host(processors=1, costs=Costs(wake_ns=0, yield_ns=0, event_ns=0)))
    event, order = op.Event("e", manual_reset=False), []

    def waiter():
        machine.wait((event,))
        order.append("woken")

    def setter():
        machine.set_event(event)
        machine.spend(1000)
        order.append("setter")

    machine.start_thread("waiter", waiter, process=None if waiter_is_driver else Owner(), priority=8)
    machine.start_thread(
        "setter", setter, process=None if setter_is_driver else Owner(), priority=setter_priority, delay_ns=100
    )
    machine.run()
    machine.close()
    assert order == (["woken", "setter"] if preempts else ["setter", "woken"])


def test_the_quantum_of_a_client_and_of_a_server():
    tick_ns = Costs().timer_tick_ns
    assert [profile(name).quantum_ns // tick_ns for name in ("desktop", "busy", "server")] == [2, 2, 12]
    assert all(profile(name).quantum_ns % tick_ns == 0 for name in LIMITED)


@pytest.mark.parametrize("name", LIMITED)
def test_a_context_switch_takes_1_to_3_us(name):
    assert 1_000 <= profile(name).switch.median <= 3_000
