"""Threads, locks, clocks and event loops in virtual time."""

import pytest


def test_sleeps_of_threads_overlap_in_virtual_time(computer):
    lines = computer.output(
        """
        import threading, time
        def work(name):
            for _ in range(2):
                time.sleep(0.1)
            done.append(name)
        done = []
        threads = [threading.Thread(target=work, args=(name,), name=name) for name in "ab"]
        started = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        print(done, round(time.monotonic() - started, 2), threading.active_count(), threading.current_thread().name)
        """
    )
    assert lines == ["['a', 'b'] 0.2 1 MainThread"]


def test_locks_exclude_and_time_out(computer):
    lines = computer.output(
        """
        import threading, time
        lock = threading.Lock()
        inside = 0
        def work():
            global inside
            for _ in range(5):
                with lock:
                    assert inside == 0
                    inside += 1
                    time.sleep(0.001)
                    inside -= 1
        threads = [threading.Thread(target=work) for _ in range(3)]
        [t.start() for t in threads]; [t.join() for t in threads]
        lock.acquire()
        before = time.monotonic()
        print(lock.acquire(timeout=0.05), 0.05 <= time.monotonic() - before <= 0.05 + 0.016, lock.acquire(False))
        lock.release()
        try:
            lock.release()
        except RuntimeError as error:
            print(error)
        r = threading.RLock()
        with r:
            with r:
                print("twice")
        for arguments in [(False, 1), (True, -2), (True, 1e10)]:
            try:
                lock.acquire(*arguments)
            except (ValueError, OverflowError) as error:
                print(error)
        """
    )
    assert lines == [
        "False True False",
        "release unlocked lock",
        "twice",
        "can't specify a timeout for a non-blocking call",
        "timeout value must be a non-negative number",
        "timeout value is too large",
    ]


def test_conditions_queues_barriers_and_thread_locals(computer):
    lines = computer.output(
        """
        import queue, threading, time
        q = queue.Queue(maxsize=2)
        local = threading.local()
        local.name = "main"
        def produce():
            local.name = "producer"
            for i in range(5):
                q.put(i)
            q.put(None)
        thread = threading.Thread(target=produce)
        thread.start()
        print(list(iter(q.get, None)), local.name)
        simple = queue.SimpleQueue()
        threading.Timer(0.5, simple.put, ["late"]).start()
        try:
            simple.get(timeout=0.1)
        except queue.Empty:
            print("empty")
        print(simple.get(), round(time.monotonic(), 1))
        barrier = threading.Barrier(3)
        results = []
        def meet():
            results.append(barrier.wait())
        others = [threading.Thread(target=meet) for _ in range(2)]
        [t.start() for t in others]
        meet()
        [t.join() for t in others]
        print(sorted(results))
        class Mine(threading.local):
            def __init__(self, value):
                self.value = value
        mine = Mine(3)
        mine.value = 4
        seen = []
        t = threading.Thread(target=lambda: seen.append(mine.value)); t.start(); t.join()
        print(seen, mine.value)
        """
    )
    assert lines == ["[0, 1, 2, 3, 4] main", "empty", "late 0.5", "[0, 1, 2]", "[3] 4"]


def test_the_process_waits_for_threads_but_not_for_daemons(computer):
    client = computer.run(
        """
        import atexit, threading, time
        def work(seconds, text):
            time.sleep(seconds)
            print(text)
        threading.Thread(target=work, args=(1, "thread")).start()
        threading.Thread(target=work, args=(9, "daemon"), daemon=True).start()
        atexit.register(print, "atexit")
        print("main")
        """
    )
    assert client.stdout.getvalue().splitlines() == ["main", "thread", "atexit"]
    assert client.exit_code == 0
    assert not computer.machine.threads


def test_an_exception_in_a_thread_is_reported_and_the_rest_goes_on(computer):
    client = computer.run(
        """
        import threading
        def work():
            raise ValueError("bad")
        t = threading.Thread(target=work, name="worker")
        t.start(); t.join()
        print("on")
        """
    )
    assert client.exit_code == 0
    assert client.stdout.getvalue() == "on\n"
    error = client.stderr.getvalue()
    assert error.startswith("Exception in thread worker:\nTraceback (most recent call last):\n")
    assert error.endswith("ValueError: bad\n")
    assert "wintunsim" not in error


def test_executors(computer):
    assert computer.output(
        """
        import time
        from concurrent.futures import ThreadPoolExecutor, as_completed
        def work(n):
            time.sleep(n / 10)
            return n
        with ThreadPoolExecutor(3) as executor:
            print([future.result() for future in as_completed([executor.submit(work, n) for n in (3, 1, 2)])])
            print(list(executor.map(work, [1, 2])))
        """
    ) == ["[1, 2, 3]", "[1, 2]"]


