"""What a render came to, as it travels from a renderer process to the one that speaks HTTP."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rendered:
    """Bytes written, and seconds of decoding and treating, and of encoding.

    Of a large result `encode` is 0: its pixels are decoded while they are encoded, and all of it is `render`.

    Its module must not import the renderer's: to unpickle a value is to import the module of its class.
    """

    bytes: int
    render: float
    encode: float
