"""What scripts for Windows do with ctypes beyond plain calls."""

HEAD = """
import ctypes, os, sys
from ctypes import wintypes
k = ctypes.WinDLL("kernel32", use_last_error=True)
"""


def test_errcheck_and_restype_functions_see_the_calls_last_error(client):
    outcome = client.good(
        HEAD
        + """
def check(result, function, arguments):
    if not result:
        raise ctypes.WinError(ctypes.get_last_error())
    return arguments
k.SetEvent.errcheck = check
try:
    k.SetEvent(3)
except OSError as error:
    print(error.winerror, error.strerror, k.SetEvent.errcheck is check)
def handle_or_error(value):
    if not value:
        raise ctypes.WinError(ctypes.get_last_error())
    return value
k.OpenEventW.restype = handle_or_error
try:
    k.OpenEventW(2, False, "nothere")
except FileNotFoundError as error:
    print(error.winerror, k.OpenEventW.restype is handle_or_error)
k.ResetEvent.errcheck = lambda result, function, arguments: ctypes.set_last_error(77)
k.ResetEvent(3)
print(ctypes.get_last_error(), ctypes.GetLastError())
del k.ResetEvent.errcheck
print(k.ResetEvent(3), ctypes.get_last_error(), k.ResetEvent.errcheck)
plain = ctypes.windll.kernel32
plain.SetEvent.errcheck = lambda result, function, arguments: (result, ctypes.GetLastError(), arguments)
print(plain.SetEvent(3))
"""
    )
    assert outcome.lines == ["6 The handle is invalid. True", "2 True", "77 0", "0 6 None", "(0, 6, (3,))"]


def test_prototypes_with_names_and_defaults(client):
    outcome = client.good(
        HEAD
        + """
prototype = ctypes.WINFUNCTYPE(wintypes.DWORD, wintypes.HANDLE, wintypes.DWORD, use_last_error=True)
wait = prototype(("WaitForSingleObject", k), ((1, "handle"), (1, "timeout", 0)))
print(wait(5) == 0xFFFFFFFF, wait(handle=5, timeout=3) == 0xFFFFFFFF, ctypes.get_last_error())
event = k.CreateEventW(None, True, True, None)
print(wait(event), wait(timeout=1, handle=event))
for call in (lambda: wait(), lambda: wait(1, 2, 3)):
    try:
        call()
    except TypeError as error:
        print(error)
"""
    )
    assert outcome.lines == [
        "True True 6", "0 0", "required argument 'handle' missing", "call takes exactly 2 arguments (3 given)",
    ]  # fmt: skip


def test_every_way_to_load_a_dll(client):
    outcome = client.good(
        HEAD
        + """
import ctypes.util
with os.add_dll_directory("C:\\\\Program Files\\\\client") as directory:
    print(directory.path)
version = "WintunGetRunningDriverVersion"
print(ctypes.util.find_library("wintun").endswith("wintun.dll"), ctypes.util.find_library("nothere"))
for library in (ctypes.WinDLL(".\\\\bin\\\\wintun.dll", winmode=0), ctypes.CDLL("WINTUN"), ctypes.windll.wintun,
                ctypes.cdll.LoadLibrary("wintun.dll"), ctypes.windll["wintun.dll"]):
    print(library[version](), end=" ")
k.LoadLibraryExW.restype = wintypes.HMODULE
k.LoadLibraryExW.argtypes = [wintypes.LPCWSTR, wintypes.HANDLE, wintypes.DWORD]
module = k.LoadLibraryExW("wintun.dll", None, 0x200 | 0x800)
k.GetProcAddress.restype = ctypes.c_void_p
k.GetProcAddress.argtypes = [wintypes.HMODULE, wintypes.LPCSTR]
address = k.GetProcAddress(module, version.encode())
print(ctypes.WINFUNCTYPE(wintypes.DWORD)(address)(), ctypes.WinDLL("x", handle=module)[version]())
print(k.LoadLibraryExW("nothere.dll", None, 0), ctypes.get_last_error(), k.GetProcAddress(module, b"no"))
"""
    )
    assert outcome.lines == [
        "C:\\Program Files\\client", "True None", "8 8 8 8 8 8 8", "None 126 None",
    ]  # fmt: skip


def test_an_exception_in_a_callback_of_create_thread(client):
    outcome = client.good(
        HEAD
        + """
@ctypes.WINFUNCTYPE(wintypes.DWORD, wintypes.LPVOID)
def run(parameter):
    raise ValueError("in the callback")
k.CreateThread.restype = wintypes.HANDLE
k.CreateThread.argtypes = [wintypes.LPVOID, ctypes.c_size_t, type(run)] + [wintypes.LPVOID] * 3
print(k.WaitForSingleObject(k.CreateThread(None, 0, run, None, 0, None), 1000))
"""
    )
    assert outcome.lines == ["0"]
    assert "Exception ignored on calling ctypes callback function" in outcome.errors
    assert outcome.errors.endswith("ValueError: in the callback\n")
