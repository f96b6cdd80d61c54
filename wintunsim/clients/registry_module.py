"""``winreg``, over the process's own advapi32: CPython's functions, with the errors of Windows."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Any

from wintunsim.clients.ctypes_errors import windows_error
from wintunsim.clients.small_modules import make_module

if TYPE_CHECKING:
    from wintunsim.clients.client_process import ClientProcess

REG_SZ, REG_EXPAND_SZ, REG_BINARY, REG_DWORD, REG_MULTI_SZ, REG_QWORD = 1, 2, 3, 4, 7, 11
KEY_READ, KEY_WRITE, MAXIMUM_ALLOWED = 0x20019, 0x20006, 0x02000000

_CONSTANTS = {
    "HKEY_CLASSES_ROOT": 0xFFFFFFFF80000000, "HKEY_CURRENT_USER": 0xFFFFFFFF80000001,
    "HKEY_LOCAL_MACHINE": 0xFFFFFFFF80000002, "HKEY_USERS": 0xFFFFFFFF80000003,
    "HKEY_PERFORMANCE_DATA": 0xFFFFFFFF80000004, "HKEY_CURRENT_CONFIG": 0xFFFFFFFF80000005,
    "KEY_QUERY_VALUE": 1, "KEY_SET_VALUE": 2, "KEY_CREATE_SUB_KEY": 4, "KEY_ENUMERATE_SUB_KEYS": 8, "KEY_NOTIFY": 0x10,
    "KEY_CREATE_LINK": 0x20, "KEY_WOW64_64KEY": 0x100, "KEY_WOW64_32KEY": 0x200, "KEY_READ": KEY_READ,
    "KEY_EXECUTE": KEY_READ, "KEY_WRITE": KEY_WRITE, "KEY_ALL_ACCESS": 0xF003F, "REG_NONE": 0, "REG_SZ": REG_SZ,
    "REG_EXPAND_SZ": REG_EXPAND_SZ, "REG_BINARY": REG_BINARY, "REG_DWORD": REG_DWORD,
    "REG_DWORD_LITTLE_ENDIAN": REG_DWORD, "REG_DWORD_BIG_ENDIAN": 5, "REG_LINK": 6, "REG_MULTI_SZ": REG_MULTI_SZ,
    "REG_QWORD": REG_QWORD, "REG_QWORD_LITTLE_ENDIAN": REG_QWORD,
}  # fmt: skip


def _decode(data: bytes, kind: int) -> Any:
    """A value as CPython has it."""
    if kind in (REG_DWORD, REG_QWORD):
        return int.from_bytes(data, "little")
    if kind not in (REG_SZ, REG_EXPAND_SZ, REG_MULTI_SZ):
        return data or None
    text = data[: len(data) & ~1].decode("utf-16-le", "surrogatepass")
    if kind == REG_MULTI_SZ:
        return text.removesuffix("\0").removesuffix("\0").split("\0") if text.strip("\0") else []
    return text.split("\0", 1)[0]


def _encode(value: Any, kind: int) -> bytes:
    if kind in (REG_DWORD, REG_QWORD):
        return int(value or 0).to_bytes(4 if kind == REG_DWORD else 8, "little")
    if kind in (REG_SZ, REG_EXPAND_SZ, REG_MULTI_SZ):
        texts = list(value or ()) if kind == REG_MULTI_SZ else [value or ""]
        if not all(isinstance(text, str) for text in texts):
            raise ValueError("Could not convert the data to the specified type.")
        end = "\0" if kind == REG_MULTI_SZ else ""
        return ("".join(text + "\0" for text in texts) + end).encode("utf-16-le", "surrogatepass")
    return bytes(value or b"")


class _Winreg:
    """The functions, for one process. Handles are those of its handle table."""

    def __init__(self, client: ClientProcess) -> None:
        self._client = client
        winreg = self

        class HKEYType:
            """A key that is open; it closes itself."""

            def __init__(self, handle: int) -> None:
                self.handle = handle

            def Close(self) -> None:  # noqa: N802
                if self.handle:
                    handle, self.handle = self.handle, 0
                    winreg._call("RegCloseKey", handle)

            def Detach(self) -> int:  # noqa: N802
                handle, self.handle = self.handle, 0
                return handle

            def __enter__(self) -> HKEYType:
                return self

            def __exit__(self, *_error: object) -> None:
                self.Close()

            def __int__(self) -> int:
                return self.handle

            def __bool__(self) -> bool:
                return bool(self.handle)

        self.key_type = HKEYType

    def _status(self, name: str, *arguments: Any) -> int:
        library = self._client.loader.load("advapi32")
        export = library.resolve(name) if library else None
        assert export is not None
        values = [
            item if isinstance(item, int) else ctypes.addressof(item) if item is not None else 0 for item in arguments
        ]
        function = ctypes.CFUNCTYPE(ctypes.c_uint32, *(ctypes.c_uint64 for _ in values))(export.address)
        status = int(function(*values))
        raised = self._client.loader.take_exception()
        if raised is not None:
            raise raised
        return status

    def _call(self, name: str, *arguments: Any) -> None:
        status = self._status(name, *arguments)
        if status:
            text = (self._client.loader.format_message(status) or f"Windows Error 0x{status:X}").rstrip("\r\n. ")
            raise windows_error(status, text)

    @staticmethod
    def _text(value: str | None) -> Any:
        if value is None:
            return None
        return ctypes.create_string_buffer((value + "\0").encode("utf-16-le", "surrogatepass"))

    def open_key(self, key: Any, sub_key: str | None, reserved: int = 0, access: int = KEY_READ) -> Any:
        opened = ctypes.c_uint64()
        self._call("RegOpenKeyExW", int(key), self._text(sub_key), reserved, access, opened)
        return self.key_type(opened.value)

    def create_key(self, key: Any, sub_key: str | None, reserved: int = 0, access: int = KEY_WRITE) -> Any:
        opened = ctypes.c_uint64()
        path = self._text(sub_key or "")
        self._call("RegCreateKeyExW", int(key), path, reserved, None, 0, access, None, opened, None)
        return self.key_type(opened.value)

    def close_key(self, key: Any) -> None:
        if isinstance(key, int):
            self._call("RegCloseKey", key)
        else:
            key.Close()

    def query_value_ex(self, key: Any, name: str | None) -> tuple[Any, int]:
        kind, size = ctypes.c_uint32(), ctypes.c_uint32()
        self._call("RegQueryValueExW", int(key), self._text(name), 0, kind, None, size)
        data = ctypes.create_string_buffer(max(size.value, 1))
        self._call("RegQueryValueExW", int(key), self._text(name), 0, kind, data, size)
        return _decode(data.raw[: size.value], kind.value), kind.value

    def query_value(self, key: Any, sub_key: str | None) -> str:
        with self.open_key(key, sub_key) as opened:
            return str(self.query_value_ex(opened, None)[0])

    def set_value_ex(self, key: Any, name: str | None, _reserved: Any, kind: int, value: Any) -> None:
        data = _encode(value, kind)
        buffer = ctypes.create_string_buffer(data, max(len(data), 1))
        self._call("RegSetValueExW", int(key), self._text(name), 0, kind, buffer, len(data))

    def delete_key(self, key: Any, sub_key: str, *_more: int) -> None:
        self._call("RegDeleteKeyW", int(key), self._text(sub_key))

    def delete_value(self, key: Any, name: str | None) -> None:
        self._call("RegDeleteValueW", int(key), self._text(name))

    def enum_key(self, key: Any, index: int) -> str:
        name, length = ctypes.create_string_buffer(514), ctypes.c_uint32(257)
        self._call("RegEnumKeyExW", int(key), index, name, length, None, None, None, None)
        return name.raw[: 2 * length.value].decode("utf-16-le", "surrogatepass")

    def enum_value(self, key: Any, index: int) -> tuple[str, Any, int]:
        _, _, _, longest_name, longest = self._query_counts(key)
        name, length = ctypes.create_string_buffer(2 * longest_name + 2), ctypes.c_uint32(longest_name + 1)
        kind, data, size = ctypes.c_uint32(), ctypes.create_string_buffer(longest + 1), ctypes.c_uint32(longest)
        self._call("RegEnumValueW", int(key), index, name, length, 0, kind, data, size)
        text = name.raw[: 2 * length.value].decode("utf-16-le", "surrogatepass")
        return text, _decode(data.raw[: size.value], kind.value), kind.value

    def _query_counts(self, key: Any) -> tuple[int, int, int, int, int]:
        """(subkeys, values, FILETIME of the last change, characters of the longest value name, bytes of a value)."""
        subkeys, values, longest_name, longest = (ctypes.c_uint32() for _ in range(4))
        written = ctypes.c_uint64()
        self._call(
            "RegQueryInfoKeyW",
            int(key),
            None,
            None,
            None,
            subkeys,
            None,
            None,
            values,
            longest_name,
            longest,
            None,
            written,
        )
        return subkeys.value, values.value, written.value, longest_name.value, longest.value

    def query_info_key(self, key: Any) -> tuple[int, int, int]:
        return self._query_counts(key)[:3]


def make_winreg_module(client: ClientProcess) -> ModuleType:
    """``winreg`` of one process."""
    functions = _Winreg(client)
    contents: dict[str, Any] = dict(_CONSTANTS)
    methods: dict[str, Callable[..., Any]] = {
        "CloseKey": functions.close_key,
        "ConnectRegistry": lambda _computer, key: key,
        "CreateKey": lambda key, sub_key: functions.create_key(key, sub_key, 0, MAXIMUM_ALLOWED),
        "CreateKeyEx": functions.create_key,
        "DeleteKey": functions.delete_key,
        "DeleteKeyEx": functions.delete_key,
        "DeleteValue": functions.delete_value,
        "EnumKey": functions.enum_key,
        "EnumValue": functions.enum_value,
        "OpenKey": functions.open_key,
        "OpenKeyEx": functions.open_key,
        "QueryInfoKey": functions.query_info_key,
        "QueryValue": functions.query_value,
        "QueryValueEx": functions.query_value_ex,
        "SetValueEx": functions.set_value_ex,
    }
    return make_module("winreg", {**contents, **methods, "HKEYType": functions.key_type, "error": OSError})
