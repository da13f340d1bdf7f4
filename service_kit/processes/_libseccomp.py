"""The few functions of libseccomp that the sandbox needs (libseccomp 2.5, seccomp_rule_add(3))."""

import ctypes
import errno
import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

_ALLOW = 0x7FFF0000
_ERRNO = 0x00050000
_MASKED_EQUAL = 7


@dataclass(frozen=True, slots=True)
class Argument:
    """A condition on one argument of a system call: `argument & mask == value`."""

    number: int
    mask: int
    value: int


@dataclass(frozen=True, slots=True)
class Rule:
    """Allows a system call if all `conditions` are true. Several rules may allow the same call."""

    call: str
    conditions: tuple[Argument, ...] = ()


class _Comparison(ctypes.Structure):
    _fields_ = (
        ("number", ctypes.c_uint),
        ("operator", ctypes.c_int),
        ("mask", ctypes.c_uint64),
        ("value", ctypes.c_uint64),
    )


@cache
def _library() -> ctypes.CDLL:
    return ctypes.CDLL("libseccomp.so.2")


def prepare() -> None:
    """Load libseccomp, while this process may still open files. Raises OSError if it is missing."""
    _library()


def restrict(allowed: Iterable[Rule], missing: Iterable[str]) -> None:
    """Allow only these system calls in this process and its future threads, permanently.

    Others fail with EPERM, and those in `missing` with ENOSYS, so that a C library tries an older one. Rules for calls
    that this architecture does not have are skipped. Raises OSError if libseccomp or the kernel cannot do it.
    """
    library = _library()
    library.seccomp_init.restype = ctypes.c_void_p
    library.seccomp_init.argtypes = (ctypes.c_uint32,)
    library.seccomp_rule_add_array.argtypes = (
        ctypes.c_void_p,
        ctypes.c_uint32,
        ctypes.c_int,
        ctypes.c_uint,
        ctypes.POINTER(_Comparison),
    )
    library.seccomp_load.argtypes = library.seccomp_release.argtypes = (ctypes.c_void_p,)
    context = library.seccomp_init(_ERRNO | errno.EPERM)
    if not context:
        raise OSError(errno.ENOMEM, "libseccomp could not make a filter")
    try:
        for rule in allowed:
            _add(library, context, _ALLOW, rule)
        for call in missing:
            _add(library, context, _ERRNO | errno.ENOSYS, Rule(call))
        _check(library.seccomp_load(context))
    finally:
        library.seccomp_release(context)


def _add(library: ctypes.CDLL, context: int, action: int, rule: Rule) -> None:
    number = library.seccomp_syscall_resolve_name(rule.call.encode())
    if number < 0:  # not on this architecture
        return
    conditions = (_Comparison * len(rule.conditions))(
        *(_Comparison(each.number, _MASKED_EQUAL, each.mask, each.value) for each in rule.conditions)
    )
    _check(library.seccomp_rule_add_array(context, action, number, len(conditions), conditions))


def _check(status: int) -> None:
    if status < 0:
        raise OSError(-status, os.strerror(-status))
