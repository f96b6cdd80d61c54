"""Answer pings over IPv6 with pytun-pmd3, the TUN library of pymobiledevice3, as it comes from PyPI.

    pip install pytun-pmd3
    python pytun_echo.py [COUNT]

Runs on Windows as it is. (IPv4 would do for packets too, but the library's `addr` setter knows only IPv6 there.)
"""

import asyncio
import sys

from pytun_pmd3 import TunTapDevice

ADDRESS = "fd06:7::8"
ICMPV6, ECHO_REQUEST, ECHO_REPLY = 58, 128, 129


def echo_reply(packet):
    """The reply to an ICMPv6 echo request; None for every other packet."""
    if packet[0] >> 4 != 6 or packet[6] != ICMPV6 or packet[40] != ECHO_REQUEST:
        return None
    checksum = (int.from_bytes(packet[42:44], "big") - (ECHO_REPLY - ECHO_REQUEST << 8)) % 0xFFFF
    return (
        packet[:8] + packet[24:40] + packet[8:24]
        + bytes((ECHO_REPLY, packet[41])) + checksum.to_bytes(2, "big") + packet[44:]
    )  # fmt: skip


async def main(count):
    device = TunTapDevice("echo")
    device.addr = ADDRESS
    device.mtu = 1420
    device.up()
    print(f"{device.name}: {device.addr}, MTU {device.mtu}")
    answered = 0
    try:
        while answered < count:
            packet = await asyncio.wait_for(device.async_read(), timeout=5)
            reply = echo_reply(packet)
            if reply is not None:
                device.write(reply)
                answered += 1
                print(f"answered echo request {int.from_bytes(packet[46:48], 'big')}, {len(packet)} bytes")
        await asyncio.sleep(0.1)  # closing at once could overtake the last reply
    except TimeoutError:
        print("no more packets")
    finally:
        device.close()
    print(f"answered {answered}")


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 5))
