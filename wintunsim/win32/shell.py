"""Who the caller is: shell32 (spec win32 §4, accounts)."""

from __future__ import annotations

from wintunsim.kernel.process import Account
from wintunsim.win32.context import Context
from wintunsim.win32.exports import export
from wintunsim.win32.types import BOOL


def is_administrator(context: Context) -> bool:
    """Whether the calling process may manage adapters: LocalSystem and administrators may."""
    return context.process.account is not Account.USER


@export("shell32", BOOL)
def IsUserAnAdmin(context: Context) -> int:
    """Whether the caller is LocalSystem or an administrator."""
    return int(is_administrator(context))
