"""The registry: keys of advapi32 (spec win32 §4). All functions answer the Win32 error itself."""

from __future__ import annotations

from wintun_model.status import Win32Error
from wintunsim.kernel.process import Account
from wintunsim.kernel.registry import Key, KeyObject, Registry
from wintunsim.win32.buffers import write_u32, write_u64
from wintunsim.win32.context import Context
from wintunsim.win32.exports import export, export_text
from wintunsim.win32.handles import MAXIMUM_ALLOWED, map_access
from wintunsim.win32.tokens import user_sid_text
from wintunsim.win32.types import DWORD, ERROR_RESULT, HANDLE, POINTER, TEXT

KEY_QUERY_VALUE = 0x1
KEY_SET_VALUE = 0x2
KEY_CREATE_SUB_KEY = 0x4
KEY_ENUMERATE_SUB_KEYS = 0x8
KEY_NOTIFY = 0x10
KEY_WOW64_32KEY = 0x200
KEY_WOW64_64KEY = 0x100
KEY_READ = 0x20019
KEY_ALL_ACCESS = 0xF003F
DELETE = 0x10000
_READING = KEY_QUERY_VALUE | KEY_ENUMERATE_SUB_KEYS | KEY_NOTIFY
# To create links, and to change who may do what, too.
_CHANGING = KEY_SET_VALUE | KEY_CREATE_SUB_KEY | DELETE | 0xC0020

ERROR_BADKEY = 1010
ERROR_KEY_DELETED = 1018
ERROR_BAD_PATHNAME = 161

_CREATED_NEW, _OPENED_EXISTING = 1, 2
_NAME_MOST = 255


def may(account: Account, key: Key, access: int) -> bool:
    """Whether an account gets these rights to a key."""
    reads = not access & _READING or account in key.readers
    return reads and (not access & _CHANGING or account in key.writers)


def _granted(account: Account, key: Key, access: int) -> int | None:
    """The rights that a new handle grants; None when they are refused."""
    if access & MAXIMUM_ALLOWED:
        for rights in (KEY_ALL_ACCESS, KEY_READ):
            if may(account, key, rights):
                return rights
        return None
    wanted = map_access(KeyObject, access & ~(KEY_WOW64_32KEY | KEY_WOW64_64KEY))
    return wanted if may(account, key, wanted) else None


def _predefined(context: Context, handle: int) -> Key | None:
    """The key of a predefined handle, as 32 bits or sign-extended to 64."""
    if handle >> 31 not in (1, 0x1FFFFFFFF):
        return None
    registry: Registry = context.system.registry
    match handle & 0xFFFFFFFF:
        case 0x80000000:  # HKEY_CLASSES_ROOT
            return registry.classes
        case 0x80000001:  # HKEY_CURRENT_USER
            return registry.users.create(user_sid_text(context.process.account))
        case 0x80000002:  # HKEY_LOCAL_MACHINE
            return registry.machine
        case 0x80000003:  # HKEY_USERS
            return registry.users
    return None


def key_of(context: Context, handle: int, access: int) -> tuple[int, Key | None]:
    """(error, key) of a key handle that must grant `access`: 6 for no key, 1018 for one deleted, 5 for rights."""
    key = _predefined(context, handle)
    if key is not None:
        return (0, key) if may(context.process.account, key, access) else (int(Win32Error.ERROR_ACCESS_DENIED), None)
    entry = context.handles.get(handle)
    if entry is None or not isinstance(entry.target, KeyObject):
        return int(Win32Error.ERROR_INVALID_HANDLE), None
    if entry.target.key.is_deleted:
        return ERROR_KEY_DELETED, None
    if access & ~entry.access:
        return int(Win32Error.ERROR_ACCESS_DENIED), None
    return 0, entry.target.key


def open_key(context: Context, key: Key, access: int) -> tuple[int, int]:
    """(error, handle) of a new handle to a key, for the calling process's account."""
    granted = _granted(context.process.account, key, access)
    if granted is None:
        return int(Win32Error.ERROR_ACCESS_DENIED), 0
    return 0, context.handles.insert(KeyObject(key), granted)


def find_key(context: Context, handle: int, path: str | None) -> tuple[int, Key | None]:
    """(error, key) at a path below a key handle, which needs no right for that."""
    if path and path.startswith("\\"):
        return ERROR_BAD_PATHNAME, None
    error, key = key_of(context, handle, 0)
    if key is None:
        return error, None
    found = key.find(path or "")
    return (0, found) if found is not None else (int(Win32Error.ERROR_FILE_NOT_FOUND), None)


def _open(context: Context, handle: int, path: str | None, access: int, result: int) -> int:
    if not result:
        return Win32Error.ERROR_INVALID_PARAMETER
    error, key = find_key(context, handle, path)
    opened = 0
    if key is not None:
        error, opened = open_key(context, key, access)
    write_u64(result, opened)
    return error


