"""The registry: values, enumeration and notification (advapi32; spec win32 §4). Answers are Win32 errors."""

from __future__ import annotations

from wintun_model.operations import Event
from wintun_model.status import Win32Error
from wintunsim.kernel.handles import EVENT_MODIFY_STATE
from wintunsim.kernel.objects import EventObject
from wintunsim.kernel.registry import Value, ValueType, Watch
from wintunsim.win32.buffers import Characters, read_bytes, read_u32, wide, write_bytes, write_u32, write_u64
from wintunsim.win32.clocks import filetime
from wintunsim.win32.context import Context
from wintunsim.win32.exports import export, export_forms, export_text
from wintunsim.win32.handles import reference
from wintunsim.win32.registry import (
    KEY_ENUMERATE_SUB_KEYS,
    KEY_NOTIFY,
    KEY_QUERY_VALUE,
    KEY_SET_VALUE,
    find_key,
    key_of,
    may,
)
from wintunsim.win32.types import BOOL, DWORD, ERROR_RESULT, HANDLE, POINTER, TEXT

ERROR_UNSUPPORTED_TYPE = 1630
_TEXT_TYPES = (ValueType.REG_SZ, ValueType.REG_EXPAND_SZ, ValueType.REG_MULTI_SZ)
_VALUE_NAME_MOST = 16383

_NO_EXPAND = 0x10000000
_ZERO_ON_FAILURE = 0x20000000
_RESTRICTIONS: dict[int, int] = {
    ValueType.REG_NONE: 0x1,
    ValueType.REG_SZ: 0x2,
    ValueType.REG_EXPAND_SZ: 0x4,
    ValueType.REG_BINARY: 0x8,
    ValueType.REG_DWORD: 0x10,
    ValueType.REG_MULTI_SZ: 0x20,
    ValueType.REG_QWORD: 0x40,
}
"""Which bit of RegGetValue's flags lets a type through (RRF_RT_…)."""

_CHANGE_THREAD_AGNOSTIC = 0x10000000
_CHANGES = 0xF


def _as_seen(value: Value, form: Characters) -> bytes:
    return form.convert(value.data) if value.kind in _TEXT_TYPES else value.data


def _give(data: bytes, kind: int, type_address: int, buffer: int, length: int) -> int:
    """Give a value to the caller: 234 with the bytes needed where the buffer is short; 0 without a buffer."""
    if buffer and not length:
        return Win32Error.ERROR_INVALID_PARAMETER
    if type_address:
        write_u32(type_address, kind)
    if not length:
        return 0
    room = read_u32(length) if buffer else 0
    write_u32(length, len(data))
    if not buffer:
        return 0
    if room < len(data):
        return Win32Error.ERROR_MORE_DATA
    write_bytes(buffer, data)
    return 0


# -- one value --------------------------------------------------------------------------------------------------------


@export_forms("advapi32", ERROR_RESULT, HANDLE, TEXT, POINTER, POINTER, POINTER, POINTER)
def RegQueryValueEx(
    context: Context,
    form: Characters,
    handle: int,
    name: str | None,
    reserved: int,
    type_address: int,
    buffer: int,
    length: int,
) -> int:
    """A value, as it was stored: texts may lack their NUL. 2 when there is none; `length` in bytes."""
    if reserved:
        return Win32Error.ERROR_INVALID_PARAMETER
    error, key = key_of(context, handle, KEY_QUERY_VALUE)
    if key is None:
        return error
    value = key.get(name or "")
    if value is None:
        return Win32Error.ERROR_FILE_NOT_FOUND
    return _give(_as_seen(value, form), value.kind, type_address, buffer, length)


