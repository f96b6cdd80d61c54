"""The machine's registry: a hive in memory, the same in every run (spec win32 §4).

Keys and values keep the case that they were given and are found without it. Subkeys are enumerated by name, values in
the order in which they were first set, as on Windows.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import IntEnum

from wintunsim.kernel.objects import KernelObject
from wintunsim.kernel.process import Account


class ValueType(IntEnum):
    """Types of registry values. Any other number is kept as it is given."""

    REG_NONE = 0
    REG_SZ = 1
    REG_EXPAND_SZ = 2
    REG_BINARY = 3
    REG_DWORD = 4
    REG_DWORD_BIG_ENDIAN = 5
    REG_LINK = 6
    REG_MULTI_SZ = 7
    REG_QWORD = 11


EVERYBODY = frozenset(Account)
ADMINISTRATORS = frozenset((Account.SYSTEM, Account.ADMINISTRATOR))
SYSTEM_ONLY = frozenset((Account.SYSTEM,))


@dataclass(frozen=True, slots=True)
class Value:
    """A registry value: its name (empty for the default one), type number, and bytes (texts are UTF-16 with a NUL)."""

    name: str
    kind: int
    data: bytes


@dataclass(slots=True, eq=False)
class Watch:
    """Somebody who waits for a change of a key, once: in the whole subtree, or in the key and its subkeys' names."""

    tell: Callable[[], None]
    is_subtree: bool


