"""docs/clients.md says what is true."""

import re
import sys
from pathlib import Path

from wintunsim.kernel.process import Account

MISSING = "[WinError 2] The system cannot find the file specified"
DOCUMENT = Path(__file__).parent.parent.parent / "docs" / "clients.md"


def test_the_dlls_of_the_document_are_those_there_are(client):
    if not DOCUMENT.exists():  # the tests of the built wheel
        return
    text = DOCUMENT.read_text(encoding="utf-8")
    table = re.search(r"\| DLL \|.*?\n\n", text, re.DOTALL)[0]
    named = {
        name.strip()
        for row in table.splitlines()[2:]
        if row
        for name in row.split("|")[1].split(",")
        if "…" not in name
    }
    outcome = client.good(
        f"""
        import ctypes
        for name in {sorted(named)!r}:
            ctypes.WinDLL(name)
        for name in ("api-ms-win-core-synch-l1-2-0", "api-ms-win-crt-heap-l1-1-0"):
            ctypes.WinDLL(name)
        try:
            ctypes.WinDLL("nothere")
        except OSError as error:
            print(error.__notes__[0])
        """
    )
    assert set(re.search(r"wintunsim has (.*)\.", outcome.output)[1].split(", ")) == named
    assert all(f"`{account.value}`" in text for account in Account)


def test_its_differences_from_a_real_machine(client):
    outcome = client.good(
        """
        import os, sys, time, datetime, tempfile, winreg
        assert os.sep == "/" and not os.path.exists("C:\\\\") and not os.path.exists("wintun.dll")
        assert "HOME" not in os.environ and os.environ["OS"] == "Windows_NT"
        print(datetime.datetime.now().isoformat()[:19], time.timezone, os.stat(__file__).st_mtime == 1704067200)
        with open(tempfile.mktemp(), "w+") as file:
            file.write("a\\n")
            file.flush()
            with open(file.name, "rb") as again:
                print(again.read())
            os.remove(file.name)
        try:
            winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, "Nobody")
        except FileNotFoundError as error:
            print(error)
        print(sys.version_info[:2])
        """
    )
    assert outcome.lines == ["2024-01-01T00:00:00 0 True", "b'a\\n'", MISSING, str(sys.version_info[:2])]


def test_an_exit_code_of_ctrl_c_at_the_command_line(client):
    assert client.command("import time\ntime.sleep(9)\n", options=["--quiet", "--until", "1s"]).returncode == 58