@export_forms("advapi32", ERROR_RESULT, HANDLE, TEXT, TEXT, DWORD, POINTER, POINTER, POINTER)
def RegGetValue(
    context: Context,
    form: Characters,
    handle: int,
    path: str | None,
    name: str | None,
    flags: int,
    type_address: int,
    buffer: int,
    length: int,
) -> int:
    """A value of one of the types that `flags` let through, texts with their NUL: 1630 for another type."""
    error, key = find_key(context, handle, path)
    value = None
    if key is not None:
        if not may(context.process.account, key, KEY_QUERY_VALUE):
            error = Win32Error.ERROR_ACCESS_DENIED
        else:
            value = key.get(name or "")
            error = 0 if value is not None else Win32Error.ERROR_FILE_NOT_FOUND
    if value is not None:
        data, kind = _as_seen(value, form), value.kind
        if kind == ValueType.REG_EXPAND_SZ and not flags & _NO_EXPAND:
            kind = int(ValueType.REG_SZ)
        if kind in _TEXT_TYPES:
            end = bytes(form.unit * (2 if kind == ValueType.REG_MULTI_SZ else 1))
            data += b"" if data.endswith(end) else end
        if flags & _RESTRICTIONS.get(kind, 0):
            error = _give(data, kind, type_address, buffer, length)
        else:
            error = ERROR_UNSUPPORTED_TYPE
    if error and error != Win32Error.ERROR_MORE_DATA and flags & _ZERO_ON_FAILURE and buffer and length:
        write_bytes(buffer, bytes(read_u32(length)))
    return error


@export_forms("advapi32", ERROR_RESULT, HANDLE, TEXT, DWORD, DWORD, POINTER, DWORD)
def RegSetValueEx(
    context: Context,
    form: Characters,
    handle: int,
    name: str | None,
    reserved: int,
    kind: int,
    data: int,
    length: int,
) -> int:
    """Set a value from `length` bytes, texts with their NUL among them."""
    if reserved or len(name or "") > _VALUE_NAME_MOST:
        return Win32Error.ERROR_INVALID_PARAMETER
    error, key = key_of(context, handle, KEY_SET_VALUE)
    if key is None:
        return error
    content = read_bytes(data, length) if length else b""
    if form.unit == 1 and kind in _TEXT_TYPES:
        content = wide(content.decode(form.encoding, "replace"))
    key.set(name or "", kind, content)
    return 0


@export_text("advapi32", ERROR_RESULT, HANDLE, TEXT)
def RegDeleteValue(context: Context, handle: int, name: str | None) -> int:
    """Delete a value: 2 when there is none of that name."""
    error, key = key_of(context, handle, KEY_SET_VALUE)
    if key is None:
        return error
    return 0 if key.remove(name or "") else Win32Error.ERROR_FILE_NOT_FOUND


# -- enumeration ------------------------------------------------------------------------------------------------------


def _give_name(form: Characters, name: str, buffer: int, length: int) -> int:
    """Write a name with its NUL, and its length in characters without: 234 where it does not fit."""
    data = form.encode(name)
    characters = len(data) // form.unit
    if read_u32(length) <= characters:
        return Win32Error.ERROR_MORE_DATA
    write_bytes(buffer, data + bytes(form.unit))
    write_u32(length, characters)
    return 0


def _give_no_class(form: Characters, buffer: int, length: int) -> None:
    # Keys have no class here.
    if length:
        if buffer and read_u32(length):
            write_bytes(buffer, bytes(form.unit))
        write_u32(length, 0)


@export_forms("advapi32", ERROR_RESULT, HANDLE, DWORD, POINTER, POINTER, POINTER, POINTER, POINTER, POINTER)
def RegEnumKeyEx(
    context: Context,
    form: Characters,
    handle: int,
    index: int,
    buffer: int,
    length: int,
    reserved: int,
    class_buffer: int,
    class_length: int,
    written: int,
) -> int:
    """The name of a subkey: 259 after the last one; `length` in characters."""
    if reserved or not length or not buffer:
        return Win32Error.ERROR_INVALID_PARAMETER
    error, key = key_of(context, handle, KEY_ENUMERATE_SUB_KEYS)
    if key is None:
        return error
    names = key.subkeys()
    if index >= len(names):
        return Win32Error.ERROR_NO_MORE_ITEMS
    error = _give_name(form, names[index], buffer, length)
    if error:
        return error
    below = key.find(names[index])
    _give_no_class(form, class_buffer, class_length)
    if written and below is not None:
        write_u64(written, filetime(below.written_ns))
    return 0


