"""Statuses and the Win32 errors that a client sees (spec driver §5)."""

import pytest

from wintun_model.status import NdisStatus, NtStatus, Win32Error, is_success, win32_error

TABLE = [
    (NtStatus.STATUS_ALREADY_INITIALIZED, 0xC0000510, 1247, "ERROR_ALREADY_INITIALIZED"),
    (NtStatus.STATUS_INVALID_PARAMETER, 0xC000000D, 87, "ERROR_INVALID_PARAMETER"),
    (NtStatus.STATUS_INVALID_HANDLE, 0xC0000008, 6, "ERROR_INVALID_HANDLE"),
    (NtStatus.STATUS_OBJECT_TYPE_MISMATCH, 0xC0000024, 6, "ERROR_INVALID_HANDLE"),
    (NtStatus.STATUS_ACCESS_DENIED, 0xC0000022, 5, "ERROR_ACCESS_DENIED"),
    (NtStatus.STATUS_INSUFFICIENT_RESOURCES, 0xC000009A, 1450, "ERROR_NO_SYSTEM_RESOURCES"),
    (NtStatus.STATUS_INVALID_USER_BUFFER, 0xC00000E8, 1784, "ERROR_INVALID_USER_BUFFER"),
    (NtStatus.STATUS_UNSUCCESSFUL, 0xC0000001, 31, "ERROR_GEN_FAILURE"),
    (NdisStatus.NDIS_STATUS_FAILURE, 0xC0000001, 31, "ERROR_GEN_FAILURE"),
    (NtStatus.STATUS_INVALID_DEVICE_REQUEST, 0xC0000010, 1, "ERROR_INVALID_FUNCTION"),
    (NtStatus.STATUS_NOT_SUPPORTED, 0xC00000BB, 50, "ERROR_NOT_SUPPORTED"),
    (NdisStatus.NDIS_STATUS_NOT_SUPPORTED, 0xC00000BB, 50, "ERROR_NOT_SUPPORTED"),
    (NdisStatus.NDIS_STATUS_ADAPTER_NOT_READY, 0xC0010011, 17, "ERROR_NOT_SAME_DEVICE"),
]


@pytest.mark.parametrize(("status", "value", "error", "name"), TABLE, ids=lambda field: getattr(field, "name", None))
def test_each_status_reaches_the_client_as_its_error(status, value, error, name):
    assert status == value
    assert win32_error(status) == error == Win32Error[name]


@pytest.mark.parametrize(
    ("status", "value"),
    [
        (NdisStatus.NDIS_STATUS_PAUSED, 0xC023002A),
        (NdisStatus.NDIS_STATUS_MEDIA_DISCONNECTED, 0xC023001F),
        (NdisStatus.NDIS_STATUS_BUFFER_OVERFLOW, 0x80000005),
        (NdisStatus.NDIS_STATUS_INVALID_LENGTH, 0xC0010014),
        (NdisStatus.NDIS_STATUS_INVALID_DATA, 0xC0010015),
        (NdisStatus.NDIS_STATUS_BUFFER_TOO_SHORT, 0xC0010016),
        (NdisStatus.NDIS_STATUS_INVALID_OID, 0xC0010017),
    ],
)
def test_statuses_that_only_ndis_sees(status, value):
    assert status == value
    assert not is_success(status)


@pytest.mark.parametrize("low", [0x0011, 0x0014, 0x0017, 0xFFFF])
def test_an_unmapped_status_with_high_word_c001_becomes_its_low_word(low):
    assert win32_error(0xC0010000 | low) == low


@pytest.mark.parametrize("status", [0xC023002A, 0xC0FFEE00, 0xC0000FFF, 0xC0020011])
def test_any_other_unmapped_status_becomes_317(status):
    assert win32_error(status) == 317 == Win32Error.ERROR_MR_MID_NOT_FOUND


@pytest.mark.parametrize("status", [0, 0x102, 0x103, NtStatus.STATUS_NOTHING_TO_TERMINATE, 0x7FFFFFFF])
def test_non_negative_statuses_are_success(status):
    assert is_success(status)


@pytest.mark.parametrize("status", [0x80000000, 0x80000005, 0xC0000001, 0xFFFFFFFF])
def test_negative_statuses_are_not_success(status):
    assert not is_success(status)


def test_success_is_error_0():
    assert win32_error(NtStatus.STATUS_SUCCESS) == 0
