"""EvaluateWintun: predicates, the comparison, reading limits, bad text (spec installer §1, §2)."""

import re
from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wintun_model.installer_evaluate import (
    Evaluation,
    Module,
    build_time,
    evaluate,
    is_installed,
    is_installing,
    is_reinstalling,
    is_uninstalling,
    newer,
    version_number,
)
from wintun_model.installer_state import (
    ANCHOR_COMPONENT,
    KEY_PATH,
    VALUE_NAMES,
    InstallState,
    Machine,
    RegistryType,
    RegistryValue,
)

UNKNOWN, REMOVED, ABSENT, LOCAL, SOURCE, DEFAULT = InstallState
OLD = Module("abc", "100", "0.8")


def recorded(hash_="abc", build="100", version="0.8", **types):
    """A machine on which these texts are recorded; a keyword changes one value's type."""
    texts = {"InstallerHash": hash_, "InstallerBuildtime": build, "Version": version}
    values = [
        RegistryValue(name, types.get(name, RegistryType.REG_SZ), text)
        for name, text in texts.items()
        if text is not None
    ]
    return Machine(key=tuple(values))


# -- §1 anchors -------------------------------------------------------------------------------------------------------


def test_names_and_numbers_of_the_anchors():
    assert ANCHOR_COMPONENT == "{B668D4C7-ABB3-485A-B8DF-D34200489A43}"
    assert KEY_PATH == "HKLM\\SOFTWARE\\Wintun"
    assert VALUE_NAMES == ("InstallerHash", "InstallerBuildtime", "Version")
    assert {state.name: state.value for state in InstallState if state > 0} == {
        "REMOVED": 1,
        "ABSENT": 2,
        "LOCAL": 3,
        "SOURCE": 4,
        "DEFAULT": 5,
    }


# -- §2 predicates ----------------------------------------------------------------------------------------------------

# installed state: removed, absent, local, source, default, unknown; one letter for each: which predicate holds with
# the action in that row. I installing, R reinstalling, B both, U uninstalling, - none.
PREDICATES = {
    REMOVED: "--UU--",
    ABSENT: "--UU--",
    LOCAL: "IIBBII",
    SOURCE: "IIBBII",
    DEFAULT: "--BB--",
    UNKNOWN: "------",
}


@pytest.mark.parametrize("action", PREDICATES)
def test_predicates_are_those_of_the_table(action):
    for letter, installed in zip(PREDICATES[action], (REMOVED, ABSENT, LOCAL, SOURCE, DEFAULT, UNKNOWN), strict=True):
        assert is_installing(installed, action) == (letter in "IB"), installed
        assert is_reinstalling(installed, action) == (letter in "RB"), installed
        assert is_uninstalling(installed, action) == (letter == "U"), installed


def test_installed_means_local_or_source():
    assert [state for state in InstallState if is_installed(state)] == [LOCAL, SOURCE]


# -- §2 newer ---------------------------------------------------------------------------------------------------------

# new version, new build time, new hash; newer than 0.8 / 100 / abc when reinstalling, when only installing
COMPARISONS = [
    ("0.8", "100", "abc", True, False),
    ("0.8", "100", "abd", True, True),
    ("0.8", "100", "ABC", True, True),
    ("0.8", "101", "abc", True, False),
    ("0.8", "101", "abd", True, True),
    ("0.8", "99", "abc", False, False),
    ("0.8", "99", "abd", False, False),
    ("0.8.1", "100", "abc", True, False),
    ("0.8.1", "100", "abd", True, True),
    ("0.8.1", "99", "abd", False, False),
    ("0.7.9", "101", "abd", False, False),
    ("0.7.9", "99", "abd", False, False),
    ("0.8.0.0", "100", "abd", True, True),
    ("1", "100", "abd", True, True),
    ("0.10", "100", "abd", True, True),
]


@pytest.mark.parametrize(("version", "build", "hash_", "reinstalling", "installing"), COMPARISONS)
def test_newer_compares_version_time_and_hash(version, build, hash_, reinstalling, installing):
    module = Module(hash_, build, version)
    assert newer(module, recorded(), reinstalling=True)[0] is reinstalling
    assert newer(module, recorded(), reinstalling=False)[0] is installing


def test_newer_says_why():
    def why(module, machine=None, **options):
        return newer(module, recorded() if machine is None else machine, **{"reinstalling": False, **options})[1]

    assert why(Module("x", "100", "0.7")) == "version 0.7 is below 0.8"
    assert why(Module("x", "99", "0.8")) == "build time 99 is before 100"
    assert why(OLD) == "the same installer hash"
    assert why(OLD, reinstalling=True) == "not older, and reinstalling"
    assert why(Module("x", "100", "0.8")) == "not older, and another installer hash"
    assert why(OLD, Machine()) == "nothing is recorded"
    assert why(OLD, recorded(version=None)) == "Version is missing"
    assert why(Module("h" * 256), Machine()) == "a property of the module is too long to be read"