def test_clocks_agree_and_start_where_documented(computer):
    lines = computer.output(
        """
        import datetime, time
        time.sleep(1.5)
        print(round(time.perf_counter(), 4), round(time.time() - 1704067200, 4), time.strftime("%Y-%m-%d %H:%M:%S %Z"))
        print(time.monotonic_ns() % 100, time.get_clock_info("monotonic").implementation, time.tzname, time.timezone)
        print(datetime.datetime.now().replace(microsecond=0), datetime.datetime.now(datetime.timezone.utc).date())
        print(time.mktime(time.localtime(0)), time.ctime(0), time.strptime("2024", "%Y").tm_year)
        """
    )
    assert lines == [
        "1.5 1.5 2024-01-01 00:00:01 UTC",
        "0 QueryPerformanceCounter() ('UTC', 'UTC') 0",
        "2024-01-01 00:00:01 2024-01-01",
        "0.0 Thu Jan  1 00:00:00 1970 2024",
    ]


def test_asyncio(computer):
    lines = computer.output(
        """
        import asyncio, threading, time
        async def nap(seconds):
            await asyncio.sleep(seconds)
            return seconds
        async def main():
            loop = asyncio.get_running_loop()
            print(type(loop).__name__, await asyncio.gather(nap(0.2), nap(0.1), asyncio.to_thread(time.sleep, 0.15)))
            print(round(time.monotonic(), 1))
            try:
                async with asyncio.timeout(1):
                    await nap(100)
            except TimeoutError:
                print("timeout", round(time.monotonic(), 1))
            task = asyncio.create_task(nap(100))
            await asyncio.sleep(0)
            task.cancel()
            print([type(e).__name__ for e in await asyncio.gather(task, return_exceptions=True)])
            queue = asyncio.Queue()
            threading.Timer(0.3, loop.call_soon_threadsafe, [queue.put_nowait, "woken"]).start()
            print(await queue.get(), await loop.run_in_executor(None, sum, [1, 2]))
            async def numbers():
                for n in range(3):
                    yield n
                    await asyncio.sleep(0)
            print([n async for n in numbers()])
            try:
                await asyncio.open_connection("example.com", 80)
            except OSError as error:
                print("refused")
        asyncio.run(main())
        asyncio.set_event_loop_policy(asyncio.WindowsSelectorEventLoopPolicy())
        print(asyncio.run(nap(0)), asyncio.ProactorEventLoop.__name__)
        """
    )
    assert lines == [
        "ProactorEventLoop [0.2, 0.1, None]",
        "0.2",
        "timeout 1.2",
        "['CancelledError']",
        "woken 3",
        "[0, 1, 2]",
        "refused",
        "0 ProactorEventLoop",
    ]


def test_a_loop_that_spins_makes_progress(computer):
    lines = computer.output(
        """
        import threading, time
        flag = []
        def later():
            time.sleep(0.001)
            flag.append(1)
        threading.Thread(target=later).start()
        spins = 0
        while not flag:
            spins += 1
        print(20_000 < spins < 40_000, [0 for _ in range(3)], sum(1 for _ in range(4)), {n: n for n in range(2)})
        """
    )
    assert lines == ["True [0, 0, 0] 4 {0: 0, 1: 1}"]


def test_a_loop_that_can_never_end_is_stopped_with_its_place(computer):
    client = computer.run("x = 0\nwhile True:\n    x += 1\n", loop_limit=1000)
    assert client.exit_code == 0xC0000005
    assert "client1.py:3 can never end" in str(client.exception)


def test_each_iteration_of_a_loop_costs_the_same(computer):
    computer.run("import time\nfor n in range(1000):\n    pass\ntime.sleep(0)\n")
    assert computer.machine.time() in range(1000 * 40, 1000 * 40 + 1000)


@pytest.mark.parametrize("statement", ["while True: time.sleep(1)", "queue.Queue().get()", "asyncio.run(forever())"])
def test_interrupt_ends_what_waits(computer, statement):
    client = computer.start(
        f"""
        import asyncio, queue, time
        async def forever():
            try:
                await asyncio.Event().wait()
            finally:
                print("cleaned")
        try:
            {statement}
        except KeyboardInterrupt:
            print("interrupted", round(time.monotonic(), 2))
        """
    )
    computer.machine.call_at(2_500_000_000, client.interrupt)
    computer.machine.run()
    assert client.stdout.getvalue().splitlines()[-1] == "interrupted 2.5", client.stderr.getvalue()
    assert ("cleaned" in client.stdout.getvalue()) == ("asyncio" in statement)


