"""A `RingView` as SVG: readable on light and on dark pages, without scripts.

Head's mark stands above the memory, Tail's below it, so that they do not cover each other when they are close.
"""

from __future__ import annotations

from html import escape

from wintun_model.abi import STOPPED
from wintunsim.report import format_bytes
from wintunsim.ring_view import RingView

WIDTH = 760
_LEFT, _RIGHT = 12, 748
_TRAILING_WIDTH = 62
_GAP = 6
_MEMORY_TOP, _MEMORY_HEIGHT = 58, 30
_CONTENT_TOP, _CONTENT_HEIGHT = 138, 26
_LEAST_WIDTH = 2.0
_LABEL_WIDTH = 46
"""What a packet's bar must be wide for its size to stand in it."""

_CONTENT, _OTHER, _HEAD, _TAIL, _WARNING = "#4a86d8", "#7fb0f0", "#2a9d6f", "#d9822b", "#d64545"
_FONT = "font-family:system-ui,sans-serif;font-size:12px"


def ring_html(view: RingView) -> str:
    """The drawing for a notebook's page, in the page's own colour of text."""
    return f'<div style="max-width:{WIDTH}px;overflow-x:auto">{ring_svg(view)}</div>'


def ring_svg(view: RingView, *, has_background: bool = False) -> str:
    """The drawing. With a background it is readable wherever it stands, as a picture too."""
    is_drawn = view.is_registered and view.content_bytes is not None
    has_content = bool(view.content_bytes)
    height = 190 if has_content else 112 if is_drawn else 50
    parts = [_text(_LEFT, 18, view.name, style="font-weight:600"), _summary(view)]
    if is_drawn:
        parts += _memory(view)
    if has_content:
        parts += _unrolled(view)
    background, colour = "", "currentColor"
    if has_background:
        background, colour = f'<rect width="{WIDTH}" height="{height}" rx="4" fill="#ffffff"/>', "#222222"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" '
        f'role="img" color="{colour}" fill="currentColor" style="{_FONT};max-width:100%;height:auto">'
        f"<title>{escape(repr(view))}</title>{background}{''.join(parts)}</svg>"
    )


# -- what is said ---------------------------------------------------------------------------------------------------


def _summary(view: RingView) -> str:
    """One line below the name: how much there is, and what is the matter."""
    if not view.is_registered:
        return _text(_LEFT, 38, "is not registered", opacity=0.75)
    told = [f"{format_bytes(view.capacity)}"]
    amount = view.content_bytes
    if amount is None:
        told += [
            f"{word} {_offset(value, view.capacity)}" for word, value in (("Head", view.head), ("Tail", view.tail))
        ]
    else:
        told.append(f"{amount:,} B in it ({_percent(amount, view.capacity)})" if amount else "empty")
        if view.packets is not None and amount:
            told.append(f"{len(view.packets):,} packet{'' if len(view.packets) == 1 else 's'}")
    line = _text(_LEFT, 38, " · ".join(told), opacity=0.75)
    is_set = view.alertable != 0
    dot = f'<circle cx="{_RIGHT - 84}" cy="14" r="5" {_dot_look(is_set)}/>'
    line += f"<g><title>{_ALERTABLE[is_set]}</title>{dot}{_text(_RIGHT, 18, f'Alertable {view.alertable}', 'end')}</g>"
    return line


_ALERTABLE = {
    True: "Who reads this ring sleeps, or is about to: whoever moves Tail must set TailMoved",
    False: "Who reads this ring looks at Tail by itself",
}


def _dot_look(is_set: bool) -> str:
    return f'fill="{_TAIL}"' if is_set else 'fill="none" stroke="currentColor" stroke-opacity="0.6"'


def _offset(value: int, capacity: int) -> str:
    if value == STOPPED:
        return "stopped"
    return f"{value:,}" if value < capacity else f"{value:,} is not below the capacity"


def _percent(part: int, whole: int) -> str:
    share = 100 * part / whole
    return "< 0.1 %" if share < 0.1 else f"{share:.3g} %"


# -- the ring's memory ----------------------------------------------------------------------------------------------


def _memory(view: RingView) -> list[str]:
    """From offset 0 to the capacity, to scale, and the trailing bytes behind it, which are not."""
    top, height, capacity = _MEMORY_TOP, _MEMORY_HEIGHT, view.capacity
    end = _RIGHT - _TRAILING_WIDTH - _GAP
    scale = (end - _LEFT) / capacity
    overhang, amount = view.overhang_bytes, view.content_bytes or 0

    def x(offset: int) -> float:
        return _LEFT + offset * scale

    parts = [
        _rect(_LEFT, top, end - _LEFT, height, 'fill="#808080" fill-opacity="0.18"', f"{capacity:,} bytes"),
        _rect(
            end + _GAP,
            top,
            _TRAILING_WIDTH,
            height,
            'fill="#808080" fill-opacity="0.08" stroke="#808080" stroke-opacity="0.7" stroke-dasharray="3 3"',
            f"{view.trailing_bytes:,} trailing bytes, not to scale: "
            "a packet that begins before the capacity goes on here",
        ),
    ]
    solid, light = f'fill="{_CONTENT}"', f'fill="{_CONTENT}" fill-opacity="0.35"'
    if amount and view.head < view.tail:
        parts.append(_rect(x(view.head), top, amount * scale, height, solid, f"content: {amount:,} bytes", end))
    elif amount:
        told = f"content: {capacity - view.head:,} bytes up to the capacity"
        parts.append(_rect(x(view.head), top, (capacity - view.head) * scale, height, solid, told, end))
        if overhang:
            told = f"{overhang:,} bytes of the packet that begins before the capacity lie here"
            width = _TRAILING_WIDTH * overhang / max(view.trailing_bytes, overhang)
            parts.append(_rect(end + _GAP, top, width, height, solid, told))
            told = f"{overhang:,} bytes that count as content, but lie behind the capacity"
            parts.append(_rect(_LEFT, top, overhang * scale, height, light, told))
        if view.tail > overhang:
            told = f"content: {view.tail - overhang:,} bytes from offset {overhang:,} on"
            parts.append(_rect(x(overhang), top, (view.tail - overhang) * scale, height, solid, told))
    parts += [
        *_mark(x(view.head), top, f"Head {view.head:,}", _HEAD, is_above=True),
        *_mark(x(view.tail), top + height, f"Tail {view.tail:,}", _TAIL, is_above=False),
        _text(_RIGHT, top + height + 16, f"+ {format_bytes(view.trailing_bytes)}", "end", opacity=0.75),
    ]
    return parts


