"""A report for notebooks: HTML with a few tables, readable on light and on dark pages, without scripts."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import Any

from wintunsim.report import Report, _echo_lines, _exit_text, _fault_text, format_bytes, format_duration

NEARLY_FULL = 90
"""The per cent of a ring's capacity from which its peak is shown as a warning."""

# Colours that are seen on white and on black; all else has the page's own.
_STYLE = """
.wintunsim{font-size:13px;line-height:1.45;max-width:1000px}
.wintunsim .wt-head{font-weight:600;margin:2px 0 6px}
.wintunsim .wt-scroll{overflow-x:auto}
.wintunsim table{border-collapse:collapse;margin:0 0 8px;font-size:inherit;color:inherit}
.wintunsim th,.wintunsim td{padding:3px 8px;text-align:right;white-space:nowrap;color:inherit;background:none;
 border:0 solid #80808055;border-bottom-width:1px}
.wintunsim th{font-weight:600}
.wintunsim tbody tr,.wintunsim tbody tr:hover{background:none}
.wintunsim th:first-child,.wintunsim td:first-child,.wintunsim th.wt-text,.wintunsim td.wt-text{text-align:left}
.wintunsim .wt-wide{white-space:normal}
.wintunsim .wt-bar{display:inline-block;vertical-align:middle;width:90px;height:9px;margin-right:8px;
 background:#80808033;border-radius:2px;overflow:hidden}
.wintunsim .wt-bar i{display:block;height:100%;background:#4a86d8}
.wintunsim .wt-bar i.wt-full{background:#d64545}
.wintunsim .wt-bad{color:#d64545;font-weight:600}
.wintunsim .wt-stuck{border-left:4px solid #d64545;background:#d6454522;padding:6px 10px;margin:0 0 8px}
.wintunsim .wt-stuck ul{margin:2px 0 0;padding-left:20px}
.wintunsim .wt-faint{opacity:.7}
.wintunsim code{font-size:11px;background:none;color:inherit;word-break:break-all}
"""


def report_html(report: Report) -> str:
    """The report as one HTML element. Everything that a client or user named is escaped."""
    parts = [
        f"<style>{_STYLE}</style>",
        f'<div class="wt-head">Wintun {escape(report.driver)}, seed {report.seed}, '
        f"{format_duration(report.virtual_ns)} of virtual time{_host(report)}</div>",
        _stuck(report.stuck),
        _clients(report),
    ]
    registered = [adapter for adapter in report.adapters if adapter["rings"]["send"]["capacity_bytes"]]
    parts += [_rings(adapter) for adapter in registered]
    if report.adapters and not registered:
        names = ", ".join(adapter["name"] for adapter in report.adapters)
        parts.append(f'<p class="wt-faint">{escape(names)}: no rings were registered</p>')
    lost = [row for adapter in report.adapters for row in _losses(adapter, is_named=len(registered) > 1)]
    parts.append(_table(("not delivered", "packets", "<cause"), lost))
    parts.append(_table(("traffic",), _traffic(report.traffic)))
    parts.append(_table(("fault",), [(_cell(_fault_text(row), "wt-wide"),) for row in report.faults]))
    parts.append(_table(("command", "by", "exit code"), _commands(report.commands)))
    parts.append(f'<div class="wt-faint">digest <code>{escape(report.digest)}</code></div>')
    return f'<div class="wintunsim">{"".join(parts)}</div>'


# -- rows -----------------------------------------------------------------------------------------------------------


def _host(report: Report) -> str:
    """The computer, where it is one with so many processors."""
    processors = report.host.get("processors")
    if not processors:
        return ""
    share = 100 * sum(processors) / (len(processors) * report.virtual_ns) if report.virtual_ns else 0
    name = escape(report.host["name"])
    return f"; host {name}: {len(processors)} processors, {share:.3g} % busy"


def _stuck(lines: list[str]) -> str:
    if not lines:
        return ""
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    told = "Nothing can ever happen again, and these threads still wait:"
    return f'<div class="wt-stuck"><b>{told}</b><ul>{items}</ul></div>'


