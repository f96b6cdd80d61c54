"""Accounts: who is an administrator, and what tokens tell (spec win32 §4)."""

from __future__ import annotations

import ctypes

import pytest
from win32_face import Face

from wintunsim.kernel.process import Account

CURRENT_PROCESS = 2**64 - 1


@pytest.mark.parametrize(
    ("account", "is_elevated", "integrity", "sid"),
    [
        (Account.SYSTEM, 1, 0x4000, "0101000000000005 12000000"),
        (Account.ADMINISTRATOR, 1, 0x3000, "0105000000000005 15000000 e8030000 d0070000 b80b0000 f4010000"),
        (Account.USER, 0, 0x2000, "0105000000000005 15000000 e8030000 d0070000 b80b0000 e9030000"),
    ],
)
def test_tokens(account: Account, is_elevated: int, integrity: int, sid: str) -> None:
    face = Face(account)

    def main() -> None:
        assert face.IsUserAnAdmin() == is_elevated
        token, value, needed = ctypes.c_uint64(), ctypes.c_uint32(), ctypes.c_uint32()
        assert face.OpenProcessToken(CURRENT_PROCESS, 8, token)
        assert face.GetTokenInformation(token.value, 20, value, 4, needed) and value.value == is_elevated
        assert face.GetTokenInformation(token.value, 1, None, 0, needed) == 0 and face.last_error == 122
        buffer = ctypes.create_string_buffer(needed.value)
        assert face.GetTokenInformation(token.value, 1, buffer, len(buffer), needed)
        pointer = int.from_bytes(buffer.raw[:8], "little")
        expected = bytes.fromhex(sid)
        assert ctypes.string_at(pointer, len(expected)) == expected
        buffer = ctypes.create_string_buffer(28)
        assert face.GetTokenInformation(token.value, 25, buffer, 28, needed)
        assert int.from_bytes(buffer.raw[24:28], "little") == integrity
        assert face.GetTokenInformation(token.value, 99, buffer, 28, needed) == 0 and face.last_error == 87
        assert face.CloseHandle(token.value)

    face.run(main)
