"""ctypes' types as on Windows: LLP64 sizes and 16-bit wide characters, whatever the host's are (spec win32 §1).

Everything that has the same size on both is the host's own class. What carries state lives elsewhere; these types are
shared.
"""

# The classes have ctypes' names; methods of metaclasses have classes.
# ruff: noqa: N801, N805
# mypy: disable-error-code="misc"

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any, ClassVar

_Simple: Any = ctypes._SimpleCData
_SimpleType: Any = type(_Simple)
_Pointer: Any = ctypes._Pointer
_StructureType: Any = type(ctypes.Structure)
_UnionType: Any = type(ctypes.Union)


class c_long(_Simple):
    """A signed 32-bit integer, as on every Windows; `c_int` is the same class there."""

    _type_ = "i"


class c_ulong(_Simple):
    """An unsigned 32-bit integer; `c_uint` is the same class there."""

    _type_ = "I"


class c_longlong(_Simple):
    """A signed 64-bit integer."""

    _type_ = "q"


class c_ulonglong(_Simple):
    """An unsigned 64-bit integer."""

    _type_ = "Q"


for _type in (c_long, c_ulong, c_longlong, c_ulonglong):
    _type.__module__ = "ctypes"


def encode(text: str) -> bytes:
    """A string as Windows' functions read it: UTF-16 with its NUL."""
    return text.encode("utf-16-le", "surrogatepass") + b"\0\0"


def decode(data: bytes) -> str:
    """The text of UTF-16 data."""
    return data.decode("utf-16-le", "surrogatepass")


def read_wide(address: int) -> str:
    """The NUL-terminated UTF-16 string at an address that is good."""
    units = (ctypes.c_uint16 * 1).from_address
    end = address
    while units(end)[0]:
        end += 2
    return decode(ctypes.string_at(address, end - address))


def _unit(value: Any) -> int:
    if isinstance(value, c_wchar):
        return int(ctypes.c_uint16.from_buffer(value).value)
    if not isinstance(value, str):
        raise TypeError(f"unicode string expected instead of {type(value).__name__} instance")
    if len(value) != 1 or ord(value) > 0xFFFF:
        raise TypeError("one character unicode string expected")
    return ord(value)


class _WideType(_SimpleType):
    """The metaclass of `c_wchar`: its arrays hold text."""

    def __mul__(cls, length: int) -> Any:
        return array_of_wide(length)

    __rmul__ = __mul__


class c_wchar(_Simple, metaclass=_WideType):
    """A 16-bit character."""

    _type_ = "H"

    def __init__(self, value: Any = "\0") -> None:
        super().__init__(_unit(value))

    @property
    def value(self) -> str:
        return chr(_Simple.value.__get__(self))

    @value.setter
    def value(self, text: Any) -> None:
        _Simple.value.__set__(self, _unit(text))

    @classmethod
    def from_param(cls, value: Any) -> Any:
        return value if isinstance(value, cls) else cls(value)

    @staticmethod
    def _check_retval_(unit: int) -> str:
        return chr(unit)

    def __repr__(self) -> str:
        return f"c_wchar({self.value!r})"


class WideArray:
    """What arrays of `c_wchar` do beyond other arrays. Mixed into each length's type."""

    _length_: ClassVar[int]

    def __init__(self, *values: Any) -> None:
        super().__init__(*[_unit(value) for value in values])

    def _data(self) -> bytes:
        this: Any = self
        return bytes(memoryview(this).cast("B"))

    @property
    def value(self) -> str:
        return decode(self._data()).partition("\0")[0]

    @value.setter
    def value(self, text: str) -> None:
        if not isinstance(text, str):
            raise TypeError(f"unicode string expected instead of {type(text).__name__} instance")
        data = encode(text)[:-2]
        size = 2 * self._length_
        if len(data) > size:
            raise ValueError("string too long")
        data += b"\0\0"
        this: Any = self
        memoryview(this).cast("B")[: min(len(data), size)] = data[:size]

    def __getitem__(self, index: Any) -> str:
        if isinstance(index, slice):
            units = range(self._length_)[index]
            data = self._data()
            return decode(b"".join(data[2 * unit : 2 * unit + 2] for unit in units))
        return chr(super().__getitem__(index))

    def __setitem__(self, index: Any, value: Any) -> None:
        if isinstance(index, slice):
            data = encode(value)[:-2] if isinstance(value, str) else b"".join(encode(part)[:-2] for part in value)
            units = range(self._length_)[index]
            if len(units) * 2 != len(data):
                raise ValueError("Can only assign sequence of same size")
            for position, unit in enumerate(units):
                super().__setitem__(unit, int.from_bytes(data[2 * position : 2 * position + 2], "little"))
        else:
            super().__setitem__(index, _unit(value))


@cache
def array_of_wide(length: int) -> Any:
    """The type of arrays of that many 16-bit characters."""
    array: Any = ctypes.Array
    contents = {"_type_": c_wchar, "_length_": length, "__module__": "ctypes"}
    return type(array)(f"c_wchar_Array_{length}", (WideArray, array), contents)


