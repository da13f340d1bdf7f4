"""Redacted URLs contain no secrets."""

import pytest

from service_kit.urls import for_each_host, parts_of, redacted


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


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (
            "postgresql://u:a,b@one:1,two/x?y=1,2",
            ["postgresql://u:a,b@one:1/x?y=1,2", "postgresql://u:a,b@two/x?y=1,2"],
        ),
        ("postgresql://[::1]:1,[fd00::2]/x", ["postgresql://[::1]:1/x", "postgresql://[fd00::2]/x"]),
        ("postgresql://u@/x?host=/run/postgresql", ["postgresql://u@/x?host=/run/postgresql"]),
        ("postgresql://one", ["postgresql://one"]),
        ("sqlite:////srv/a,b.sqlite3", ["sqlite:////srv/a,b.sqlite3"]),
    ],
)
def test_several_hosts_become_a_url_each(url: str, expected: list[str]) -> None:
    assert for_each_host(url) == expected
    for each in expected:
        parts_of("DATABASE_URL", each)
