"""Whether a run can be run ahead: a list of what is known, and anything else is not."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

from wintunsim.experiments.fast.reasons import has_compiler
from wintunsim.kernel.costs import Figure
from wintunsim.kernel.distribution import Distribution
from wintunsim.kernel.host import Host, find_host
from wintunsim.kernel.return_policy import ReturnPolicy
from wintunsim.network.closed_loop import TcpTraffic
from wintunsim.network.options import parse_returns, parse_traffic
from wintunsim.network.traffic import UdpTraffic
from wintunsim.network.workloads import Workload

if TYPE_CHECKING:
    from wintunsim.experiments.client import Client
    from wintunsim.experiments.experiment import Experiment

_OF_EXPERIMENT = frozenset(
    (
        "workload", "client", "host", "driver", "capacity", "duration", "returns", "faults", "engine", "digest", "seed",
    )
)  # fmt: skip
_OF_CLIENT: dict[str, frozenset[Any] | None] = {
    "spin_us": None,
    "poll_us": None,
    "fine_timer": None,
    "handle_ns": None,
    "handle_ps_per_byte": None,
    "echo": None,
    "full": None,
    "full_attempts": None,
    "full_us": None,
    "barrier": None,
    "always_set": None,
    "recheck_us": None,
    "priority": None,
}
"""The values that are known of each field of a client; None for all of them."""
_OF_HOST = frozenset(
    (
        "name", "processors", "costs", "quantum_ns", "switch", "idle_exit", "idle_after_ns", "boosts", "background",
        "sources",
    )
)  # fmt: skip
_OF_COSTS = frozenset(
    (
        "load_ns", "fence_ns", "lock_ns", "copy_ps_per_byte", "event_ns", "system_call_ns", "user_call_ns", "wake_ns",
        "yield_ns", "pass_ns", "ndis_ns", "allocate_ns", "page_ps", "thread_ns", "loop_ns", "timer_tick_ns",
        "contended_lock_ns",
    )
)  # fmt: skip
SOURCES_MOST = 16
THREADS = 3
"""Client, driver's reader and the system's sender: each has a processor whenever it wants one."""


def why_not(experiment: Experiment) -> str | None:
    """Why the experiment cannot be run ahead, in a few words; None if it can."""
    if not has_compiler():
        return "numba is not installed (pip install 'wintunsim[fast]')"
    for item in fields(experiment):
        if item.name not in _OF_EXPERIMENT:
            default = getattr(type(experiment)(), item.name)
            if getattr(experiment, item.name) != default:
                return f"its {item.name}"
    if experiment.faults:
        return "its faults"
    if parse_returns(experiment.returns) != ReturnPolicy():
        return "its returns"
    return _client(experiment.client) or _host(find_host(experiment.host)) or _workload(experiment)


def _client(client: Client) -> str | None:
    default = type(client)()
    for item in fields(client):
        value = getattr(client, item.name)
        if item.name not in _OF_CLIENT:
            if value != getattr(default, item.name):
                return f"{item.name} of its client"
        else:
            known = _OF_CLIENT[item.name]
            if known is not None and value not in known:
                return f"{item.name} of its client"
    return None


def _host(host: Host) -> str | None:
    default = type(host)()
    for item in fields(host):
        if item.name not in _OF_HOST and getattr(host, item.name) != getattr(default, item.name):
            return f"{item.name} of its host"
    if host.background or (host.processors is not None and host.processors < THREADS):
        return "a host where threads wait for processors"
    costs, plain = host.costs, type(host.costs)()
    for item in fields(costs):
        value = getattr(costs, item.name)
        if item.name not in _OF_COSTS and value != getattr(plain, item.name):
            return f"{item.name} of its host"
    # Operations of one thread must not fall on one time.
    if not costs.load_ns or not costs.pass_ns or not _least(costs.ndis_ns):
        return "a host where something takes no time"
    return None


def _least(figure: Figure) -> int:
    return figure.points[0][1] if isinstance(figure, Distribution) else figure


def _workload(experiment: Experiment) -> str | None:
    if not 0 < len(experiment.workload) <= SOURCES_MOST:
        return "its workload"
    for place, text in enumerate(experiment.workload):
        source = parse_traffic(text, place)
        if type(source) not in (UdpTraffic, Workload, TcpTraffic):
            return f"the workload {text.partition(':')[0]}"
    return None