def _clients(report: Report) -> str:
    rows = [
        (
            _cell(client["name"]),
            _cell(client["process_id"]),
            _cell(_exit_text(client["exit_code"]), "" if client["exit_code"] == 0 else "wt-bad"),
        )
        for client in report.clients
    ]
    return _table(("client", "process", "ended with"), rows)


def _rings(adapter: dict[str, Any]) -> str:
    """A row for each ring of an adapter."""
    rows = []
    for name, title in (("send", "send (to the client)"), ("receive", "receive")):
        ring = adapter["rings"][name]
        latency = ring["latency_ns"] or {}
        times = [
            _cell(format_duration(latency[key]) if key in latency else "-") for key in ("min", "p50", "p99", "max")
        ]
        counts = [_cell(f"{ring[key]:,}") for key in ("packets", "bytes")]
        rows.append((_cell(title), *counts, *times, _peak(ring)))
    head = (f"adapter {adapter['name']}", "packets", "bytes", "latency min", "p50", "p99", "max", "<peak in ring")
    return _table(head, rows)


def _peak(ring: dict[str, Any]) -> str:
    """The most that was in a ring: a bar, and the bytes."""
    peak, capacity = ring["peak_content_bytes"], ring["capacity_bytes"]
    if not capacity:
        return _cell("-")
    tenths = min(1000, peak * 1000 // capacity)
    width = f"{max(tenths, 10 if peak else 0) / 10:g}%"
    look = ' class="wt-full"' if tenths >= NEARLY_FULL * 10 else ""
    bar = f'<span class="wt-bar"><i{look} style="width:{width}"></i></span>'
    told = f"{tenths / 10:g} % of the capacity"
    return f'<td class="wt-text" title="{told}">{bar}{peak:,} B of {format_bytes(capacity)}</td>'


def _losses(adapter: dict[str, Any], *, is_named: bool) -> list[tuple[str, ...]]:
    """What did not cross an adapter's rings, by cause."""
    of = f" ({adapter['name']})" if is_named else ""
    rows: list[tuple[str, ...]] = []
    for status, count in adapter["refused"].items():
        rows.append((_cell(f"send{of}"), _cell(f"{count:,}", "wt-bad"), _cell(status, "wt-text")))
    for key, cause in (("in_discards", "discarded by the driver"), ("in_errors", "returned with an error")):
        if adapter[key]:
            rows.append((_cell(f"receive{of}"), _cell(f"{adapter[key]:,}", "wt-bad"), _cell(cause, "wt-text")))
    for cause in adapter["aborts"]:
        told = f"the driver stopped reading: {cause}"
        rows.append((_cell(f"receive{of}"), _cell("all that follow", "wt-bad"), _cell(told, "wt-text wt-wide")))
    return rows


def _traffic(rows: list[dict[str, Any]]) -> Iterable[tuple[str, ...]]:
    for row in rows:
        told = [row["description"], *(line.strip() for line in _echo_lines(row))]
        yield (_cell("; ".join(told), "wt-wide"),)


def _commands(rows: list[dict[str, Any]]) -> Iterable[tuple[str, ...]]:
    for row in rows:
        yield (
            _cell(row["command"], "wt-wide"),
            _cell(row["process"]),
            _cell(row["exit_code"], "wt-bad" if row["exit_code"] else ""),
        )


# -- tables ---------------------------------------------------------------------------------------------------------


def _cell(content: object, look: str = "") -> str:
    return f'<td class="{look}">{escape(str(content))}</td>' if look else f"<td>{escape(str(content))}</td>"


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """A table; nothing when it has no rows. The cells of `rows` are HTML; a title that begins with < stands left."""
    body = "".join(f"<tr>{''.join(row)}</tr>" for row in rows)
    if not body:
        return ""
    titles = "".join(
        f'<th class="wt-text">{escape(title[1:])}</th>' if title.startswith("<") else f"<th>{escape(title)}</th>"
        for title in head
    )
    return f'<div class="wt-scroll"><table><thead><tr>{titles}</tr></thead><tbody>{body}</tbody></table></div>'
