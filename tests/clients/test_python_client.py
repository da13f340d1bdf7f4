"""The Python client: the examples of its README, every operation, signatures, and uploads over broken connections."""

import asyncio
import json
import re
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from imgsvc_client import ApiError, Chain, Client, ConnectionFailed, Focus, Image, sign
from imgsvc_client.async_client import AsyncClient
from imgsvc_client.models import base_of

from imaging.geometry import Box
from tests import pictures, servers
from tests.servers import ROOT
from transform_service.chain import parse
from transform_service.operations.base import load_operations

FOLDER = ROOT / "clients/python"
PHOTO = pictures.jpeg(800, 600)
EXAMPLES = [(name, example) for name, cls in load_operations().items() for example in cls.examples]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Served]:
    with servers.serve(tmp_path_factory.mktemp("served")) as started:
        yield started


def test_the_examples_of_the_readme_run(served: servers.Served, tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(PHOTO)
    blocks = re.findall(r"```python\n(.*?)```", (FOLDER / "README.md").read_text(), re.DOTALL)
    assert len(blocks) == 7
    code = "\n".join(blocks).replace("http://127.0.0.1:8080", served.url)
    command = [sys.executable, "-W", "error", "-c", code]
    environment = {"PYTHONPATH": str(FOLDER)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "404 the image 00000000000000000000000000000000 does not exist" in done.stdout


def test_the_package_has_nothing_of_the_service(tmp_path: Path) -> None:
    code = "import imgsvc_client, sys; print(*sys.modules)"
    command = [sys.executable, "-c", code]
    environment = {"PYTHONPATH": str(FOLDER)}
    loaded = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True).stdout
    assert not {"pyvips", "aiohttp", "pydantic", "service_kit", "imaging"} & set(loaded.split())


@pytest.mark.parametrize(("name", "example"), EXAMPLES)
def test_every_operation_says_what_the_service_understands(name: str, example: str) -> None:
    (operation,) = parse(example, max_operations=20).operations
    arguments: dict[str, object] = {}
    for field in type(operation).model_fields:
        value = getattr(operation, field)
        if isinstance(value, Box):
            arguments |= {side: getattr(value, side) for side in ("width", "height")}
        else:
            arguments[field] = value
    chain = getattr(Chain(), name)(**arguments)
    assert parse(str(chain), max_operations=20).operations == (operation,)


def test_chains_keep_their_order_and_do_not_change() -> None:
    start = Chain().rotate(90)
    assert str(start.thumb(300).blur(2.50).rotate(-0.5)) == "rotate=90&thumb=300&blur=2.5&rotate=-0.5"
    assert str(start) == "rotate=90"
    assert str(Chain().background("#ff8800").preset("a&b").flip()) == "background=%23ff8800&preset=a%26b&flip"
    assert parse(str(Chain().background("#ff8800")), max_operations=20).operations


def test_signatures_are_those_of_the_service() -> None:
    known = json.loads((ROOT / "docs/recipes/vectors.json").read_text())
    for vector in known["vectors"]:
        target = re.sub(r"[?&](widths|presets)=[^&]*", "", vector["target"])
        ladders = {
            name: found[1].split(",")
            for name in ("widths", "presets")
            if (found := re.search(rf"[?&]{name}=([^&]*)", vector["target"]))
        }
        for base in ("", "https://images.example.com/prefix"):
            signed = sign(base + target, known["secret"], expires=vector["expires"], **ladders)
            assert signed == base + vector["signed"], vector["name"]


@pytest.mark.parametrize(
    ("url", "secret"),
    [
        ("https://example.com/photo.jpg", None),
        ("/v1/images/x.webp?key=1", None),
        ("/v1/images/x.webp#a", None),
        ("/v1/images/x.webp", "ik_0123456789ab_x"),
    ],
)
def test_what_cannot_be_signed_is_refused(url: str, secret: str | None) -> None:
    known = json.loads((ROOT / "docs/recipes/vectors.json").read_text())["secret"]
    with pytest.raises(ValueError, match=r"signing secret|picture|signed already"):
        sign(url, secret or known)


def test_a_url_that_is_not_one_of_a_service_is_refused() -> None:
    assert base_of("http://x/") == base_of("http://x/v1") == base_of("http://x") == "http://x/v1"
    for url in ("x", "ftp://x", "http://x?a", ""):
        with pytest.raises(ValueError, match="is not the URL of a service"):
            base_of(url)


def test_uploads_take_paths_bytes_and_files_and_report_progress(served: servers.Served, tmp_path: Path) -> None:
    path = tmp_path / 'a "b" ü.jpg'
    path.write_bytes(PHOTO)
    with Client(served.url) as client, path.open("rb") as file:
        seen: list[tuple[int, int | None]] = []
        images = [
            client.upload(path, progress=lambda sent, total: seen.append((sent, total))),
            client.upload(str(path)),
            client.upload(PHOTO, name="x.jpg"),
            client.upload(file),
        ]
        names = [image.original_filename for image in images]
        assert names == ["a _b_ ü.jpg", "a _b_ ü.jpg", "x.jpg", "a _b_ ü.jpg"]
        assert seen[-1][0] == seen[-1][1] > len(PHOTO)
        assert len({image.image_id for image in images}) == 4
        assert len({image.sha256 for image in images}) == 1
        for image in images:
            assert client.download(image) == PHOTO
            client.delete(image.image_id)


def test_errors_say_what_the_service_says(served: servers.Served) -> None:
    with Client(served.url) as client:
        with pytest.raises(ApiError) as refused:
            client.upload(b"no image")
        assert (refused.value.status, refused.value.detail[:24]) == (415, "the file is not an image")
        assert refused.value.request_id
        with pytest.raises(ApiError, match="404: the image"):
            client.info("0" * 32)
    with Client("http://127.0.0.1:9", retries=0) as nobody, pytest.raises(ConnectionFailed, match="does not answer"):
        nobody.info("0" * 32)


@pytest.fixture
async def unreliable(served: servers.Served, http: aiohttp.ClientSession) -> AsyncIterator[str]:
    """Passes requests on, and hangs up instead of sending every other response: 502 or nothing."""
    number = 0

    async def pass_on(request: web.Request) -> web.Response:
        nonlocal number
        number += 1
        headers = {name: value for name, value in request.headers.items() if name not in {"Host", "Transfer-Encoding"}}
        url = f"{served.url}{request.rel_url}"
        async with http.request(request.method, url, data=await request.read(), headers=headers) as response:
            body = await response.read()
        if number % 4 == 1:
            assert request.transport
            request.transport.abort()
        if number % 4 == 2:
            return web.Response(status=502, headers={"Retry-After": "0"})
        return web.Response(status=response.status, body=body)

    app = web.Application(client_max_size=10**8)
    app.router.add_route("*", "/{path:.*}", pass_on)
    async with TestServer(app) as server:
        yield str(server.make_url(""))


async def test_broken_connections_make_no_second_image(unreliable: str) -> None:
    def work() -> list[Image]:
        with Client(unreliable) as client:
            image = client.upload(PHOTO, tags=["broken"])
            found = [*client.images(tags=["broken"])]
            client.delete(image.image_id)
            assert not [*client.images(tags=["broken"])]
            return found

    assert len(await asyncio.to_thread(work)) == 1


async def test_broken_connections_make_no_second_image_with_asyncio(unreliable: str) -> None:
    async with AsyncClient(unreliable) as client:
        image = await client.upload(PHOTO, tags=["broken"])
        assert [each.image_id async for each in client.images(tags=["broken"])] == [image.image_id]
        await client.delete(image.image_id)
        assert not [each async for each in client.images(tags=["broken"])]


def test_threads_share_a_client(served: servers.Served) -> None:
    with Client(served.url) as client:
        images: list[Image] = []
        threads = [threading.Thread(target=lambda: images.append(client.upload(PHOTO))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len({image.image_id for image in images}) == 8


def test_the_wheel_has_types_and_one_dependency(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "-o", str(tmp_path), str(FOLDER)]
    subprocess.run(command, capture_output=True, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    listed = subprocess.run(
        [sys.executable, "-m", "zipfile", "-l", str(wheel)], capture_output=True, text=True, check=True
    )
    assert "imgsvc_client/py.typed" in listed.stdout


def test_the_tags_for_django_make_what_the_readme_says(tmp_path: Path) -> None:
    (template,) = re.findall(r"```django\n(.*?)```", (FOLDER / "README.md").read_text(), re.DOTALL)
    code = f"""
import django
from django.conf import settings
from django.template import Context, Engine
settings.configure(INSTALLED_APPS=["imgsvc_client.django"], IMGSVC={{"URL": "https://images.example.com"}},
    TEMPLATES=[{{"BACKEND": "django.template.backends.django.DjangoTemplates"}}])
django.setup()
engine = Engine(libraries={{"imgsvc": "imgsvc_client.django.templatetags.imgsvc"}})
photo = {{"image_id": "0" * 32, "title": 'a "b" <c>'}}
print(engine.from_string({template!r}).render(Context({{"photo": photo}})))
try:
    engine.from_string("{{% load imgsvc %}}{{% imgsvc 'x' thum=3 %}}").render(Context())
except Exception as error:
    print(error)
"""
    command = [sys.executable, "-c", code]
    environment = {"PYTHONPATH": str(FOLDER)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    url = f"https://images.example.com/v1/images/{'0' * 32}"
    lines = done.stdout.strip().splitlines()
    assert lines[0] == f'<img src="{url}.webp?thumb=300&amp;blur=2" alt="">'
    hero = f"{url}.webp?resize=1600x900,cover&amp;w="
    assert lines[1] == (
        f'<img src="{hero}800" srcset="{hero}400 400w, {hero}800 800w" alt="a &quot;b&quot; &lt;c&gt;" loading="lazy">'
    )
    assert lines[2] == "<picture>"
    assert f'  <source type="image/avif" srcset="{url}.avif?w=400 400w, {url}.avif?w=800 800w" sizes="50vw">' in lines
    assert lines[-1] == "'thum' is not an operation"


def test_mistakes_are_explained_before_anything_is_sent(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a")
    as_text = (tmp_path / "a.txt").open()
    secret = json.loads((ROOT / "docs/recipes/vectors.json").read_text())["secret"]
    with as_text, Client("http://127.0.0.1:9", retries=0, signing_secret=secret) as client:
        picture = client.image("0" * 32)
        for mistake, text in (
            (lambda: client.image("None"), "'None' is not an image or the ID of one"),
            (lambda: client.info(picture), "is not an image or the ID of one"),
            (lambda: client.upload(PHOTO, tags="a,b"), "tags is a list"),
            (lambda: client.upload(PHOTO, tags=["a,b"]), "has a comma"),
            (lambda: client.upload(PHOTO, focus=(1,)), "is not a focal point"),
            (lambda: client.upload(as_text), "open it with mode 'rb'"),
            (lambda: picture.rotate("left"), "rotate: degrees must be a number, not 'left'"),
            (lambda: picture.watermark("0" * 32, scale="big"), "watermark: scale must be a number, not 'big'"),
            (lambda: picture.thumb("big"), "thumb: side must be a whole number of 0 or more, not 'big'"),
            (lambda: picture.compress(-1), "compress: quality must be a whole number of 0 or more, not -1"),
            (lambda: picture.resize(width=1.5), "resize: width must be a whole number of 0 or more, not 1.5"),
            (lambda: picture.signed_url(expires=3600), "is not a time in the future"),
            (lambda: picture.signed_url(expires="1h"), "is not a time in the future"),
            (lambda: picture.signed_url(expires=datetime(2999, 1, 1)), "has no time zone"),  # noqa: DTZ001
        ):
            with pytest.raises(ValueError, match=re.escape(text)):
                mistake()
        assert str(Chain().thumb(600 / 2).resize(width=8.0, height=9)) == "thumb=300&resize=8x9"


def test_focal_points_may_be_written_in_any_form(served: servers.Served) -> None:
    with Client(served.url) as client:
        for point in ((0.25, 0.5), [0.25, 0.5], {"x": 0.25, "y": 0.5}, Focus(0.25, 0.5)):
            image = client.upload(PHOTO, focus=point)
            assert client.info(image).focus == Focus(0.25, 0.5)
            client.change(image, focus=None)
            assert client.info(image).focus is None
            client.change(image, focus=point)
            assert client.info(image).focus == Focus(0.25, 0.5)
            client.delete(image)
