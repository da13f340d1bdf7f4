"""docker-compose.tls.yml: https only, and updates of Varnish that no client notices."""

import asyncio
import json
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import aiohttp
import pytest

from tests import pictures
from tests.compose import stack
from tests.compose.load import Hammer, is_200
from tests.compose.stack import OVERRIDE, Stack
from tests.docs.pages import the_block
from tests.servers import ROOT, free_port, program
from tests.tls.proxy import write_certificate

FILES = ("docker-compose.yml", "docker-compose.tls.yml", "docker-compose.prod.yml", str(OVERRIDE))
PROJECT = "imgsvc-test-tls"
PAGE = "docs/production.md"


@pytest.fixture(scope="module")
def certificates() -> Iterator[Path]:
    """As an operator begins: a certificate that nobody knows."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        text = the_block(PAGE, "openssl req").text.replace("certificates/", f"{folder}/")
        subprocess.run(["bash", "-euc", text], check=True, capture_output=True)
        yield Path(folder)


@pytest.fixture(scope="module")
def tls(certificates: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    settings = {
        "CERTIFICATES": str(certificates),
        "HTTP_PORT": str(free_port()),
        "TEST_CACHE_CONTROL": "public, max-age=60",
        "TEST_CDN_CACHE_CONTROL": "max-age=600",
        "TEST_SURROGATE_KEY_HEADER": "Cache-Tag",
    }
    with stack.up(project=PROJECT, settings=settings, entrance="tls") as started:
        new = tmp_path_factory.mktemp("certificate")
        write_certificate(new)
        printed = started.follow(
            the_block(PAGE, "install -d certificates\n"),
            {
                "certificates": str(certificates),
                "…/": f"{new}/",
                "curl ": f"curl --retry 30 --retry-delay 1 --retry-all-errors --cacert {new}/fullchain.pem ",
                "https://images.example.com": started.url,
            },
        )
        assert printed.endswith("2 200\n"), "with the new certificate"
        yield started


def curl(certificates: Path, *arguments: str) -> str:
    command = [program("curl"), "-sS", "--http2", "--max-time", "60", "--cacert", str(certificates / "fullchain.pem")]
    return subprocess.run([*command, *arguments], capture_output=True, text=True, check=True).stdout


@pytest.fixture(scope="module")
def image_id(tls: Stack, certificates: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    photo = tmp_path_factory.mktemp("photo") / "photo.jpg"
    photo.write_bytes(pictures.jpeg(1200, 800))
    uploaded = curl(certificates, "-F", f"image=@{photo}", f"{tls.url}/v1/images")
    return str(json.loads(uploaded)["image_id"])


def test_only_https_and_its_redirect_are_published(tls: Stack) -> None:
    ids = tls.run("ps", "-q").split()
    published = {}
    for container in ids:
        name = tls.docker("inspect", "-f", '{{index .Config.Labels "com.docker.compose.service"}}', container).strip()
        if ports := tls.docker("port", container).split("\n"):
            published[name] = sorted({line.split()[0] for line in ports if line})
    assert {name: ports for name, ports in published.items() if ports} == {"tls": ["8080/tcp", "8443/tcp"]}
    with closing(socket.socket()) as connection, pytest.raises(ConnectionRefusedError):
        connection.connect(("127.0.0.1", int(tls.environment["PUBLISH"].rpartition(":")[2])))


def test_http_2_reaches_every_part(tls: Stack, certificates: Path, image_id: str) -> None:
    asked = ("-o", "/dev/null", "-w", "%{http_version} %{http_code} %header{x-cache}")
    url = f"{tls.url}/v1/images/{image_id}.webp?thumb=300"
    assert curl(certificates, *asked, url) == "2 200 MISS"
    assert curl(certificates, *asked, url) == "2 200 HIT"
    assert curl(certificates, *asked, "-I", f"{tls.url}/v1/images/{image_id}").startswith("2 200")
    redirect = ("-o", "/dev/null", "-w", "%{http_code} %{redirect_url}")
    port = tls.environment["HTTP_PORT"]
    plain = curl(certificates, *redirect, f"http://127.0.0.1:{port}/v1/images/{image_id}?thumb=3")
    assert plain == f"308 {tls.url}/v1/images/{image_id}?thumb=3"


def test_settings_for_cdns_pass_all_parts_and_do_not_change_varnish(
    tls: Stack, certificates: Path, image_id: str
) -> None:
    """nginx sends originals, and drops most headers of the storage service when it does."""
    for url in (f"{tls.url}/v1/images/{image_id}", f"{tls.url}/v1/images/{image_id}.webp?thumb=31"):
        for cached in (("MISS", "HIT"), ("HIT",)):
            printed = curl(certificates, "-D", "-", "-o", "/dev/null", url)
            headers = dict(line.split(": ", 1) for line in printed.splitlines() if ": " in line)
            assert headers["x-cache"] in cached
            assert headers["cache-control"] == "public, max-age=60"
            assert headers["cdn-cache-control"] == "max-age=600"
            assert headers["cache-tag"] == f"image-{image_id}"
            assert not {"surrogate-control", "xkey", "age"} & headers.keys()
    posted = curl(certificates, "-D", "-", "-o", "/dev/null", "-F", f"image_id={image_id}", f"{tls.url}/v1/transform")
    assert posted.startswith("HTTP/2 200")
    assert "xkey" not in posted.lower()
    assert "surrogate-control" not in posted.lower()


def test_nobody_can_claim_another_address(tls: Stack, certificates: Path, image_id: str) -> None:
    url = f"{tls.url}/v1/images/{image_id}/info"
    for claim in ("192.0.2.9", "192.0.2.9, 10.0.0.1", "for=192.0.2.9"):
        curl(certificates, "-o", "/dev/null", "-H", f"X-Forwarded-For: {claim}", url)
    logged = [json.loads(line) for line in tls.log("nginx").splitlines() if line.startswith("{")]
    clients = {line["client"] for line in logged if line["uri"] == f"/v1/images/{image_id}/info"}
    inside = tls.docker(
        "inspect", "-f", "{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}", tls.containers("tls")[0]
    )
    assert len(clients) == 1
    assert not clients & {"192.0.2.9", "10.0.0.1", *inside.split()}


async def test_an_update_of_varnish_breaks_nothing(tls: Stack, image_id: str) -> None:
    environment = {**tls.environment, "COMPOSE_FILE": ":".join(FILES), "COMPOSE_PROJECT_NAME": PROJECT}
    (old,) = tls.containers("varnish")
    connector = aiohttp.TCPConnector(ssl=False, limit=20)
    async with aiohttp.ClientSession(connector=connector) as http:
        hammer = Hammer(http, [f"{tls.url}/v1/images/{image_id}.webp?thumb={side}" for side in range(50, 90)], 8)
        async with hammer.running(is_200):
            await hammer.more(50)
            update = await asyncio.create_subprocess_exec(
                str(ROOT / "scripts/rolling-update"), "varnish", env=environment, cwd=ROOT,
                stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
            )  # fmt: skip
            said, _ = await update.communicate()
            assert update.returncode == 0, said.decode()
            await hammer.more(50)
    assert tls.containers("varnish") != [old]
    assert not hammer.bad, (hammer.answers, hammer.bad[:5])


async def test_a_public_that_may_only_read(tls: Stack, certificates: Path, image_id: str) -> None:
    tls.environment["WRITERS"] = "192.0.2.0/24"
    tls.run("up", "-d", "--no-deps", "tls")
    asked = ("-o", "/dev/null", "-w", "%{http_version} %{http_code} %header{allow}")
    url = f"{tls.url}/v1/images"
    for _ in range(100):
        if curl_code(f"{url}/{image_id}") == "200":
            break
        await asyncio.sleep(0.1)
    assert curl(certificates, *asked, "-F", "image=@/etc/hostname", url) == "2 405 GET, HEAD"
    assert curl(certificates, *asked, "-X", "DELETE", f"{url}/{image_id}") == "2 405 GET, HEAD"
    assert curl(certificates, *asked, f"{url}/{image_id}") == "2 200 "


async def test_a_path_prefix_is_in_every_link(tls: Stack, certificates: Path, image_id: str) -> None:
    tls.environment["PATH_PREFIX"] = "/images-api"
    tls.environment["WRITERS"] = ""
    tls.run("up", "-d")
    api = f"{tls.url}/images-api/v1/images"
    for _ in range(300):
        if curl_code(f"{api}?limit=1") == "200" == curl_code(f"{tls.url}/images-api/v1/transform/healthcheck"):
            break
        await asyncio.sleep(0.1)
    info = json.loads(curl(certificates, f"{api}/{image_id}/info"))
    for link in (info["url"], *info["links"].values()):
        assert link.startswith("/images-api/v1/images/")
        assert curl_code(tls.url + link) == "200"
    assert curl_code(f"{tls.url}/v1/images/{image_id}") == "404"
    refused = json.loads(curl(certificates, f"{tls.url}/images-api/v2/images"))
    assert "the API is under /images-api/v1/images" in refused["detail"]
    assert curl_code(f"{api}/{image_id}.webp?thumb=37") == "200"
    curl(certificates, "-X", "DELETE", f"{api}/{image_id}")
    assert curl_code(f"{api}/{image_id}.webp?thumb=37") == "410"


def curl_code(url: str) -> str:
    command = [program("curl"), "-sk", "-o", "/dev/null", "-w", "%{http_code}", url]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout
