"""When a server that spins comes to each of its items: the recursion of Lindley, with what a spinning thread adds.

The server looks for an item; if it is there, it goes on at once. Else it begins to spin a little later: an item that
came meanwhile is seen then, one that comes later some time after it came. Which of the three it was is guessed for all
items from their times, and the times are computed from that, until nothing changes: then it is what would have come
out one by one. What has not settled after some rounds is left to the next call.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]
_ROUNDS = 12


@dataclass(frozen=True, slots=True)
class Looking:
    """How a server looks for items; times in ns."""

    spins: int
    """From the look that found nothing to the one that begins the spin."""
    limit: int
    """How long it spins; 0 for a server that does not."""
    after_spin: int
    """From a look of its spin to where it knows of the item."""
    notices: int
    """From an item's coming to where it knows of it, when it spins meanwhile."""
    sees_ties: bool
    """Whether it sees what comes just when it looks."""


def seen_times(came: Integers, spacing: Integers, first_ns: int, looking: Looking) -> Integers:
    """When each of the first so many items is seen.

    `came` is when they come; `spacing` the time from seeing one to looking for the next; `first_ns` when it looks for
    the first one. The answer ends where it takes more than spinning.
    """
    came = came - looking.sees_ties  # so that "before" stands for both
    ahead = np.concatenate(([0], np.cumsum(spacing[:-1])))
    notices = looking.notices + looking.sees_ties
    if not looking.limit:
        seen = first_ns + ahead
        late = np.flatnonzero(came >= seen)
        return seen[: late[0]] if len(late) else seen
    places = np.arange(len(came))
    seen = ahead + np.maximum(first_ns, np.maximum.accumulate(came + notices - ahead))
    looks = np.empty_like(seen)
    looks[0] = first_ns
    for _ in range(_ROUNDS):
        np.add(seen[:-1], spacing[:-1], out=looks[1:])
        waited = came - looks
        is_spun = waited >= looking.spins
        offsets = ahead + np.cumsum(((waited >= 0) & ~is_spun) * (looking.spins + looking.after_spin))
        last = np.maximum.accumulate(np.where(is_spun, places, -1))
        start = (came + notices - offsets)[last]
        start[last < 0] = first_ns
        found = offsets + start
        if np.array_equal(found, seen):
            count = len(seen)
            break
        changed = found != seen
        seen = found
        count = int(np.argmax(changed))
    too_long = np.flatnonzero(waited[:count] >= looking.spins + looking.limit)
    return seen[: too_long[0]] if len(too_long) else seen[:count]
