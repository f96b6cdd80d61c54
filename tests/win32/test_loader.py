"""Finding DLLs and functions, error texts, the call log."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from typing import Any

import pytest
from win32_face import Face, ansi, text

from wintun_model.status import Win32Error
from wintunsim.win32.errors import MESSAGES
from wintunsim.win32.exports import DEFINITIONS
from wintunsim.win32.thunks import format_call

FROM_SYSTEM, IGNORE_INSERTS, ALLOCATE = 0x1000, 0x200, 0x100


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("kernel32", "kernel32.dll"),
        ("KERNEL32.DLL", "kernel32.dll"),
        ("C:\\Windows\\System32\\Kernel32.dll", "kernel32.dll"),
        ("Iphlpapi.dll", "iphlpapi.dll"),
        ("/home/me/site-packages/x/wintun/bin/amd64/wintun.dll", "wintun.dll"),
        (".\\wintun", "wintun.dll"),
        ("ucrtbase", "ucrtbase.dll"),
        ("kernelbase.dll", "kernelbase.dll"),
        ("api-ms-win-core-synch-l1-2-0.dll", "api-ms-win-core-synch-l1-2-0.dll"),
    ],
)
def test_libraries_are_found_by_any_spelling(face: Face, path: str, name: str) -> None:
    library = face.loader.load(path)
    assert library is not None
    assert library.name == name
    assert face.loader.load(path) is library


@pytest.mark.parametrize("path", ["newdev", "ws2_32.dll", "mywintun.dll", "", "libc.so.6"])
def test_other_libraries_are_missing_and_described(face: Face, path: str) -> None:
    assert face.loader.load(path) is None
    assert "wintunsim" in face.loader.describe_missing(path, None)


def test_functions(face: Face) -> None:
    library = face.loader.load("kernel32")
    assert library is not None
    export = library.resolve("SetEvent")
    assert export is not None and export.address and library.resolve("SetEvent") is export
    assert library.resolve("setevent") is None and library.resolve("CreateEvent") is None and library.resolve(1) is None
    assert "CreateFiber" in face.loader.describe_missing("kernel32", "CreateFiber")


def test_every_function_has_a_working_thunk(face: Face) -> None:
    for name, functions in DEFINITIONS.items():
        library = face.loader.load(name)
        assert library is not None
        for function in functions:
            export = library.resolve(function)
            assert export is not None and export.address


def test_the_functions_of_wintun_014(face: Face) -> None:
    assert set(DEFINITIONS["wintun"]) == {
        "WintunCreateAdapter",
        "WintunOpenAdapter",
        "WintunCloseAdapter",
        "WintunDeleteDriver",
        "WintunGetAdapterLUID",
        "WintunGetRunningDriverVersion",
        "WintunSetLogger",
        "WintunStartSession",
        "WintunEndSession",
        "WintunGetReadWaitEvent",
        "WintunReceivePacket",
        "WintunReleaseReceivePacket",
        "WintunAllocateSendPacket",
        "WintunSendPacket",
    }


def test_get_proc_address_gives_callable_addresses(face: Face) -> None:
    def main() -> None:
        module = face.LoadLibraryW(text("wintun.dll"))
        assert module == face.GetModuleHandleA(ansi("wintun"))
        address = face.GetProcAddress(module, ansi("WintunGetRunningDriverVersion"))
        assert ctypes.CFUNCTYPE(ctypes.c_uint32)(address)() == 0
        assert face.last_error == 2
        assert face.GetProcAddress(module, ansi("WintunFreeAdapter")) == 0 and face.last_error == 127
        assert face.GetProcAddress(module, 3) == 0 and face.last_error == 127
        assert face.LoadLibraryExA(ansi("newdev.dll"), 0, 0) == 0 and face.last_error == 126
        assert face.GetModuleHandleW(text("winmm")) == 0 and face.last_error == 126
        assert face.GetModuleHandleW(None) and face.GetModuleHandleW(text("KERNEL32"))
        assert face.FreeLibrary(module)

    face.run(main)


def test_the_host_s_byte_functions(face: Face) -> None:
    library = face.loader.load("msvcrt")
    assert library is not None
    export = library.resolve("strlen")
    assert export is not None
    assert ctypes.CFUNCTYPE(ctypes.c_size_t, ctypes.c_char_p)(export.address)(b"tail") == 4


def message(face: Face, code: int, flags: int = FROM_SYSTEM | IGNORE_INSERTS) -> str:
    buffer = ctypes.create_string_buffer(1024)
    length = face.FormatMessageW(flags, None, code, 0, buffer, 512, None)
    return buffer.raw[: 2 * length].decode("utf-16-le")


def test_format_message(face: Face) -> None:
    def main() -> None:
        assert message(face, 5) == "Access is denied.\r\n"
        assert message(face, 0x80070005) == "Access is denied.\r\n"
        assert message(face, 5, FROM_SYSTEM | IGNORE_INSERTS | 0xFF) == "Access is denied. "
        assert message(face, 4_000_000) == "" and face.last_error == 317
        buffer = ctypes.create_string_buffer(64)
        assert face.FormatMessageA(FROM_SYSTEM, None, 38, 0, buffer, 64, None) == 30
        assert buffer.value == b"Reached the end of the file.\r\n"
        assert face.FormatMessageW(FROM_SYSTEM, None, 5, 0, buffer, 5, None) == 0 and face.last_error == 122
        pointer = ctypes.c_uint64()
        assert face.FormatMessageA(FROM_SYSTEM | ALLOCATE, None, 5, 0, pointer, 0, None) == 19
        assert ctypes.string_at(pointer.value) == b"Access is denied.\r\n"
        assert face.LocalFree(pointer.value) == 0

    face.run(main)


def test_every_error_of_the_table_has_a_text() -> None:
    assert {int(error) for error in Win32Error} <= set(MESSAGES)


def test_the_call_log_shows_calls_without_host_addresses() -> None:
    lines: list[str] = []

    def on_call(*record: Any) -> None:
        lines.append(format_call(*record))

    face = Face(on_call=on_call)

    def main() -> None:
        handle = face.CreateEventW(None, 0, 1, text("ring"))
        face.WaitForSingleObject(handle, 0xFFFFFFFF)
        counter = ctypes.c_uint64()
        face.QueryPerformanceCounter(counter)
        face.CloseHandle(2**64 - 1)
        face.CreateFileW(text("nothing"), 0, 0, None, 3, 0, 0)
        face.VirtualAlloc(None, 4096, 0x3000, 4)

    face.run(main)
    assert lines == [
        '0.500 µs  client/main  kernel32.CreateEventW(NULL, 0, 1, "ring") = 0x4',
        "1.000 µs  client/main  kernel32.WaitForSingleObject(0x4, 0xffffffff) = 0",
        "1.030 µs  client/main  kernel32.QueryPerformanceCounter(ptr) = 1",
        "1.530 µs  client/main  kernel32.CloseHandle(-1) = 1",
        '2.030 µs  client/main  kernel32.CreateFileW("nothing", 0, 0, NULL, 3, 0, NULL) = -1  [last error 2]',
        "2.530 µs  client/main  kernel32.VirtualAlloc(NULL, 4096, 12288, 4) = ptr",
    ]


def test_wild_pointers_do_not_crash_the_simulator() -> None:
    """Every function, with every argument wild, in a child process: an error or a client's fault, never a crash."""
    script = """
import ctypes, sys
sys.path.insert(0, "tests/win32")
from win32_face import Face
from wintun_model.errors import ClientFault
from wintunsim.errors import UsageError
from wintunsim.win32.exports import DEFINITIONS

# They end the caller, or call the pointer.
SKIPPED = {"ExitThread", "ExitProcess", "TerminateProcess", "TerminateThread", "CreateThread", "Sleep", "SleepEx"}
SKIPPED |= {"WintunSetLogger"}
face = Face()
face.system.create_adapter("tun")

def main():
    for value in (0, 8, 0x1000, 0xFFFF_8000_0000_0000, 0x7FFF_FFFF_FFFF_FFFF, 2**64 - 1):
        for library, functions in DEFINITIONS.items():
            for name, definition in functions.items():
                if name in SKIPPED or "Acquire" in name or "SleepCondition" in name:
                    continue
                if value == 2**64 - 1 and "Wait" in name:  # waits for the process's own end
                    continue
                try:
                    face.call(library, name, *[value] * len(definition.arguments))
                except (ClientFault, UsageError):
                    pass
    print("survived")
face.run(main, until_ns=10**15)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.strip() == "survived", done.stderr[-2000:]
