"""Landlock (Linux 5.13): closes the file system, the network and other processes to this process."""

import ctypes
import os

_CREATE_RULESET, _RESTRICT_SELF = 444, 446
"""System call numbers, the same on every architecture."""
_VERSION = 1
_FILES = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}
"""All access rights to files, by the ABI that added the last of them (linux/landlock.h)."""
_NETWORK = {4: 0b11}
"""Binding and connecting TCP sockets."""
_SCOPES = {6: 0b11}
"""Connections to abstract Unix sockets, and signals."""
_SET_NO_NEW_PRIVILEGES = 38


class _Attributes(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("network", ctypes.c_uint64), ("scopes", ctypes.c_uint64))


def restrict() -> None:
    """Deny everything that this kernel's Landlock can deny. Open files stay open. This is permanent.

    Raises OSError if the kernel has no Landlock, or does not allow it here.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    abi = _check(libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _VERSION))
    denied = _Attributes(_newest(_FILES, abi), _newest(_NETWORK, abi), _newest(_SCOPES, abi))
    ruleset = _check(libc.syscall(_CREATE_RULESET, ctypes.byref(denied), ctypes.c_size_t(_size(abi)), 0))
    try:
        _check(libc.prctl(_SET_NO_NEW_PRIVILEGES, 1, 0, 0, 0))
        _check(libc.syscall(_RESTRICT_SELF, ruleset, 0))
    finally:
        os.close(ruleset)


def _newest(rights: dict[int, int], abi: int) -> int:
    return next((rights[version] for version in sorted(rights, reverse=True) if version <= abi), 0)


def _size(abi: int) -> int:
    """The bytes of the attributes that this ABI knows."""
    fields = 1 + (abi >= min(_NETWORK)) + (abi >= min(_SCOPES))
    return fields * ctypes.sizeof(ctypes.c_uint64)


def _check(result: int) -> int:
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result
