"""Where images may be: nowhere but in the blob store of this deployment."""

import os
from datetime import timedelta
from pathlib import Path

import pytest

from imaging.locator import Located
from storage_service.blobs import Blobs
from tests.transform_service.caching.test_untrusted_redis import RIGHT
from transform_service.caching.places import BlobPlaces
from transform_service.caching.store import create_store
from transform_service.settings import TransformSettings


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("AWS_", "AZURE_", "GOOGLE_")) or name in {"BLOB_URL", "CACHE_KEY"}:
            monkeypatch.delenv(name)


def at(place: str) -> Located:
    """An image at a path or a URL."""
    where = {"url": place, "path": None} if "://" in place else {"url": None, "path": Path(place)}
    return RIGHT.model_copy(update=where)


@pytest.mark.parametrize(
    ("blob_url", "right", "wrong"),
    [
        (
            "file:///data/blobs",
            ["/data/blobs/sha256/aa/bb/c", "http://storage:8081/v1/images/x"],
            ["/etc/passwd", "/data/blobs/../x", "/data/blobs2/x", "data/blobs/x", "http://storage:80/x", "ftp://storage:8081/x"],
        ),
        ("file:///data%20x/blobs/", ["/data x/blobs/c"], ["/data%20x/blobs/c"]),
        (
            "s3://photos/prefix",
            ["https://s3.eu-west-1.amazonaws.com/photos/prefix/x?X-Amz=1", "https://photos.s3.amazonaws.com/prefix/x"],
            [
                "http://s3.eu-west-1.amazonaws.com/photos/x",
                "https://s3.eu-west-1.amazonaws.com/others/x",
                "https://others.s3.amazonaws.com/x",
                "https://amazonaws.com.evil.example/photos/x",
                "https://evilamazonaws.com/photos/x",
                "https://evil.execute-api.us-east-1.amazonaws.com/photos/x",
                "https://photos.execute-api.us-east-1.amazonaws.com/x",
                "https://s3.amazonaws.com/photos/../others/x",
                "https://s3.amazonaws.com/photos/%2e%2e/others/x",
                "https://s3.amazonaws.com:444/photos/x",
                "https://s3.amazonaws.com@169.254.169.254/photos/x",
                "http://169.254.169.254/photos/x",
                "https://[::1/photos/x",
                "/data/blobs/x",
            ],
        ),
        ("gs://photos", ["https://storage.googleapis.com/photos/x"], ["https://storage.googleapis.com/others/x"]),
        (
            "abfss://photos@account.dfs.core.windows.net/p",
            ["https://account.blob.core.windows.net/photos/p/x"],
            [
                "https://attacker.blob.core.windows.net/photos/p/x",
                "https://account.blob.core.windows.net/others/x",
                "https://s3.amazonaws.com/photos/x",
            ],
        ),
        ("https://acme.r2.example/photos", ["https://acme.r2.example/photos/x"], ["https://r2.example/photos/x", "https://acme.r2.example/others/x"]),
        ("memory://", ["http://storage:8081/v1/images/x"], ["/x", "http://other:8081/x", "https://x.amazonaws.com/x"]),
        ("", ["/anywhere", "http://anywhere/"], []),
    ],
)  # fmt: skip
def test_images_are_in_the_blob_store(blob_url: str, right: list[str], wrong: list[str]) -> None:
    places = BlobPlaces(TransformSettings(blob_url=blob_url, storage_url="http://storage:8081"))
    assert [place for place in right if not places.has(at(place))] == []
    assert [place for place in wrong if places.has(at(place))] == []


def test_an_object_store_of_ones_own_is_named_by_its_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT", "http://minio:9000")
    places = BlobPlaces(TransformSettings(blob_url="s3://photos"))
    assert places.has(at("http://minio:9000/photos/x"))
    for host in ("https://s3.amazonaws.com", "http://minio:9001", "http://minio", "https://minio:9000"):
        assert not places.has(at(f"{host}/photos/x"))
    public = BlobPlaces(TransformSettings(blob_url="s3://photos", blob_hosts=("files.example",)))
    assert public.has(at("https://files.example/x"))
    assert public.has(at("https://FILES.example:443/x"))
    assert not public.has(at("https://s3.amazonaws.com/photos/x"))
    with pytest.raises(ValueError, match="BLOB_HOSTS has an entry without a host"):
        BlobPlaces(TransformSettings(blob_url="s3://photos", blob_hosts=(":9000",)))


