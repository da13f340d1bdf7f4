"""Settings for caches."""

import pytest
from pydantic import ValidationError

from service_kit.settings import CommonSettings


@pytest.mark.parametrize(
    "value",
    ["public, max-age=60", "no-store", "", "private,no-cache", "max-age=1, stale-while-revalidate=5, stale-if-error=9"],
)
def test_what_caches_understand_is_accepted(value: str) -> None:
    settings = CommonSettings(variant_cache_control=value, original_cdn_cache_control=value)
    assert settings.variant_caching.cache_control == value
    assert settings.original_caching.cdn_cache_control == value


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("max_age=60", "'max_age' is not a directive; did you mean max-age?"),
        ("Public", "did you mean public?"),
        ("s-max-age=60", "did you mean s-maxage?"),
        ("max-age=1h", "'max-age=1h' needs a number of seconds"),
        ("max-age", "'max-age' needs a number of seconds"),
        ("max-age: 60", "is not a directive"),
        ("public=1", "'public' takes no value"),
        ("public\r\nSet-Cookie: a=b", "is not a directive"),
        ("für", "is not a directive"),
    ],
)
def test_what_caches_would_ignore_is_refused(value: str, said: str) -> None:
    with pytest.raises(ValidationError) as refusal:
        CommonSettings(variant_cdn_cache_control=value)
    assert said in str(refusal.value)
