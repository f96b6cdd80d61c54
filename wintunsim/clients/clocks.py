"""The ``time`` module of a simulated process: every clock is virtual time (spec win32 §3).

`monotonic` and `perf_counter` are the performance counter (10 MHz), `time` the precise system time, which starts at
2024-01-01T00:00:00Z; `sleep` uses a high-resolution timer, as CPython 3.13 does, and so does not end on a tick. The
zone is UTC.
"""

from __future__ import annotations

import math
import time as host_time
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wintunsim.clients.client_process import ClientProcess

EPOCH_NS = 1_704_067_200_000_000_000
"""The system time when virtual time is 0, in ns since 1970: 2024-01-01T00:00:00Z."""

_STEP_NS = 100
_INFORMATION = {
    "monotonic": ("QueryPerformanceCounter()", True, False),
    "perf_counter": ("QueryPerformanceCounter()", True, False),
    "process_time": ("GetProcessTimes()", True, False),
    "thread_time": ("GetThreadTimes()", True, False),
    "time": ("GetSystemTimePreciseAsFileTime()", False, True),
}


class Clocks:
    """The functions of the ``time`` module."""

    tzname = ("UTC", "UTC")
    timezone = altzone = daylight = 0
    struct_time = host_time.struct_time
    mktime: Any
    _STRUCT_TM_ITEMS = 11

    def __init__(self, client: ClientProcess, cost_ns: int) -> None:
        self._client = client
        self._machine = client.machine
        self._cost_ns = cost_ns

    def _read(self) -> int:
        self._client.spend(self._cost_ns)
        return self._machine.time() // _STEP_NS * _STEP_NS

    def monotonic(self) -> float:
        return self._read() / 1e9

    def monotonic_ns(self) -> int:
        return self._read()

    perf_counter = process_time = thread_time = monotonic
    perf_counter_ns = process_time_ns = thread_time_ns = monotonic_ns

    def time(self) -> float:
        return (EPOCH_NS + self._read()) / 1e9

    def time_ns(self) -> int:
        return EPOCH_NS + self._read()

    def sleep(self, seconds: float, /) -> None:
        client, machine = self._client, self._machine
        if isinstance(seconds, float) and math.isnan(seconds):
            raise ValueError("Invalid value NaN (not a number)")
        if seconds < 0:
            raise ValueError("sleep length must be non-negative")
        if seconds > 1e10:
            raise OverflowError("timestamp too large to convert to C PyTime_t")
        if seconds == 0:
            client.spend(machine.costs.yield_ns)
            return
        client.spend(machine.prices.system_call_ns())
        length_ns = math.ceil(seconds * 10_000_000) * 100
        thread = machine.current
        if thread is None:
            return
        thread.waiting_for = "time.sleep"
        thread.waiting_since_ns = machine.now
        try:
            client.interrupts.wait((), machine.now + length_ns)
        finally:
            thread.waiting_for = ""
        client.spend(machine.prices.wake_ns())

    def get_clock_info(self, name: str, /) -> SimpleNamespace:
        if name not in _INFORMATION:
            raise ValueError("unknown clock")
        implementation, is_monotonic, is_adjustable = _INFORMATION[name]
        return SimpleNamespace(
            implementation=implementation, monotonic=is_monotonic, adjustable=is_adjustable, resolution=1e-07
        )

    # -- calendar ---------------------------------------------------------------------------------------------------

    def _seconds(self, seconds: float | None) -> float:
        return self.time() if seconds is None else seconds

    def gmtime(self, seconds: float | None = None, /) -> host_time.struct_time:
        return host_time.gmtime(self._seconds(seconds))

    def localtime(self, seconds: float | None = None, /) -> host_time.struct_time:
        fields = host_time.gmtime(self._seconds(seconds))
        return host_time.struct_time(tuple(fields), {"tm_zone": "UTC", "tm_gmtoff": 0})

    def asctime(self, fields: Any = None, /) -> str:
        return host_time.asctime(self.localtime() if fields is None else fields)

    def ctime(self, seconds: float | None = None, /) -> str:
        return host_time.asctime(self.localtime(seconds))

    def strftime(self, format: str, fields: Any = None, /) -> str:
        fields = tuple(self.localtime() if fields is None else fields)
        # The host's zone would show in these two.
        format = format.replace("%%", "\0").replace("%Z", "UTC").replace("%z", "+0000").replace("\0", "%%")
        return host_time.strftime(format, fields)

    def strptime(self, string: str, format: str = "%a %b %d %H:%M:%S %Y", /) -> host_time.struct_time:
        module = self._client.importer.import_module("_strptime")
        result: host_time.struct_time = module._strptime_time(string, format)
        return result


def _mktime(fields: Any, /) -> float:
    import calendar

    return float(calendar.timegm(tuple(fields)))


def make_time_module(client: ClientProcess) -> ModuleType:
    """The ``time`` module of one process.

    Reading a clock costs the client a user-mode call; the standard library reads them for nothing, because how often
    it does
    differs between versions of Python, and runs must not.
    """
    client.importer.stdlib_view["time"] = _make_module(client, 0)
    return _make_module(client, client.machine.costs.user_call_ns)


def _make_module(client: ClientProcess, cost_ns: int) -> ModuleType:
    clocks = Clocks(client, cost_ns)
    module = ModuleType("time")
    module.__dict__.update({name: getattr(clocks, name) for name in dir(clocks) if not name.startswith("_")})
    module.__dict__.update(mktime=_mktime, _STRUCT_TM_ITEMS=11)
    return module
