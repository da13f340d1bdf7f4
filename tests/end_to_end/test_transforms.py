"""Transforming images: chains, formats and sources, over HTTP."""

import aiohttp
import numpy as np
import pytest
import pyvips

from tests import pictures
from tests.end_to_end.conftest import Service
from tests.remote import RemoteServer

PICTURE = pictures.gradient(400, 300)


@pytest.fixture(scope="module")
async def image_id(service: Service) -> str:
    return await service.upload(bytes(PICTURE.pngsave_buffer()))


async def _pixels(service: Service, path: str) -> np.ndarray:
    status, body, _ = await service.get(path)
    assert status == 200, body
    return pictures.pixels(pictures.decode(body))


async def test_a_quarter_turn_is_clockwise(service: Service, image_id: str) -> None:
    turned = await _pixels(service, f"/v1/images/{image_id}.png?rotate=90")
    np.testing.assert_array_equal(turned, np.rot90(pictures.pixels(PICTURE), k=-1))


async def test_operations_run_in_order(service: Service, image_id: str) -> None:
    small_first = await _pixels(service, f"/v1/images/{image_id}.png?thumb=200&rotate=90&blur=3")
    small_last = await _pixels(service, f"/v1/images/{image_id}.png?blur=3&rotate=90&thumb=200")
    small = PICTURE.thumbnail_image(200, height=200, size="down")
    np.testing.assert_allclose(small_first, pictures.pixels(pictures.blurred(small.rot90(), 3)), atol=2)
    blurred = pictures.blurred(PICTURE, 3).rot90()
    np.testing.assert_allclose(
        small_last, pictures.pixels(blurred.thumbnail_image(200, height=200, size="down")), atol=2
    )
    assert small_first.shape == small_last.shape == (200, 150, 3)
    assert np.abs(small_first - small_last).max() > 5


async def test_operations_can_be_repeated(service: Service, image_id: str) -> None:
    twice = await _pixels(service, f"/v1/images/{image_id}.png?rotate=90&rotate=90")
    np.testing.assert_array_equal(twice, pictures.pixels(PICTURE)[::-1, ::-1])


async def test_a_rotation_by_any_angle_enlarges_the_canvas(service: Service, image_id: str) -> None:
    status, body, _ = await service.get(f"/v1/images/{image_id}.png?rotate=45")
    turned = pictures.decode(body)
    assert (turned.width, turned.height, turned.hasalpha()) == (495, 495, True)
    assert turned.getpoint(0, 0)[3] == 0
    for query, corner in (("rotate=45", 255), ("rotate=45&background=000000", 0), ("background=000&rotate=45", 0)):
        status, body, _ = await service.get(f"/v1/images/{image_id}.jpg?{query}")
        assert status == 200
        assert pictures.decode(body).getpoint(0, 0) == pytest.approx([corner] * 3, abs=2)


async def test_compress_makes_files_smaller(service: Service, image_id: str) -> None:
    for suffix in ("jpg", "webp", "avif", "png", "tiff"):
        sizes = [len((await service.get(f"/v1/images/{image_id}.{suffix}?compress={q}"))[1]) for q in (95, 5)]
        assert sizes[1] < sizes[0], suffix


async def test_the_smallest_compress_wins(service: Service, image_id: str) -> None:
    bodies = [
        (await service.get(f"/v1/images/{image_id}.jpg?{query}"))[1]
        for query in ("compress=30&compress=90", "compress=90&compress=30", "compress=30")
    ]
    assert bodies[0] == bodies[1] == bodies[2]


async def test_metadata_is_removed_and_the_orientation_applied(service: Service) -> None:
    picture = pictures.gradient(40, 20).copy()
    picture.set_type(pyvips.GValue.gint_type, "orientation", 6)
    picture.set_type(pyvips.GValue.gstr_type, "exif-ifd0-Artist", "an artist")
    turned = await service.upload(bytes(picture.jpegsave_buffer(Q=95)))
    for query in ("thumb=8192", "blur=0", "rotate=0", "compress=95"):
        status, body, _ = await service.get(f"/v1/images/{turned}?{query}")
        image = pictures.decode(body)
        assert (status, image.width, image.height) == (200, 20, 40), query
        assert image.get_typeof("orientation") == 0
        assert image.get_typeof("exif-data") == 0
        assert np.abs(pictures.pixels(image) - pictures.pixels(picture.rot90())).mean() < 4


async def test_the_same_format_without_operations_is_the_original(service: Service, image_id: str) -> None:
    _, original, _ = await service.get(f"/v1/images/{image_id}")
    for path in (
        f"/v1/images/{image_id}.png",
        f"/v1/images/{image_id}?format=png",
        f"/v1/images/{image_id}?utm_source=x",
    ):
        assert (await service.get(path))[1] == original


