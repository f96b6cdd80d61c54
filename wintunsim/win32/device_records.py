"""SetupAPI's constants and records, of a 64-bit system: those of wide characters, and of narrow ones (win32 §4)."""

from __future__ import annotations

import ctypes
from enum import IntEnum

from wintunsim.win32.buffers import Characters

LINE_LEN = 256
MAX_PATH = 260
SP_MAX_MACHINENAME_LENGTH = 263

DICD_GENERATE_ID = 1
DICD_INHERIT_CLASSDRVS = 2

DIGCF_DEFAULT = 1
DIGCF_PRESENT = 2
DIGCF_ALLCLASSES = 4
DIGCF_PROFILE = 8
DIGCF_DEVICEINTERFACE = 0x10

DIREG_DEV = 1
DIREG_DRV = 2
DIREG_BOTH = 4

DICS_ENABLE = 1
DICS_DISABLE = 2
DICS_PROPCHANGE = 3
DICS_START = 4
DICS_STOP = 5
DICS_FLAG_GLOBAL = 1
DICS_FLAG_CONFIGSPECIFIC = 2
DI_REMOVEDEVICE_GLOBAL = 1
DI_REMOVEDEVICE_CONFIGSPECIFIC = 2

DIF_SELECTDEVICE = 1
DIF_INSTALLDEVICE = 2
DIF_REMOVE = 5
DIF_PROPERTYCHANGE = 0x12
DIF_INSTALLDEVICEFILES = 0x15
DIF_SELECTBESTCOMPATDRV = 0x17
DIF_ALLOW_INSTALL = 0x18
DIF_REGISTERDEVICE = 0x19
DIF_INSTALLINTERFACES = 0x20
DIF_REGISTER_COINSTALLERS = 0x22
DIF_FINISHINSTALL_ACTION = 0x2A

DI_DIDCOMPAT = 0x10
DI_DIDCLASS = 0x20
DI_NEEDRESTART = 0x80
DI_NEEDREBOOT = 0x100
DI_CLASSINSTALLPARAMS = 0x100000

SPDIT_CLASSDRIVER = 1
SPDIT_COMPATDRIVER = 2

SPINT_ACTIVE = 1

SPDRP_DEVICEDESC = 0
SPDRP_HARDWAREID = 1
SPDRP_COMPATIBLEIDS = 2
SPDRP_SERVICE = 4
SPDRP_CLASS = 7
SPDRP_CLASSGUID = 8
SPDRP_DRIVER = 9
SPDRP_CONFIGFLAGS = 0xA
SPDRP_MFG = 0xB
SPDRP_FRIENDLYNAME = 0xC
SPDRP_LOCATION_INFORMATION = 0xD
SPDRP_PHYSICAL_DEVICE_OBJECT_NAME = 0xE
SPDRP_CAPABILITIES = 0xF
SPDRP_UI_NUMBER = 0x10
SPDRP_UPPERFILTERS = 0x11
SPDRP_LOWERFILTERS = 0x12
SPDRP_ENUMERATOR_NAME = 0x16
SPDRP_INSTALL_STATE = 0x22
SPDRP_MAXIMUM_PROPERTY = 0x25


class SetupError(IntEnum):
    """SetupAPI's own errors."""

    ERROR_NO_ASSOCIATED_CLASS = 0xE0000200
    ERROR_CLASS_MISMATCH = 0xE0000201
    ERROR_NO_DRIVER_SELECTED = 0xE0000203
    ERROR_KEY_DOES_NOT_EXIST = 0xE0000204
    ERROR_INVALID_DEVINST_NAME = 0xE0000205
    ERROR_INVALID_CLASS = 0xE0000206
    ERROR_DEVINST_ALREADY_EXISTS = 0xE0000207
    ERROR_DEVINFO_NOT_REGISTERED = 0xE0000208
    ERROR_INVALID_REG_PROPERTY = 0xE0000209
    ERROR_NO_SUCH_DEVINST = 0xE000020B
    ERROR_DI_DO_DEFAULT = 0xE000020E
    ERROR_NO_DEVICE_SELECTED = 0xE0000211
    ERROR_NO_CLASSINSTALL_PARAMS = 0xE0000215
    ERROR_MACHINE_UNAVAILABLE = 0xE0000222
    ERROR_NO_COMPAT_DRIVERS = 0xE0000228


_GUID = ctypes.c_ubyte * 16


class SP_DEVINFO_DATA(ctypes.Structure):  # noqa: N801 - Windows' name
    """A device of a set: `Reserved` tells the set which one."""

    _fields_ = [
        ("cbSize", ctypes.c_uint32),
        ("ClassGuid", _GUID),
        ("DevInst", ctypes.c_uint32),
        ("Reserved", ctypes.c_uint64),
    ]


