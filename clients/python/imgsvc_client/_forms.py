"""Forms with a file (RFC 7578), as the bodies of requests."""

import io
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

_CHUNK = 64 * 1024
File = Path | str | bytes | BinaryIO
Progress = Callable[[int, int | None], None]
"""Called with the bytes of the body that were sent, and all of them; None if their number is unknown."""


@dataclass(frozen=True, slots=True)
class Upload:
    """The body of an upload: a form with texts and a file."""

    head: bytes
    file: File
    tail: bytes
    size: int | None
    """Bytes of the file; None if that is unknown, as for a pipe."""

    @property
    def repeats(self) -> bool:
        """Whether it can be sent again."""
        return self.size is not None

    def chunks(self) -> Iterator[bytes]:
        """The body."""
        yield self.head
        if isinstance(self.file, bytes):
            for start in range(0, len(self.file), _CHUNK):
                yield self.file[start : start + _CHUNK]
        elif isinstance(self.file, Path | str):
            with Path(self.file).open("rb") as file:
                while chunk := file.read(_CHUNK):
                    yield chunk
        else:
            if self.size is not None:
                self.file.seek(-self.size, 2)
            while chunk := self.file.read(_CHUNK):
                yield chunk
        yield self.tail

    def counted(self, progress: Progress | None) -> Iterator[bytes]:
        """The body, while `progress` hears how much of it was taken."""
        sent = 0
        for chunk in self.chunks():
            yield chunk
            sent += len(chunk)
            if progress:
                progress(sent, self.length)

    @property
    def headers(self) -> dict[str, str]:
        """The headers about the body."""
        return {} if self.length is None else {"Content-Length": str(self.length)}

    @property
    def length(self) -> int | None:
        """Bytes of the body; None if that is unknown."""
        return None if self.size is None else len(self.head) + self.size + len(self.tail)


def _name(file: File, name: str | None) -> str:
    if name is not None:
        return name
    if isinstance(file, Path | str):
        return Path(file).name
    return Path(str(getattr(file, "name", "image"))).name


def form(file: File, name: str | None, texts: Mapping[str, str]) -> tuple[Upload, str]:
    """A form with a file and texts, and its content type. `name` is that of the file, unless it is None."""
    boundary = secrets.token_hex(16)
    quoted = _name(file, name).replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{field}"\r\n\r\n{text}\r\n'
        for field, text in texts.items()
    ]
    parts.append(
        f'--{boundary}\r\nContent-Disposition: form-data; name="image"; filename="{quoted}"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    )
    upload = Upload("".join(parts).encode(), file, f"\r\n--{boundary}--\r\n".encode(), _size(file))
    return upload, f"multipart/form-data; boundary={boundary}"


def _size(file: File) -> int | None:
    if isinstance(file, bytes):
        return len(file)
    if isinstance(file, Path | str):
        return Path(file).stat().st_size
    if isinstance(file, io.TextIOBase):
        raise ValueError("the file is open as text; open it with mode 'rb'")  # noqa: TRY004
    if not file.seekable():
        return None
    begin = file.tell()
    end = file.seek(0, 2)
    file.seek(begin)
    return end - begin
