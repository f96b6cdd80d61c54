"""Return policies: their ranges, and the command line's words for them."""

import pytest

from wintunsim.errors import UsageError
from wintunsim.kernel.distribution import Distribution
from wintunsim.kernel.return_policy import ReturnPolicy
from wintunsim.network.options import parse_returns

FAILURE = 0xC0000001


@pytest.mark.parametrize(
    ("text", "policy"),
    [
        ("inside", ReturnPolicy()),
        ("kept", ReturnPolicy(keeps=True)),
        ("inside:header=14", ReturnPolicy(header_bytes=14)),
        ("kept:status=0xC0000001", ReturnPolicy(keeps=True, status=FAILURE)),
        ("late:delay=0ns", ReturnPolicy(delay_ns=0)),
        (
            "late:delay=2ms,jitter=1us,processors=3,batch=8,order=random,header=4",
            ReturnPolicy(delay_ns=2_000_000, jitter_ns=1000, processors=3, batch=8, order="random", header_bytes=4),
        ),
        (
            "late:delays=0:0ns/50:10us/99.9:1ms/100:20ms,batch=4",
            ReturnPolicy(delays=Distribution.of([[0, 0], [50, 10_000], [99.9, 1_000_000], [100, 20_000_000]]), batch=4),
        ),
    ],
)
def test_the_words(text, policy):
    assert parse_returns(text) == policy


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("never", "the returns 'never' are of an unknown kind: write inside, kept or late:delay=DURATION"),
        ("late", "late returns need the option 'delay': write late:delay=DURATION"),
        ("late:delay=2", "the duration '2' has no unit"),
        ("inside:delay=2ms", "there is no option 'delay' of inside returns: it is one of header, status"),
        ("late:delay=1ms,batch=x", "the batch of late returns is 'x': give a whole number"),
        ("late:delay=1ms,order=any", "the order of the return policy is 'any': choose one of fifo, lifo, random"),
        ("late:delays=0:1ms/5ms", "the delays of late returns have '5ms': write percentiles such as 0:10us/50:1ms/100"),
        ("late:delays=0:1ms/x:5ms", "the delays of late returns have 'x:5ms': write percentiles such as 0:10us"),
        ("late:delays=0:1ms/50:5ms", "the distribution of late returns does not go from 0 to 100 per cent"),
        ("late:delays=0:1ms/50:5us/100:1s", "the distribution of late returns goes down at (50.0, 5000)"),
        ("late:delays=0:1ms/100:1s,jitter=1ms", "a return policy with delays has no delay_ns and no jitter_ns"),
        ("late:delays=0:1ms/100:1s,delay=1ms", "a return policy with delays has no delay_ns and no jitter_ns"),
        ("inside:status=bad", "the status of inside returns is 'bad': give a number such as 0xC0000001"),
        ("inside:header=257", "header_bytes of the return policy is 257: give a number from 0 to 256"),
        ("late:delay=25h", "delay_ns of the return policy is 90000000000000: give a number from 0 to 86400000000000"),
    ],
)
def test_words_that_make_no_sense(text, message):
    with pytest.raises(UsageError) as caught:
        parse_returns(text)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"delay_ns": -1}, "delay_ns of the return policy is -1: give a number from 0 to 86400000000000"),
        ({"delay_ns": 1.5}, "delay_ns of the return policy is 1.5: give a whole number"),
        ({"delay_ns": 0, "processors": 65}, "processors of the return policy is 65: give a number from 1 to 64"),
        ({"delay_ns": 0, "batch": True}, "batch of the return policy is True: give a whole number"),
        ({"keeps": True, "delay_ns": 0}, "a return policy that keeps NBLs has no delay_ns: leave one of the two out"),
        ({"processors": 2}, "jitter_ns, processors, batch and order are about NBLs that come back later"),
        ({"order": "lifo"}, "give delay_ns too"),
        ({"delays": 5}, "delays of the return policy are 5: give a Distribution"),
        ({"keeps": True, "delays": Distribution.of(5)}, "a return policy that keeps NBLs has no delay_ns"),
    ],
)
def test_fields_out_of_range(fields, message):
    with pytest.raises(UsageError) as caught:
        ReturnPolicy(**fields)
    assert message in str(caught.value)