class SP_DEVICE_INTERFACE_DATA(ctypes.Structure):  # noqa: N801
    """An interface of a set."""

    _fields_ = [
        ("cbSize", ctypes.c_uint32),
        ("InterfaceClassGuid", _GUID),
        ("Flags", ctypes.c_uint32),
        ("Reserved", ctypes.c_uint64),
    ]


class SP_CLASSINSTALL_HEADER(ctypes.Structure):  # noqa: N801
    """What every record of parameters for an installer begins with."""

    _fields_ = [("cbSize", ctypes.c_uint32), ("InstallFunction", ctypes.c_uint32)]


class SP_PROPCHANGE_PARAMS(ctypes.Structure):  # noqa: N801
    """What DIF_PROPERTYCHANGE is to do."""

    _fields_ = [
        ("ClassInstallHeader", SP_CLASSINSTALL_HEADER),
        ("StateChange", ctypes.c_uint32),
        ("Scope", ctypes.c_uint32),
        ("HwProfile", ctypes.c_uint32),
    ]


class SP_REMOVEDEVICE_PARAMS(ctypes.Structure):  # noqa: N801
    """Where DIF_REMOVE is to remove the device from."""

    _fields_ = [
        ("ClassInstallHeader", SP_CLASSINSTALL_HEADER),
        ("Scope", ctypes.c_uint32),
        ("HwProfile", ctypes.c_uint32),
    ]


def _characters(form: Characters, count: int) -> type[ctypes.Array[ctypes.c_ubyte]]:
    # Bytes have no alignment of their own; all of these stand where one of 2 is kept anyway.
    return ctypes.c_ubyte * (count * form.unit)


class _Forms:
    """Records that hold texts, for one size of characters."""

    def __init__(self, form: Characters) -> None:
        line = _characters(form, LINE_LEN)
        path = _characters(form, MAX_PATH)
        machine = _characters(form, SP_MAX_MACHINENAME_LENGTH)

        class InstallParams(ctypes.Structure):
            _fields_ = [
                ("cbSize", ctypes.c_uint32),
                ("Flags", ctypes.c_uint32),
                ("FlagsEx", ctypes.c_uint32),
                ("hwndParent", ctypes.c_uint64),
                ("InstallMsgHandler", ctypes.c_uint64),
                ("InstallMsgHandlerContext", ctypes.c_uint64),
                ("FileQueue", ctypes.c_uint64),
                ("ClassInstallReserved", ctypes.c_uint64),
                ("Reserved", ctypes.c_uint32),
                ("DriverPath", path),
            ]

        class DriverData(ctypes.Structure):
            _fields_ = [
                ("cbSize", ctypes.c_uint32),
                ("DriverType", ctypes.c_uint32),
                ("Reserved", ctypes.c_uint64),
                ("Description", line),
                ("MfgName", line),
                ("ProviderName", line),
                ("DriverDate", ctypes.c_uint32 * 2),
                ("DriverVersion", ctypes.c_uint64),
            ]

        class DriverDetail(ctypes.Structure):
            _fields_ = [
                ("cbSize", ctypes.c_uint32),
                ("InfDate", ctypes.c_uint32 * 2),
                ("CompatIDsOffset", ctypes.c_uint32),
                ("CompatIDsLength", ctypes.c_uint32),
                ("Reserved", ctypes.c_uint64),
                ("SectionName", line),
                ("InfFileName", path),
                ("DrvDescription", line),
                ("HardwareID", _characters(form, 1)),
            ]

        class ListDetail(ctypes.Structure):
            _fields_ = [
                ("cbSize", ctypes.c_uint32),
                ("ClassGuid", _GUID),
                ("RemoteMachineHandle", ctypes.c_uint64),
                ("RemoteMachineName", machine),
            ]

        self.install_params = InstallParams
        """SP_DEVINSTALL_PARAMS."""
        self.driver_data = DriverData
        """SP_DRVINFO_DATA_V2; its first version ends before the date."""
        self.driver_detail = DriverDetail
        """SP_DRVINFO_DETAIL_DATA."""
        self.list_detail = ListDetail
        """SP_DEVINFO_LIST_DETAIL_DATA."""


_FORMS: dict[int, _Forms] = {}


def forms(form: Characters) -> _Forms:
    """The records that hold texts of these characters."""
    if form.unit not in _FORMS:
        _FORMS[form.unit] = _Forms(form)
    return _FORMS[form.unit]


INTERFACE_DETAIL_BYTES = 8
"""The `cbSize` of SP_DEVICE_INTERFACE_DETAIL_DATA, in both forms; its path begins at 4."""
INTERFACE_DETAIL_PATH = 4
