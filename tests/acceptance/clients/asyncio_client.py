"""An asyncio client: reads in a thread of asyncio's, answers in tasks, shuts down when it has seen COUNT packets."""

import asyncio
import sys

from tunring import Session


class Tunnel:
    def __init__(self, capacity):
        self.session = Session(capacity)
        self.outgoing = asyncio.Queue(maxsize=16)
        self.read = self.written = 0

    async def __aenter__(self):
        self.writer = asyncio.create_task(self.write(), name="writer")
        return self

    async def __aexit__(self, *_):
        await self.outgoing.join()
        self.writer.cancel()
        await asyncio.gather(self.writer, return_exceptions=True)
        await asyncio.to_thread(self.session.receive.flush)
        self.session.close()

    async def packets(self, count, timeout):
        loop = asyncio.get_running_loop()
        while self.read < count:
            async with asyncio.timeout(timeout):
                packet = await loop.run_in_executor(None, self.session.send.read, 100)
            if packet is not None:
                self.read += 1
                yield packet

    async def write(self):
        while True:
            packet = await self.outgoing.get()
            while not self.session.receive.put(packet):
                await asyncio.sleep(0.001)
            self.written += 1
            self.outgoing.task_done()


async def main(count, timeout=5):
    ticks = 0

    async def tick():
        nonlocal ticks
        while True:
            await asyncio.sleep(0.1)
            ticks += 1

    async with Tunnel(1 << 17) as tunnel, asyncio.TaskGroup() as group:
        ticker = group.create_task(tick())
        async for packet in tunnel.packets(count, timeout):
            await tunnel.outgoing.put(packet)
        ticker.cancel()
    print(f"read {tunnel.read}, wrote {tunnel.written}, ticks {ticks}")


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), *map(float, sys.argv[2:])))