async def test_the_format_can_be_in_the_query(service: Service, image_id: str) -> None:
    _, body, response = await service.get(f"/v1/images/{image_id}?format=webp&thumb=50")
    assert response.content_type == "image/webp"
    assert body == (await service.get(f"/v1/images/{image_id}.webp?thumb=50"))[1]
    assert (await service.get(f"/v1/images/{image_id}.png?format=webp"))[0] == 400


async def test_a_variant_has_the_headers_of_the_contract(service: Service, image_id: str) -> None:
    _, _, response = await service.get(f"/v1/images/{image_id}.webp?thumb=77")
    assert response.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert response.headers["API-Version"] == "1"
    assert "Vary" not in response.headers
    phases = [phase.partition(";")[0] for phase in response.headers["Server-Timing"].split(", ")]
    assert phases == ["source", "plan", "cache", "queue", "render", "encode"]


async def test_animations_stay_animated_if_the_format_can(service: Service) -> None:
    animation = await service.upload(pictures.animation(5, 40, 30))
    for suffix, frames in (("gif", 5), ("webp", 5), ("png", 1), ("jpg", 1)):
        for query in ("thumb=20", "rotate=90&blur=1&thumb=20"):
            status, body, _ = await service.get(f"/v1/images/{animation}.{suffix}?{query}")
            assert status == 200, body
            image = pyvips.Image.new_from_buffer(body, "[n=-1]" if frames > 1 else "")
            width, height = (20, 15) if query == "thumb=20" else (15, 20)
            assert (image.width, image.height) == (width, height * frames), (suffix, query)
            if frames > 1:
                assert image.get("delay") == [100] * frames
                assert [round(page[0].avg()) for page in image.pagesplit()] == pytest.approx(
                    [0, 51, 102, 153, 204], abs=3
                )


async def test_the_orientation_is_applied_to_every_frame(service: Service) -> None:
    roll = pyvips.Image.new_from_buffer(pictures.animation(3, 40, 20), "[n=-1]").copy()
    roll.set_type(pyvips.GValue.gint_type, "orientation", 6)
    turned = await service.upload(bytes(roll.webpsave_buffer(lossless=True)))
    sizes = {".gif": (20, 40), ".webp?blur=0": (20, 40), ".webp?thumb=10": (5, 10), ".gif?rotate=90&thumb=10": (10, 5)}
    for variant, size in sizes.items():
        status, body, _ = await service.get(f"/v1/images/{turned}{variant}")
        image = pyvips.Image.new_from_buffer(body, "[n=-1]")
        assert (status, image.get_n_pages(), (image.width, image.get_page_height())) == (200, 3, size), variant


async def test_a_posted_file_is_transformed(service: Service) -> None:
    form = aiohttp.FormData()
    form.add_field("image", pictures.jpeg(100, 50), filename="x.jpg")
    async with service.http.post(f"{service.url}/transform?rotate=90&blur=10", data=form) as response:
        image = pictures.decode(await response.read())
    assert (response.status, image.width, image.height) == (200, 50, 100)
    assert response.content_type == "image/jpeg"
    assert "no-store" in response.headers["Cache-Control"]


@pytest.mark.parametrize("encoding", ["multipart", "urlencoded"])
async def test_a_stored_image_is_transformed_by_its_id(service: Service, image_id: str, encoding: str) -> None:
    form = aiohttp.FormData({"image_id": image_id}, default_to_multipart=encoding == "multipart")
    async with service.http.post(f"{service.url}/v1/transform?thumb=50&format=webp", data=form) as response:
        body = await response.read()
    assert response.status == 200
    assert body == (await service.get(f"/v1/transform?image_id={image_id}&thumb=50&format=webp"))[1]
    assert body == (await service.get(f"/v1/images/{image_id}.webp?thumb=50"))[1]


async def test_a_remote_image_is_transformed(service: Service, remote_server: RemoteServer) -> None:
    url = f"{service.remote}/photo.jpg"
    for target in (url, f"{service.remote}/redirect?to=/photo.jpg"):
        status, body, response = await service.get("/v1/transform", params={"url": target, "thumb": "32"})
        image = pictures.decode(body)
        assert (status, image.width, image.height) == (200, 32, 24)
        assert response.headers["Cache-Control"] == "public, max-age=3600, stale-while-revalidate=86400"
        assert "X-Secret" not in response.headers
        assert "Set-Cookie" not in response.headers
    async with service.http.post(f"{service.url}/transform?thumb=32", data={"url": url}) as posted:
        assert (posted.status, await posted.read()) == (200, body)
    assert "/photo.jpg" in remote_server.requested


