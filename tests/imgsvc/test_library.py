"""What people say about images: at an upload, later, in searches, and in crops around the focal point."""

import asyncio
import io
import json
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests import edge, pictures, servers
from tests.imgsvc.sites import bearer, closed_site

PHOTO = bytes(pictures.noise(60, 40).jpegsave_buffer())


class Client:
    """Requests to a service."""

    def __init__(self, url: str, http: aiohttp.ClientSession) -> None:
        self.url = url
        self._http = http

    async def ask(self, method: str, path: str, **options: Any) -> tuple[int, Any, Any]:
        """Status, body (JSON, if it is) and headers."""
        async with self._http.request(method, f"{self.url}/v1{path}", **options) as response:
            body = await response.read()
            is_json = "json" in response.content_type
            return response.status, json.loads(body) if is_json else body, response.headers

    async def upload(self, body: bytes = PHOTO, name: str = "photo.jpg", query: str = "", **fields: str) -> Any:
        """The answer to an upload by a form."""
        form = aiohttp.FormData(fields, quote_fields=False)
        form.add_field("image", io.BytesIO(body), filename=name)
        status, answer, _ = await self.ask("POST", f"/images{query}", data=form)
        return answer if status == 201 else (status, answer["detail"])

    async def change(self, image_id: str, **values: object) -> Any:
        """The answer to a PATCH."""
        status, answer, _ = await self.ask("PATCH", f"/images/{image_id}", json=values)
        return answer if status == 200 else (status, answer["detail"])

    async def found(self, query: str) -> list[str]:
        """The IDs that a search finds."""
        status, answer, _ = await self.ask("GET", f"/images?{query}")
        assert status == 200, answer
        return [image["image_id"] for image in answer["images"]]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Served]:
    with servers.serve(tmp_path_factory.mktemp("library")) as started:
        yield started


@pytest.fixture
async def client(served: servers.Served, http: aiohttp.ClientSession) -> AsyncIterator[Client]:
    client = Client(served.url, http)
    yield client
    for image_id in await client.found("limit=500"):
        await client.ask("DELETE", f"/images/{image_id}")


async def test_an_upload_says_what_it_is(client: Client) -> None:
    labels = {
        "title": "Sunset",
        "alt": "The sea",
        "tags": "beach, Holiday",
        "focus": "0.25,1",
        "metadata": '{"a": [1]}',
    }
    image = await client.upload(name="C:\\fotos\\Größe.jpg", **labels)
    assert (image["original_filename"], image["title"], image["alt"]) == ("Größe.jpg", "Sunset", "The sea")
    assert (image["tags"], image["expires_at"]) == (["beach", "Holiday"], None)
    _, info, _ = await client.ask("GET", f"/images/{image['image_id']}/info")
    assert (info["focus"], info["metadata"]) == ({"x": 0.25, "y": 1.0}, {"a": [1]})
    assert info | image == info


async def test_a_raw_upload_says_it_in_the_query(client: Client) -> None:
    query = "original_filename=a.jpg&title=T%20t&tags=x&metadata=%7B%7D"
    headers = {"Content-Type": "image/jpeg"}
    status, image, _ = await client.ask("POST", f"/images?{query}", data=PHOTO, headers=headers)
    assert (status, image["original_filename"], image["title"], image["tags"]) == (201, "a.jpg", "T t", ["x"])
    assert await client.found("q=t") == await client.found("q=a.jp") == [image["image_id"]]


@pytest.mark.parametrize(
    ("fields", "detail"),
    [
        ({"title": "x" * 256}, "title must have at most 255 characters"),
        ({"title": "a\nb"}, "title: has control characters; leave them out"),
        ({"tags": "x" * 65}, "tags.0"),
        ({"tags": ",".join(map(str, range(51)))}, "tags has 51 entries; use at most 50"),
        ({"focus": "2,0"}, "focus.x must be at most 1"),
        ({"focus": "0.5"}, "focus: '0.5' is not a point; write it as 0.3,0.6"),
        ({"focus": "left"}, "focus: 'left' is not a point; write it as 0.3,0.6"),
        ({"metadata": "[]"}, "metadata must be a JSON object, such as {}"),
        ({"metadata": "{"}, "metadata='{' is not a JSON object such as"),
        ({"metadata": json.dumps({"a": "x" * 8192})}, "the field 'metadata' is larger than 8192 bytes"),
        ({"metadata": '{"a": NaN}'}, "metadata: has a number that JSON does not have"),
        ({"ttl": "0"}, "ttl must be at least 1"),
        ({"ttl": "soon"}, "ttl='soon' is not a whole number of seconds such as 3600"),
        ({"titel": "x"}, "the form has an unknown field 'titel'; did you mean 'title'?"),
    ],
)
async def test_bad_labels_are_explained_and_nothing_is_stored(
    client: Client, fields: dict[str, str], detail: str
) -> None:
    status, text = await client.upload(**fields)
    assert (status, text[: len(detail)]) == (400, detail)
    assert await client.found("") == []


