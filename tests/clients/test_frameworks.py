"""Next.js, Nuxt Image and unpic, from npm, ask for variants that the service has."""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest

from tests import npm, pictures, servers
from tests.servers import ROOT

HERE = Path(__file__).with_name("frameworks")
CLIENT = ROOT / "clients/javascript"


@pytest.fixture(scope="module")
def modules() -> Path:
    return npm.installed(HERE)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Served]:
    with servers.serve(tmp_path_factory.mktemp("served")) as started:
        yield started


@pytest.fixture
async def image_id(served: servers.Served, http: aiohttp.ClientSession) -> str:
    data, headers = pictures.jpeg(1600, 1200), {"Content-Type": "image/jpeg"}
    async with http.post(f"{served.url}/v1/images", data=data, headers=headers) as response:
        return str((await response.json())["image_id"])


def run(modules: Path, folder: Path, code: str, **files: str) -> object:
    """What a module prints as JSON. The client and the packages of the frameworks are there."""
    (folder / "node_modules").mkdir()
    for package in (modules / "node_modules").iterdir():
        (folder / "node_modules" / package.name).symlink_to(package)
    (folder / "node_modules" / "imgsvc-client").symlink_to(CLIENT)
    (folder / "package.json").write_text('{"type": "module"}')
    for name, text in files.items():
        (folder / f"{name}.js").write_text(text)
    (folder / "main.js").write_text(code)
    command = [servers.program("node"), "--preserve-symlinks", "main.js"]
    environment = {**os.environ, "NODE_ENV": "production"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def example(language: str, service: str) -> str:
    """The example of the README for a framework."""
    (found,) = re.findall(rf"```\w+ {language}\n(.*?)```", (CLIENT / "README.md").read_text(), re.DOTALL)
    return str(found).replace("https://images.example.com", service)


async def widths(http: aiohttp.ClientSession, srcset: str) -> dict[int, int]:
    """The widths in a `srcset`, and those of the pictures."""
    found = {}
    for candidate in srcset.split(", "):
        url, descriptor = candidate.split(" ")
        async with http.get(url, headers={"Accept": "image/webp"}) as response:
            assert (response.status, response.content_type) == (200, "image/webp"), url
            found[int(descriptor.rstrip("w"))] = pictures.decode(await response.read()).width
    return found


async def test_next_image(
    modules: Path, tmp_path: Path, served: servers.Served, image_id: str, http: aiohttp.ClientSession
) -> None:
    code = f"""
        import image from "next/image.js";
        import loader from "./imgsvc.js";
        const made = image.getImageProps({{
            src: "{image_id}?rotate=180", alt: "", width: 1600, height: 1200, sizes: "50vw", quality: 60, loader,
        }});
        console.log(JSON.stringify(made.props));
    """
    props = run(modules, tmp_path, code, imgsvc=example("next", served.url))
    assert isinstance(props, dict)
    found = await widths(http, props["srcSet"])
    assert {640: 640, 828: 828, 1200: 1200, 3840: 1600}.items() <= found.items()
    assert urlsplit(props["src"]).query == "rotate=180&w=3840&q=60"


async def test_nuxt_image(
    modules: Path, tmp_path: Path, served: servers.Served, image_id: str, http: aiohttp.ClientSession
) -> None:
    code = f"""
        import {{ createImage }} from "./node_modules/@nuxt/image/dist/runtime/image.js";
        globalThis.defineNuxtConfig = (config) => config;
        const {{ default: config }} = await import("./config.js");
        const {{ imgsvc }} = config.image.providers;
        const {{ default: setup }} = await import(imgsvc.provider);
        const $img = createImage({{
            provider: config.image.provider, screens: {{ sm: 640, lg: 1024 }}, presets: {{}}, alias: {{}}, domains: [],
            densities: [1, 2], providers: {{ imgsvc: {{ setup, defaults: imgsvc.options }} }},
        }});
        console.log(JSON.stringify({{
            url: $img("{image_id}", {{ width: 300, height: 200, fit: "cover", quality: 70, blur: 2 }}),
            sizes: $img.getSizes("/{image_id}", {{ sizes: "sm:100vw lg:50vw", modifiers: {{ format: "webp" }} }}),
        }}));
    """
    made = run(modules, tmp_path, code, config=example("nuxt", served.url))
    assert isinstance(made, dict)
    assert made["url"] == f"{served.url}/v1/images/{image_id}.auto?blur=2&w=300&h=200&fit=cover&q=70"
    async with http.get(made["url"]) as response:
        picture = pictures.decode(await response.read())
    assert (picture.width, picture.height) == (300, 200)
    found = await widths(http, made["sizes"]["srcset"])
    assert {640: 640, 512: 512, 1280: 1280}.items() <= found.items()


async def test_unpic(
    modules: Path, tmp_path: Path, served: servers.Served, image_id: str, http: aiohttp.ClientSession
) -> None:
    assert 'import { transform } from "imgsvc-client/unpic";' in example("unpic", served.url)
    code = f"""
        import {{ transformBaseImageProps }} from "@unpic/core/base";
        import {{ transform }} from "imgsvc-client/unpic";
        console.log(JSON.stringify(transformBaseImageProps({{
            src: "{served.url}/v1/images/{image_id}", transformer: transform, width: 800, height: 600,
            layout: "constrained", operations: {{ quality: 70, grayscale: "" }},
        }})));
    """
    props = run(modules, tmp_path, code)
    assert isinstance(props, dict)
    assert urlsplit(props["src"]).query == "grayscale=&w=800&h=600&fit=cover&q=70"
    found = await widths(http, props["srcset"].replace(",\n", ", "))
    assert {640: 640, 800: 800, 1280: 1280}.items() <= found.items()


def test_what_is_no_image_is_refused(modules: Path, tmp_path: Path) -> None:
    code = """
        import { nextLoader } from "imgsvc-client/next";
        const said = [];
        for (const src of ["/photo.jpg", "https://example.com/a.jpg", ""]) {
            try { nextLoader("https://x")({ src, width: 1 }); } catch (error) { said.push(error.message); }
        }
        console.log(JSON.stringify(said));
    """
    said = run(modules, tmp_path, code)
    assert isinstance(said, list)
    assert said[0] == '"/photo.jpg" is not an image of imgsvc; use its ID, or its URL'
    assert len(said) == 3
