"""Redacted URLs contain no secrets."""

import pytest

from service_kit.urls import parts_of, redacted


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://user:hunter2@host:5432/name", "postgresql://host:5432/name"),
        ("redis://:hunter2@host:6379/0", "redis://host:6379/0"),
        ("redis://:hunt/er2?x#@host/0", "redis://…"),
        ("redis://:hunt/er2@host/0", "redis://host/0"),
        ("postgresql://host/name?user=u&password=hunter2", "postgresql://host/name"),
        ("postgresql://host/name?password=hunt@er2", "postgresql://…"),
        ("https://account.example/container?sig=hunter2#hunter2", "https://account.example/container"),
        ("sqlite:////srv/images.sqlite3", "sqlite:////srv/images.sqlite3"),
        ("memory://", "memory://"),
        ("user:hunter2@host", "…"),
    ],
)
def test_secrets_are_left_out(url: str, expected: str) -> None:
    assert redacted(url) == expected


def test_an_invalid_url_is_reported_without_its_secrets() -> None:
    with pytest.raises(ValueError, match=r"^NAME='redis://host/0' is not a valid URL; percent-encode") as raised:
        parts_of("NAME", "redis://:hunt/er2@host/0")
    assert raised.value.__cause__ is None
