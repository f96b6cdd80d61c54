"""Pools of kernel memory, and the making ready and deleting of them and of locks."""

from __future__ import annotations

from wintun_model.operations_base import Operation
from wintun_model.operations_locks import Lock


class Pool:
    """Memory of the kernel for things of one kind: NBLs, memory descriptors, an adapter's context.

    `name` names the kind for fault plans; `outstanding` says how many are allocated and not freed yet.
    """

    __slots__ = ("allocate", "free", "is_ready", "name", "outstanding")

    def __init__(self, name: str, *, is_ready: bool = True) -> None:
        self.name = name
        self.is_ready = is_ready
        self.outstanding = 0
        self.allocate = Allocate(self)
        self.free = Free(self)

    def __repr__(self) -> str:
        return f"Pool({self.name})"


class Allocate(Operation):
    """Allocate one thing of a pool's kind. Sends back whether there was memory."""

    __slots__ = ("pool",)

    def __init__(self, pool: Pool) -> None:
        self.pool = pool


class Free(Operation):
    """Free what `Allocate` gave. A fault of the driver when the pool is gone, or when nothing is outstanding."""

    __slots__ = ("pool",)

    def __init__(self, pool: Pool) -> None:
        self.pool = pool


class Initialize(Operation):
    """Make a lock or a pool ready. Sends back whether that worked; `what` names a pool for fault plans."""

    __slots__ = ("target", "what")

    def __init__(self, target: Lock | Pool, what: str = "") -> None:
        self.target = target
        self.what = what


class Delete(Operation):
    """Delete a lock or a pool: a later use of it is a fault of the driver."""

    __slots__ = ("target",)

    def __init__(self, target: Lock | Pool) -> None:
        self.target = target
