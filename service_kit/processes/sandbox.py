"""The sandbox of worker processes: a decoder that is taken over can read its input and write its output, no more.

A worker gets its files already open, so it needs no access to the file system at all (docs/adr/0040).
"""

import ctypes
import math
import os
import resource
import signal
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Literal

from service_kit.processes import _landlock as landlock
from service_kit.processes import _libseccomp as libseccomp
from service_kit.processes._libseccomp import Argument, Rule

Sandbox = Literal["auto", "required", "off"]
"""`auto` uses what the kernel has."""

_DEATH_SIGNAL, _DUMPABLE = 1, 4  # prctl(2)
_OPEN_FILES, _LARGEST_FILE = 64, 2 * 1024**3
_STANDARD_STREAMS = 3

_CALLS = """
    read readv pread64 preadv write writev pwrite64 pwritev lseek close fstat ftruncate dup
    recvmsg recvfrom sendmsg sendto poll ppoll select pselect6
    mremap munmap madvise brk membarrier
    futex set_robust_list rseq sched_yield sched_getaffinity
    clock_gettime clock_getres clock_nanosleep nanosleep gettimeofday time times getrusage getrandom
    rt_sigaction rt_sigprocmask rt_sigreturn sigaltstack restart_syscall
    getpid gettid getppid getuid geteuid getgid getegid uname sysinfo getcpu
    exit exit_group
"""
"""What Python, glibc, GLib and the decoders need. No call opens a file or a socket, starts a program, sends a signal to
another process or attaches to it."""
_SHARED, _PRIVATE, _ANONYMOUS, _TYPE = 0x01, 0x02, 0x20, 0x03  # mmap(2)
_EXECUTABLE = 0x4  # PROT_EXEC
_THREAD = 0x00010000  # CLONE_THREAD
_THIS_FILE = 0x1000  # AT_EMPTY_PATH
_NOT_EXECUTABLE = Argument(2, _EXECUTABLE, 0)
_ALL = 2**32 - 1
_RULES = (
    Rule("mmap", (_NOT_EXECUTABLE, Argument(3, _TYPE, _PRIVATE))),
    # Shared memory does not count towards RLIMIT_DATA, so only files may be shared.
    Rule("mmap", (_NOT_EXECUTABLE, Argument(3, _TYPE | _ANONYMOUS, _SHARED))),
    Rule("mprotect", (_NOT_EXECUTABLE,)),
    Rule("clone", (Argument(0, _THREAD, _THREAD),)),
    Rule("newfstatat", (Argument(3, _ALL, _THIS_FILE),)),
    # Flags and copies of descriptors. F_SETOWN could make the kernel send a signal to any process.
    *(Rule("fcntl", (Argument(1, _ALL, command),)) for command in (0, 1, 2, 3, 4, 1030)),
)
_MISSING = ("clone3",)
"""Its flags are in memory, where a filter cannot check them. glibc then uses `clone`."""


def close_inherited_files(keep: int) -> None:
    """Close what the fork server left open, apart from the standard streams and the descriptor `keep`."""
    folder = Path("/proc/self/fd")
    for descriptor in [int(file.name) for file in folder.iterdir()] if folder.exists() else ():
        if descriptor >= _STANDARD_STREAMS and descriptor != keep:
            with suppress(OSError):  # the one that read the folder is closed already
                os.close(descriptor)


def enter(sandbox: Sandbox, most_memory: int | None) -> list[str]:
    """Restrict this process permanently, including its memory to `most_memory` bytes. Open files stay open.

    Returns a line for each part that the kernel cannot do.
    """
    if sys.platform != "linux":
        return ["this system is not Linux"]
    _limit_process(most_memory)
    if sandbox == "off":
        return []
    _silence()
    missing = []
    with suppress(OSError):  # reported below
        libseccomp.prepare()
    for name, restrict in (("Landlock", landlock.restrict), ("seccomp", _restrict_calls)):
        try:
            restrict()
        except OSError as error:
            missing.append(f"no {name} ({error.strerror or error})")
    return missing


def _limit_process(most_memory: int | None) -> None:
    libc = ctypes.CDLL(None)
    libc.prctl(_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)  # it does not outlive the fork server
    libc.prctl(_DUMPABLE, 0, 0, 0, 0)  # no core dumps, and nobody may attach
    for kind, most in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, _OPEN_FILES),
        (resource.RLIMIT_FSIZE, _LARGEST_FILE),
        (resource.RLIMIT_DATA, resource.RLIM_INFINITY if most_memory is None else most_memory),
    ):
        allowed = resource.getrlimit(kind)[1]
        limit = min(most, allowed, key=lambda each: each if each != resource.RLIM_INFINITY else math.inf)
        resource.setrlimit(kind, (limit, limit))


def _silence() -> None:
    """Send what decoders print to nobody: it could pass for lines of the log."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in range(_STANDARD_STREAMS):
        os.dup2(nowhere, stream)
    os.close(nowhere)


def _restrict_calls() -> None:
    libseccomp.restrict(_rules(), _MISSING)


def _rules() -> Iterator[Rule]:
    yield from map(Rule, _CALLS.split())
    yield from _RULES
    yield Rule("tgkill", (Argument(0, _ALL, os.getpid()),))  # abort() ends its own process
