"""Orders that CPython takes from memory addresses, made the same in every run: sets of threads, tasks and futures.

`asyncio` and `concurrent.futures` keep such objects in sets, and objects hash by their address unless they say
otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wintunsim.clients.client_process import ClientProcess

_KEY = " order"


def hash_by_order(cls: Any) -> None:
    """Let the objects of a class hash by the order in which they are first asked for it."""
    orders = count(1)

    def __hash__(self: Any) -> int:  # noqa: N807
        own = self.__dict__
        order: int | None = own.get(_KEY)
        if order is None:
            order = own[_KEY] = next(orders)
        return order

    cls.__hash__ = __hash__


def _ordered_set(items: Iterable[Any] | None = None) -> Any:
    """What `set` means in ``asyncio.tasks``: the same members, in the order in which they were given."""
    return set() if items is None else dict.fromkeys(items).keys()


def patch_threading(_client: ClientProcess, module: Any) -> None:
    """Threads are joined in the order of their start."""
    hash_by_order(module.Thread)


def patch_futures(_client: ClientProcess, module: Any) -> None:
    """Futures of asyncio (and so tasks), and of executors."""
    hash_by_order(module.Future)


def patch_tasks(_client: ClientProcess, module: Any) -> None:
    """Coroutines that `as_completed` is given become tasks in their order."""
    module.set = _ordered_set
