"""The passwords and keys of an installation: random, kept, and never those that everybody knows."""

import hashlib
import os
import subprocess
from pathlib import Path

import pytest

from tests.servers import ROOT


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("database", "cache", "redis", "access", "postgres"):
        (tmp_path / name).mkdir()
    return tmp_path


def create(folder: Path, **settings: str) -> tuple[int, str]:
    """The exit code and the errors."""
    environment = {"PATH": os.environ["PATH"], "KEYS": str(folder), "DATABASE": str(folder / "postgres"), **settings}
    done = subprocess.run(["sh", ROOT / "keys/create"], env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stderr


def secrets(folder: Path) -> list[str]:
    return [
        (folder / name).read_text()
        for name in ("database/password", "cache/redis_password", "cache/key", "access/secret")
    ]


def test_secrets_are_random_and_kept(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    assert create(folder) == (0, "")
    first = secrets(folder)
    assert len(set(first)) == 4
    assert all(len(secret) == 65 for secret in first)
    assert create(folder) == (0, "")
    assert secrets(folder) == first
    other = tmp_path_factory.mktemp("other")
    for name in ("database", "cache", "redis", "access"):
        (other / name).mkdir()
    create(other)
    assert not set(secrets(other)) & set(first)


def test_given_secrets_are_used(folder: Path) -> None:
    given = {"POSTGRES_PASSWORD": "it's $a `pass\\word", "REDIS_PASSWORD": "redis password", "CACHE_KEY": "k" * 40}
    given["ACCESS_SECRET"] = "a" * 40
    assert create(folder, **given) == (0, "")
    assert [secret.rstrip("\n") for secret in secrets(folder)] == list(given.values())
    (folder / "file").write_text("from a file\n")
    create(folder, POSTGRES_PASSWORD_FILE=str(folder / "file"))
    assert secrets(folder)[0] == "from a file\n"
    assert secrets(folder)[1] == "redis password\n"


def test_redis_knows_only_the_hash_of_its_password(folder: Path) -> None:
    create(folder, REDIS_PASSWORD="redis password")
    rules = (folder / "redis/users.acl").read_text()
    assert hashlib.sha256(b"redis password").hexdigest() in rules
    assert "redis password" not in rules
    assert rules.startswith("user default off\n")


def test_production_refuses_the_former_default(folder: Path) -> None:
    code, said = create(folder, POSTGRES_PASSWORD="imgsvc")
    assert (code, said.splitlines()[0]) == (
        1,
        "keys: POSTGRES_PASSWORD=imgsvc is known to everybody; choose another one, and give it to the database as well",
    )
    assert create(folder, POSTGRES_PASSWORD="imgsvc", APP_ENV="dev") == (0, "")


def test_the_old_name_of_the_published_port_is_refused(folder: Path) -> None:
    code, text = create(folder, PORT="9000")
    assert code == 1
    assert "set PUBLISH=127.0.0.1:9000" in text
    assert create(folder, PORT="9000", PUBLISH="127.0.0.1:9000")[0] == 0


def test_a_database_without_its_password_is_not_given_another_one(folder: Path) -> None:
    (folder / "postgres/PG_VERSION").write_text("15\n")
    code, said = create(folder)
    assert (code, said.splitlines()[0]) == (
        1,
        "keys: there is a database, but not its password; set POSTGRES_PASSWORD",
    )
    assert not (folder / "database/password").exists()
    assert create(folder, DATABASE_URL="postgresql://imgsvc@postgres:5432/imgsvc")[0] == 1
    assert create(folder, APP_ENV="dev") == (0, "")
    assert secrets(folder)[0] == "imgsvc\n", "development used it before"


def test_a_database_elsewhere_needs_no_password_of_the_one_here(folder: Path) -> None:
    (folder / "postgres/PG_VERSION").write_text("15\n")
    for _ in range(2):
        assert create(folder, DATABASE_URL="postgresql://me:mine@postgres.example/imgsvc") == (0, "")
    assert (folder / "database/password").read_text() == ""
    code, said = create(folder)
    assert (code, "there is a database, but not its password" in said) == (1, True), "it is used again"


def test_compose_tells_keys_where_the_database_is() -> None:
    keys = (ROOT / "docker-compose.yml").read_text().partition("\n  keys:\n")[2].partition("\n\n  varnish:")[0]
    assert "DATABASE_URL: ${DATABASE_URL:-}\n" in keys