class c_wchar_p(_Simple):
    """A pointer to a NUL-terminated UTF-16 string."""

    _type_ = "P"
    _kept: Any = None

    def __init__(self, value: Any = None) -> None:
        super().__init__(self._address(value))

    def _address(self, value: Any) -> int | None:
        if value is None or isinstance(value, int):
            return value
        if isinstance(value, str):
            self._kept = ctypes.create_string_buffer(encode(value))
            return ctypes.addressof(self._kept)
        if isinstance(value, WideArray):
            self._kept = value
            array: Any = value
            return ctypes.addressof(array)
        raise TypeError(f"unicode string or integer address expected instead of {type(value).__name__} instance")

    @property
    def value(self) -> str | None:
        address = _Simple.value.__get__(self)
        return read_wide(address) if address else None

    @value.setter
    def value(self, value: Any) -> None:
        _Simple.value.__set__(self, self._address(value))

    @property
    def _as_parameter_(self) -> Any:
        return ctypes.c_void_p(_Simple.value.__get__(self))

    @staticmethod
    def _check_retval_(address: int | None) -> str | None:
        return read_wide(address) if address else None

    def __repr__(self) -> str:
        address = _Simple.value.__get__(self)
        return f"c_wchar_p({address})"


class LP_c_wchar(_Pointer):
    """A pointer to 16-bit characters."""

    _type_ = c_wchar

    def __getitem__(self, index: Any) -> str:
        if isinstance(index, slice):
            start, step = index.start or 0, index.step or 1
            return "".join(chr(super(LP_c_wchar, self).__getitem__(i)) for i in range(start, index.stop, step))
        return chr(super().__getitem__(index))

    def __setitem__(self, index: int, value: Any) -> None:
        super().__setitem__(index, _unit(value))

    @classmethod
    def from_param(cls, value: Any) -> Any:
        if isinstance(value, str):
            return encode(value)
        if isinstance(value, c_wchar_p):
            return value
        return super().from_param(value)


def _wide_parameter(cls: Any, value: Any) -> Any:
    """What an argument of type `c_wchar_p` passes to C."""
    if isinstance(value, str):
        return encode(value)
    if value is None or isinstance(value, (cls, WideArray, LP_c_wchar)):
        return value
    if type(value).__name__ == "CArgObject" or isinstance(value, ctypes.Array):
        return value
    parameter = getattr(value, "_as_parameter_", None)
    if parameter is not None:
        return _wide_parameter(cls, parameter)
    raise TypeError(f"'{type(value).__name__}' object cannot be interpreted as a wide string")


# ctypes gives every class of type P a `from_param` of its own when it is made.
c_wchar_p.from_param = classmethod(_wide_parameter)

for _name in ("c_wchar", "c_wchar_p", "LP_c_wchar"):
    globals()[_name].__module__ = "ctypes"


class WideField:
    """A field of a structure that holds wide characters: text goes in and comes out."""

    def __init__(self, field: Any, kind: Any, name: str) -> None:
        self._field = field
        self._kind = kind
        self._name = name

    def __getattr__(self, name: str) -> Any:
        return getattr(self._field, name)

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        if instance is None:
            return self
        value = self._field.__get__(instance, owner)
        if self._kind is c_wchar:
            return chr(value)
        if self._kind is c_wchar_p:
            return read_wide(value) if value else None
        return value.value

    def __set__(self, instance: Any, value: Any) -> None:
        if self._kind is c_wchar:
            self._field.__set__(instance, _unit(value))
        elif self._kind is c_wchar_p:
            pointer = value if isinstance(value, c_wchar_p) else c_wchar_p(value)
            instance.__dict__[f" {self._name}"] = pointer
            self._field.__set__(instance, _Simple.value.__get__(pointer))
        elif isinstance(value, str):
            self._field.__get__(instance, type(instance)).value = value
        else:
            self._field.__set__(instance, value)


def _wrap_wide_fields(cls: Any) -> None:
    for name, kind, *bits in cls.__dict__.get("_fields_", ()):
        is_wide = isinstance(kind, type) and (kind in (c_wchar, c_wchar_p) or issubclass(kind, WideArray))
        if is_wide and not bits and not isinstance(cls.__dict__[name], WideField):
            set_attribute: Any = _UnionType.__setattr__ if issubclass(cls, ctypes.Union) else _StructureType.__setattr__
            set_attribute(cls, name, WideField(cls.__dict__[name], kind, name))


class _WidensFields:
    """What the metaclasses of structures and unions have in common: wide characters in fields are text."""

    def __init__(cls, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        _wrap_wide_fields(cls)

    def __setattr__(cls, name: str, value: object) -> None:
        super().__setattr__(name, value)
        if name == "_fields_":
            _wrap_wide_fields(cls)


class _WideStructureType(_WidensFields, _StructureType):
    pass


class _WideUnionType(_WidensFields, _UnionType):
    pass


class Structure(ctypes.Structure, metaclass=_WideStructureType):
    """A structure whose wide characters have 16 bits."""


class Union(ctypes.Union, metaclass=_WideUnionType):
    """A union whose wide characters have 16 bits."""


Structure.__module__ = Union.__module__ = "ctypes"


def pointer_type(target: Any) -> Any:
    """``ctypes.POINTER``."""
    return LP_c_wchar if target is c_wchar else ctypes.POINTER(target)


def pointer_to(instance: Any) -> Any:
    """``ctypes.pointer``."""
    return LP_c_wchar(instance) if isinstance(instance, c_wchar) else ctypes.pointer(instance)


def create_unicode_buffer(init: Any, size: int | None = None) -> Any:
    """``ctypes.create_unicode_buffer``: an array of 16-bit characters."""
    if isinstance(init, str):
        if size is None:
            size = len(encode(init)) // 2
        buffer = array_of_wide(size)()
        buffer.value = init
        return buffer
    if isinstance(init, int):
        return array_of_wide(init)()
    raise TypeError(init)


def cast(value: Any, kind: Any) -> Any:
    """``ctypes.cast``; strings are UTF-16."""
    if isinstance(value, str):
        value = ctypes.create_string_buffer(encode(value))
    return ctypes.cast(value, kind)