class Key:
    """A key. `readers` and `writers` are the accounts that may look at it and change it; subkeys inherit them."""

    def __init__(self, name: str, parent: Key | None, time_ns: Callable[[], int]) -> None:
        self.name = name
        self.parent = parent
        self.readers: frozenset[Account] = parent.readers if parent else EVERYBODY
        self.writers: frozenset[Account] = parent.writers if parent else ADMINISTRATORS
        self.is_deleted = False
        self.written_ns = time_ns()
        """Virtual time of the last change."""
        self.watches: list[Watch] = []
        self._time_ns = time_ns
        self._subkeys: dict[str, tuple[str, Key]] = {}
        self._values: dict[str, Value] = {}

    @property
    def path(self) -> str:
        """All names from the root down, with backslashes between."""
        return f"{self.parent.path}\\{self.name}" if self.parent else self.name

    # -- subkeys ----------------------------------------------------------------------------------------------------

    def find(self, path: str) -> Key | None:
        """The key at a path below this one; None when it is not there. Empty parts of the path do not count."""
        key: Key | None = self
        for part in _parts(path):
            if key is None:
                break
            key = key._subkeys.get(part.lower(), ("", None))[1]
        return key

    def create(self, path: str) -> Key:
        """The key at a path below this one, made as far as it is not there."""
        key = self
        for part in _parts(path):
            following = key.find(part)
            if following is None:
                following = Key(part, key, self._time_ns)
                key._subkeys[part.lower()] = part, following
                key._changed()
            key = following
        return key

    def link(self, name: str, target: Key) -> None:
        """Make another key appear as a subkey of this one, as `CurrentControlSet` does."""
        self._subkeys[name.lower()] = name, target

    def subkeys(self) -> list[str]:
        """The subkeys' names, in the order of enumeration."""
        return [self._subkeys[name][0] for name in sorted(self._subkeys)]

    def delete(self) -> None:
        """Take the key with all below it out of the registry; handles to it stay, and are good for nothing."""
        if self.parent is not None:
            self.parent._subkeys.pop(self.name.lower(), None)
            self.parent._changed()
        self._vanish()

    def _vanish(self) -> None:
        self.is_deleted = True
        for _, key in self._subkeys.values():
            key._vanish()
        self._tell()

    # -- values -----------------------------------------------------------------------------------------------------

    def values(self) -> list[Value]:
        """The values, in the order of enumeration."""
        return list(self._values.values())

    def get(self, name: str) -> Value | None:
        """The value of that name; None when there is none."""
        return self._values.get(name.lower())

    def set(self, name: str, kind: int, data: bytes) -> None:
        """Set a value; its name keeps the case that it was first given."""
        old = self._values.get(name.lower())
        self._values[name.lower()] = Value(old.name if old else name, kind, data)
        self._changed()

    def remove(self, name: str) -> bool:
        """Delete a value. False when there is none of that name."""
        if self._values.pop(name.lower(), None) is None:
            return False
        self._changed()
        return True

    def text(self, name: str) -> str | None:
        """A text value up to its NUL; None when it is missing or of another type."""
        value = self.get(name)
        if value is None or value.kind not in (ValueType.REG_SZ, ValueType.REG_EXPAND_SZ):
            return None
        return _decoded(value.data).split("\0", 1)[0]

    def texts(self, name: str) -> list[str]:
        """The texts of a REG_MULTI_SZ; empty when it is missing or of another type."""
        value = self.get(name)
        if value is None or value.kind != ValueType.REG_MULTI_SZ:
            return []
        return [text for text in _decoded(value.data).split("\0") if text]

    def number(self, name: str) -> int:
        """A REG_DWORD; 0 when it is missing or of another type."""
        value = self.get(name)
        if value is None or value.kind != ValueType.REG_DWORD or len(value.data) != 4:
            return 0
        return int.from_bytes(value.data, "little")

    def set_text(self, name: str, text: str) -> None:
        """Set a REG_SZ."""
        self.set(name, ValueType.REG_SZ, (text + "\0").encode("utf-16-le", "surrogatepass"))

    def set_texts(self, name: str, texts: Iterable[str]) -> None:
        """Set a REG_MULTI_SZ."""
        whole = "".join(text + "\0" for text in texts) + "\0"
        self.set(name, ValueType.REG_MULTI_SZ, whole.encode("utf-16-le", "surrogatepass"))

    def set_number(self, name: str, number: int) -> None:
        """Set a REG_DWORD."""
        self.set(name, ValueType.REG_DWORD, struct.pack("<I", number))

    # -- changes ----------------------------------------------------------------------------------------------------

    def _changed(self) -> None:
        self.written_ns = self._time_ns()
        key: Key | None = self
        while key is not None:
            key._tell(is_below=key is not self)
            key = key.parent

    def _tell(self, *, is_below: bool = False) -> None:
        told = [watch for watch in self.watches if watch.is_subtree or not is_below]
        self.watches = [watch for watch in self.watches if watch not in told]
        for watch in told:
            watch.tell()

    def __repr__(self) -> str:
        return f"Key({self.path})"


def _parts(path: str) -> list[str]:
    return [part for part in path.split("\\") if part]


def _decoded(data: bytes) -> str:
    return data[: len(data) & ~1].decode("utf-16-le", "surrogatepass")


class Registry:
    """The registry of one machine: `machine` is HKEY_LOCAL_MACHINE, `users` HKEY_USERS. `time_ns` tells virtual time.

    Everybody may read HKEY_LOCAL_MACHINE, LocalSystem and administrators may write there.
    """

    def __init__(self, time_ns: Callable[[], int]) -> None:
        self.machine = Key("HKEY_LOCAL_MACHINE", None, time_ns)
        self.users = Key("HKEY_USERS", None, time_ns)
        self.users.writers = EVERYBODY
        self.classes = self.machine.create("SOFTWARE\\Classes")
        system = self.machine.create("SYSTEM")
        self.control_set = system.create("ControlSet001")
        system.link("CurrentControlSet", self.control_set)
        for path in ("Control\\Class", "Control\\Network", "Services\\Tcpip\\Parameters\\Interfaces"):
            self.control_set.create(path)
        # Device nodes are plug and play's; others change them through it.
        self.control_set.create("Enum").writers = SYSTEM_ONLY


class KeyObject(KernelObject):
    """A key as handles name it."""

    type_name = "Key"

    def __init__(self, key: Key) -> None:
        super().__init__(key.name)
        self.key = key
