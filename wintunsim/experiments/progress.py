"""A line on the terminal: how many runs are done, and how long the rest will take."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from wintunsim.experiments.extra import library


@contextmanager
def progress_line(total: int, kept: int, wanted: bool | None) -> Iterator[Callable[[], object]]:
    """A progress line; answers what is to be called after each run. Of the `total` so many came from the cache.

    `wanted`: True, False, or None for one when standard error is a terminal. UsageError when tqdm is not there.
    """
    if not (sys.stderr.isatty() if wanted is None else wanted):
        yield lambda: None
        return
    tqdm = library("tqdm", "a progress line").tqdm
    # Runs from the cache took no time: the estimate does not count them.
    with tqdm(total=total, initial=kept, unit="run", desc="sweep", file=sys.stderr, dynamic_ncols=True) as bar:
        yield bar.update
