"""What HTTP framing may take: all of it is parsed in the event loop."""

PIECE = 16 * 1024
"""Bytes to parse at once: a read may have 256 kB, which are 43,000 chunks of a byte."""
_OVERHEAD = 64 * 1024
_BODY_PER_OVERHEAD = 8


def is_excessive(received: int, body: int) -> bool:
    """Whether `received` bytes hold more headers and framing than the `body` bytes in them need.

    64 KiB and an eighth of the body are allowed, so chunks of 60 bytes are fine.
    """
    return received - body > _OVERHEAD + body / _BODY_PER_OVERHEAD
