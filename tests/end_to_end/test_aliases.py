"""Names that other services use for our operations. tests/transform_service/test_aliases.py has their grammar."""

import io

import pytest
from PIL import Image, ImageColor
from yarl import URL

from tests import pictures
from tests.end_to_end.conftest import Service

WIDTH, HEIGHT = 400, 300


@pytest.fixture(scope="module")
async def image_id(service: Service) -> str:
    return await service.upload(pictures.jpeg(WIDTH, HEIGHT))


@pytest.fixture(scope="module")
async def disc(service: Service) -> str:
    """A picture that is transparent, apart from a red square in its middle."""
    picture = Image.new("RGBA", (40, 40))
    picture.paste((255, 0, 0, 255), (15, 15, 25, 25))
    stored = io.BytesIO()
    picture.save(stored, "PNG")
    return await service.upload(stored.getvalue())


async def _get(service: Service, path: str, **headers: str) -> tuple[int, bytes, str, str]:
    """Status, body, ETag and media type."""
    async with service.http.get(URL(service.url + path, encoded=True), headers=headers) as response:
        return response.status, await response.read(), response.headers.get("ETag", ""), response.content_type


@pytest.mark.parametrize(
    ("alias", "long"),
    [
        ("w=30", "resize=30x"),
        ("width=31", "resize=31x"),
        ("h=32", "resize=x32"),
        ("height=33", "resize=x33"),
        ("w=34&h=20", "resize=34x20"),
        ("h=20&w=35", "resize=35x20"),
        ("w=36&h=20&fit=cover", "resize=36x20,cover"),
        ("fit=crop&h=20&w=37", "resize=37x20,cover"),
        ("w=38&h=20&fit=contain", "resize=38x20,contain"),
        ("w=39&h=20&fit=outside", "resize=39x20,outside"),
        ("w=40&h=20&fit=max", "resize=40x20"),
        ("w=41&h=20&fit=scale", "resize=41x20,fill"),
        ("w=42&h=20&fit=cover&dpr=2", "resize=84x40,cover"),
        ("dpr=1.5&w=43", "resize=65x"),
        ("q=40&w=44", "compress=40&resize=44x"),
        ("quality=41&w=44", "compress=41&resize=44x"),
        ("w=45&trim&h=20&rotate=90", "resize=45x20&autocrop&rotate=90"),
        ("rotate=90&w=46&h=20", "rotate=90&resize=46x20"),
        ("trim=1&w=47", "autocrop&resize=47x"),
        ("bg=%23f80&w=48&h=48&fit=pad", "background=ff8800&resize=48x48,contain"),
        ("greyscale=1&w=49", "grayscale&resize=49x"),
        ("w=50&v=2&t=1700000000", "resize=50x"),
        ("w=51&fm=webp", "resize=51x&format=webp"),
    ],
)
async def test_an_alias_and_its_long_form_are_one_variant(
    service: Service, image_id: str, alias: str, long: str
) -> None:
    found = await _get(service, f"/v1/images/{image_id}?{alias}")
    assert found[0] == 200, found[1]
    assert found == await _get(service, f"/v1/images/{image_id}?{long}")
    assert found == await _get(service, f"/v1/transform?image_id={image_id}&{alias}")


@pytest.mark.parametrize(
    ("query", "size"),
    [
        ("w=100", (100, 75)),
        ("h=30", (40, 30)),
        ("w=100&h=100", (100, 75)),
        ("w=100&h=100&fit=cover", (100, 100)),
        ("w=100&h=100&fit=contain", (100, 100)),
        ("w=100&h=100&fit=outside", (133, 100)),
        ("w=100&h=100&fit=fill", (100, 100)),
        ("w=100&h=100&dpr=2", (200, 150)),
        ("w=100&h=100&fit=crop&dpr=1.5", (150, 150)),
        ("w=1000", (WIDTH, HEIGHT)),
        ("w=800&fit=enlarge", (800, 600)),
        ("w=1000&dpr=3", (WIDTH, HEIGHT)),
    ],
)
async def test_the_sides_are_those_of_the_result(
    service: Service, image_id: str, query: str, size: tuple[int, int]
) -> None:
    status, body, _, _ = await _get(service, f"/v1/images/{image_id}.png?{query}")
    assert status == 200
    with Image.open(io.BytesIO(body)) as picture:
        assert picture.size == size


async def test_the_format_of_a_query_is_that_of_an_extension(service: Service, image_id: str) -> None:
    webp = await _get(service, f"/v1/images/{image_id}.webp?w=60")
    assert webp[3] == "image/webp"
    for query in (f"{image_id}?w=60&fm=webp", f"{image_id}.webp?fm=webp&w=60", f"{image_id}?format=webp&w=60"):
        assert await _get(service, f"/v1/images/{query}") == webp
    assert (await _get(service, f"/v1/images/{image_id}.jpg?fm=jpeg&w=60"))[0] == 200
    for query, part in (
        (f"{image_id}.png?fm=webp", "the path says png, but the query says webp"),
        (f"{image_id}?fm=webp&format=webp", "`format` appears twice"),
        (f"{image_id}?format=webp&fm=webp", "`format` appears twice, as `fm`"),
    ):
        status, body, _, _ = await _get(service, f"/v1/images/{query}")
        assert (status, part in body.decode()) == (400, True), body
    assert (await _get(service, f"/v1/images/{image_id}?fm=bmp"))[0] == 406