def test_nothing_recorded_is_older_than_everything():
    for reinstalling in (False, True):
        assert newer(Module("abc", "-5", "0"), Machine(), reinstalling=reinstalling)[0]
        assert newer(Module(), Machine(key=()), reinstalling=reinstalling)[0]


@pytest.mark.parametrize("name", VALUE_NAMES)
def test_a_recorded_value_that_cannot_be_read_counts_as_older(name):
    older = Module("abc", "1", "0.1")
    machine = recorded()
    assert not newer(older, machine, reinstalling=True)[0]
    assert newer(older, machine.without_value(name), reinstalling=True) == (True, f"{name} is missing")
    for kind in RegistryType:
        readable = kind is RegistryType.REG_SZ
        changed = machine.with_value(RegistryValue(name, kind, "9" if readable else 9))
        expected = (True, f"{name} is no string")
        assert (newer(older, changed, reinstalling=True) == expected) is not readable
    # 255 characters are the longest text that is read; a character outside the basic plane is two of them.
    for text, is_read in (("9" * 255, True), ("9" * 256, False), ("9" * 253 + "\U0001f600", True)):
        reason = newer(older, machine.with_value(RegistryValue(name, RegistryType.REG_SZ, text)), reinstalling=True)[1]
        assert (reason != f"{name} is too long") is is_read
    text = "9" * 254 + "\U0001f600"
    assert newer(older, machine.with_value(RegistryValue(name, RegistryType.REG_SZ, text)), reinstalling=True)[0]


@pytest.mark.parametrize("name", ["hash", "build_time", "version"])
def test_a_property_that_cannot_be_read_is_never_newer(name):
    for length, is_read in ((255, True), (256, False)):
        module = replace(Module("x", "1", "9"), **{name: "9" * length})
        for machine in (Machine(), recorded(build="1")):
            for reinstalling in (False, True):
                assert newer(module, machine, reinstalling=reinstalling)[0] is is_read


def test_an_undefined_property_reads_as_empty():
    assert Module().texts == ("", "", "")
    assert newer(Module(None, None, None), recorded("abc", "0", "0.0.0.0"), reinstalling=False)[0]
    assert not newer(Module(None, None, None), recorded("", "0", "0.0.0.0"), reinstalling=False)[0]
    assert newer(Module(None, None, None), recorded("", "-1", ""), reinstalling=True)[0]
    assert not newer(Module("x", None, "9"), recorded(build="1"), reinstalling=True)[0]
    assert not newer(Module("x", "100", None), recorded(), reinstalling=True)[0]


def test_value_names_are_found_whatever_their_case():
    machine = Machine(key=tuple(RegistryValue(value.name.upper(), value.type, value.data) for value in recorded().key))
    assert not newer(OLD, machine, reinstalling=False)[0]


# -- §2 versions and times as numbers ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("", 0),
        ("1", 1 << 48),
        ("0.8", 8 << 32),
        ("0.8.1", 8 << 32 | 1 << 16),
        ("1.2.3.4", 1 << 48 | 2 << 32 | 3 << 16 | 4),
        ("1.2.3.4.5", 1 << 48 | 2 << 32 | 3 << 16 | 4),
        ("0.0.0.65536", 1 << 16),
        ("0.0.1.65536", 1 << 16),
        ("0.0.2.65536", 3 << 16),
        ("0.65537", 1 << 48 | 1 << 32),
        ("65536", 0),
        ("65535", 0xFFFF << 48),
        ("0.0.0.4294967295", 0xFFFF_FFFF),
        ("0.0.0.99999999999999999999999", 0xFFFF_FFFF),
        ("0.0.0.-1", 0xFFFF_FFFF),
        ("0.0.0.-99999999999", 1),
        ("0.8rc.1", 8 << 32),
        ("0.8-1", 8 << 32),
        (" 0. 8", 8 << 32),
        ("0..1", 1 << 16),
        ("v0.8", 0),
        ("0.8.", 8 << 32),
        ("+1.+2", 1 << 48 | 2 << 32),
        ("٣", 0),
    ],
)
def test_versions_are_put_together_without_masking(text, number):
    assert version_number(text) == number


FIELDS = st.lists(st.integers(0, 0xFFFF_FFFF), min_size=1, max_size=6)
SMALL = st.tuples(*[st.integers(0, 65535)] * 4)


@given(SMALL, SMALL)
def test_versions_of_ordinary_fields_are_ordered_field_by_field(left, right):
    numbers = [version_number(".".join(map(str, fields))) for fields in (left, right)]
    assert (numbers[0] < numbers[1], numbers[0] == numbers[1]) == (left < right, left == right)


