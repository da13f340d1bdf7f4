"""The JavaScript client in Node.js: its README, every operation, signatures, types, and broken connections.

What it does in a browser is in tests/browser/test_upload_tokens.py.
"""

import asyncio
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from imaging.geometry import Box
from tests import pictures, servers
from tests.clients.test_python_client import EXAMPLES, unreliable
from tests.servers import ROOT
from transform_service.chain import parse

__all__ = ["unreliable"]

FOLDER = ROOT / "clients/javascript"
PHOTO = pictures.jpeg(800, 600)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Served]:
    with servers.serve(tmp_path_factory.mktemp("served")) as started:
        yield started


def run(folder: Path, code: str) -> str:
    """Run a module that may import the client, as after `npm install`, and return what it prints."""
    modules = folder / "node_modules"
    if not modules.exists():
        modules.mkdir()
        (modules / "imgsvc-client").symlink_to(FOLDER)
    (folder / "photo.jpg").write_bytes(PHOTO)
    (folder / "main.mjs").write_text(code)
    command = [servers.program("node"), "main.mjs"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_examples_of_the_readme_run(served: servers.Served, tmp_path: Path) -> None:
    blocks = re.findall(r"```js\n(.*?)```", (FOLDER / "README.md").read_text(), re.DOTALL)
    assert len(blocks) == 6
    printed = run(tmp_path, "\n".join(blocks).replace("http://127.0.0.1:8080", served.url))
    assert "404 the image 00000000000000000000000000000000 does not exist" in printed
    sent, total = printed.splitlines()[-2].split()
    assert sent == total == str(len(PHOTO))


def test_every_operation_says_what_the_service_understands(tmp_path: Path) -> None:
    calls = [_call(name, example) for name, example in EXAMPLES]
    lines = "\n".join(f"console.log(String(new Chain().{call}));" for call in calls)
    printed = run(tmp_path, f'import {{ Chain }} from "imgsvc-client";\n{lines}').splitlines()
    for text, (_, example) in zip(printed, EXAMPLES, strict=True):
        assert parse(text, max_operations=20).operations == parse(example, max_operations=20).operations


def _call(name: str, example: str) -> str:
    (operation,) = parse(example, max_operations=20).operations
    needed, options = [], {}
    for field, info in type(operation).model_fields.items():
        value = getattr(operation, field)
        if isinstance(value, Box):
            needed += [value.width, value.height]
        elif info.is_required():
            needed.append(value)
        else:
            options[field] = value
    arguments = [json.dumps(value) for value in needed] + ([json.dumps(options)] if options else [])
    return f"{name}({', '.join(arguments)})"


def test_chains_keep_their_order_and_do_not_change(tmp_path: Path) -> None:
    code = """
        import { Chain } from "imgsvc-client";
        const start = new Chain().rotate(90);
        console.log(String(start.thumb(300).blur(2.5).rotate(-0.5)), String(start));
        console.log(String(new Chain().background("#ff8800").preset("a&b").brightness(1e-7)));
        try { new Chain().blur(NaN); } catch (error) { console.log(error.message); }
    """
    assert run(tmp_path, code).splitlines() == [
        "rotate=90&thumb=300&blur=2.5&rotate=-0.5 rotate=90",
        "background=%23ff8800&preset=a%26b&brightness=0.0000001",
        "NaN is not a number for a picture",
    ]


def test_signatures_are_those_of_the_service(tmp_path: Path) -> None:
    known = json.loads((ROOT / "docs/recipes/vectors.json").read_text())
    calls = []
    for vector in known["vectors"]:
        target = re.sub(r"[?&](widths|presets)=[^&]*", "", vector["target"])
        options: dict[str, object] = {"expires": vector["expires"]}
        for name in ("widths", "presets"):
            if found := re.search(rf"[?&]{name}=([^&]*)", vector["target"]):
                options[name] = found[1].split(",")
        calls.append([target, options])
    code = f"""
        import {{ sign }} from "imgsvc-client";
        const secret = "{known["secret"]}";
        for (const [target, options] of {json.dumps(calls)}) console.log(await sign(target, secret, options));
        for (const url of ["https://example.com/a.jpg", "/v1/images/x?key=1", "/v1/images/x#a"]) {{
            try {{ await sign(url, secret); }} catch (error) {{ console.log(error.name); }}
        }}
    """
    expected = [vector["signed"] for vector in known["vectors"]]
    assert run(tmp_path, code).splitlines() == [*expected, *["TypeError"] * 3]


async def test_broken_connections_make_no_second_image(unreliable: str, tmp_path: Path) -> None:
    code = f"""
        import {{ openAsBlob }} from "node:fs";
        import {{ Client }} from "imgsvc-client";
        const client = new Client("{unreliable}");
        const image = await client.upload(await openAsBlob("photo.jpg"), {{ tags: ["broken"] }});
        const found = [];
        for await (const each of client.images({{ tags: ["broken"] }})) found.push(each.image_id);
        await client.delete(image.image_id);
        console.log(found.length, found[0] === image.image_id);
    """
    assert await asyncio.to_thread(run, tmp_path, code) == "1 true\n"


def test_a_service_that_does_not_answer_is_an_error(tmp_path: Path) -> None:
    code = """
        import { Client } from "imgsvc-client";
        for (const url of ["http://127.0.0.1:9", "ftp://x", "x"]) {
            try {
                await new Client(url, { retries: 0 }).info("0".repeat(32));
            } catch (error) { console.log(error.name); }
        }
    """
    assert run(tmp_path, code).split() == ["ConnectionFailed", "TypeError", "TypeError"]


def test_the_types_promise_what_they_should(tmp_path: Path) -> None:
    modules = tmp_path / "node_modules"
    modules.mkdir()
    (modules / "imgsvc-client").symlink_to(FOLDER)
    (tmp_path / "typed.ts").write_text(Path(__file__).with_name("typed.ts").read_text())
    (tmp_path / "package.json").write_text('{"type": "module"}')
    options = ["--noEmit", "--strict", "--target", "es2022", "--module", "node16", "--moduleResolution", "node16"]
    command = [servers.program("tsc"), *options, "--lib", "es2022,dom", "typed.ts"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_package_is_small_and_has_no_dependencies() -> None:
    package = json.loads((FOLDER / "package.json").read_text())
    assert not {"dependencies", "devDependencies", "scripts"} & package.keys()
    sources = sum(path.stat().st_size for path in (FOLDER / "src").glob("*.js"))
    assert sources < 32 * 1024


def test_mistakes_are_explained_before_anything_is_sent(tmp_path: Path) -> None:
    code = """
        import { Chain, Client } from "imgsvc-client";
        const client = new Client("http://127.0.0.1:9", { retries: 0 });
        const chain = new Chain();
        const file = new Blob(["x"]);
        for (const mistake of [
            () => chain.crop(300, 300, "focus"),
            () => chain.resize(300, 200, { ft: "cover" }),
            () => chain.thumb(),
            () => client.image(undefined),
            () => client.info({}),
            () => client.upload("photo.jpg"),
            () => client.upload(file, { tags: "a,b" }),
            () => client.upload(file, { focus: "0.5,0.5" }),
            () => client.images("beach").next(),
        ]) {
            try { await mistake(); console.log("nothing"); } catch (error) { console.log(error.message); }
        }
    """
    assert run(tmp_path, code).splitlines() == [
        "crop takes options behind its arguments, such as { left: … }",
        "resize has no option ft; use fit, enlarge",
        "an argument is missing",
        '"undefined" is not an image or the ID of one',
        '"[object Object]" is not an image or the ID of one',
        'an image is a Blob, a File or bytes; in Node.js: await openAsBlob("photo.jpg")',
        'tags is a list, such as ["sea"]',
        "focus is a point, such as { x: 0.3, y: 0.6 }",
        'images takes an object, such as { q: "beach" }',
    ]