async def test_a_client_can_choose_the_format_of_fm_auto(service: Service, image_id: str) -> None:
    chosen = {"image/avif,*/*;q=0.8": "image/avif", "image/webp": "image/webp", "*/*": "image/jpeg"}
    for accept, media_type in chosen.items():
        for _ in range(2):
            assert (await _get(service, f"/v1/images/{image_id}?w=61&fm=auto", Accept=accept))[3] == media_type


async def test_cache_busters_change_nothing(service: Service, image_id: str) -> None:
    for path in (f"/v1/images/{image_id}", f"/v1/images/{image_id}.png"):
        plain = await _get(service, path)
        for query in ("v=1", "t=2", "v=3&t=4", "v", "t=%C3%BC"):
            assert await _get(service, f"{path}?{query}") == plain
    page = await _get(service, "/v1/images?limit=1&v=1")
    assert page[0] == 200


@pytest.mark.parametrize(
    ("text", "rgba"),
    [
        ("f80", (255, 136, 0, 255)),
        ("%23f80", (255, 136, 0, 255)),
        ("f808", (255, 136, 0, 136)),
        ("ff8800", (255, 136, 0, 255)),
        ("FF880080", (255, 136, 0, 128)),
        ("%23ff880080", (255, 136, 0, 128)),
        ("rebeccapurple", (102, 51, 153, 255)),
        ("Tomato", (255, 99, 71, 255)),
        ("grey", (128, 128, 128, 255)),
        ("transparent", (0, 0, 0, 0)),
    ],
)
@pytest.mark.parametrize("name", ["background", "bg"])
async def test_a_colour_has_many_spellings(
    service: Service, disc: str, name: str, text: str, rgba: tuple[int, ...]
) -> None:
    status, body, _, _ = await _get(service, f"/v1/images/{disc}.png?{name}={text}")
    assert status == 200, body
    with Image.open(io.BytesIO(body)) as picture:
        assert picture.convert("RGBA").getpixel((0, 0)) == rgba
        assert picture.convert("RGBA").getpixel((20, 20)) == (255, 0, 0, 255)


async def test_a_few_named_colours_are_those_of_pillow(service: Service, disc: str) -> None:
    for name in ("aliceblue", "darkslategrey", "lightgoldenrodyellow", "papayawhip", "yellowgreen"):
        _, body, _, _ = await _get(service, f"/v1/images/{disc}.png?bg={name}")
        with Image.open(io.BytesIO(body)) as picture:
            assert picture.convert("RGB").getpixel((0, 0)) == ImageColor.getrgb(name)


@pytest.mark.parametrize(
    ("query", "reason", "marked"),
    [
        ("w=abc", "w: 'abc' is not a whole number such as 300; example: w=300", "abc"),
        ("width=0", "width: must be at least 1, not 0", "0"),
        ("w=300&h=", "h: '' is not a whole number", "h="),
        ("w=-5", "w: '-5' is not a whole number", "-5"),
        ("w=auto", "w: 'auto' is not a whole number", "auto"),
        ("w=20000", "w: must be at most 16383, not 20000", "20000"),
        ("w=9000&dpr=2", "dpr: the result would be 18000x pixels; the limit is 16383 on each side", "2"),
        ("w=9&dpr=0", "dpr: must be above 0, not 0", "0"),
        ("w=9&dpr=9", "dpr: must be at most 8, not 9", "9"),
        ("dpr=2&thumb=9", "`dpr` has no size to act on; add `w` or `h`", "dpr=2"),
        ("fit=cover", "`fit` has no size to act on; add `w` or `h`", "fit=cover"),
        ("w=9&width=9", "`width` is a second width; give only one", "width=9"),
        ("w=9&rotate=90&w=8", "`w` is a second width; give only one", "w=8"),
        ("w=9&fit=covr", "fit: 'covr' is not a fit; did you mean 'cover'?", "covr"),
        ("w=9&fit=xyz", "fit: 'xyz' is not a fit; use one of: inside, outside", "xyz"),
        ("q=101", "q: quality must be at most 100, not 101; example: q=75", "101"),
        ("trim=10", "trim: takes no arguments, not 1; example: trim", "10"),
        ("bg=oragne", "bg: 'oragne' is not a colour; did you mean 'orange'?", "oragne"),
        ("bg=12345", "bg: '12345' is not a colour; write a CSS name, or RRGGBB", "12345"),
        ("heigth=9", "did you mean 'height'?", "heigth=9"),
        ("qualty=9", "did you mean 'quality'?", "qualty=9"),
        ("foo=1", "unknown operation 'foo'; use one of: autocrop", "foo=1"),
        ("x=1", "unknown operation 'x'; use one of: autocrop", "x=1"),
        ("wd=1", "unknown operation 'wd'; use one of: autocrop", "wd=1"),
        ("max-w=9", "use one of: autocrop", "max-w=9"),
    ],
)
async def test_a_mistake_is_marked_where_it_was_written(
    service: Service, image_id: str, query: str, reason: str, marked: str
) -> None:
    async with service.http.get(f"{service.url}/v1/images/{image_id}?{query}") as response:
        assert response.status == 400
        first, shown, marker = (await response.json())["detail"].split("\n")
    assert reason in first
    assert shown == f"  {query}"
    assert shown[marker.index("^") : marker.rindex("^") + 1] == marked