async def test_the_query_and_the_form_do_not_contradict_each_other(client: Client) -> None:
    assert await client.upload(query="?title=a", title="b") == (
        400,
        "the query and the form both have `title`; send it once",
    )


async def test_a_change_leaves_alone_what_it_does_not_name(client: Client) -> None:
    image = await client.upload(title="before", tags="one,two", alt="alt")
    image_id = image["image_id"]
    changed = await client.change(image_id, title="after", metadata={"k": 1}, focus={"x": 0.1, "y": 0.2})
    assert (changed["title"], changed["tags"], changed["alt"]) == ("after", ["one", "two"], "alt")
    assert (changed["metadata"], changed["focus"]) == ({"k": 1}, {"x": 0.1, "y": 0.2})
    changed = await client.change(image_id, focus=None, tags=["two", "two", "drei"])
    assert (changed["focus"], changed["tags"], changed["metadata"]) == (None, ["two", "drei"], {"k": 1})
    assert await client.found("tags=one") == await client.found("q=before") == []
    assert await client.found("q=after&tags=Drei") == [image_id]


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (
            {},
            "the body changes nothing; use original_filename, title, alt, tags, metadata, focus, expires_at, vis",
        ),
        ({"title": None}, "title must be text"),
        ({"tags": "a"}, "tags must be a list"),
        ({"tags": ["a,b"]}, "tags.0: 'a,b' is not a tag; use 1 to 64 characters without commas"),
        ({"focus": {"x": 0.5}}, "focus.y is missing"),
        ({"metadata": {"a": "ä" * 4093}}, "metadata: has 8194 bytes as JSON; use at most 8192"),
        ({"expires_at": "2030-01-01T00:00:00"}, "expires_at needs a time zone"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "expires_at: 2020-01-01T00:00:00+00:00 has passed"),
        ({"name": "x"}, "unknown field 'name'; use one of: original_filename, title"),
    ],
)
async def test_a_bad_change_is_explained(client: Client, body: dict[str, object], detail: str) -> None:
    image = await client.upload()
    status, text = await client.change(image["image_id"], **body)
    assert (status, text[: len(detail)]) == (400, detail)


async def test_searches_have_pages_and_refuse_what_they_do_not_know(client: Client) -> None:
    ids = [(await client.upload(title=f"common n{number}"))["image_id"] for number in range(5)]
    found, cursor = [], ""
    while True:
        _, page, _ = await client.ask("GET", f"/images?q=common&limit=2{cursor}")
        found += [image["image_id"] for image in page["images"]]
        if page["cursor"] is None:
            break
        cursor = f"&cursor={page['cursor']}"
    assert found == ids[::-1]
    for query in (
        "color=red",
        "min_width=0",
        "format=bmp",
        "created_after=x",
        "visibility=none",
        "tags=" + "a,b," * 6,
    ):
        status, answer, _ = await client.ask("GET", f"/images?{query}")
        assert status == 400, query
        assert query.partition("=")[0] in answer["detail"], answer


async def test_an_expired_image_is_gone_at_once(client: Client) -> None:
    image = await client.upload(ttl="600")
    path = f"/images/{image['image_id']}"
    for url in (path, f"{path}.webp?thumb=20"):
        status, _, headers = await client.ask("GET", url)
        lifetime = int(headers["Cache-Control"].removeprefix("public, max-age="))
        assert (status, 590 <= lifetime <= 600) == (200, True), headers["Cache-Control"]
    await client.change(image["image_id"], expires_at=(datetime.now(UTC) + timedelta(seconds=0.2)).isoformat())
    while (await client.ask("GET", path))[0] == 200:
        await asyncio.sleep(0.05)
    for url in (path, f"{path}.webp?thumb=20", f"{path}/info"):
        status, problem, _ = await client.ask("GET", url)
        assert (status, problem["detail"]) in {
            (410, f"the image {image['image_id']} has expired"),
            (410, f"the image {image['image_id']} was deleted"),  # the service has cleaned up
        }
    assert await client.found("") == []


async def test_a_crop_follows_the_focal_point(client: Client) -> None:
    """Black on the left, white on the right."""
    picture = pictures.gradient(400, 100)
    image = await client.upload(bytes(picture.pngsave_buffer()), "gradient.png", focus="0,0.5")
    path = f"/images/{image['image_id']}.png?crop=100x100,focus"
    _, left, headers = await client.ask("GET", path)
    assert headers["Cache-Control"] == "public, max-age=3600"
    _, expected, _ = await client.ask("GET", f"/images/{image['image_id']}.png?crop=0,0,100x100")
    assert left == expected
    await client.change(image["image_id"], focus={"x": 1, "y": 0.5})
    _, right, _ = await client.ask("GET", path)
    _, expected, _ = await client.ask("GET", f"/images/{image['image_id']}.png?crop=300,0,100x100")
    assert right == expected != left


