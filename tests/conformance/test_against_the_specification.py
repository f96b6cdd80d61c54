"""What the golden vectors expect, against the specification's tables, and against readers and writers of our own."""

import hashlib
import re
import struct

import pytest

from wintunsim.conformance import bytes_of, ring_memory

HEADER = 12
STOPPED = 0xFFFFFFFF

# spec driver §5: the statuses that reach the client, with their Win32 errors.
WIN32_ERRORS = {
    0xC0000510: 1247,
    0xC000000D: 87,
    0xC0000008: 6,
    0xC0000024: 6,
    0xC0000022: 5,
    0xC000009A: 1450,
    0xC00000E8: 1784,
    0xC0000001: 31,
    0xC0000010: 1,
    0xC00000BB: 50,
    0xC0010011: 17,
}
# spec driver §5: what each check answers. 5 and 11 have three statuses.
EVENT = {0xC0000008, 0xC0000024, 0xC0000022}
CHECKS = {
    **{check: {0xC0000510} for check in (1, 2)},
    **{check: {0xC000000D} for check in (3, 4, 9, 10)},
    **dict.fromkeys((5, 11), EVENT),
    **{check: {0xC000009A} for check in (6, 8, 12, 14)},
    **{check: {0xC00000E8} for check in (7, 13)},
    15: {0xC0000001},
}
PAUSED, DISCONNECTED, NOT_READY, OVERFLOW = 0xC023002A, 0xC023001F, 0xC0010011, 0x80000005
INVALID_LENGTH, FAILURE = 0xC0010014, 0xC0000001


def stored(size):
    return (size + 7) // 4 * 4


def word(memory, place):
    return struct.unpack_from("<I", memory, 4 * place)[0]


# -- §1 ---------------------------------------------------------------------------------------------------------------


def test_the_constants_are_the_published_ones(files):
    values = {vector.input["name"]: vector.expected["value"] for vector in files["abi"].of_kind("constant")}
    published = {
        "RING_HEADER_BYTES": 12,
        "TRAILING_BYTES": 0x10000,
        "MIN_RING_CAPACITY": 0x20000,
        "MAX_RING_CAPACITY": 0x4000000,
        "MAX_PACKET_BYTES": 0xFFFF,
        "TUN_IOCTL_REGISTER_RINGS": 0xCA6CE5C0,
        "TUN_IOCTL_FORCE_CLOSE_HANDLES": 0xCA6CE5C7,
        "REGISTER_RINGS_BYTES": 48,
        "REGISTER_RINGS_32_BYTES": 24,
        "STATUS_ALREADY_INITIALIZED": 0xC0000510,
        "STATUS_NOTHING_TO_TERMINATE": 0x122,
        "NDIS_STATUS_PAUSED": PAUSED,
        "NDIS_STATUS_MEDIA_DISCONNECTED": DISCONNECTED,
        "NDIS_STATUS_BUFFER_TOO_SHORT": 0xC0010016,
        "NDIS_STATUS_INVALID_OID": 0xC0010017,
    }
    assert {name: values[name] for name in published} == published


def test_the_errors_are_the_published_ones(files):
    told = {vector.input["status"]: vector.expected["win32_error"] for vector in files["abi"].of_kind("win32-error")}
    assert {status: told[status] for status in WIN32_ERRORS} == WIN32_ERRORS
    assert {told[status] for status in told if status >> 16 not in (0xC000, 0xC001)} == {317}
    assert told[0xC0010012] == 0x12


