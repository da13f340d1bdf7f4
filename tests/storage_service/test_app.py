"""How the storage service is assembled."""

from pathlib import Path

import pytest

from storage_service.app import database_config
from storage_service.settings import StorageSettings


@pytest.mark.parametrize(
    ("url", "password"),
    [
        ("postgresql://imgsvc@postgres/imgsvc", "from the file"),
        ("postgresql://imgsvc:mine@db.example/imgsvc", None),
        ("postgresql://imgsvc@db.example/imgsvc?password=mine", None),
    ],
)
def test_the_password_file_is_used_only_if_the_url_has_no_password(
    tmp_path: Path, url: str, password: str | None
) -> None:
    """Compose always sets the file, with the password of its own database."""
    file = tmp_path / "password"
    file.write_text("from the file\n")
    settings = StorageSettings(database_url=url, database_password_file=file)
    read = database_config(settings).password
    if password is None:
        file.unlink()
        assert read is database_config(settings).password is None
        return
    assert read
    assert read() == password
    file.write_text("another one\n")
    assert read() == "another one", "without a restart"
    file.unlink()
    assert read() == "another one"
