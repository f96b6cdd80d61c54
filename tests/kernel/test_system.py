"""The computer: adapters and their names, opening, removing, force close (spec win32 §4, driver §6)."""

import uuid

import pytest

from wintun_model.abi import TUN_IOCTL_FORCE_CLOSE_HANDLES
from wintun_model.miniport import driver_version
from wintun_model.status import NdisStatus, NtStatus, win32_error
from wintunsim.errors import UsageError
from wintunsim.kernel.system import GENERIC_ALL, GENERIC_READ, GENERIC_WRITE, System, specific_access

STOPPED = 0xFFFFFFFF


def test_the_name_of_an_interface_is_made_as_windows_makes_it():
    device = System().create_adapter("wt", uuid.UUID("0123abcd-0000-4000-8000-00000000beef"))
    assert device.interface_path == (
        r"\\?\ROOT#NET#0000#{cac88484-7515-4c03-82e6-71a87abac361}\{0123ABCD-0000-4000-8000-00000000BEEF}"
    )
    assert device.instance_id == r"ROOT\NET\0000"


def test_names_and_numbers_of_adapters_depend_on_their_order_and_the_seed():
    def numbers(seed):
        system = System(seed=seed)
        devices = [system.create_adapter(name) for name in "ab"]
        return [(device.instance_id, device.guid, device.luid, device.interface_index) for device in devices]

    first, second = numbers(1)
    assert numbers(1) == [first, second]
    assert first[0] != second[0]
    assert len({first[1], second[1], numbers(2)[0][1]}) == 3
    assert (first[1].version, first[1].variant) == (4, uuid.RFC_4122)
    assert [luid >> 48 for _, _, luid, _ in (first, second)] == [53, 53]
    assert first[2] != second[2]
    assert first[3] != second[3]


def test_an_adapter_runs_and_its_link_is_down_from_the_start(bench):
    assert bench.adapter.running.value
    assert bench.adapter.disconnected.signalled
    assert not bench.port.connected
    assert driver_version(bench.adapter) == 8


def test_paths_are_compared_without_case_and_several_may_open(bench):
    path = bench.device.interface_path
    for text in (path, path.upper(), path.lower()):
        status, file = bench.system.open_path(text, bench.process, GENERIC_READ, 0)
        assert status == 0
        assert file.device is bench.device
    assert len(bench.device.files) == 3


@pytest.mark.parametrize("change", [lambda path: path[:-1], lambda path: path + "\\", lambda path: path[4:]])
def test_other_paths_are_not_there(bench, change):
    path = change(bench.device.interface_path)
    answer = bench.system.open_path(path, bench.process, GENERIC_READ, 0)
    assert answer == (NtStatus.STATUS_OBJECT_NAME_NOT_FOUND, None)


@pytest.mark.parametrize(
    ("access", "granted"),
    [
        (GENERIC_READ, 0x00120089),
        (GENERIC_WRITE, 0x00120116),
        (GENERIC_READ | GENERIC_WRITE, 0x0012019F),
        (GENERIC_ALL, 0x001F01FF),
        (0x0003, 0x0003),
        (0, 0),
    ],
)
def test_generic_rights_become_specific_ones(access, granted):
    assert specific_access(access) == granted


def test_an_unknown_revision_is_the_users_mistake():
    with pytest.raises(UsageError, match=r"driver revision '9\.9' is not known: choose one of 0\.8\.1"):
        System(revision="9.9")


# -- removal ------------------------------------------------------------------------------------------------------


def test_removing_an_adapter_ends_its_registration_and_answers_later_requests(bench):
    def client():
        bench.register()
        file = bench.file
        bench.system.remove_adapter(bench.device)
        assert (bench.send.tail, bench.receive.head) == (STOPPED, STOPPED)
        assert (bench.port.send_monitor, bench.port.receive_monitor) == (None, None)
        assert bench.control(file=file) == NdisStatus.NDIS_STATUS_ADAPTER_NOT_READY
        # For the handle that is left, closing does no harm; a second removal neither.
        assert bench.process.handles.close(bench.file_handle)
        bench.system.remove_adapter(bench.device)

    bench.run(client)
    assert win32_error(NdisStatus.NDIS_STATUS_ADAPTER_NOT_READY) == 17
    assert bench.system.devices == []
    assert bench.system.all_devices == [bench.device]
    status, _ = bench.system.open_path(bench.device.interface_path, bench.process, 0, 0)
    assert status == NtStatus.STATUS_OBJECT_NAME_NOT_FOUND
    assert bench.adapter.owner.value is None


def test_an_adapter_can_be_added_while_the_machine_runs(bench):
    added = []
    bench.system.device_added = added.append

    def client():
        bench.register()
        second = bench.system.create_adapter("second")
        assert bench.system.open_path(second.interface_path, bench.process, 0, 0)[0] == 0
        bench.step()

    bench.run(client)
    assert [device.name for device in added] == ["second"]


# -- force close --------------------------------------------------------------------------------------------------


def test_force_close_takes_the_handles_of_others_and_is_done_when_it_returns(bench):
    other = bench.system.create_process("other")
    handles = {}

    def victim():
        bench.register()
        handles["registered"] = bench.file_handle
        _, idle = bench.system.open_path(bench.device.interface_path, bench.process, 0, 0)
        handles["idle"] = bench.process.handles.insert(idle, 0)
        bench.machine.wait((bench.send.event,))
        handles["woken"] = bench.send.tail

    def closer():
        bench.until(lambda: "idle" in handles)
        file = bench.open(process=other)
        own = bench.file_handle
        assert bench.control(b"", code=TUN_IOCTL_FORCE_CLOSE_HANDLES, process=other, file=file) == 0
        assert bench.adapter.owner.value is None
        assert other.handles.get(own) is not None
        assert [bench.process.handles.get(handles[name]) for name in ("registered", "idle")] == [None, None]
        assert bench.device.files == [file]

    bench.start(victim)
    bench.start(closer, process=other)
    bench.run()
    assert handles["woken"] == STOPPED


def test_force_close_leaves_other_adapters_alone(bench):
    second = bench.system.create_adapter("second")
    other = bench.system.create_process("other")

    def client():
        _, file = bench.system.open_path(second.interface_path, other, 0, 0)
        handle = other.handles.insert(file, 0)
        assert bench.control(b"", code=TUN_IOCTL_FORCE_CLOSE_HANDLES) == 0
        assert other.handles.get(handle) is not None

    bench.run(client)


def test_registered_memory_is_known_as_such(bench):
    address, size = bench.send.address, bench.send.size

    def client():
        assert not bench.system.is_registered_memory(address, 1)
        bench.register()
        assert bench.system.is_registered_memory(address, size)
        assert bench.system.is_registered_memory(address + size - 4, 4)
        assert not bench.system.is_registered_memory(address, size + 1)
        assert not bench.system.is_registered_memory(address - 1, 1)
        bench.close()
        assert not bench.system.is_registered_memory(address, 1)

    bench.run(client)
