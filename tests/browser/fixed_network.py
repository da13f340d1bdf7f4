"""Runs a program that cannot learn of changes of this machine's network: `fixed_network.py PROGRAM ARGUMENT…`.

Chromium gives up connections that it is opening whenever an address comes or goes (ERR_NETWORK_CHANGED), even those to
this machine. In CI, containers come and go beside it. It has no switch for that, but without netlink sockets, it takes
the network for a fixed one.
"""

import ctypes
import errno
import os
import socket
import sys

_ALLOW = 0x7FFF0000
_ERRNO = 0x00050000
_EQUAL = 4


class _Comparison(ctypes.Structure):
    """scmp_arg_cmp of libseccomp 2.5, seccomp_rule_add(3)."""

    _fields_ = (
        ("number", ctypes.c_uint),
        ("operator", ctypes.c_int),
        ("value", ctypes.c_uint64),
        ("unused", ctypes.c_uint64),
    )


def _forbid_netlink() -> None:
    library = ctypes.CDLL("libseccomp.so.2")
    library.seccomp_init.restype = ctypes.c_void_p
    context = ctypes.c_void_p(library.seccomp_init(_ALLOW))
    call = library.seccomp_syscall_resolve_name(b"socket")
    netlink = _Comparison(0, _EQUAL, socket.AF_NETLINK, 0)
    failed = library.seccomp_rule_add_array(context, _ERRNO | errno.EAFNOSUPPORT, call, 1, ctypes.byref(netlink))
    failed = failed or library.seccomp_load(context)
    if failed:
        raise OSError(-failed, os.strerror(-failed))


if __name__ == "__main__":
    _forbid_netlink()
    os.execv(sys.argv[1], sys.argv[1:])