S3 = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "eu-west-1"}
AZURE = {"AZURE_STORAGE_ACCOUNT_NAME": "account", "AZURE_STORAGE_ACCOUNT_KEY": "a2V5"}


@pytest.mark.parametrize(
    ("blob_url", "environment"),
    [
        ("s3://photos/prefix", S3),
        ("s3a://photos", S3),
        ("s3://photos", {**S3, "AWS_REGION": "cn-north-1"}),
        ("s3://photos/prefix", {**S3, "AWS_VIRTUAL_HOSTED_STYLE_REQUEST": "true"}),
        ("s3://photos", {**S3, "AWS_ENDPOINT": "http://minio:80"}),
        ("s3://photos", {**S3, "AWS_ENDPOINT_URL": "https://Minio.Example.com:443/"}),
        ("s3://photos", {**S3, "AWS_ENDPOINT_URL_S3": "http://minio:9000/folder"}),
        ("s3://photos", {**S3, "AWS_ENDPOINT": "http://minio:9000", "AWS_VIRTUAL_HOSTED_STYLE_REQUEST": "true"}),
        ("https://s3.eu-west-1.amazonaws.com/photos/prefix", S3),
        ("https://photos.s3.eu-west-1.amazonaws.com/prefix", S3),
        ("https://photos.s3.eu-west-1.amazonaws.com", S3),
        ("https://account.r2.cloudflarestorage.com/photos", S3),
        ("az://photos/prefix", AZURE),
        ("azure://photos", AZURE),
        ("az://photos", {**AZURE, "AZURE_STORAGE_ENDPOINT": "http://azurite:10000/account"}),
        ("abfs://photos", AZURE),
        ("abfs://photos@account.dfs.core.windows.net/prefix", AZURE),
        ("abfss://photos@account.dfs.core.windows.net", AZURE),
        ("abfss://photos@account.dfs.fabric.microsoft.com", AZURE),
        ("https://account.blob.core.windows.net/photos", AZURE),
        ("https://Account.dfs.core.windows.net:443/photos/prefix", AZURE),
    ],
)
async def test_what_the_object_store_signs_is_in_the_blob_store(
    blob_url: str, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    url = await Blobs(blob_url).presigned_url("a" * 64, timedelta(minutes=1))
    assert url
    assert BlobPlaces(TransformSettings(blob_url=blob_url)).has(at(url)), url


def test_a_store_whose_hosts_are_unknown_needs_them() -> None:
    with pytest.raises(
        ValueError, match=r'set BLOB_HOSTS=\["ACCOUNT.blob.core.windows.net"\], or AZURE_STORAGE_ACCOUNT'
    ):
        BlobPlaces(TransformSettings(blob_url="az://photos"))
    places = BlobPlaces(TransformSettings(blob_url="az://photos", blob_hosts=("account.blob.core.windows.net",)))
    assert places.has(at("https://account.blob.core.windows.net/photos/x"))


def test_a_shared_store_needs_a_secret_and_a_blob_store(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="set CACHE_KEY_FILE to a file with a secret"):
        create_store(TransformSettings(result_cache_url="redis://redis/0"))
    with pytest.raises(ValueError, match="CACHE_KEY has 5 characters; use at least 32"):
        create_store(TransformSettings(result_cache_url="redis://redis/0", cache_key="short"))
    with pytest.raises(ValueError, match="set BLOB_URL as for the storage service"):
        BlobPlaces(TransformSettings(result_cache_url="redis://redis/0"))
    secret = tmp_path / "key"
    secret.write_text("0123456789abcdef" * 4 + "\n")
    assert create_store(TransformSettings(result_cache_url="redis://redis/0", cache_key_file=secret)).shared