@export_forms("advapi32", ERROR_RESULT, HANDLE, DWORD, POINTER, DWORD)
def RegEnumKey(context: Context, form: Characters, handle: int, index: int, buffer: int, length: int) -> int:
    """As `RegEnumKeyEx`, the name alone."""
    error, key = key_of(context, handle, KEY_ENUMERATE_SUB_KEYS)
    if key is None:
        return error
    names = key.subkeys()
    if index >= len(names):
        return Win32Error.ERROR_NO_MORE_ITEMS
    data = form.encode(names[index]) + bytes(form.unit)
    if len(data) > length * form.unit:
        return Win32Error.ERROR_MORE_DATA
    write_bytes(buffer, data)
    return 0


@export_forms("advapi32", ERROR_RESULT, HANDLE, DWORD, POINTER, POINTER, POINTER, POINTER, POINTER, POINTER)
def RegEnumValue(
    context: Context,
    form: Characters,
    handle: int,
    index: int,
    buffer: int,
    length: int,
    reserved: int,
    type_address: int,
    data: int,
    data_length: int,
) -> int:
    """A value with its name: 259 after the last one; `length` in characters, `data_length` in bytes."""
    if reserved or not length or not buffer or (data and not data_length):
        return Win32Error.ERROR_INVALID_PARAMETER
    error, key = key_of(context, handle, KEY_QUERY_VALUE)
    if key is None:
        return error
    values = key.values()
    if index >= len(values):
        return Win32Error.ERROR_NO_MORE_ITEMS
    error = _give_name(form, values[index].name, buffer, length)
    return error or _give(_as_seen(values[index], form), values[index].kind, type_address, data, data_length)


@export_forms("advapi32", ERROR_RESULT, HANDLE, *(POINTER,) * 11)
def RegQueryInfoKey(context: Context, form: Characters, handle: int, *places: int) -> int:
    """Counts and longest lengths of a key: names in characters, values in bytes; null places are passed over."""
    error, key = key_of(context, handle, KEY_QUERY_VALUE)
    if key is None:
        return error
    class_buffer, class_length, _reserved, *numbers, security, written = places
    names, values = key.subkeys(), key.values()
    _give_no_class(form, class_buffer, class_length)
    answers = (
        len(names),
        max((len(name) for name in names), default=0),
        0,  # classes
        len(values),
        max((len(value.name) for value in values), default=0),
        max((len(_as_seen(value, form)) for value in values), default=0),
    )
    for place, number in zip(numbers, answers, strict=True):
        if place:
            write_u32(place, number)
    if security:
        write_u32(security, 0)
    if written:
        write_u64(written, filetime(key.written_ns))
    return 0


# -- notification -----------------------------------------------------------------------------------------------------


@export("advapi32", ERROR_RESULT, HANDLE, BOOL, DWORD, HANDLE, BOOL)
def RegNotifyChangeKeyValue(
    context: Context, handle: int, subtree: int, changes: int, event_handle: int, asynchronous: int
) -> int:
    """Be told of the next change of a key, by an event or by the call's return. Its kind is not looked at."""
    if not changes & _CHANGES or changes & ~(_CHANGES | _CHANGE_THREAD_AGNOSTIC):
        return Win32Error.ERROR_INVALID_PARAMETER
    error, key = key_of(context, handle, KEY_NOTIFY)
    if key is None:
        return error
    machine = context.machine
    if asynchronous:
        if not event_handle:
            return Win32Error.ERROR_INVALID_PARAMETER
        event = reference(context, event_handle, EventObject, EVENT_MODIFY_STATE)
        if event is None:
            return context.thread.last_error
        machine.clear_event(event)
        key.watches.append(Watch(lambda: machine.set_event(event), bool(subtree)))
        return 0
    changed = Event(f"a change of {key.path}", manual_reset=True)
    key.watches.append(Watch(lambda: machine.set_event(changed), bool(subtree)))
    machine.wait((changed,))
    return 0
