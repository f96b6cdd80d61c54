"""Which modules a simulated process shares with the surrounding Python, and which it must not see (design §5). Data
only.

A module that is in none of these tables and has no facade is loaded fresh for each process, from its Python source.
C modules of the standard library are hidden unless they are shared: those that hold no state, no clock and no entropy.
"""

from __future__ import annotations

from wintunsim.clients.words import words

SHARED_C = frozenset(
    words(
        """
        _abc _ast _bisect _blake2 _bz2 _codecs _codecs_cn _codecs_hk _codecs_iso2022 _codecs_jp _codecs_kr
        _codecs_tw _collections _contextvars _crypt _csv _decimal _functools _hashlib _heapq _json _lzma _md5
        _multibytecodec _opcode _operator _sha1 _sha2 _sha256 _sha3 _sha512 _sre _stat _statistics _string
        _struct _suggestions _sysconfig _tokenize _tracemalloc _typing _weakref _zlib array binascii cmath errno
        itertools marshal math pyexpat unicodedata xxlimited zlib
        """
    )
)
"""C modules that are the same object in every process."""

SHARED_PYTHON = frozenset(
    words(
        """
        __future__ _collections_abc _compat_pickle _compression _markupbase _opcode_metadata _sitebuiltins
        _sysconfigdata _weakrefset abc ast base64 bisect codecs collections colorsys copy copyreg dis encodings
        fractions functools heapq html json keyword numbers opcode operator quopri re reprlib sre_compile
        sre_constants sre_parse stat string stringprep struct symtable textwrap token types decimal _pydecimal
        """
    )
)
"""Python modules, with their submodules, that hold no state a client could see; shared so that processes start fast."""

SHARED_PACKAGES = frozenset(
    words(
        """
        pytest _pytest pluggy iniconfig hypothesis simpy greenlet wintunsim wintun_model numpy
        """
    )
)
"""Packages of the surroundings: a test's own tools, and numpy, which can only be loaded once."""

HIDDEN = frozenset(
    words(
        """
        _asyncio _curses _curses_panel _datetime _dbm _elementtree _gdbm _interpchannels _interpqueues
        _interpreters _locale _lsprof _multiprocessing _pickle _posixshmem _posixsubprocess _queue _scproxy _ssl
        _strptime_c _testcapi _tkinter _uuid _warnings _xxsubinterpreters _xxinterpchannels _zoneinfo nis
        ossaudiodev readline spwd syslog
        """
    )
)
"""C modules that bind the host's clock, threads, entropy or platform. Their Python forms take over where there are
any.
"""

ABSENT_ON_WINDOWS = frozenset(
    words(
        """
        crypt curses fcntl grp nis posix pty pwd readline resource spwd syslog termios tty
        """
    )
)
"""Modules of the standard library that CPython on Windows does not have; client modules do not find them."""

HOST_ONLY_C = frozenset(["fcntl", "termios"])
"""Those of them that the fresh copies of the host's standard library may use."""

REFUSED = {
    **dict.fromkeys(
        words(
            """
            pywintypes pythoncom servicemanager win32api win32clipboard win32com win32con win32console win32cred
            win32event win32file win32gui win32job win32net win32pdh win32pipe win32process win32profile
            win32security win32service win32serviceutil win32timezone win32ts win32wnet winerror winioctlcon
            winnt
            """
        ),
        "wintunsim does not simulate pywin32 ({name}): call the Windows API through ctypes instead",
    ),
    **dict.fromkeys(
        ["cffi", "_cffi_backend"],
        "wintunsim does not simulate cffi ({name}): call the Windows API through ctypes instead",
    ),
}
"""Packages that no client can use yet, with the sentence that says so."""
