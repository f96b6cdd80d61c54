"""Two processes: `tunnel` owns the rings, `control` sees named events and asks it to stop.

python named_events.py tunnel|control
"""

import ctypes
import sys

from tunring import INFINITE, MIB, Session, event, kernel32, last_error, must, wintypes

ERROR_ALREADY_EXISTS, EVENT_MODIFY_STATE, SYNCHRONIZE = 183, 2, 0x100000


def tunnel():
    stop, moved = event(True, "Global\\stop"), event(False, "Global\\moved")
    ready = event(True, "ready")
    assert last_error() != ERROR_ALREADY_EXISTS
    session = Session(MIB, send_event=moved)
    kernel32.SetEvent(ready)
    handles = (wintypes.HANDLE * 2)(moved, stop)
    packets = 0
    while kernel32.WaitForMultipleObjects(2, handles, False, INFINITE) == 0:
        while session.send.pop():
            packets += 1
    session.close()
    print("tunnel read", packets)


def control():
    while True:
        ready = kernel32.OpenEventW(SYNCHRONIZE, False, "ready")
        if ready:
            break
        assert last_error() == 2
        kernel32.Sleep(10)
    kernel32.WaitForSingleObject(ready, INFINITE)
    kernel32.Sleep(2500)
    stop = event(True, "Global\\stop")
    print("exists", last_error() == ERROR_ALREADY_EXISTS)
    limited = must(kernel32.OpenEventW(SYNCHRONIZE, False, "Global\\stop"))
    print("limited", kernel32.SetEvent(limited), last_error())
    try:
        Session()
    except OSError as error:
        print("second", error.winerror)
    must(kernel32.SetEvent(stop))
    while True:  # the adapter is free when the tunnel has closed it
        try:
            with Session():
                print("took over")
                break
        except OSError as error:
            assert error.winerror == 1247
            kernel32.Sleep(1)


ctypes.windll.kernel32.SetLastError(0)
{"tunnel": tunnel, "control": control}[sys.argv[1]]()
