"""A manifest: a line of JSON for each source, with the image that it has become. A later run goes on from it."""

import fcntl
import json
from pathlib import Path
from typing import Self

from imgsvc.terminal.failures import USAGE, Failure
from imgsvc.transfers.index import Index, Record


class Manifest:
    """A file with a line for each source. It is written line by line, so that a killed run loses nothing."""

    def __init__(self, file: Path) -> None:
        self._path = file
        self._index = Index()
        self._file = file.open("a+b")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise Failure(f"another run uses {file}; wait for it, or name another file", USAGE) from error
        self._file.seek(0)
        self.known = self._read()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._index.close()

    def find(self, source: str) -> Record | None:
        """The last record of a source."""
        return self._index.find(source)

    def add(self, record: Record) -> None:
        """Write a record, if it is news."""
        if "image_id" in record and self._index.find(record["source"]) == record:
            return
        self._file.write(json.dumps(record, ensure_ascii=False).encode(errors="surrogateescape") + b"\n")
        self._file.flush()
        if "image_id" in record:
            self._index.add(record)

    def _read(self) -> int:
        """Remember what earlier runs have done. The last line of a run that was killed may be half a line."""
        number, end = 0, 0
        for line in self._file:
            if not line.endswith(b"\n"):
                self._file.truncate(end)
                break
            end += len(line)
            record = self._record(line)
            if "image_id" in record:
                self._index.add(record)
                number += 1
        self._file.seek(0, 2)
        return number

    def _record(self, line: bytes) -> Record:
        try:
            record: Record = json.loads(line)
            record["source"]
        except (ValueError, KeyError, TypeError):
            raise Failure(f"{self._path} is not a manifest of imgsvc; name another file", USAGE) from None
        return record