def test_ring_arithmetic_by_division(files):
    """Without bit operations: remainders and roundings."""
    limit = 1 << 32
    for vector in files["ring"].vectors:
        given, expected = vector.input, vector.expected
        match vector.kind:
            case "align":
                found = -(-given["size"] // 4) * 4 % limit
            case "wrap":
                found = given["offset"] % given["capacity"]
            case "stored":
                found = (given["size"] + 4 + 3) % limit // 4 * 4
            case "ring-size":
                found = 12 + given["capacity"] + 65536
            case "content":
                found = (given["tail"] - given["head"]) % given["capacity"]
            case "space":
                found = (given["head"] - given["tail"] - 4) % given["capacity"]
            case "capacity":
                capacity = (given["ring_bytes"] - 65548) % limit
                valid = any(capacity == 1 << power for power in range(17, 27))
                assert expected == {"capacity": capacity, "is_valid": valid}, vector.id
                continue
            case "placement":
                assert expected["is_inside_ring"] == (expected["end"] <= given["capacity"] + 65536), vector.id
                assert expected["next"] == (given["start"] + stored(given["size"])) % given["capacity"], vector.id
                continue
        assert expected == {"value": found}, vector.id


# -- §5 ---------------------------------------------------------------------------------------------------------------


def test_each_check_answers_its_status(files):
    seen = set()
    for vector in files["registration"].vectors:
        found = re.match(r"driver-5-(?:check|order)-(\d+)-", vector.id)
        if found is None:
            continue
        check, status = int(found[1]), vector.expected["status"]
        if status == 0:
            assert "order" not in vector.id
            continue
        assert status in CHECKS[check], vector.id
        seen.add((check, status))
        assert not vector.expected["is_owner"]
        assert vector.expected["is_disconnected"] == (vector.input["registered_by"] == "nobody")
        assert vector.expected["link"] == []
    assert {check for check, _ in seen} == set(CHECKS)
    assert {status for check, status in seen if check in (5, 11)} == EVENT
    assert sum("-order-" in vector.id for vector in files["registration"].vectors) == 15 * 14 // 2


def test_what_a_client_sees_of_a_status(files):
    for vector in files["registration"].vectors:
        status, error = vector.expected["status"], vector.expected["win32_error"]
        assert error == (WIN32_ERRORS[status] if status >> 31 else 0), vector.id


def test_a_failure_undoes_everything(files):
    for vector in files["registration"].vectors:
        if vector.expected["status"] >> 31:
            described = [vector.input["process"], vector.input["kernel"] or {"memory": []}]
            before = [block for space in described for block in space["memory"]]
            assert vector.expected["locked"] == [], vector.id
            for block, after in zip(before, vector.expected["words"], strict=True):
                assert (after["head"], after["tail"], after["alertable"]) == (block["head"], block["tail"], 0)


@pytest.mark.parametrize(
    ("revision", "admitted"),
    [("0.8.1", {"system"}), ("0.11", {"system"}), ("0.12", {"system", "administrator"})],
)
def test_who_is_let_in(files, revision, admitted):
    vectors = [
        vector
        for vector in files["registration"].of_kind("device-control", revision)
        if vector.id.startswith("driver-5-access-register")
    ]
    assert len(vectors) == 3 * 4
    for vector in vectors:
        process = vector.input["process"]
        is_high = process["integrity"] in ("high", "system") or revision < "0.12" or revision == "0.8.1"
        expected = 0 if process["account"] in admitted and is_high else 0xC0000022
        assert vector.expected["status"] == expected, vector.id


# -- §3 ---------------------------------------------------------------------------------------------------------------


def sent(given):
    """A send of our own: (statuses, whole memory, reserved tail), or a fault."""
    memory = ring_memory(given["ring"])
    capacity, head, tail = given["ring"]["capacity"], given["ring"]["head"], given["ring"]["tail"]
    sizes = [
        [
            each["unmappable_bytes"] if "unmappable_bytes" in each else len(bytes_of(each["data"]))
            for each in nbl["packets"]
        ]
        for nbl in given["chain"]
    ]
    required = sum(stored(size) for nbl in sizes for size in nbl if size <= 0xFFFF)
    refused = None
    if given["adapter"] == "paused":
        refused = PAUSED
    elif given["registration"] != "registered":
        refused = DISCONNECTED
    elif head >= capacity:
        refused = NOT_READY
    elif (head - tail - 4) % capacity < required:
        refused = OVERFLOW
    if refused is not None:
        return [refused] * len(sizes), None, None
    statuses, cursor = [], tail
    for nbl in given["chain"]:
        status = nbl["status"]
        for each in nbl["packets"]:
            data = bytes(each["unmappable_bytes"]) if "unmappable_bytes" in each else bytes_of(each["data"])
            if len(data) > 0xFFFF:
                status = INVALID_LENGTH
                continue
            if "unmappable_bytes" in each:
                status = FAILURE
            start = HEADER + cursor
            if start + 4 + len(data) > len(memory):
                return None, None, None
            memory[start : start + 4 + len(data)] = struct.pack("<I", len(data)) + data
            cursor = (cursor + stored(len(data))) % capacity
        statuses.append(status)
    struct.pack_into("<I", memory, 4, cursor // 4 * 4)
    return statuses, memory, cursor


def test_sends_against_a_writer_of_our_own(files):
    accepted = 0
    for vector in files["send"].of_kind("send"):
        statuses, memory, reserved = sent(vector.input)
        expected = vector.expected
        if statuses is None:
            assert expected == {"fault": "access outside the ring"}, vector.id
            continue
        assert expected["nbls"] == statuses, vector.id
        assert expected["is_fully_free"]
        if memory is None:
            assert (expected["changes"], expected["tail_moved_sets"]) == ([], 0), vector.id
            packets = sum(len(nbl["packets"]) for nbl in vector.input["chain"])
            assert expected["statistics"] == {"out_discards": packets}, vector.id
            continue
        accepted += 1
        assert expected["sha256"] == hashlib.sha256(memory).hexdigest(), vector.id
        assert (expected["words"]["tail"], expected["tail_moved_sets"]) == (word(memory, 1), 1), vector.id
        assert expected["reserved_tail"] == reserved, vector.id
    assert accepted > 50


# -- §4 ---------------------------------------------------------------------------------------------------------------


def received(given, *, skips):
    """A reader of our own: (packets as (offset, size, version), final Head, discards), or None for a fault."""
    memory = ring_memory(given["ring"])
    capacity, head, tail = (given["ring"][name] for name in ("capacity", "head", "tail"))
    packets, discards, published = [], 0, head
    if head >= capacity:
        return [], STOPPED, 0
    while tail != head:
        content = (tail - head) % capacity
        if tail >= capacity or content < 4:
            return packets, STOPPED, discards
        (size,) = struct.unpack_from("<I", memory, HEADER + head)
        if size > 0xFFFF or stored(size) > content:
            return packets, STOPPED, discards
        first = memory[HEADER + head + 4] >> 4
        version = 4 if size >= 20 and first == 4 else 6 if size >= 40 and first == 6 else 0
        if not version and not skips:
            return packets, STOPPED, discards
        start, head = head, (head + stored(size)) % capacity
        if version and HEADER + start + 4 + size > len(memory):
            return None
        if given["adapter"] == "paused" or not version:
            discards += 1
            published = head
        else:
            packets.append((start + 4, size, version))
            published = head // 4 * 4
    return packets, published, discards


@pytest.mark.parametrize("revision", ["0.8.1", "0.13", "0.14", "2026-02"])
def test_receives_against_a_reader_of_our_own(files, revision):
    checked = 0
    for vector in files["receive"].of_kind("receive", revision):
        if vector.input["faults"]:
            continue
        checked += 1
        found = received(vector.input, skips=revision in ("0.14", "2026-02"))
        expected = vector.expected
        if found is None:
            assert expected == {"fault": "access outside the ring"}, vector.id
            continue
        packets, head, discards = found
        assert [(each["offset"], each["size"], each["ip_version"]) for each in expected["packets"]] == packets, (
            vector.id
        )
        assert expected["words"]["head"] == head, vector.id
        assert expected["statistics"].get("in_discards", 0) == discards, vector.id
        assert (expected["reader"] == "ended") == (head == STOPPED) == (expected["cause"] is not None), vector.id
        assert expected["words"]["alertable"] == (0 if head == STOPPED else 1), vector.id
        memory = ring_memory(vector.input["ring"])
        for each in expected["packets"]:
            data = bytes(memory[HEADER + each["offset"] :][: each["size"]])
            assert each.get("hex", data.hex()) == data.hex()
            assert each.get("sha256", hashlib.sha256(data).hexdigest()) == hashlib.sha256(data).hexdigest()
    assert checked > 80


def test_head_never_passes_a_packet_that_is_out(files):
    for vector in files["receive"].of_kind("returns"):
        if "unaligned" in vector.flags or "fault" in vector.expected:
            continue
        ends = []
        for each in vector.input["ring"]["writes"]:
            ends.append(each["offset"] + stored(each["size"]))
        back = set()
        for call, outcome in zip(vector.input["calls"], vector.expected["calls"], strict=True):
            back |= {each["nbl"] for each in call}
            oldest = next((number for number in range(vector.expected["indicated"]) if number not in back), None)
            head = outcome["words"]["head"]
            assert oldest is None or head == (ends[oldest - 1] if oldest else 0), vector.id


# -- §6, §7 -----------------------------------------------------------------------------------------------------------


def test_the_end_of_a_registration_is_told_in_both_rings(files):
    ended = 0
    for vector in files["lifecycle"].of_kind("steps"):
        for outcome in vector.expected["steps"]:
            for name, state in outcome["adapters"].items():
                if state["owner"] is None and not state["is_locked"] and state["send"]:
                    ended += 1
                    assert state["send"]["tail"] == state["receive"]["head"] == STOPPED, (vector.id, name)
                    assert state["send_moved"]
                    assert name not in outcome["devices"]
                assert state["is_disconnected"] == (state["owner"] is None)
    assert ended > 20


def test_oids_of_fixed_answers(files):
    answers = {
        0x00010111: (0xFFFF).to_bytes(4, "little"),
        0x0001010A: (0xFFFF).to_bytes(4, "little"),
        0x0001010B: (0xFFFF).to_bytes(4, "little"),
        0x00010108: (0x4000000).to_bytes(4, "little"),
        0x00010109: (0x4000000).to_bytes(4, "little"),
        0x0001010C: b"\xff\xff\xff\x00",
        0x0001010D: b"Wintun Tunnel\0",
        0x00010116: b"\x08\x00\x00\x00",
    }
    checked = 0
    for vector in files["oids"].of_kind("oid", "0.8.1"):
        data = answers.get(vector.input["oid"])
        if data is None or vector.input["type"] != 0 or vector.input["path"] != "request":
            continue
        checked += 1
        fits = vector.input["length"] >= len(data)
        expected = (0, data.hex(), len(data)) if fits else (0xC0010016, "", len(data))
        assert tuple(vector.expected[name] for name in ("status", "written", "needed")) == expected, vector.id
    assert checked > 50


def test_counters_in_short_buffers(files):
    for vector in files["oids"].of_kind("oid"):
        if vector.input["oid"] in (0x00020101, 0x00020102) and vector.input["type"] == 0:
            length, written = vector.input["length"], len(vector.expected["written"]) // 2
            assert vector.input["path"] == "direct" or written == (0 if length < 4 else 4 if length < 8 else 8)
            assert vector.input["path"] == "direct" or vector.expected["needed"] == 8


# -- win32 §6, installer ----------------------------------------------------------------------------------------------


def test_errors_of_the_session_layer(files):
    errors = {step["name"]: step["error"] for vector in files["session"].vectors for step in vector.expected["steps"]}
    assert errors == {
        "": None,
        "ERROR_SUCCESS": 0,
        "ERROR_INVALID_DATA": 13,
        "ERROR_HANDLE_EOF": 38,
        "ERROR_BUFFER_OVERFLOW": 111,
        "ERROR_NO_MORE_ITEMS": 259,
    }


def test_newer_by_a_truth_table(files):
    pattern = r"installer-2-evaluate-(reinstall|install)-version-(\w+)-time-(\w+)-hash-(\w+)"
    rows = [(re.fullmatch(pattern, vector.id), vector) for vector in files["installer"].of_kind("evaluate")]
    rows = [(found.groups(), vector) for found, vector in rows if found]
    assert len(rows) == 2 * 3 * 3 * 3
    for (mode, version, time, digest), vector in rows:
        newer = "older" not in (version, time) and (mode == "reinstall" or digest != "same")
        assert bool(vector.expected["data"]) == newer, vector.id
        assert vector.expected["disables_rollback"]


def test_the_published_case_of_the_installer(files):
    outcome = {
        revision: {
            vector.id.removesuffix(f"-{revision}"): vector.expected["is_wintun_installed"]
            for vector in files["installer"].of_kind("scenario", revision)
        }
        for revision in ("0.8", "0.8.1")
    }
    major = "installer-3-scenario-major-installvalidate-old-others-0"
    assert (outcome["0.8"][major], outcome["0.8.1"][major]) == (False, True)
    minor = [name for name in outcome["0.8"] if "-minor-" in name]
    assert len(minor) == 6
    assert all(outcome["0.8"][name] and outcome["0.8.1"][name] for name in minor)
