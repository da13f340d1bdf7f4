"""What has been transferred: records by source, on the disk, so that a million of them take no memory."""

import json
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

Record = Mapping[str, Any]
"""What became of a source: `source` and `image_id` or `error`, and more facts."""


class Index:
    """Records by source, in a file, or in a temporary one."""

    def __init__(self, file: Path | None = None) -> None:
        if file:
            file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._database = sqlite3.connect(file or "", timeout=30, isolation_level=None)
        if file:
            self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = OFF" if not file else "PRAGMA synchronous = NORMAL")
        self._database.execute(
            "CREATE TABLE IF NOT EXISTS records (source TEXT PRIMARY KEY, record TEXT NOT NULL) WITHOUT ROWID"
        )

    def find(self, source: str) -> Record | None:
        """The last record of a source."""
        row = self._database.execute("SELECT record FROM records WHERE source = ?", (source,)).fetchone()
        return json.loads(row[0]) if row else None

    def add(self, record: Record) -> None:
        """Keep a record."""
        text = json.dumps(record, ensure_ascii=False)
        self._database.execute("INSERT OR REPLACE INTO records VALUES (?, ?)", (record["source"], text))

    def close(self) -> None:
        """Close the file."""
        self._database.close()
