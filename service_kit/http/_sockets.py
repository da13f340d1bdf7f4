"""What asyncio cannot do with a connection: see how much the kernel still has to send, and reset it."""

import asyncio
import fcntl
import os
import socket
import struct
import termios
from contextlib import suppress


def in_kernel(transport: asyncio.Transport) -> int:
    """The bytes that the kernel has not delivered yet. A slow client takes them long before it takes more from us."""
    connection = transport.get_extra_info("socket")
    with suppress(OSError, ValueError):
        return int(struct.unpack("i", fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, bytes(4)))[0])
    return 0


def reset(transport: asyncio.Transport) -> None:
    """Close a connection at once. Otherwise, the kernel keeps what the client does not read for minutes."""
    with suppress(OSError, ValueError):
        duplicate = socket.socket(fileno=os.dup(transport.get_extra_info("socket").fileno()))
        with duplicate:
            duplicate.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
