"""`pytun_pmd3` as it comes from PyPI: reading with cancellation, addresses, what it cannot do on Windows either."""

import pytest

PING6 = "ping:count={},interval=300ms,from=fd06:7::7,to=fd06:7::8"


def test_a_read_that_times_out_and_reading_again(client):
    """`cancel_read` sets a manual-reset event that the library never resets: an idle read then gives None at once."""
    outcome = client.good(
        """
        import asyncio, time
        from pytun_pmd3 import TunTapDevice

        async def main():
            device = TunTapDevice("pmd")
            device.addr = "fd06:7::8"
            device.mtu = 1280
            device.up()
            seen = []
            try:
                while len(seen) < 3:
                    try:
                        packet = await asyncio.wait_for(device.async_read(), timeout=0.1)
                        if packet is None:
                            await asyncio.sleep(0.05)
                            continue
                        seen.append(packet[:1].hex())
                    except asyncio.TimeoutError:
                        seen.append("timeout")
                task = asyncio.create_task(device.async_read())
                await asyncio.sleep(1)
                device.cancel_read()
                print(seen, await asyncio.wait_for(task, 1), device.mtu)
            finally:
                device.close()

        asyncio.run(main())
        """,
        adapter=None,
        traffic=PING6.format(2),
    )
    assert outcome.lines == ["['60', 'timeout', '60'] None 1280"]


def test_a_cancelled_task(client):
    outcome = client.good(
        """
        import asyncio
        from pytun_pmd3 import TunTapDevice

        async def main():
            device = TunTapDevice()
            device.up()
            task = asyncio.create_task(device.async_read())
            await asyncio.sleep(0.2)
            task.cancel()
            try:
                await task
            except asyncio.CancelledError:
                print("cancelled")
            device.down()
            device.up()
            print(len(await device.async_read()))
            device.close()

        asyncio.run(main())
        """,
        adapter=None,
        # The first packet is taken by the first read: the second session gets the next one.
        traffic=PING6.format(4).replace("300ms", "1s"),
    )
    assert outcome.lines[-1].isdigit()


def test_reads_and_writes_of_threads(client):
    outcome = client.good(
        """
        import threading
        from pytun_pmd3 import TunTapDevice
        device = TunTapDevice("pmd")
        device.up(0x20000)
        got = []
        def read():
            while (packet := device.read()) is not None:
                got.append(packet)
        thread = threading.Thread(target=read)
        thread.start()
        for size in (20, 1420, 9000, 65535):
            device.write(bytes([0x45]) + bytes(size - 1))
        device.write(b"\\x00\\x00\\x86\\xdd" + b"\\x60" + bytes(39))
        threading.Event().wait(2)
        device.cancel_read()
        thread.join()
        try:
            device.read(timeout=10)
        except TimeoutError:
            print("timeout")
        print(len(got), device.read())
        device.close()
        """,
        adapter=None,
        traffic=PING6.format(5),
    )
    assert outcome.lines[-1] == "5 None"
    adapter = outcome.report.adapters[0]
    assert adapter["in_unicast_packets"] == 5
    assert adapter["in_octets"] == 20 + 1420 + 9000 + 65535 + 40


def test_the_ipv4_address_fails_as_on_windows(client):
    outcome = client(
        """
        from pytun_pmd3 import TunTapDevice
        TunTapDevice().addr = "10.6.7.8"
        """,
        adapter=None,
    )
    assert outcome.report.exit_code == 1
    assert "AttributeError: 'SOCKADDR_IN' object has no attribute 'sin6_addr'" in outcome.errors.splitlines()[-1]


def test_two_devices_of_one_process(client):
    outcome = client.good(
        """
        from pytun_pmd3 import TunTapDevice
        devices = [TunTapDevice(f"pmd{n}") for n in range(2)]
        for n, device in enumerate(devices):
            device.addr = f"fd06:{n}::1/64"
            device.up()
        print([device.name for device in devices], devices[0].luid != devices[1].luid)
        print(devices[0].interface_index != devices[1].interface_index)
        for device in devices:
            device.write(bytes([0x60]) + bytes(39))
        import time
        time.sleep(0.01)
        for device in devices:
            device.close()
        """,
        adapter=None,
    )
    assert outcome.lines == ["['pmd0', 'pmd1'] True", "True"]
    assert [adapter["in_unicast_packets"] for adapter in outcome.report.adapters] == [1, 1]


@pytest.mark.parametrize("account", ["administrator", "user"])
def test_an_account_that_may_not(client, account):
    outcome = client(
        """
        from pytun_pmd3 import TunTapDevice
        device = TunTapDevice()
        device.up()
        """,
        adapter=None,
        account=account,
    )
    assert outcome.report.exit_code == 1
    assert "Access is denied" in outcome.errors
