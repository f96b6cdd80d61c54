"""Clients that create, enumerate, disable, enable and remove adapters the typical way (spec win32 §4, §6)."""

import io

import pytest

from wintunsim import Simulation


def run(client, script, *arguments, driver="0.8.1", account="system", traffic="ping:count=3", also=(), engine="direct"):
    """Run a client: its lines, and the report."""
    simulation = Simulation(driver=driver, engine=engine)
    simulation.network(*([traffic] if traffic else []), answer=False)
    output, errors = io.StringIO(), io.StringIO()
    simulation.spawn(client.script(script), *arguments, account=account, stdout=output, stderr=errors)
    for other in also:
        simulation.spawn(client.script(other), stdout=io.StringIO(), stderr=errors)
    report = simulation.run("60s")
    assert report.exit_code == 0, errors.getvalue()
    return output.getvalue().splitlines(), report


@pytest.mark.parametrize("driver", ["0.8.1", "0.12", "0.14", "2026-02"])
def test_the_class_installer_client(client, driver):
    lines, _ = run(client, "device_client.py", driver=driver)
    closes_first = driver in ("0.14", "2026-02")
    version = {"0.8.1": 8, "0.12": 12}.get(driver, 14)
    assert lines == [
        f"created: ROOT\\NET\\0000 Wintun Userspace Tunnel {version}",
        "type 53 LUID index 1",
        # From 0.14 on the driver lets its owner's handle be closed; before, an open handle refuses.
        "disable while in use: problem 22" if closes_first else "disable while in use: reboot problem 0",
        f"words: {closes_first} {closes_first}",
        f"register on the old handle: {6 if closes_first else 1247}",
        "disable: problem 22",
        "interfaces: 0 devices: 1",
        "open: 2",
        "enable: problem 0",
        "packet of 84 bytes",
        "devices: 0 interfaces: 0",
    ]


@pytest.mark.parametrize("driver", ["0.8.1", "0.14"])
def test_the_class_installer_client_runs_the_same_each_time_and_with_both_engines(client, driver):
    runs = [run(client, "device_client.py", driver=driver, engine=engine) for engine in ("direct", "direct", "step")]
    assert len({report.digest for _, report in runs}) == 1


def test_the_class_installer_wants_an_administrator(client):
    simulation = Simulation()
    errors = io.StringIO()
    simulation.spawn(client.script("device_client.py"), account="user", stdout=io.StringIO(), stderr=errors)
    assert simulation.run("60s").exit_code == 1
    assert "[WinError 5] Access is denied" in errors.getvalue()


@pytest.mark.parametrize("driver", ["0.9", "0.13"])
def test_the_pool_client(client, driver):
    lines, report = run(client, "pool_client.py", driver=driver)
    version = int(driver.split(".")[1])
    first, second = ("First", 7), ("Second", 7)
    assert [line for line in lines if not line.startswith(("info", "warning"))] == [
        f"reboot 0 driver {version}",
        f"{[first, second]} {[first]} {[('Third', 7)]} []",
        "error Adapter Third is not a member of pool Pool: "
        "Cannot create a file when that file already exists. (Code 0x000000B7)",
        "open: 2 183",
        "error Failed to create adapter: The file name is too long. (Code 0x0000006F)",
        "long: 111 111",
        "renamed: Renamed",
        "taken: First 1",
        "packet of 84",
        "delete in use: 1 2",
        f"delete: 0 {[('First 1', 7)]} 2",
        f"pool: [] {[('Third', 7)]} {version}",
    ]
    # It belongs to no process.
    assert [adapter["name"] for adapter in report.adapters] == ["First", "First 1", "Third"]


@pytest.mark.parametrize("driver", ["0.8", "0.8.1", "0.14", "2026-02"])
def test_other_drivers_come_with_the_form_of_014(client, driver):
    source = """
        import ctypes
        wintun = ctypes.WinDLL("wintun")
        print(hasattr(wintun, "WintunCloseAdapter"), hasattr(wintun, "WintunFreeAdapter"))
    """
    assert run(client, source, driver=driver, traffic=None)[0] == ["True False"]


def test_an_interface_list_that_grows_between_two_calls(client):
    creating = """
        import ctypes
        wintun = ctypes.WinDLL("wintun")
        wintun.WintunCreateAdapter.restype = ctypes.c_void_p
        for number in range(20):
            assert wintun.WintunCreateAdapter(f"Adapter {number}", "Test", None)
        ctypes.windll.kernel32.Sleep(1000)
    """
    lines, _ = run(client, "interface_client.py", "20", traffic=None, also=[creating])
    assert lines == ["20 interfaces; asked again: True"]


def test_winreg_sees_the_same_adapters(client):
    source = r"""
        import ctypes, winreg
        wintun = ctypes.WinDLL("wintun")
        wintun.WintunCreateAdapter.restype = ctypes.c_void_p
        assert wintun.WintunCreateAdapter("Office", "Test", None)
        control = "SYSTEM\\CurrentControlSet\\Control\\{}\\{{4D36E972-E325-11CE-BFC1-08002BE10318}}"
        with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, control.format("Class")) as key:
            names = [winreg.EnumKey(key, index) for index in range(winreg.QueryInfoKey(key)[0])]
            print(names)
            with winreg.OpenKey(key, names[0]) as driver:
                guid, kind = winreg.QueryValueEx(driver, "NetCfgInstanceId")
                print(kind, len(guid), winreg.QueryValueEx(driver, "*IfType"))
                values = [winreg.EnumValue(driver, index) for index in range(winreg.QueryInfoKey(driver)[1])]
                assert ("ComponentId", "wintun", winreg.REG_SZ) in values
                try:
                    winreg.SetValueEx(driver, "x", 0, winreg.REG_SZ, "y")
                except PermissionError as error:
                    print(error.winerror)
        connection = control.format("Network") + "\\" + guid + "\\Connection"
        with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, connection, 0, winreg.KEY_ALL_ACCESS) as key:
            print(winreg.QueryValueEx(key, "Name"))
            winreg.SetValueEx(key, "Name", 0, winreg.REG_SZ, "Renamed")
        wintun.WintunOpenAdapter.restype = ctypes.c_void_p
        print(bool(wintun.WintunOpenAdapter("Renamed")), bool(wintun.WintunOpenAdapter("Office")))
        with winreg.CreateKey(winreg.HKEY_CURRENT_USER, "Software\\Mine") as key:
            for kind, value in ((7, ["a", "b"]), (11, 1 << 40), (3, b"12"), (1, "text")):
                winreg.SetValueEx(key, "v", 0, kind, value)
                with winreg.OpenKey(winreg.HKEY_CURRENT_USER, "software\\mine") as again:
                    assert winreg.QueryValueEx(again, "V") == (value, kind)
        winreg.DeleteKey(winreg.HKEY_CURRENT_USER, "Software\\Mine")
    """
    lines, _ = run(client, source, traffic=None)
    assert lines == ["['0000', 'Properties']", "1 38 (53, 4)", "5", "('Office', 1)", "True False"]