@given(FIELDS)
def test_large_fields_spill_into_the_next(fields):
    # A second way to the same number: four columns of 16 bits, the upper half of each or-ed into the column before.
    low = [field & 0xFFFF for field in fields[:4]] + [0] * (4 - len(fields[:4]))
    high = [field >> 16 for field in fields[1:4]] + [0] * 4
    columns = [low[place] | high[place] for place in range(4)]
    text = ".".join(str(field) for field in fields)
    assert version_number(text) == int("".join(f"{column:04x}" for column in columns), 16)


@given(st.text())
def test_every_text_is_a_version_and_a_time(text):
    assert 0 <= version_number(text) < 1 << 64
    assert -(1 << 63) <= build_time(text) < 1 << 63


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("", 0),
        ("0", 0),
        ("1582806182", 1582806182),
        ("-3", -3),
        ("+7", 7),
        (" \t\n\v\f\r12", 12),
        ("\u00a012", 0),
        ("12 34", 12),
        ("12.9", 12),
        ("0x10", 0),
        ("1e3", 1),
        ("- 3", 0),
        ("--3", 0),
        ("abc", 0),
        ("9223372036854775807", 2**63 - 1),
        ("9223372036854775808", 2**63 - 1),
        ("-9223372036854775808", -(2**63)),
        ("-9223372036854775809", -(2**63)),
        ("9" * 5000, 2**63 - 1),
        ("0" * 5000 + "5", 5),
        ("٣", 0),
    ],
)
def test_times_read_as_the_c_runtime_reads_them(text, number):
    assert build_time(text) == number


@given(st.integers(-(2**70), 2**70), st.sampled_from(["", " ", "x", ".5", "\0"]))
def test_times_keep_their_value_up_to_64_bits(number, tail):
    expected = sorted((-(2**63), number, 2**63 - 1))[1]
    assert build_time(f"{number}{tail}") == expected


@given(st.text(alphabet=" \t+-.0123456789ab", max_size=12))
def test_times_read_as_a_pattern_says(text):
    found = re.match(r"[ \t\n\v\f\r]*([+-]?[0-9]+)", text)
    assert build_time(text) == (int(found[1]) if found else 0)


# -- §2 the decision --------------------------------------------------------------------------------------------------


def test_install_carries_hash_time_and_version():
    result = evaluate(ABSENT, LOCAL, Module("f00d", "123", "0.8.1"), Machine())
    assert result == Evaluation(data="install-f00d-123-0.8.1", disables_rollback=True, reason="nothing is recorded")


def test_the_texts_go_into_the_data_as_they_are():
    assert evaluate(ABSENT, LOCAL, Module(None, " 007x", "0.8rc"), Machine()).data == "install-- 007x-0.8rc"


MODULES = {"newer": Module("new", "200", "0.8.1"), "same": OLD, "older": Module("new", "50", "0.7")}


@pytest.mark.parametrize("module", MODULES)
def test_the_decision_for_every_pair_of_states(module):
    # Reads like the page: which word, by the letter of the predicates' table above.
    words = {
        "newer": {"I": "install", "B": "install", "U": "uninstall", "-": ""},
        "same": {"I": "", "B": "install", "U": "uninstall", "-": ""},
        "older": {"I": "", "B": "", "U": "uninstall", "-": ""},
    }[module]
    order = (REMOVED, ABSENT, LOCAL, SOURCE, DEFAULT, UNKNOWN)
    for action, (place, installed) in product(PREDICATES, enumerate(order)):
        result = evaluate(installed, action, MODULES[module], recorded())
        assert result.data.split("-")[0] == words[PREDICATES[action][place]], (installed, action)
        assert (result.error, result.disables_rollback) == (0, True)


def test_reinstalling_is_told_to_the_comparison():
    assert evaluate(LOCAL, LOCAL, OLD, recorded()).data == "install-abc-100-0.8"
    assert evaluate(ABSENT, LOCAL, OLD, recorded()).data == ""
    assert evaluate(LOCAL, DEFAULT, OLD, recorded()).data == "install-abc-100-0.8"
    assert evaluate(ABSENT, DEFAULT, OLD, Machine()).data == ""


def test_reasons_of_decisions_without_a_comparison():
    assert evaluate(LOCAL, ABSENT, OLD, Machine()).reason == "the component goes"
    assert evaluate(LOCAL, UNKNOWN, OLD, Machine()).reason == "nothing is asked of the component"


@pytest.mark.parametrize(("installed", "action"), [(ABSENT, LOCAL), (LOCAL, ABSENT), (LOCAL, UNKNOWN)])
def test_an_error_leaves_rollback_and_data_alone(installed, action):
    missing = evaluate(installed, action, OLD, Machine(), is_component_there=False)
    assert missing == Evaluation(error=1607, reason="the anchor component is not in the package")
    unreadable = evaluate(installed, action, OLD, Machine(), is_state_readable=False)
    assert unreadable == Evaluation(error=1609, reason="the component's state is not readable")
    for result in (missing, unreadable):
        assert (result.disables_rollback, result.data) == (False, "")
