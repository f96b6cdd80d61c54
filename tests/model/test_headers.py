"""The model's constants against the mingw-w64 headers, an oracle that nobody here wrote (spec win32, introduction)."""

import re
from enum import IntEnum
from functools import cache
from pathlib import Path

import pytest

from wintun_model import abi
from wintun_model.status import NdisStatus, NtStatus, Win32Error

INCLUDE = Path("/usr/share/mingw-w64/include")
# Of two definitions the one in the earlier file counts.
FILES = (
    "ntstatus.h",
    "winerror.h",
    "ddk/ndis.h",
    "ntddndis.h",
    "cfgmgr32.h",
    "winioctl.h",
    "synchapi.h",
    "winnt.h",
)

#: What the headers lack, and where its value comes from.
ELSEWHERE = {
    "STATUS_ALREADY_INITIALIZED": "spec driver §5, the table of statuses",
    "FILE_DEVICE_WINTUN": "spec driver §1: the device type in the two control codes",
    "TUN_IOCTL_REGISTER_RINGS": "spec driver §1",
    "TUN_IOCTL_FORCE_CLOSE_HANDLES": "spec driver §1",
    "MIN_RING_CAPACITY": "spec driver §1",
    "MAX_RING_CAPACITY": "spec driver §1",
    "MAX_PACKET_BYTES": "spec driver §1",
    "TRAILING_BYTES": "spec driver §1",
    "HEAD_OFFSET": "spec driver §1",
    "TAIL_OFFSET": "spec driver §1",
    "ALERTABLE_OFFSET": "spec driver §1",
    "RING_HEADER_BYTES": "spec driver §1",
    "PACKET_HEADER_BYTES": "spec driver §1",
    "ALIGNMENT": "spec driver §1",
    "STOPPED": "spec driver §1, §4 and §6",
    "REGISTER_RINGS_BYTES": "spec driver §1: the size of the record",
    "REGISTER_RINGS_32_BYTES": "spec driver §1: the size of the record",
}

_DEFINE = re.compile(r"^[ \t]*#[ \t]*define[ \t]+(\w+)(\([^)\n]*\))?[ \t]+(.+)$", re.MULTILINE)
_CAST = re.compile(r"\(\s*(?:NTSTATUS|NDIS_STATUS|HRESULT|DWORD|ULONG|UINT|LONG|UINT32)\s*\)")
_MARKER = re.compile(r"\b(?:_HRESULT_TYPEDEF_|_NDIS_ERROR_TYPEDEF_|__MSABI_LONG)\b")
_NUMBER = re.compile(r"\b(0[xX][0-9A-Fa-f]+|\d+)[uUlL]*\b")
_PLAIN = re.compile(r"[\s0-9()|+<~&-]+")


def parse(text: str) -> dict[str, str]:
    """The first `#define` of each name, without comments; of macros with parameters the parameters come first."""
    text = re.sub(r"/\*.*?\*/", " ", text.replace("\\\n", " "), flags=re.DOTALL)
    text = re.sub(r"//[^\n]*", "", text)
    found: dict[str, str] = {}
    for name, parameters, value in _DEFINE.findall(text):
        found.setdefault(name, f"{parameters} {value.strip()}".strip())
    return found


def evaluate(value: str, defines: dict[str, str], depth: int = 8) -> int | None:
    """The number that a `#define` stands for, or None when it is none."""
    text = _MARKER.sub("", _CAST.sub("", value))
    text = _NUMBER.sub(lambda match: str(int(match[1], 0 if match[1][:2].lower() == "0x" else 10)), text)

    def resolve(match: re.Match[str]) -> str:
        inner = evaluate(defines[match[0]], defines, depth - 1) if depth and match[0] in defines else None
        return "?" if inner is None else str(inner)

    call = re.fullmatch(r"\(*\s*CTL_CODE\s*\((.*)\)\s*\)*", text)
    if call and "CTL_CODE" in defines:
        return control_code_of(defines, *call[1].rstrip(")").split(","))
    text = re.sub(r"\b[A-Za-z_]\w*", resolve, text)
    if not _PLAIN.fullmatch(text):
        return None
    try:
        return int(eval(text, {"__builtins__": {}})) & 0xFFFFFFFF
    except (SyntaxError, TypeError):
        return None


