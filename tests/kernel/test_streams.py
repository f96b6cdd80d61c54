"""Streams of randomness: the same bits for ever, on every version and platform (design §3)."""

from wintunsim.kernel.machine import Machine
from wintunsim.kernel.streams import Stream


def test_values_are_fixed_for_ever():
    stream = Stream(0, "kernel.tick")
    assert [stream.bits(32), stream.bits(32)] == [2002246774, 2896794145]
    assert [Machine(seed).tick_phase_ns for seed in range(3)] == [7821276, 6312357, 15549714]
    stream = Stream(1, "client")
    assert [stream.bits(64), stream.below(6), stream.below(1000), stream.take_bytes(5).hex()] == [
        4352641806919730013,
        0,
        146,
        "cb006f3d5a",
    ]


def test_a_stream_depends_on_seed_and_name():
    values = {
        (seed, name): Stream(seed, name).bits(128) for seed in (0, 1, 10, 2**70, -1) for name in ("", "a", "b", "0\0a")
    }
    assert len(set(values.values())) == len(values)


def test_below_is_in_range_and_reaches_everything():
    stream = Stream(7, "dice")
    assert [stream.below(1) for _ in range(3)] == [0, 0, 0]
    for limit in (2, 3, 6, 64, 65):
        assert {stream.below(limit) for _ in range(40 * limit)} == set(range(limit))


def test_no_bits_and_no_bytes():
    stream, other = Stream(3, "x"), Stream(3, "x")
    assert (stream.bits(0), stream.take_bytes(0)) == (0, b"")
    assert stream.bits(16) == other.bits(16)
    assert len(stream.take_bytes(33)) == 33


def test_below_is_even_enough():
    stream = Stream(5, "even")
    counts = [0] * 3
    for _ in range(3000):
        counts[stream.below(3)] += 1
    assert all(900 < count < 1100 for count in counts)


def test_a_machine_has_one_stream_of_each_name():
    machine = Machine(seed=9)
    assert machine.stream("a") is machine.stream("a")
    assert machine.stream("a").bits(64) == Stream(9, "a").bits(64)
    # What one part draws does not move another part's stream.
    assert machine.stream("b").bits(64) == Stream(9, "b").bits(64)


def test_the_phase_of_the_timer_tick_comes_from_the_seed():
    phases = {Machine(seed).tick_phase_ns for seed in range(20)}
    assert len(phases) == 20
    assert all(0 <= phase < 15_625_000 for phase in phases)
    assert Machine(3).tick_phase_ns == Machine(3).tick_phase_ns
