"""Access tokens: who a process runs as, and how elevated it is (advapi32; spec win32 §4, accounts)."""

from __future__ import annotations

import struct
from typing import Any

from wintun_model.status import Win32Error
from wintunsim.kernel.objects import KernelObject, ProcessObject
from wintunsim.kernel.process import Account
from wintunsim.win32.buffers import write_bytes, write_u32, write_u64
from wintunsim.win32.context import Context
from wintunsim.win32.exports import export
from wintunsim.win32.handles import reference
from wintunsim.win32.types import BOOL, DWORD, FALSE, HANDLE, INT, POINTER, TRUE

_QUERY_LIMITED = 0x1000
_TOKEN_QUERY = 8
_TOKEN_ALL_ACCESS = 0xF01FF
_USER, _ELEVATION_TYPE, _ELEVATION, _INTEGRITY_LEVEL = 1, 18, 20, 25
_DEFAULT_TYPE, _FULL_TYPE, _LIMITED_TYPE = 1, 2, 3
_GROUP_INTEGRITY = 0x60

_MACHINE = (21, 1000, 2000, 3000)
_USERS = {
    Account.SYSTEM: (18,),
    Account.ADMINISTRATOR: (*_MACHINE, 500),
    Account.USER: (*_MACHINE, 1001),
}
_INTEGRITY = {Account.SYSTEM: 0x4000, Account.ADMINISTRATOR: 0x3000, Account.USER: 0x2000}


class Token(KernelObject):
    """An access token of a process."""

    type_name = "Token"

    def __init__(self, process: Any) -> None:
        super().__init__(f"{process.name} token")
        self.process = process


def security_identifier(authority: int, parts: tuple[int, ...]) -> bytes:
    """A SID: S-1-`authority`-`parts`."""
    return struct.pack("<BB", 1, len(parts)) + authority.to_bytes(6, "big") + struct.pack(f"<{len(parts)}I", *parts)


def user_sid_text(account: Account) -> str:
    """The SID of an account's user in words: S-1-5-…"""
    return "-".join(["S-1-5", *map(str, _USERS[account])])


@export("advapi32", BOOL, HANDLE, DWORD, POINTER)
def OpenProcessToken(context: Context, handle: int, access: int, token: int) -> int:
    """The token of a process."""
    found = reference(context, handle, ProcessObject, _QUERY_LIMITED)
    if found is None:
        return FALSE
    write_u64(token, 0)
    write_u64(token, context.handles.insert(Token(found.process), access & _TOKEN_ALL_ACCESS))
    return TRUE


def _information(account: Account, kind: int, address: int) -> bytes | None:
    """What a token answers, for a buffer at `address`; None for what is not known here."""
    is_elevated = account is not Account.USER
    if kind == _ELEVATION:
        return struct.pack("<I", int(is_elevated))
    if kind == _ELEVATION_TYPE:
        types = {Account.SYSTEM: _DEFAULT_TYPE, Account.ADMINISTRATOR: _FULL_TYPE, Account.USER: _LIMITED_TYPE}
        return struct.pack("<I", types[account])
    # SID_AND_ATTRIBUTES, and the SID behind it.
    if kind == _USER:
        return struct.pack("<QQ", address + 16, 0) + security_identifier(5, _USERS[account])
    if kind == _INTEGRITY_LEVEL:
        return struct.pack("<QQ", address + 16, _GROUP_INTEGRITY) + security_identifier(16, (_INTEGRITY[account],))
    return None


@export("advapi32", BOOL, HANDLE, INT, POINTER, DWORD, POINTER)
def GetTokenInformation(context: Context, handle: int, kind: int, buffer: int, size: int, needed: int) -> int:
    """A token's user (1), elevation type (18), elevation (20) or integrity level (25)."""
    token = reference(context, handle, Token, _TOKEN_QUERY)
    if token is None:
        return FALSE
    data = _information(token.process.account, kind, buffer)
    if data is None:
        return context.fail(Win32Error.ERROR_INVALID_PARAMETER, FALSE)
    write_u32(needed, len(data))
    if size < len(data):
        return context.fail(Win32Error.ERROR_INSUFFICIENT_BUFFER, FALSE)
    write_bytes(buffer, data)
    return TRUE
