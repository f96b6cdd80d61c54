"""EvaluateWintun: from a component's states, properties and the registry to the deferred action's data.

Pure functions. Where the specification is silent, each says what the model takes.
"""

from __future__ import annotations

from dataclasses import dataclass

from wintun_model.installer_state import (
    ERROR_INVALID_HANDLE_STATE,
    ERROR_UNKNOWN_COMPONENT,
    VALUE_NAMES,
    InstallState,
    Machine,
    RegistryType,
    RegistryValue,
)

LONGEST_TEXT = 255
"""Characters (UTF-16 units) of a property or a registry string that can be read."""
SEPARATOR = "-"
DATA_INSTALL = "install"
DATA_UNINSTALL = "uninstall"

_WHITESPACE = " \t\n\v\f\r"
_DIGITS = "0123456789"
_MOST_DIGITS = 20
_MASK32 = 0xFFFF_FFFF
_MASK64 = 0xFFFF_FFFF_FFFF_FFFF
_INT64_MIN, _INT64_MAX = -(1 << 63), (1 << 63) - 1
_VERSION_SHIFTS = (48, 32, 16, 0)


@dataclass(frozen=True, slots=True)
class Module:
    """The properties that the merge module carries (spec installer §1), as text; None: undefined, reads as empty."""

    hash: str | None = None
    build_time: str | None = None
    version: str | None = None

    @property
    def texts(self) -> tuple[str, str, str]:
        """Hash, build time and version as they read."""
        return self.hash or "", self.build_time or "", self.version or ""


def _scan_integer(text: str, position: int) -> tuple[int, int]:
    """Whitespace, a sign, decimal digits: (value, where the scan ended). No digits: 0."""
    while position < len(text) and text[position] in _WHITESPACE:
        position += 1
    sign = 1
    if position < len(text) and text[position] in "+-":
        sign = -1 if text[position] == "-" else 1
        position += 1
    start = position
    while position < len(text) and text[position] in _DIGITS:
        position += 1
    # Twenty significant digits are more than any number here can hold: the rest would not change where it is cut off.
    return sign * int(text[start:position].lstrip("0")[:_MOST_DIGITS] or "0"), position


def build_time(text: str) -> int:
    """A build time as a signed 64-bit number (spec installer §2).

    Bad text reads as the C runtime's ``_wtoi64`` is documented to read it: leading whitespace, one sign and decimal
    digits up to the first other character; nothing to read is 0; what does not fit is the largest or smallest number.
    """
    value, _ = _scan_integer(text, 0)
    return max(_INT64_MIN, min(value, _INT64_MAX))


def version_number(text: str) -> int:
    """A version as the unsigned 64-bit number that is compared (spec installer §2).

    Four fields, missing ones 0, OR-ed without masking: a field above 65535 spills into the next; what the first one
    has beyond 16 bits is lost. A field reads as ``wcstoul`` reads it: like a build time, but the largest 32-bit number
    for what does not fit, and a negative number modulo 2^32. A character that is no dot ends the version.
    """
    number, position = 0, 0
    for shift in _VERSION_SHIFTS:
        value, position = _scan_integer(text, position)
        field = min(abs(value), _MASK32)
        number |= (field if value >= 0 else -field & _MASK32) << shift
        if position >= len(text) or text[position] != ".":
            break
        position += 1
    return number & _MASK64


def is_installed(state: InstallState) -> bool:
    """Installed means local or source."""
    return state in (InstallState.LOCAL, InstallState.SOURCE)


def is_installing(installed: InstallState, action: InstallState) -> bool:
    """The predicate *installing* (spec installer §2)."""
    if action is InstallState.DEFAULT:
        return is_installed(installed)
    return action in (InstallState.LOCAL, InstallState.SOURCE)


def is_reinstalling(installed: InstallState, action: InstallState) -> bool:
    """The predicate *reinstalling* (spec installer §2)."""
    return is_installed(installed) and action in (InstallState.LOCAL, InstallState.SOURCE, InstallState.DEFAULT)


def is_uninstalling(installed: InstallState, action: InstallState) -> bool:
    """The predicate *uninstalling* (spec installer §2)."""
    return is_installed(installed) and action in (InstallState.ABSENT, InstallState.REMOVED)


def _is_too_long(text: str) -> bool:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2 > LONGEST_TEXT


def _unreadable(name: str, value: RegistryValue | None) -> str:
    """Why a registry value counts as missing; empty when it can be read. Only REG_SZ is a string here."""
    if value is None:
        return f"{name} is missing"
    if value.type is not RegistryType.REG_SZ:
        return f"{name} is no string"
    if _is_too_long(str(value.data)):
        return f"{name} is too long"
    return ""


def newer(module: Module, machine: Machine, *, reinstalling: bool) -> tuple[bool, str]:
    """The predicate *newer* (spec installer §2), and the reason in a few words."""
    if any(_is_too_long(text) for text in module.texts):
        return False, "a property of the module is too long to be read"
    if machine.key is None:
        return True, "nothing is recorded"
    values = [machine.value(name) for name in VALUE_NAMES]
    for name, value in zip(VALUE_NAMES, values, strict=True):
        if reason := _unreadable(name, value):
            return True, reason
    new_hash, new_time, new_version = module.texts
    old_hash, old_time, old_version = (str(value.data) for value in values if value is not None)
    if version_number(new_version) < version_number(old_version):
        return False, f"version {new_version} is below {old_version}"
    if build_time(new_time) < build_time(old_time):
        return False, f"build time {new_time} is before {old_time}"
    if reinstalling:
        return True, "not older, and reinstalling"
    if new_hash == old_hash:
        return False, "the same installer hash"
    return True, "not older, and another installer hash"


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What EvaluateWintun comes to."""

    error: int = 0
    """Win32 error; nothing else counts unless it is 0."""
    data: str = ""
    """The deferred action's data; empty: nothing to do."""
    disables_rollback: bool = False
    reason: str = ""
    """Why, in a few words, for a person."""


def evaluate(
    installed: InstallState,
    action: InstallState,
    module: Module,
    machine: Machine,
    *,
    is_component_there: bool = True,
    is_state_readable: bool = True,
) -> Evaluation:
    """EvaluateWintun (spec installer §2).

    The texts of the properties go into the data as they are, not as the numbers that were compared.
    """
    if not is_component_there:
        return Evaluation(error=ERROR_UNKNOWN_COMPONENT, reason="the anchor component is not in the package")
    if not is_state_readable:
        return Evaluation(error=ERROR_INVALID_HANDLE_STATE, reason="the component's state is not readable")
    installing, reinstalling = is_installing(installed, action), is_reinstalling(installed, action)
    if installing or reinstalling:
        is_newer, reason = newer(module, machine, reinstalling=reinstalling)
        data = SEPARATOR.join((DATA_INSTALL, *module.texts)) if is_newer else ""
        return Evaluation(data=data, disables_rollback=True, reason=reason)
    if is_uninstalling(installed, action):
        return Evaluation(data=DATA_UNINSTALL, disables_rollback=True, reason="the component goes")
    return Evaluation(disables_rollback=True, reason="nothing is asked of the component")
