"""Read COUNT packets into a file, each with its length in front, and write those that are IP packets back.

    python mirror.py COUNT FILE [CAPACITY [START]]

START is where both rings begin, so that the first packets cross the wrap.
"""

import pathlib
import queue
import struct
import sys
import threading

from tunring import KIB, RINGS, Receiver, Sender, kernel32, must, open_device, register


def is_ip(packet):
    return (len(packet) >= 20 and packet[0] >> 4 == 4) or (len(packet) >= 40 and packet[0] >> 4 == 6)


def main(count, path, capacity=128 * KIB, start=0):
    device = open_device()
    send, receive = Sender(capacity), Receiver(capacity)
    send.head = send.tail = receive.head = receive.tail = start
    error = register(device, RINGS(send.record(), receive.record()))
    assert not error, error
    packets = queue.Queue()

    def write():
        for packet in iter(packets.get, None):
            assert receive.write(packet)

    writer = threading.Thread(target=write)
    writer.start()
    with pathlib.Path(path).open("wb") as file:
        for _ in range(count):
            packet = send.read()
            assert packet is not None
            file.write(struct.pack("<I", len(packet)) + packet)
            if is_ip(packet):
                packets.put(packet)
    packets.put(None)
    writer.join()
    receive.flush()
    assert receive.head == receive.tail
    must(kernel32.CloseHandle(device))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], *map(int, sys.argv[3:]))