async def test_jpeg_converts_to_png_and_gif_under_the_first_paths(service: Service) -> None:
    image_id = await service.upload(pictures.jpeg(80, 60))
    for suffix in ("png", "gif"):
        status, body, response = await service.get(f"/image/{image_id}.{suffix}")
        image = pictures.decode(body)
        assert (status, response.content_type) == (200, f"image/{suffix}")
        assert (image.width, image.height) == (80, 60)


CHROME = "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8"


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        (CHROME, "image/avif"),
        ("image/webp,*/*", "image/webp"),
        ("image/avif;q=0.5,image/webp", "image/webp"),
        ("*/*", "image/png"),
        (None, "image/png"),
    ],
)
async def test_auto_is_the_format_that_the_client_prefers(
    service: Service, image_id: str, accept: str | None, content_type: str
) -> None:
    headers = {"Accept": accept} if accept else {}
    for path in (f"/v1/images/{image_id}.auto?thumb=40", f"/v1/transform?image_id={image_id}&thumb=40&format=auto"):
        status, body, response = await service.get(path, headers=headers, skip_auto_headers=["Accept"])
        assert (status, response.content_type) == (200, content_type), path
        assert response.headers["Vary"] == "Accept"
        assert pictures.decode(body).width == 40
        again = {**headers, "If-None-Match": response.headers["ETag"]}
        assert (await service.get(path, headers=again, skip_auto_headers=["Accept"]))[0] == 304
    status, body, response = await service.get(f"/v1/images/{image_id}.auto", headers={"Accept": "image/png"})
    assert (status, response.content_type, response.headers["Vary"]) == (200, "image/png", "Accept")
    assert body == (await service.get(f"/v1/images/{image_id}"))[1]


async def test_a_preset_equals_its_chain(service: Service, image_id: str) -> None:
    _, body, response = await service.get(f"/v1/images/{image_id}.png?rotate=90&preset=avatar&flip")
    spelled = await service.get(f"/v1/images/{image_id}.png?rotate=90&resize=64x64,cover&grayscale&flip")
    assert body == spelled[1]
    assert response.headers["ETag"] == spelled[2].headers["ETag"]
    assert pictures.decode(body).bands == 1


async def test_a_stored_image_can_be_a_watermark(service: Service, image_id: str) -> None:
    mark = (pyvips.Image.black(40, 30, bands=4) + [255, 0, 0, 128]).cast("uchar").copy(interpretation="srgb")
    mark_id = await service.upload(bytes(mark.pngsave_buffer()))
    marked = await _pixels(service, f"/v1/images/{image_id}.png?watermark={mark_id},southeast")
    expected = pictures.pixels(PICTURE)
    np.testing.assert_array_equal(marked[:270], expected[:270])
    corner = (expected[270:, 360:] * 127 + np.array([255, 0, 0]) * 128) / 255
    np.testing.assert_allclose(marked[270:, 360:], corner, atol=1)
    form = aiohttp.FormData()
    form.add_field("image", pictures.jpeg(100, 50), filename="x.jpg")
    async with service.http.post(f"{service.url}/transform?watermark={mark_id}&format=png", data=form) as response:
        assert response.status == 200
        assert pictures.decode(await response.read()).getpoint(50, 25)[0] > 180
    status, body, _ = await service.get(f"/v1/images/{image_id}.png?watermark={'0' * 32}")
    assert status == 404
    assert f"the image {'0' * 32} does not exist".encode() in body


async def test_a_page_of_an_animation_is_a_still_image(service: Service) -> None:
    animation = await service.upload(pictures.animation(5, 40, 30))
    for suffix, query in (("gif", "page=3"), ("webp", "thumb=20&page=3"), ("png", "page=3&rotate=90")):
        status, body, _ = await service.get(f"/v1/images/{animation}.{suffix}?{query}")
        image = pyvips.Image.new_from_buffer(body, "")
        assert (status, image.get_n_pages()) == (200, 1)
        assert np.median(pictures.pixels(image)) == pytest.approx(153, abs=3)
    status, body, _ = await service.get(f"/v1/images/{animation}.gif?page=5")
    assert status == 400
    assert b"page=5: the image has 5 pages" in body


async def test_a_field_that_is_repeated_in_a_urlencoded_form_is_refused(service: Service, image_id: str) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    body = f"image_id={image_id}&Image_ID={image_id}"
    async with service.http.post(f"{service.url}/v1/transform?thumb=50", data=body, headers=headers) as response:
        assert response.status == 400
        assert "appears twice" in (await response.json())["detail"]
