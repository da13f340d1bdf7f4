"""URLs are redacted without what may be secret in them."""

import pytest

from service_kit.urls import parts_of, redacted


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://user:geheim@host:5432/name", "postgresql://host:5432/name"),
        ("redis://:geheim@host:6379/0", "redis://host:6379/0"),
        ("redis://:gehe/im?x#@host/0", "redis://…"),
        ("redis://:gehe/im@host/0", "redis://host/0"),
        ("postgresql://host/name?user=u&password=geheim", "postgresql://host/name"),
        ("postgresql://host/name?password=geh@eim", "postgresql://…"),
        ("https://account.example/container?sig=geheim#geheim", "https://account.example/container"),
        ("sqlite:////srv/images.sqlite3", "sqlite:////srv/images.sqlite3"),
        ("memory://", "memory://"),
        ("user:geheim@host", "…"),
    ],
)
def test_secrets_are_left_out(url: str, expected: str) -> None:
    assert redacted(url) == expected


def test_a_url_that_cannot_be_read_is_told_without_them() -> None:
    with pytest.raises(ValueError, match=r"^NAME='redis://host/0' is not a valid URL; percent-encode") as raised:
        parts_of("NAME", "redis://:gehe/im@host/0")
    assert raised.value.__cause__ is None
