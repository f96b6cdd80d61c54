"""What a client sees of the platform: Windows."""

import sys


def test_names_of_the_platform(computer):
    assert computer.output(
        """
        import os, sys, platform, struct
        print(sys.platform, os.name, platform.system(), platform.machine(), platform.release())
        print("64 bit (AMD64)" in sys.version, "64 bit (AMD64)" in platform.python_compiler())
        print(sys.getwindowsversion().major, sys.getwindowsversion().build, sys.getwindowsversion()[:3])
        print(os.getpid(), os.cpu_count(), os.environ["OS"], os.environ["os"], sys.maxsize == 2**63 - 1)
        print(hasattr(os, "fork"), hasattr(os, "getuid"), WindowsError is OSError)
        """
    ) == [
        "win32 nt Windows AMD64 11",
        "True True",
        "10 22631 (10, 0, 22631)",
        "1004 4 Windows_NT Windows_NT True",
        "False False True",
    ]


def test_version_info_is_the_truth(computer):
    assert computer.output("import sys; print(*sys.version_info[:3])") == [
        " ".join(str(part) for part in sys.version_info[:3])
    ]


def test_arguments_and_environment(computer):
    lines = computer.output(
        "import sys, os\nprint(sys.argv[1:], os.environ['GREETING'])\nos.environ['x'] = '1'; print(os.getenv('X'))",
        arguments=["a", "b"],
        environment={"greeting": "hello"},
    )
    assert lines == ["['a', 'b'] hello", "1"]


def test_modules_that_windows_lacks_and_has(computer):
    lines = computer.output(
        """
        import asyncio, threading, subprocess  # these use the host's modules themselves
        for name in ["fcntl", "pwd", "posix", "termios", "msvcrt", "winreg"]:
            try:
                __import__(name)
            except ModuleNotFoundError as error:
                print(error)
            else:
                print(name)
        """
    )
    assert lines == [*(f"No module named '{n}'" for n in ("fcntl", "pwd", "posix", "termios")), "msvcrt", "winreg"]


def test_pywin32_and_cffi_are_refused_in_one_sentence(computer):
    lines = computer.output(
        """
        for name in ["win32event", "pywintypes", "cffi"]:
            try:
                __import__(name)
            except ImportError as error:
                print(error)
        """
    )
    assert lines == [
        "wintunsim does not simulate pywin32 (win32event): call the Windows API through ctypes instead",
        "wintunsim does not simulate pywin32 (pywintypes): call the Windows API through ctypes instead",
        "wintunsim does not simulate cffi (cffi): call the Windows API through ctypes instead",
    ]


def test_sockets_have_windows_constants_and_are_refused(computer):
    lines = computer.output(
        """
        import socket
        print(int(socket.AF_INET6), hex(socket.SOL_SOCKET), socket.gethostname())
        print(socket.inet_ntop(socket.AF_INET6, socket.inet_pton(socket.AF_INET6, "fd00::1")), socket.htons(1))
        for action in [socket.socket, lambda: socket.getaddrinfo("example.com", 80)]:
            try:
                action()
            except OSError as error:
                print(error.strerror)
        """
    )
    assert lines == [
        "23 0xffff WINTUNSIM",
        "fd00::1 256",
        "wintunsim does not simulate sockets yet; creating a socket needs the network of the simulated machine",
        "wintunsim does not simulate sockets yet; socket.getaddrinfo needs the network of the simulated machine",
    ]


def test_programs_that_configure_the_network_are_answered_and_recorded(computer):
    client = computer.run(
        r"""
        import os, subprocess
        command = ["netsh", "interface", "ipv4", "set", "address", "tun 0", "static", "10.0.0.1"]
        print(subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip())
        print(subprocess.check_output(r"C:\Windows\System32\ROUTE.EXE add 10.0.0.0"))
        print(subprocess.call(["powershell", "-Command", "Get-NetAdapter"]))
        print(os.system("cmd /c netsh interface show interface"))
        try:
            subprocess.Popen(["ping", "10.0.0.1"])
        except OSError as error:
            print(error)
        """
    )
    assert client.exit_code == 0, client.stderr.getvalue()
    assert [command.line for command in client.commands] == [
        'netsh interface ipv4 set address "tun 0" static 10.0.0.1',
        r"C:\Windows\System32\ROUTE.EXE add 10.0.0.0",
        "powershell -Command Get-NetAdapter",
        "netsh interface show interface",
    ]
    lines = client.stdout.getvalue().splitlines()
    assert lines[0] == "Ok."
    assert lines[1] == "b' OK!\\r\\n'"
    assert lines[-1] == ("[Errno 2] wintunsim does not run other programs than netsh, route and powershell ('ping')")
    assert "powershell -Command Get-NetAdapter" in computer.machine.trace.names


def test_files_of_the_host_are_there_without_its_clock(computer):
    (computer.directory / "data").mkdir()
    (computer.directory / "data" / "table.txt").write_text("grüße\n", encoding="utf-8")
    lines = computer.output(
        r"""
        import os, pathlib
        os.chdir(os.path.dirname(__file__))
        with open(r"data\table.txt") as table:
            print(table.read().strip(), pathlib.Path("data", "table.txt").read_text(encoding="utf-8").strip())
        print(os.stat("data/table.txt").st_mtime, [e.name for e in os.scandir("data")], os.listdir("data"))
        with open("new.txt", "w") as new:
            new.write("x")
        print(os.path.exists("new.txt"), os.path.getmtime("new.txt"), os.path.expanduser("~"))
        """
    )
    assert lines[0] == "grüße grüße"
    assert lines[1] == "1704067200.0 ['table.txt'] ['table.txt']"
    assert lines[2] == r"True 1704067200.0 C:\Users\client"
    assert (computer.directory / "new.txt").read_text() == "x"