def _mark(x: float, y: float, label: str, colour: str, *, is_above: bool) -> list[str]:
    """A triangle that points at an offset, and its label beside it, on the side where there is room."""
    away = -8 if is_above else 8
    side, place = ("start", x + 8) if x < WIDTH / 2 else ("end", x - 8)
    return [
        f'<path d="M{x:.1f} {y} l-5 {away} h10 z" fill="{colour}"/>',
        _text(place, y - 3 if is_above else y + 12, label, side),
    ]


# -- the content ----------------------------------------------------------------------------------------------------


def _unrolled(view: RingView) -> list[str]:
    """The content from Head to Tail, packet for packet, to scale."""
    top, height, amount = _CONTENT_TOP, _CONTENT_HEIGHT, view.content_bytes or 1
    scale = (_RIGHT - _LEFT) / amount
    parts = [
        _text(_LEFT, top - 8, "content, from Head to Tail", opacity=0.75),
        _rect(_LEFT, top, _RIGHT - _LEFT, height, 'fill="#808080" fill-opacity="0.18"', f"{amount:,} bytes"),
    ]
    if view.problem:
        parts.append(_text(_RIGHT, top - 8, view.problem, "end", style=f"fill:{_WARNING}"))
    place = 0
    run_start, run_packets = 0, 0
    shade = False
    for packet in view.packets or ():
        following = place + packet.stored_bytes
        # Packets that are too narrow to be told apart become one bar.
        if packet.stored_bytes * scale < _LEAST_WIDTH:
            if not run_packets:
                run_start = place
            run_packets += 1
        if run_packets and (packet.stored_bytes * scale >= _LEAST_WIDTH or (following - run_start) * scale >= 8):
            run_end = place if packet.stored_bytes * scale >= _LEAST_WIDTH else following
            parts.append(_packets(run_start, run_end, scale, shade, f"{run_packets:,} packets"))
            run_packets, shade = 0, not shade
        if packet.stored_bytes * scale >= _LEAST_WIDTH:
            told = f"packet of {packet.size_bytes:,} bytes at offset {packet.offset:,}"
            parts.append(_packets(place, following, scale, shade, told, label=f"{packet.size_bytes:,}"))
            shade = not shade
        place = following
    if run_packets:
        parts.append(_packets(run_start, place, scale, shade, f"{run_packets:,} packets"))
    if place < amount:
        told = view.problem or f"{amount - place:,} bytes"
        look = f'fill="{_WARNING}" fill-opacity="0.55"' if view.problem else f'fill="{_CONTENT}"'
        parts.append(_rect(_LEFT + place * scale, top, (amount - place) * scale, height, look, told))
    if view.head > view.tail > 0:
        x = _LEFT + (view.capacity - view.head) * scale
        parts.append(
            f'<path d="M{x:.1f} {top} v{height + 7}" stroke="currentColor" stroke-dasharray="3 2" fill="none"/>'
        )
        side = "start" if x < WIDTH / 2 else "end"
        parts.append(_text(x, top + height + 19, "the ring wraps", side, opacity=0.75))
    return parts


def _packets(start: int, end: int, scale: float, shade: bool, told: str, *, label: str = "") -> str:
    """One packet, or a run of small ones, with its size in it where there is room."""
    x, width = _LEFT + start * scale, (end - start) * scale
    bar = _rect(x, _CONTENT_TOP, width, _CONTENT_HEIGHT, f'fill="{_OTHER if shade else _CONTENT}"', told)
    if label and width >= _LABEL_WIDTH:
        bar += _text(x + width / 2, _CONTENT_TOP + 17, label, "middle", style="fill:#10233f;pointer-events:none")
    return bar


# -- shapes ---------------------------------------------------------------------------------------------------------


def _rect(x: float, y: float, width: float, height: float, look: str, told: str, limit: float = WIDTH) -> str:
    """A rectangle with a text that shows under the pointer; never too narrow to be seen, never beyond `limit`."""
    width = max(width, _LEAST_WIDTH)
    x = min(x, limit - width)
    shape = f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{height}" {look}>'
    return f"{shape}<title>{escape(told)}</title></rect>"


def _text(x: float, y: float, text: str, anchor: str = "start", *, opacity: float = 1, style: str = "") -> str:
    look = f' style="{style}"' if style else ""
    faded = f' opacity="{opacity}"' if opacity != 1 else ""
    return f'<text x="{x:.1f}" y="{y}" text-anchor="{anchor}"{faded}{look}>{escape(text)}</text>'