@export_text("advapi32", ERROR_RESULT, HANDLE, TEXT, DWORD, DWORD, POINTER)
def RegOpenKeyEx(context: Context, handle: int, path: str | None, options: int, access: int, result: int) -> int:
    """Open a key below another: 2 when it is not there, 5 when the account may not have that access."""
    return _open(context, handle, path, access, result)


@export_text("advapi32", ERROR_RESULT, HANDLE, TEXT, POINTER)
def RegOpenKey(context: Context, handle: int, path: str | None, result: int) -> int:
    """As `RegOpenKeyEx`, with all the access that the account may have."""
    return _open(context, handle, path, MAXIMUM_ALLOWED, result)


@export_text("advapi32", ERROR_RESULT, HANDLE, TEXT, DWORD, POINTER, DWORD, DWORD, POINTER, POINTER, POINTER)
def RegCreateKeyEx(
    context: Context,
    handle: int,
    path: str | None,
    reserved: int,
    class_name: int,
    options: int,
    access: int,
    security: int,
    result: int,
    disposition: int,
) -> int:
    """Open a key, made first as far as it is not there. `disposition` is 1 for a new key, 2 for one that was there."""
    if reserved or path is None or not result:
        return Win32Error.ERROR_INVALID_PARAMETER
    if path.startswith("\\"):
        return ERROR_BAD_PATHNAME
    parts = [part for part in path.split("\\") if part]
    if any(len(part) > _NAME_MOST for part in parts):
        return Win32Error.ERROR_INVALID_PARAMETER
    error, key = key_of(context, handle, 0)
    if key is None:
        return error
    while parts and (below := key.find(parts[0])) is not None:
        key = below
        del parts[0]
    if parts:
        if key.parent is None and key is not context.system.registry.users:
            return Win32Error.ERROR_INVALID_PARAMETER  # below a root there are hives only
        if not may(context.process.account, key, KEY_CREATE_SUB_KEY):
            return Win32Error.ERROR_ACCESS_DENIED
        key = key.create("\\".join(parts))
    error, opened = open_key(context, key, access)
    write_u64(result, opened)
    if disposition and not error:
        write_u32(disposition, _CREATED_NEW if parts else _OPENED_EXISTING)
    return error


@export_text("advapi32", ERROR_RESULT, HANDLE, TEXT, POINTER)
def RegCreateKey(context: Context, handle: int, path: str | None, result: int) -> int:
    """As `RegCreateKeyEx`, with all the access that the account may have."""
    arguments = (handle, path, 0, 0, 0, MAXIMUM_ALLOWED, 0, result, 0)
    return RegCreateKeyEx(context, *arguments)


@export("advapi32", ERROR_RESULT, HANDLE)
def RegCloseKey(context: Context, handle: int) -> int:
    """Close a key handle; predefined ones stay."""
    if _predefined(context, handle) is not None:
        return 0
    entry = context.handles.get(handle)
    if entry is None or not isinstance(entry.target, KeyObject):
        return Win32Error.ERROR_INVALID_HANDLE
    context.handles.close(handle)
    return 0


@export("advapi32", ERROR_RESULT, HANDLE)
def RegFlushKey(context: Context, handle: int) -> int:
    """All changes are where they belong already."""
    return key_of(context, handle, KEY_QUERY_VALUE)[0]


def _delete(context: Context, handle: int, path: str | None, *, tree: bool) -> int:
    error, key = find_key(context, handle, path)
    if key is None:
        return error
    if key.parent is None or not may(context.process.account, key, DELETE):
        return Win32Error.ERROR_ACCESS_DENIED
    if key.subkeys() and not tree:
        return Win32Error.ERROR_ACCESS_DENIED
    key.delete()
    return 0


@export_text("advapi32", ERROR_RESULT, HANDLE, TEXT)
def RegDeleteKey(context: Context, handle: int, path: str | None) -> int:
    """Delete a key without subkeys: 5 for one that has some, or that the account may not delete."""
    return Win32Error.ERROR_INVALID_PARAMETER if path is None else _delete(context, handle, path, tree=False)


@export_text("advapi32", ERROR_RESULT, HANDLE, TEXT, DWORD, DWORD)
def RegDeleteKeyEx(context: Context, handle: int, path: str | None, access: int, reserved: int) -> int:
    """As `RegDeleteKey`; there is one view of the registry."""
    return Win32Error.ERROR_INVALID_PARAMETER if path is None else _delete(context, handle, path, tree=False)


@export_text("advapi32", ERROR_RESULT, HANDLE, TEXT)
def RegDeleteTree(context: Context, handle: int, path: str | None) -> int:
    """Delete a key with all below it; for no path, all below the key itself, and its values."""
    if path:
        return _delete(context, handle, path, tree=True)
    error, key = key_of(context, handle, DELETE | KEY_ENUMERATE_SUB_KEYS | KEY_QUERY_VALUE | KEY_SET_VALUE)
    if key is None:
        return error
    for name in key.subkeys():
        below = key.find(name)
        if below is not None:
            below.delete()
    for value in key.values():
        key.remove(value.name)
    return 0
