"""A client of queue.Queue, concurrent.futures and logging: one reader, a pool that works, one writer in ring order."""

import logging
import queue
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor, as_completed

from tunring import MIB, Session

logging.basicConfig(stream=sys.stdout, format="%(threadName)s %(levelname)s %(message)s", level=logging.INFO)
log = logging.getLogger("client")


def work(number, packet):
    time.sleep(0.003 * (3 - number % 3))
    return number, packet[:12] + packet[16:20] + packet[12:16] + packet[20:]


def main(count):
    futures, done = queue.Queue(), threading.Event()
    order, total = [], 0
    with Session(MIB) as session, ThreadPoolExecutor(3, thread_name_prefix="worker") as pool:

        def read():
            for number in range(count):
                futures.put(pool.submit(work, number, session.send.read()))
            futures.put(None)

        def write():
            nonlocal total
            for future in iter(futures.get, None):
                _, packet = future.result(timeout=1)
                session.receive.write(packet)
                total += len(packet)
            done.set()

        with ThreadPoolExecutor(2, thread_name_prefix="ring") as rings:
            for future in as_completed([rings.submit(read), rings.submit(write)]):
                future.result()
        assert done.wait(1)
        session.receive.flush()
        order = list(pool.map(lambda n: work(n, b"x" * 20)[0], range(6)))
    log.info("wrote %d bytes, order %s", total, order)


if __name__ == "__main__":
    main(int(sys.argv[1]))