async def test_varnish_shows_the_new_crop_when_the_change_is_answered(
    tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    with edge.started(tmp_path, AUTH="open") as started:
        client = Client(started.url("varnish"), http)
        image = await client.upload(bytes(pictures.gradient(400, 100).pngsave_buffer()), "g.png", focus="0,0.5")
        path = f"/images/{image['image_id']}.png?crop=100x100,focus"
        seen = []
        for x in (1.0, 0.5, 0.0):
            for expected in ("MISS", "HIT"):
                _, body, headers = await client.ask("GET", path)
                assert headers["X-Cache"] == expected
            seen.append(body)
            await client.change(image["image_id"], focus={"x": x, "y": 0.5})
        assert len(set(seen)) == 3
        _, body, _ = await client.ask("GET", path)
        assert body == seen[0]
        # What changes no picture leaves them in the cache.
        await client.change(image["image_id"], title="new")
        assert (await client.ask("GET", path))[2]["X-Cache"] == "HIT"


async def test_the_same_upload_is_one_image_however_often_it_is_sent(client: Client) -> None:
    headers = {"Content-Type": "image/jpeg", "Idempotency-Key": "5c6f-1"}
    answers = await asyncio.gather(*(client.ask("POST", "/images", data=PHOTO, headers=headers) for _ in range(8)))
    assert {status for status, _, _ in answers} == {201}
    assert len({answer["image_id"] for _, answer, _ in answers}) == len(await client.found("")) == 1
    status, answer, _ = await client.ask("POST", "/images", data=pictures.jpeg(), headers=headers)
    assert (status, answer["detail"].partition(";")[0]) == (
        400,
        "the Idempotency-Key belongs to the upload of another file",
    )
    other = {**headers, "Idempotency-Key": "5c6f-2"}
    assert (await client.ask("POST", "/images", data=PHOTO, headers=other))[1]["image_id"] != answers[0][1]["image_id"]
    status, answer, _ = await client.ask("POST", "/images", data=PHOTO, headers={**headers, "Idempotency-Key": "a b"})
    assert (status, answer["detail"][:16]) == (400, "Idempotency-Key:")


async def test_changes_at_once_are_all_found(client: Client) -> None:
    image_id = (await client.upload())["image_id"]
    for number in range(10):
        await asyncio.gather(
            client.change(image_id, title=f"title{number}"),
            client.change(image_id, tags=[f"tag{number}"]),
            client.change(image_id, alt=f"alt{number}"),
            client.change(image_id, focus={"x": number / 10, "y": 0}),
        )
        for query in (f"q=title{number}", f"q=alt{number}", f"tags=tag{number}"):
            assert await client.found(query) == [image_id], query


@pytest.mark.parametrize(
    ("metadata", "detail"),
    [
        ("[" * 3000, "metadata='[[["),
        (f'{{"a": {"[" * 40}{"]" * 40}}}', "metadata: has more than 32 levels of lists and objects; use fewer"),
        ('{"a": "\\ud800"}', "metadata='{"),
    ],
)
async def test_metadata_that_cannot_be_described_is_refused(client: Client, metadata: str, detail: str) -> None:
    status, text = await client.upload(metadata=metadata)
    assert (status, text[: len(detail)]) == (400, detail)


async def test_a_moment_after_the_last_year_is_refused(client: Client) -> None:
    image_id = (await client.upload())["image_id"]
    status, text = await client.change(image_id, expires_at="9999-12-31T23:59:59-12:00")
    assert (status, text[:11]) == (400, "expires_at:")


async def test_a_key_changes_only_what_its_scopes_allow(tmp_path: Path, http: aiohttp.ClientSession) -> None:
    with closed_site(tmp_path, http) as site:
        key = site.new_key("upload")
        image_id = await site.upload(bearer(key))
        path = f"/v1/images/{image_id}"
        status, answer = await site.json("PATCH", path, key, {"metadata": {"secret": 1}})
        assert (status, "metadata" in answer, answer["image_id"]) == (200, False, image_id)
        status, answer = await site.json("PATCH", path, key, {"expires_at": "2999-01-01T00:00:00Z"})
        assert (status, "`delete`" in str(answer["detail"])) == (403, True)
        status, answer = await site.json("PATCH", path, site.key, {"expires_at": "2999-01-01T00:00:00Z"})
        assert (status, answer["metadata"]) == (200, {"secret": 1})


async def test_empty_fields_of_a_form_mean_nothing_and_a_point_has_two_spellings(client: Client) -> None:
    image = await client.upload(title="", alt="", tags="", metadata="", focus="", ttl="")
    assert (image["title"], image["tags"], image["expires_at"]) == ("", [], None)
    for focus in ("0.25,0.5", '{"x": 0.25, "y": 0.5}'):
        image = await client.upload(focus=focus)
        _, info, _ = await client.ask("GET", f"/images/{image['image_id']}/info")
        assert info["focus"] == {"x": 0.25, "y": 0.5}
    changed = await client.change(image["image_id"], focus="1,0")
    assert changed["focus"] == {"x": 1.0, "y": 0.0}
