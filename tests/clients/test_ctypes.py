"""ctypes in a client: sizes, strings, DLLs, last errors, callbacks and bad addresses as on Windows."""

import ctypes


def test_sizes_are_those_of_windows(computer):
    lines = computer.output(
        """
        from ctypes import *
        from ctypes import wintypes
        print([sizeof(t) for t in (c_long, c_ulong, c_int, c_longlong, c_size_t, c_void_p, c_wchar, c_longdouble)])
        print([sizeof(t) for t in (wintypes.DWORD, wintypes.LONG, wintypes.BOOL, wintypes.HANDLE)])
        print(c_int is c_long, c_uint is c_ulong, wintypes.DWORD is c_ulong, c_long(-1), c_ulong(-1).value)
        print(sizeof(wintypes.WIN32_FIND_DATAW), sizeof(wintypes.MSG), c_int64 is c_longlong)
        """
    )
    assert lines == [
        "[4, 4, 4, 8, 8, 8, 2, 8]",
        "[4, 4, 4, 8]",
        "True True True c_long(-1) 4294967295",
        "592 48 True",
    ]


def test_wide_strings_are_utf16(computer):
    lines = computer.output(
        """
        from ctypes import *
        from ctypes import wintypes
        k = WinDLL("kernel32")
        smile = "a\\U0001F600"
        print(k.CountUnits(smile), len(create_unicode_buffer(smile)), create_unicode_buffer(smile).value == smile)
        k.CountUnits.argtypes = [wintypes.LPCWSTR]
        buffer = create_unicode_buffer("hello", 10)
        print(k.CountUnits("abc"), k.CountUnits(buffer), k.CountUnits(c_wchar_p("four")), end=" ")
        print(sizeof(buffer), buffer[1], buffer[:3])
        buffer.value = "xy"
        buffer[0] = "z"
        print(buffer.value, wstring_at(buffer), wstring_at(addressof(buffer), 1), string_at(buffer, 4))
        k.Text.restype = c_wchar_p
        print(k.Text(), cast(buffer, c_wchar_p).value, cast(buffer, POINTER(c_wchar))[1])
        class Record(Structure):
            _fields_ = [("name", c_wchar * 4), ("text", wintypes.LPWSTR), ("unit", c_wchar), ("n", wintypes.DWORD)]
        record = Record("ab", "text", "u", 7)
        record.name = record.name + "c"
        print(record.name, record.text, record.unit, record.n, sizeof(Record), Record.text.offset, Record().text)
        for bad in (5, b"x"):
            try:
                k.CountUnits(bad)
            except ArgumentError as error:
                print("refused")
        try:
            record.name = "abcde"
        except ValueError as error:
            print(error)
        """
    )
    assert lines == [
        "3 4 True",
        "3 5 4 20 e hel",
        "zy zy z b'z\\x00y\\x00'",
        "wide ☃ zy y",
        "abc text u 7 24 8 None",
        "refused",
        "refused",
        "string too long",
    ]


def test_last_error_is_swapped_as_ctypes_does(computer):
    lines = computer.output(
        """
        import ctypes, threading
        plain = ctypes.WinDLL("kernel32.dll")
        k = ctypes.WinDLL("KERNEL32", use_last_error=True)
        k.Fail(5)
        print(ctypes.get_last_error(), ctypes.GetLastError(), plain.LastError())
        plain.Fail(7)
        print(ctypes.get_last_error(), ctypes.GetLastError())
        print(ctypes.set_last_error(9), k.LastError(), ctypes.get_last_error())
        seen = []
        thread = threading.Thread(target=lambda: seen.append(ctypes.get_last_error()))
        thread.start(); thread.join()
        print(seen)
        """
    )
    assert lines == ["5 0 0", "5 7", "5 9 9", "[0]"]


def test_windows_errors(computer):
    lines = computer.output(
        """
        import ctypes
        for code in (5, 87):
            error = ctypes.WinError(code)
            print(type(error).__mro__[1:3], error, error.winerror, error.errno)
        try:
            raise ctypes.WinError(5)
        except PermissionError as error:
            print("caught")
        print(ctypes.FormatError(0), ctypes.WinError(2, "gone"))
        try:
            ctypes.oledll.kernel32.Hresult()
        except OSError as error:
            print(error.winerror & 0xFFFFFFFF == 0x80070005)
        """
    )
    assert lines[0].endswith("[WinError 5] Access is denied. 5 13")
    assert lines[1].endswith("[WinError 87] <no description> 87 22")
    assert lines[2:] == ["caught", "The operation completed successfully. [WinError 2] gone", "True"]