def control_code_of(defines: dict[str, str], *arguments: str) -> int | None:
    """CTL_CODE as the headers define it."""
    parameters, body = re.fullmatch(r"\(([^)]*)\)\s*(.*)", defines["CTL_CODE"]).groups()  # type: ignore[union-attr]
    for name, argument in zip(parameters.split(","), arguments, strict=True):
        body = re.sub(rf"\b{name.strip()}\b", f"({argument.strip()})", body)
    return evaluate(body, defines)


@cache
def headers() -> dict[str, str]:
    if not (INCLUDE / "winerror.h").exists():
        pytest.skip("the mingw-w64 headers are not installed (Debian: mingw-w64-common)")
    defines: dict[str, str] = {}
    for name in FILES:
        defines = parse((INCLUDE / name).read_text(encoding="latin-1")) | defines
    return defines


def in_headers(name: str) -> int | None:
    defines = headers()
    return evaluate(defines[name], defines) if name in defines else None


ENUMS: tuple[type[IntEnum], ...] = (NtStatus, NdisStatus, Win32Error)
CONSTANTS = [(name, int(member)) for each in ENUMS for name, member in each.__members__.items()]
CONSTANTS += [(name, value) for name, value in vars(abi).items() if name.isupper() and isinstance(value, int)]


@pytest.mark.parametrize(("name", "value"), CONSTANTS, ids=[name for name, _ in CONSTANTS])
def test_constant_agrees_with_the_headers(name: str, value: int) -> None:
    found = in_headers(name)
    if name in ELSEWHERE:
        assert found is None, f"the headers have {name}: strike it from the list"
        assert ELSEWHERE[name]
    else:
        assert found is not None, f"the headers lack {name}: list it with its source"
        assert found == value, f"{name} is {found:#x} in the headers"


def test_list_has_only_names_of_the_model() -> None:
    assert set(ELSEWHERE) <= {name for name, _ in CONSTANTS}


def test_control_codes_are_made_as_the_headers_make_them() -> None:
    for device, function, method, access in ((51820, 0x970, 0, 3), (51820, 0x971, 3, 3), (0x22, 0x801, 2, 0)):
        ours = abi.control_code(device, function, method, access)
        assert ours == control_code_of(headers(), *map(str, (device, function, method, access)))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DECIMAL", 1247),
        ("LONG_DECIMAL", 1450),
        ("CAST", 0xC0000010),
        ("RESULT", 0x80070005),
        ("OTHER", 0xC0000010),
        ("CODE", 0xCA6CE5C0),
        ("SHIFTED", 0xFFFFFFFF),
        ("FIRST", 1),
        ("TEXT", None),
        ("EMPTY", None),
        ("LOOP", None),
        ("UNKNOWN", None),
    ],
)
def test_reading_of_headers(name: str, value: int | None) -> None:
    defines = parse("""
        # define DECIMAL 1247 // a comment
        #define LONG_DECIMAL __MSABI_LONG(1450)
        #define CAST ((NTSTATUS)0xC0000010L)   /* a comment
                                                  of two lines */
        #define RESULT _HRESULT_TYPEDEF_(0x80070005)
        #define OTHER ((NDIS_STATUS)CAST)
        #define CTL_CODE(a,b, c ,d) \\
            (((a) << 16) | ((d) << 14) | ((b) << 2) | (c))
        #define CODE CTL_CODE(51820, 0x970, 0, 0x1 | 0x2)
        #define SHIFTED (~0UL)
        #define FIRST 1
        #define FIRST 2
        #define TEXT L"text"
        #define EMPTY
        #define LOOP LOOP
        #define UNKNOWN sizeof(int)
    """)
    assert (evaluate(defines[name], defines) if name in defines else None) == value
