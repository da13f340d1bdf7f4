"""What a render came to, as it travels from a renderer process to the one that speaks HTTP."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rendered:
    """Bytes written, and seconds of decoding, treating and encoding together.

    Its module must not import the renderer's: to unpickle a value is to import the module of its class.
    """

    bytes: int
    seconds: float
