"""What a run came to: the report, as data, as JSON and as text for people."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from wintunsim.kernel.monitor import RingCounts

EXIT_STUCK = 3


def format_duration(time_ns: int) -> str:
    """A time in ns as people write it, with four digits at most: `8.2 µs`."""
    for unit, size in (("s", 10**9), ("ms", 10**6), ("µs", 10**3)):
        if time_ns >= size:
            return f"{time_ns / size:.4g} {unit}"
    return f"{time_ns} ns"


def format_bytes(count: int) -> str:
    """A number of bytes with a binary unit where that is exact, else with thin separators."""
    for unit, size in (("MiB", 1 << 20), ("KiB", 1 << 10)):
        if count >= size and count % size == 0:
            return f"{count // size} {unit}"
    return f"{count:,} B"


def _percentiles(latencies: Any) -> dict[str, int] | None:
    """Nearest-rank percentiles: times that were measured, not means of two."""
    if not len(latencies):
        return None
    ordered = np.sort(np.frombuffer(latencies, dtype=np.int64))
    last = len(ordered) - 1
    ranks = {"min": 0, "p50": -(-len(ordered) * 50 // 100) - 1, "p99": -(-len(ordered) * 99 // 100) - 1, "max": last}
    return {name: int(ordered[max(rank, 0)]) for name, rank in ranks.items()}


def ring_report(counts: RingCounts) -> dict[str, Any]:
    """One direction as data: packets, bytes, capacity, peak content, latency in ns (None without packets)."""
    return {
        "packets": counts.packets,
        "bytes": counts.size_bytes,
        "capacity_bytes": counts.capacity_bytes,
        "peak_content_bytes": counts.peak_content_bytes,
        "latency_ns": _percentiles(counts.latencies_ns),
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The outcome of a simulation. Times are virtual, in ns."""

    digest: str
    """SHA-256 of the trace, in hexadecimal."""
    seed: int
    driver: str
    virtual_ns: int
    clients: list[dict[str, Any]]
    """One entry for each process: name, process_id, exit_code (None when it did not end)."""
    adapters: list[dict[str, Any]]
    """One entry for each adapter: name, counters, `rings` with `send` and `receive`."""
    traffic: list[dict[str, Any]]
    commands: list[dict[str, Any]] = field(default_factory=list)
    stuck: list[str] = field(default_factory=list)
    """The client threads (and scripts) that wait for what can never happen; empty when all is well."""
    faults: list[dict[str, Any]] = field(default_factory=list)
    """What a fault plan made fail: what, attempts, failed, first_failed (its number), first_failed_ns."""
    host: dict[str, Any] = field(default_factory=dict)
    """The computer: its name; where processors are limited, how long each of them and each thread was busy, in ns."""

    @property
    def exit_code(self) -> int:
        """3 when the clients are stuck, else the first client's exit code (1 when it did not end)."""
        if self.stuck:
            return EXIT_STUCK
        code = self.clients[0]["exit_code"] if self.clients else 0
        return 1 if code is None else int(code)

    def as_dict(self) -> dict[str, Any]:
        """The report as data, ready for JSON. `client`, `adapter` and `rings` are those of the first one."""
        first = next((adapter for adapter in self.adapters if adapter["rings"]["send"]["capacity_bytes"]), None)
        first = first or (self.adapters[0] if self.adapters else None)
        return {
            "digest": self.digest,
            "seed": self.seed,
            "driver": self.driver,
            "virtual_ns": self.virtual_ns,
            "client": self.clients[0] if self.clients else None,
            "adapter": {key: value for key, value in first.items() if key != "rings"} if first else None,
            "rings": first["rings"] if first else None,
            "traffic": self.traffic,
            "commands": self.commands,
            "stuck": self.stuck,
            "faults": self.faults,
            "host": self.host,
            "clients": self.clients,
            "adapters": self.adapters,
        }

    def to_json(self) -> str:
        """The report as JSON, indented, with a line end."""
        return json.dumps(self.as_dict(), indent=2, ensure_ascii=False) + "\n"

    def _repr_html_(self) -> str:
        from wintunsim.report_html import report_html

        return report_html(self)

    def to_text(self) -> str:
        """The report for people: some lines, each with a line end."""
        lines = [
            f"wintunsim: Wintun {self.driver}, seed {self.seed}, {format_duration(self.virtual_ns)} of virtual time"
        ]
        for client in self.clients:
            lines.append(f"  client   {client['name']}: {_exit_text(client['exit_code'])}")
        registered = [adapter for adapter in self.adapters if adapter["rings"]["send"]["capacity_bytes"]]
        for adapter in registered:
            lines += _adapter_lines(adapter)
        if self.adapters and not registered:
            names = ", ".join(adapter["name"] for adapter in self.adapters)
            lines.append(f"  adapter  {names}: no rings were registered")
        for row in self.traffic:
            lines.append(f"  traffic  {row['description']}")
            lines += _echo_lines(row)
        lines += _host_lines(self.host, self.virtual_ns)
        lines += [f"  fault    {_fault_text(row)}" for row in self.faults]
        lines.append(f"  digest   {self.digest}")
        return "\n".join(lines) + "\n"


