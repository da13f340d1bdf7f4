"""Metrics of a service, over HTTP."""

import re

from tests import pictures
from tests.storage_service.conftest import Storage

_SERIES = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$", re.MULTILINE)


async def metrics(storage: Storage) -> dict[tuple[str, str], float]:
    """Every series, by name and labels."""
    _, body = await storage.get("/metrics")
    return {(name, labels): float(value) for name, labels, value in _SERIES.findall(body.decode())}


async def test_requests_are_counted_by_route_method_and_status(storage: Storage) -> None:
    before = await metrics(storage)
    image_id = await storage.upload(bytes(pictures.noise(30, 20).jpegsave_buffer()))
    for spelling in ("/v1/images", "/images", "/image"):
        await storage.get(f"{spelling}/{image_id}")
    after = await metrics(storage)

    def growth(name: str, labels: str) -> float:
        return after.get((name, labels), 0.0) - before.get((name, labels), 0.0)

    assert growth("imgsvc_requests_total", 'method="POST",route="/v1/images",status="201"') == 1
    assert growth("imgsvc_requests_total", 'method="GET",route="/v1/images/{image_id}",status="200"') == 3
    assert growth("imgsvc_request_duration_seconds_count", 'method="GET",route="/v1/images/{image_id}"') == 3
    assert growth("imgsvc_request_bytes_total", 'route="/v1/images"') > 500
    assert growth("imgsvc_response_bytes_total", 'route="/v1/images/{image_id}"') > 1500
    assert after["imgsvc_requests_in_progress", ""] == 1, "this request itself"


async def test_text_from_clients_never_becomes_a_label(storage: Storage) -> None:
    await metrics(storage)
    known = set(await metrics(storage))
    for number in range(5):
        for method, path in (
            ("GET", f"/evil{number}"),
            ("GET", f"/v1/images/evil{number}?evil=1"),
            (f"EVIL{number}", "/v1/images"),
        ):
            async with storage.http.request(
                method, storage.url + path, headers={"X-Request-ID": f"evil{number}"}
            ) as response:
                assert response.status >= 400
    after = set(await metrics(storage))
    assert not [series for series in after if "evil" in str(series).lower()]
    expected = {
        'method="GET",route="/v1/images/{image_id}",status="400"',
        'method="GET",route="none",status="404"',
        'method="other",route="none",status="400"',
    }
    assert expected <= {labels for name, labels in after if name == "imgsvc_requests_total"}
    assert {labels for name, labels in after - known if name == "imgsvc_requests_total"} <= expected


async def test_a_confirmed_deletion_is_measured_and_no_longer_pending(storage: Storage) -> None:
    image_id = await storage.upload(bytes(pictures.noise(31, 20).jpegsave_buffer()))
    before = await metrics(storage)
    async with storage.http.delete(f"{storage.url}/v1/images/{image_id}") as response:
        assert response.status == 204
    after = await metrics(storage)
    assert after["imgsvc_purge_confirm_seconds_count", ""] == before["imgsvc_purge_confirm_seconds_count", ""] + 1
    assert after["imgsvc_purges_pending", ""] == 0
    assert after["imgsvc_purge_oldest_seconds", ""] == 0
