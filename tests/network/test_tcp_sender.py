"""The TCP-like sender, against links that lose, delay and repeat: windows, losses noticed, everything delivered."""

from __future__ import annotations

from heapq import heappop, heappush
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wintunsim.errors import UsageError
from wintunsim.network.tcp_sender import TcpOptions, TcpReceiver, TcpSender

MS = 10**6
SECOND = 10**9
SIZE = 1000


class Link:
    """A link with a round trip of `rtt_ns` and room for `room` segments, one of which leaves every `service_ns`.

    `loses(number)` says whether the transmission with this number, from 0, is lost on top of that.
    """

    def __init__(
        self, *, rtt_ns=10 * MS, service_ns=0, room=None, loses=lambda number: False, segments=None, **options
    ):
        self.rtt_ns, self.service_ns, self.room, self.loses = rtt_ns, service_ns, room, loses
        self.receiver = TcpReceiver()
        self.sender = TcpSender(TcpOptions(**options), SIZE, self.transmit, segments)
        self.now_ns = self.free_ns = 0
        self.events = []
        self.order = count()
        self.sent = []
        self.windows = []

    def transmit(self, segment, is_again):
        number = len(self.sent)
        self.sent.append((self.now_ns, segment, is_again))
        if self.loses(number):
            return
        if self.service_ns:
            waiting = max(0, self.free_ns - self.now_ns) // self.service_ns
            if self.room is not None and waiting >= self.room:
                return
            self.free_ns = max(self.free_ns, self.now_ns) + self.service_ns
            heappush(self.events, (self.free_ns + self.rtt_ns, next(self.order), segment))
        else:
            heappush(self.events, (self.now_ns + self.rtt_ns, next(self.order), segment))

    def run(self, until_ns):
        sender = self.sender
        if not self.sent:
            sender.begin(0)
        while not sender.is_done and not sender.has_given_up:
            deadline_ns = sender.deadline_ns if sender.deadline_ns is not None else until_ns + 1
            self.now_ns = min(deadline_ns, self.events[0][0] if self.events else deadline_ns)
            if self.now_ns > until_ns:
                break
            if self.events and self.events[0][0] <= deadline_ns:
                _, _, segment = heappop(self.events)
                sender.acknowledge(self.now_ns, self.receiver.arrive(segment), segment)
            else:
                sender.time_out(self.now_ns)
            self.windows.append((self.now_ns, sender.window_bytes))
            assert sender.flight_bytes <= max(sender.options.window_bytes, SIZE)
            assert 0 <= sender.pipe_bytes <= sender.flight_bytes
        return self

    def rounds(self):
        """How many segments were sent in each round trip."""
        found = {}
        for time_ns, _, _ in self.sent:
            found[time_ns // self.rtt_ns] = found.get(time_ns // self.rtt_ns, 0) + 1
        return [found.get(number, 0) for number in range(max(found) + 1)]


def test_the_receiver_acknowledges_what_is_whole():
    receiver = TcpReceiver()
    assert [receiver.arrive(segment) for segment in (0, 2, 2, 4, 1, 1, 3, 0)] == [1, 1, 1, 1, 3, 3, 5, 5]


def test_slow_start_doubles_up_to_the_receivers_window():
    link = Link(window_bytes=100 * SIZE).run(55 * MS)
    assert link.rounds() == [10, 20, 40, 80, 100, 100]
    assert link.sender.retransmissions == 0


def test_after_the_threshold_it_grows_by_a_segment_each_round_trip():
    link = Link(window_bytes=1000 * SIZE)
    link.sender.threshold_bytes = 20 * SIZE
    link.run(85 * MS)
    assert link.rounds()[:2] == [10, 20]
    growth = [after - before for before, after in zip(link.rounds()[2:], link.rounds()[3:], strict=False)]
    assert set(growth) <= {0, 1, 2}
    assert 4 <= sum(growth) <= 7


def test_a_lost_segment_is_sent_again_after_three_duplicates_and_halves_the_window():
    link = Link(window_bytes=64 * SIZE, loses=lambda number: number == 100).run(120 * MS)
    lost_ns, lost, _ = link.sent[100]
    again = [entry for entry in link.sent if entry[2]]
    assert [segment for _, segment, _ in again] == [lost]
    assert again[0][0] == lost_ns + link.rtt_ns
    assert (link.sender.fast_retransmits, link.sender.timeouts) == (1, 0)
    after = [window for time_ns, window in link.windows if time_ns > again[0][0] + link.rtt_ns]
    assert after[0] <= 33 * SIZE
    assert link.sender.threshold_bytes == 32 * SIZE


def test_several_losses_in_one_window_are_repaired_together_and_count_once():
    lost = (100, 105, 110, 120, 121, 122)
    link = Link(window_bytes=64 * SIZE, loses=lambda number: number in lost).run(150 * MS)
    again = [(time_ns, segment) for time_ns, segment, is_again in link.sent if is_again]
    assert [segment for _, segment in again] == [link.sent[number][1] for number in lost]
    assert again[-1][0] - again[0][0] <= link.rtt_ns
    assert (link.sender.fast_retransmits, link.sender.timeouts) == (1, 0)
    assert link.sender.threshold_bytes == 32 * SIZE


def test_two_duplicates_send_something_new_each_and_are_no_loss():
    sent = []
    sender = TcpSender(TcpOptions(), SIZE, lambda segment, is_again: sent.append((segment, is_again)))
    sender.begin(0)
    assert len(sent) == 10
    for duplicates in (1, 2):
        sender.acknowledge(MS, 0, duplicates)
        sender.acknowledge(MS, 0, duplicates)  # told again
        assert len(sent) == 10 + duplicates
    sender.acknowledge(MS, 0, 3)
    assert sent[12:] == [(0, True)]
    sender.acknowledge(MS, 99, 98)  # for what was never sent
    assert sender.acknowledged == 0


def test_what_comes_late_is_not_lost_twice():
    sent = []
    sender = TcpSender(TcpOptions(), SIZE, lambda segment, is_again: sent.append((segment, is_again)))
    sender.begin(0)
    for arrived in (2, 3, 4, 5):  # 0 and 1 are overtaken
        sender.acknowledge(MS, 0, arrived)
    sender.acknowledge(MS, 0, 1)
    sender.acknowledge(MS, 6, 0)
    assert sender.retransmissions <= 2
    assert sender.acknowledged == 6
    assert sender.pipe_bytes == sender.flight_bytes


def test_a_lost_retransmission_costs_a_timeout():
    link = Link(window_bytes=64 * SIZE, segments=400)
    link.loses = lambda number: link.sent[number][1] == 100 and link.now_ns < 200 * MS
    link.run(5 * SECOND)
    assert link.sender.is_done
    assert (link.sender.fast_retransmits, link.sender.timeouts) == (1, 1)


def test_a_lost_tail_costs_a_timeout():
    link = Link(segments=20, loses=lambda number: number == 19).run(10 * SECOND)
    assert link.sender.is_done
    assert (link.sender.timeouts, link.sender.fast_retransmits, link.sender.retransmissions) == (1, 0, 1)
    assert link.sent[-1][0] - link.sent[19][0] == pytest.approx(310 * MS, abs=2 * link.rtt_ns)


def test_a_timeout_begins_again_with_one_segment():
    link = Link(window_bytes=64 * SIZE, loses=lambda number: 200 <= number < 264)
    link.run(2 * SECOND)
    first_again = next(number for number, entry in enumerate(link.sent) if entry[2])
    assert link.sender.timeouts >= 1
    assert link.sent[first_again][0] - link.sent[first_again - 1][0] >= 300 * MS
    assert min(window for _, window in link.windows) == SIZE
    assert link.sender.acknowledged > 300


def test_timeouts_back_off_and_end():
    link = Link(loses=lambda number: True, retries=4).run(1000 * SECOND)
    times = [time_ns for time_ns, segment, _ in link.sent if segment == 0]
    assert times == [0, SECOND, 3 * SECOND, 7 * SECOND, 15 * SECOND]
    assert link.sender.has_given_up
    assert (link.sender.timeouts, link.sender.deadline_ns) == (5, None)
    assert link.now_ns == 31 * SECOND
    assert link.sender.acknowledge(link.now_ns, 1, 0) is None


def test_the_timeout_follows_the_round_trip():
    link = Link(rtt_ns=200 * MS, window_bytes=8 * SIZE).run(5 * SECOND)
    # Nothing varies: the round trip and a trace of what was half of it at first.
    assert 300 * MS <= link.sender.timeout_ns < 310 * MS
    assert Link(rtt_ns=SECOND, window_bytes=8 * SIZE).run(30 * SECOND).sender.timeout_ns < 1.1 * SECOND
    assert Link(rto_min_ns=20 * MS).run(SECOND).sender.timeout_ns == 20 * MS
    assert (
        Link(loses=lambda number: True, rto_max_ns=3 * SECOND, retries=9).run(8 * SECOND).sender.timeout_ns
        == 3 * SECOND
    )


def test_round_trips_are_measured_on_segments_that_were_sent_once():
    sender = TcpSender(TcpOptions(), SIZE, lambda segment, is_again: None)
    sender.begin(0)
    assert sender.acknowledge(7 * MS, 1, 0) == 7 * MS
    assert sender.acknowledge(8 * MS, 1, 5) == 8 * MS
    assert sender.acknowledge(8 * MS, 1, 5) is None
    sender.time_out(sender.deadline_ns)
    assert sender.acknowledge(SECOND, 2, 1) is None


def test_a_queue_that_is_too_short_costs_throughput():
    done = {}
    for room in (5, 20, 200):
        link = Link(rtt_ns=10 * MS, service_ns=100_000, room=room, window_bytes=1000 * SIZE).run(5 * SECOND)
        done[room] = link.sender.acknowledged
    assert done[5] < 0.9 * done[20]
    assert done[20] < done[200]
    assert done[200] > 0.95 * 5 * SECOND / 100_000


@settings(deadline=None, max_examples=60)
@given(
    segments=st.integers(1, 120),
    lost=st.sets(st.integers(0, 200), max_size=60),
    window=st.integers(1, 100_000),
    initial=st.integers(1, 50),
    rtt_ns=st.integers(1, 500 * MS),
    room=st.integers(1, 50),
)
def test_everything_is_delivered_whatever_is_lost(segments, lost, window, initial, rtt_ns, room):
    link = Link(
        segments=segments,
        loses=lambda number: number in lost,
        window_bytes=window,
        initial_segments=initial,
        rtt_ns=rtt_ns,
        room=room,
        service_ns=10_000,
        retries=300,
        rto_max_ns=2 * SECOND,
    ).run(10**6 * SECOND)
    assert link.sender.is_done
    assert link.receiver.expected == segments
    assert link.sender.deadline_ns is None
    firsts = [segment for _, segment, is_again in link.sent if not is_again]
    assert firsts == list(range(segments))
    assert link.sender.retransmissions == len(link.sent) - segments


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"window_bytes": 0}, "the tcp window in bytes is 0"),
        ({"initial_segments": 0}, "the tcp initial window in segments is 0"),
        ({"retries": -1}, "the tcp number of retries is -1"),
        ({"rto_min_ns": 61 * SECOND}, "the tcp minimum timeout is 61000000000 ns, longer than the maximum"),
        ({"rto_initial_ns": 1.5}, "the tcp initial timeout in ns is 1.5: give a whole number"),
    ],
)
def test_impossible_options(options, message):
    with pytest.raises(UsageError) as caught:
        TcpOptions(**options)
    assert message in str(caught.value)