def _exit_text(code: int | None) -> str:
    """How a process ended. Windows' own exit codes are statuses, which people know in hexadecimal."""
    if code is None:
        return "did not end"
    return f"exit code {code}" if code < 0x80000000 else f"exit code 0x{code:08X}"


def _host_lines(host: dict[str, Any], virtual_ns: int) -> list[str]:
    """How busy a computer with so many processors was."""
    if "processors" not in host:
        return []
    busy, count = sum(host["processors"]), len(host["processors"])
    share = 100 * busy / (count * virtual_ns) if virtual_ns else 0
    top = sorted(host["threads"], key=lambda row: -row["busy_ns"])[:3]
    threads = ", ".join(f"{row['name']} {format_duration(row['busy_ns'])}" for row in top if row["busy_ns"])
    return [
        f"  host     {host['name']}: {count} processors, {share:.3g} % busy, {host['preemptions']:,} preemptions",
        f"           most busy: {threads}",
    ]


def _fault_text(row: dict[str, Any]) -> str:
    """What a fault plan came to."""
    if not row["failed"]:
        return f"{row['what']}: never failed, in {row['attempts']:,} attempts"
    first = f"the first was number {row['first_failed']:,}, at {format_duration(row['first_failed_ns'])}"
    return f"{row['what']}: {row['failed']:,} of {row['attempts']:,} attempts failed; {first}"


def _adapter_lines(adapter: dict[str, Any]) -> list[str]:
    """One adapter: a table with a row for each ring, then what did not cross them."""
    head = ("packets", "bytes", "peak in ring", "latency min", "p50", "p99", "max")
    rows = []
    for name, title in (("send", "send (to the client)"), ("receive", "receive")):
        ring = adapter["rings"][name]
        peak = f"{ring['peak_content_bytes']:,} B of {format_bytes(ring['capacity_bytes'])}"
        latency = ring["latency_ns"]
        times = ["-"] * 4 if latency is None else [format_duration(value) for value in latency.values()]
        rows.append((title, f"{ring['packets']:,}", f"{ring['bytes']:,}", peak, *times))
    table = [(f"adapter  {adapter['name']}", *head), *((f"         {title}", *cells) for title, *cells in rows)]
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    lines = [
        "  "
        + row[0].ljust(widths[0])
        + "".join(f"   {cell:>{width}}" for cell, width in zip(row[1:], widths[1:], strict=True))
        for row in table
    ]
    if adapter["refused"]:
        causes = ", ".join(f"{count:,} {status}" for status, count in adapter["refused"].items())
        lines.append(f"           not sent: {causes}")
    lines += [f"           the driver stopped reading: {cause}" for cause in adapter["aborts"]]
    if adapter["in_discards"] or adapter["in_errors"]:
        lost = f"{adapter['in_discards']:,} discarded, {adapter['in_errors']:,} with errors"
        lines.append(f"           not received: {lost}")
    return lines


def _workload_lines(row: dict[str, Any]) -> list[str]:
    """What became of a workload, or of a closed loop."""
    if "offered" not in row:
        return []
    counts = [f"{row['offered']:,} offered"]
    words = ("refused", "taken", "discarded", "in_flight", "returned", "reordered", "repeated", "damaged")
    counts += [f"{row[key]:,} {key.replace('_', ' ')}" for key in words if row.get(key)]
    lines = [f"           {', '.join(counts)}"]
    if "goodput_bits_per_s" in row:
        again = f"{row['retransmissions']:,} retransmissions"
        if row["retransmissions"]:
            again += f" ({row['fast_retransmits']:,} fast retransmits, {row['timeouts']:,} timeouts)"
        given_up = "; given up" if row["given_up"] else ""
        goodput = row["goodput_bits_per_s"] / 1e6
        text = f"{goodput:,.0f}" if goodput >= 100 else f"{goodput:.3g}"
        lines.append(f"           goodput {text} Mbit/s, {again}{given_up}")
    for key, title in (("to_client_ns", "until taken"), ("round_trip_ns", "round trip")):
        if row.get(key) is not None:
            times = " / ".join(format_duration(row[key][name]) for name in ("min", "p50", "p99", "max"))
            lines.append(f"           {title} min / p50 / p99 / max {times}")
    return lines


def _echo_lines(row: dict[str, Any]) -> list[str]:
    """What became of a ping, or of another source that is told of its packets."""
    if "sent" not in row:
        return _workload_lines(row)
    text = f"           {row['sent']} sent, {row['answered']} answered"
    if row.get("rtt_min_ns") is not None:
        times = " / ".join(format_duration(row[f"rtt_{name}_ns"]) for name in ("min", "avg", "max"))
        text += f"; round trip min / mean / max {times}"
    return [text]