def test_missing_dlls_and_functions_fail_as_on_windows(computer):
    lines = computer.output(
        """
        import ctypes, ctypes.util
        try:
            ctypes.WinDLL("nothere.dll")
        except FileNotFoundError as error:
            print(error, error.__notes__)
        try:
            ctypes.windll.kernel32.NoSuch
        except AttributeError as error:
            print(error, error.__notes__)
        print(hasattr(ctypes.windll, "nothere"), ctypes.windll.kernel32[1](2, 3), ctypes.cdll.kernel32.Add(1, 2))
        print(ctypes.util.find_library("kernel32"), ctypes.util.find_library("nothere"))
        """
    )
    assert lines == [
        "Could not find module 'nothere.dll' (or one of its dependencies). Try using the full path with constructor "
        "syntax. ['nothing is known of nothere.dll None']",
        "function 'NoSuch' not found ['nothing is known of kernel32.dll NoSuch']",
        "False 5 3",
        "C:\\Windows\\System32\\kernel32.dll None",
    ]


def test_an_exception_inside_a_thunk_comes_out_of_the_call(computer):
    assert computer.output(
        """
        import ctypes
        k = ctypes.windll.kernel32
        k.Raise.errcheck = lambda result, function, arguments: 1 / 0
        try:
            k.Raise()
        except OSError as error:
            print(error)
        print(k.Add(1, 1))
        """
    ) == ["from inside the thunk", "2"]


def test_callbacks(computer):
    client = computer.run(
        """
        import ctypes
        k = ctypes.windll.kernel32
        number = ctypes.WINFUNCTYPE(ctypes.c_uint32, ctypes.c_uint32)
        text = ctypes.WINFUNCTYPE(ctypes.c_uint32, ctypes.c_wchar_p)
        @number
        def double(n):
            return 2 * n
        print(k.Call(double, 21), double(4))
        print(k.CallText(text(lambda value: len(value))))
        print(k.Call(number(lambda n: 1 / 0), 1))
        def interrupted(n):
            raise KeyboardInterrupt
        try:
            k.Call(number(interrupted), 1)
        except KeyboardInterrupt:
            print("interrupted")
        add = ctypes.WINFUNCTYPE(ctypes.c_uint32, ctypes.c_uint32, ctypes.c_uint32)(("Add", k))
        again = ctypes.cast(add, ctypes.WINFUNCTYPE(ctypes.c_uint32, ctypes.c_uint32, ctypes.c_uint32))
        print(add(1, 2), again(3, 4))
        """
    )
    assert client.exit_code == 0, client.stderr.getvalue()
    assert client.stdout.getvalue().splitlines() == ["42 8", "6", "0", "interrupted", "3 7"]
    error = client.stderr.getvalue()
    assert error.startswith("Exception ignored on calling ctypes callback function <function <lambda>")
    assert error.endswith("ZeroDivisionError: division by zero\n")


def test_bad_addresses_raise_as_on_windows(computer):
    lines = computer.output(
        """
        import ctypes
        actions = [
            lambda: ctypes.string_at(16, 4),
            lambda: ctypes.string_at(0),
            lambda: ctypes.wstring_at(32),
            lambda: ctypes.memmove(48, b"abc", 3),
            lambda: ctypes.memmove(ctypes.create_string_buffer(8), 64, 3),
            lambda: ctypes.memset(80, 0, 1),
        ]
        for action in actions:
            try:
                action()
            except OSError as error:
                print(error)
        """
    )
    kinds = ["reading", "reading", "reading", "writing", "reading", "writing"]
    addresses = [16, 0, 32, 48, 64, 80]
    assert lines == [
        f"exception: access violation {kind} 0x{address:016X}" for kind, address in zip(kinds, addresses, strict=True)
    ]


def test_good_addresses_are_read_and_written(computer):
    asked = []

    def is_known(address, size):
        asked.append(size)
        return False

    lines = computer.output(
        """
        import ctypes
        buffer = ctypes.create_string_buffer(b"hello", 300)
        address = ctypes.addressof(buffer)
        pointer = ctypes.cast(buffer, ctypes.POINTER(ctypes.c_ubyte))
        print(ctypes.string_at(address), ctypes.string_at(address, 2), ctypes.string_at(pointer, 3), end=" ")
        print(ctypes.string_at(buffer))
        ctypes.memmove(pointer, b"J", 1)
        ctypes.memmove(address + 1, buffer, 1)
        ctypes.memset(address + 4, 33, 200)
        print(buffer.value == b"JJll" + b"!" * 200, len(ctypes.string_at(address)))
        """,
        is_known_memory=is_known,
    )
    assert lines == ["b'hello' b'he' b'hel' b'hello'", "True 204"]
    assert asked


def test_the_surrounding_ctypes_is_untouched(computer):
    pointer = ctypes.POINTER(ctypes.c_int)
    computer.output("import ctypes; from ctypes import wintypes; ctypes.POINTER(ctypes.c_int)")
    assert ctypes.POINTER(ctypes.c_int) is pointer
    assert not hasattr(ctypes, "WinDLL")
    assert ctypes.sizeof(ctypes.c_long) == 8
