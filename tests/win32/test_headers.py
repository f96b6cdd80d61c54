"""SetupAPI's, cfgmgr32's and the registry's constants and records against the mingw-w64 headers (spec win32)."""

from __future__ import annotations

import ctypes
import re
from enum import IntEnum
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from wintunsim.kernel import device_tree
from wintunsim.kernel.registry import ValueType
from wintunsim.win32 import configuration, device_records, registry
from wintunsim.win32.buffers import NARROW, WIDE
from wintunsim.win32.registry_values import ERROR_UNSUPPORTED_TYPE

INCLUDE = Path("/usr/share/mingw-w64/include")
FILES = ("setupapi.h", "cfgmgr32.h", "cfg.h", "regstr.h", "winerror.h", "winnt.h", "minwindef.h")

_DEFINE = re.compile(r"^[ \t]*#[ \t]*define[ \t]+(\w+)[ \t]+(.+)$", re.MULTILINE)
_NUMBER = re.compile(r"\b(0[xX][0-9A-Fa-f]+|\d+)[uUlL]*\b")


@cache
def text_of(name: str) -> str:
    if not (INCLUDE / name).exists():
        pytest.skip("the mingw-w64 headers are not installed (Debian: mingw-w64-common)")
    text = (INCLUDE / name).read_text(encoding="latin-1").replace("\\\n", " ")
    return re.sub(r"//[^\n]*", "", re.sub(r"/\*.*?\*/", " ", text, flags=re.DOTALL))


@cache
def defines() -> dict[str, str]:
    found: dict[str, str] = {}
    for name in FILES:
        for key, value in _DEFINE.findall(text_of(name)):
            found.setdefault(key, value)
    return found


def number(name: str, depth: int = 8) -> int | None:
    """What a `#define` of a number comes to, as 32 bits; None for anything else."""
    text = defines().get(name, "")
    text = re.sub(r"__MSABI_LONG|\(\s*(?:DWORD|ULONG|REGSAM)\s*\)", "", text)
    text = _NUMBER.sub(lambda match: str(int(match[1], 0)), text)

    def resolve(match: re.Match[str]) -> str:
        inner = number(match[0], depth - 1) if depth else None
        return "?" if inner is None else str(inner)

    text = re.sub(r"\b[A-Za-z_]\w*", resolve, text)
    if not re.fullmatch(r"[\s0-9()|&~+<-]+", text):
        return None
    return int(eval(text, {"__builtins__": {}})) & 0xFFFFFFFF


def _constants() -> list[tuple[str, int]]:
    found = [
        (name, value)
        for module in (device_records, configuration, registry, device_tree)
        for name, value in vars(module).items()
        if re.fullmatch(r"[A-Z][A-Z0-9_]+", name) and isinstance(value, int) and not isinstance(value, bool)
    ]
    enums: list[tuple[str, type[IntEnum] | Any]] = [
        ("", device_records.SetupError),
        ("CM_PROB_", device_tree.Problem),
        ("DN_", device_tree.NodeStatus),
        ("", ValueType),
    ]
    found += [(prefix + name, int(item)) for prefix, enum in enums for name, item in enum.__members__.items()]
    return sorted({*found, ("ERROR_UNSUPPORTED_TYPE", ERROR_UNSUPPORTED_TYPE)})


# Names of ours, what these headers do not define as a plain number, and what they have from an older system.
ELSEWHERE = {
    "CM_PROB_NONE": "no problem has no name",
    "DEVINFO_BYTES": "a record's size, below",
    "DIF_FINISHINSTALL_ACTION": "in the SDK's setupapi.h from Windows Vista on",
    "FALSE": "C's",
    "INTERFACE_DETAIL_BYTES": "a record's size, below",
    "INTERFACE_DETAIL_PATH": "an offset in a record, below",
    "SPDRP_MAXIMUM_PROPERTY": "in the SDK's setupapi.h from Windows 7 on, which added a property",
    "TRUE": "C's",
}


@pytest.mark.parametrize(("name", "value"), _constants(), ids=str)
def test_constant_agrees_with_the_headers(name: str, value: int) -> None:
    found = number(name)
    if name in ELSEWHERE:
        assert found != value, f"the headers have {name}: strike it from the list"
    else:
        assert found is not None, f"the headers lack {name}: list it with its source"
        assert found == value


# -- records ----------------------------------------------------------------------------------------------------------

SIZES = {
    "DWORD": 4, "ULONG": 4, "GUID": (16, 4), "FILETIME": (8, 4), "DWORDLONG": 8, "ULONG_PTR": 8, "HWND": 8, "PVOID": 8,
    "HANDLE": 8, "PSP_FILE_CALLBACK": 8, "HSPFILEQ": 8, "DI_FUNCTION": 4, "CHAR": 1, "WCHAR": 2,
    "SP_CLASSINSTALL_HEADER": (8, 4),
}  # fmt: skip
LENGTHS = {"LINE_LEN": 256, "MAX_PATH": 260, "SP_MAX_MACHINENAME_LENGTH": 263, "ANYSIZE_ARRAY": 1}


def layout(name: str) -> tuple[int, dict[str, int]]:
    """(size, offset of each field) of a record in setupapi.h, with natural alignment as on a 64-bit system."""
    match = re.search(rf"typedef struct _{name} \{{(.*?)\}}", text_of("setupapi.h"), re.DOTALL)
    assert match is not None, name
    offset, widest, fields = 0, 1, {}
    for kind, field, count in re.findall(r"(\w+)\s+(\w+)(?:\[(\w+)\])?;", match[1]):
        known = SIZES[kind]
        size, alignment = known if isinstance(known, tuple) else (known, known)
        offset += -offset % alignment
        fields[field] = offset
        offset += size * (LENGTHS[count] if count else 1)
        widest = max(widest, alignment)
    return offset + -offset % widest, fields


RECORDS: dict[str, Any] = {
    name: getattr(device_records, name)
    for name in (
        "SP_DEVINFO_DATA",
        "SP_DEVICE_INTERFACE_DATA",
        "SP_CLASSINSTALL_HEADER",
        "SP_PROPCHANGE_PARAMS",
        "SP_REMOVEDEVICE_PARAMS",
    )
}
for _suffix, _form in (("W", WIDE), ("A", NARROW)):
    _records = device_records.forms(_form)
    RECORDS[f"SP_DEVINSTALL_PARAMS_{_suffix}"] = _records.install_params
    RECORDS[f"SP_DRVINFO_DATA_V2_{_suffix}"] = _records.driver_data
    RECORDS[f"SP_DRVINFO_DETAIL_DATA_{_suffix}"] = _records.driver_detail
    RECORDS[f"SP_DEVINFO_LIST_DETAIL_DATA_{_suffix}"] = _records.list_detail


@pytest.mark.parametrize("name", RECORDS)
def test_record_agrees_with_the_headers(name: str) -> None:
    record = RECORDS[name]
    size, fields = layout(name)
    assert ctypes.sizeof(record) == size
    assert {field[0]: getattr(record, field[0]).offset for field in record._fields_} == fields


def test_other_sizes_agree_with_the_headers() -> None:
    assert layout("SP_DRVINFO_DATA_V1_W")[0] == RECORDS["SP_DRVINFO_DATA_V2_W"].DriverDate.offset
    for form in "WA":
        size, fields = layout(f"SP_DEVICE_INTERFACE_DETAIL_DATA_{form}")
        assert fields["DevicePath"] == device_records.INTERFACE_DETAIL_PATH
        assert size == device_records.INTERFACE_DETAIL_BYTES