def test_interrupt_ends_a_wait_of_windows_and_a_loop(computer):
    client = computer.start(
        """
        import ctypes
        try:
            ctypes.windll.kernel32.WaitForSingleObject(4, 0xFFFFFFFF)
        except KeyboardInterrupt:
            print("wait")
        while True:
            pass
        """
    )
    computer.machine.call_at(1_000_000, client.interrupt)
    computer.machine.call_at(2_000_000, client.interrupt)
    computer.machine.run()
    assert client.stdout.getvalue() == "wait\n"
    assert client.stderr.getvalue().endswith("KeyboardInterrupt\n")
    assert client.exit_code == 0xC000013A


def test_calls_of_other_threads_do_not_keep_ctrl_c_from_the_main_thread(computer):
    """While the main thread waits in a DLL, others call DLLs too; then they wait as well."""
    client = computer.start(
        """
        import ctypes, threading, time
        done = threading.Event()
        def other():
            time.sleep(0.1)
            ctypes.windll.kernel32.Call(0, 1)
            done.wait()
        thread = threading.Thread(target=other)
        thread.start()
        try:
            ctypes.windll.kernel32.WaitForSingleObject(4, 0xFFFFFFFF)
        except KeyboardInterrupt:
            print("wait")
        done.set()
        thread.join()
        """
    )
    computer.machine.call_at(1_000_000_000, client.interrupt)
    computer.machine.run()
    assert client.stdout.getvalue() == "wait\n", client.stderr.getvalue()
    assert client.exit_code == 0


def test_a_terminated_thread_says_nothing(computer):
    client = computer.run(
        """
        import os, threading
        threading.Thread(target=threading.Event().wait).start()
        os._exit(7)
        """
    )
    assert (client.exit_code, client.stderr.getvalue()) == (7, "")


def test_a_thread_that_catches_everything_is_abandoned(computer):
    client = computer.run(
        """
        import os, threading, time
        def stubborn():
            while True:
                try:
                    time.sleep(1)
                except BaseException:
                    pass
        def spinning():
            while True:
                try:
                    while True:
                        pass
                except BaseException:
                    pass
        threading.Thread(target=stubborn).start()
        threading.Thread(target=spinning).start()
        time.sleep(0.01)
        os._exit(7)
        """
    )
    assert client.exit_code == 7


def test_a_thread_may_interrupt_the_main_thread(computer):
    assert computer.output(
        """
        import _thread, os, signal, threading, time
        threading.Timer(0.5, _thread.interrupt_main).start()
        try:
            time.sleep(10)
        except KeyboardInterrupt:
            print(round(time.monotonic(), 1))
        try:
            os.kill(os.getpid(), signal.CTRL_C_EVENT)
        except KeyboardInterrupt:
            print("itself")
        """
    ) == ["0.5", "itself"]


def test_a_handler_does_not_lose_what_the_main_thread_waits_for(computer):
    client = computer.start(
        """
        import queue, signal, threading, time
        lock = threading.Lock()
        lock.acquire()
        def handler(number, frame):
            lock.release()
        signal.signal(signal.SIGINT, handler)
        print(lock.acquire(), round(time.monotonic(), 1))
        thread = threading.Thread(target=time.sleep, args=(3,))
        signal.signal(signal.SIGINT, lambda *_: None)
        thread.start()
        thread.join()
        print(thread.is_alive(), round(time.monotonic(), 1))
        """
    )
    computer.machine.call_at(1_000_000_000, client.interrupt)
    computer.machine.call_at(2_000_000_000, client.interrupt)
    computer.machine.run()
    assert client.stdout.getvalue().splitlines() == ["True 1.0", "False 4.0"], client.stderr.getvalue()


def test_signal_handlers_run_in_the_main_thread_and_the_wait_goes_on(computer):
    client = computer.start(
        """
        import signal, threading, time
        seen = []
        signal.signal(signal.SIGINT, lambda number, frame: seen.append((number, threading.current_thread().name)))
        time.sleep(2)
        print(seen, round(time.monotonic(), 3), signal.getsignal(signal.SIGTERM))
        """
    )
    computer.machine.call_at(1_000_000_000, client.interrupt)
    computer.machine.run()
    assert client.stdout.getvalue().splitlines() == ["[(2, 'MainThread')] 2.0 0"], client.stderr.getvalue()


def test_the_observer_sees_each_iteration_and_each_call(computer):
    seen = []
    client = computer.run(
        "import ctypes\nadd = ctypes.windll.kernel32.Add\nfor n in range(3):\n    add(n, n)\n",
        observe=lambda: seen.append(1),
    )
    assert client.exit_code == 0
    assert len(seen) == 6
