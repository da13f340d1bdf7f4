"""The commands that work on the images of a service, and how they fail."""

import argparse
import hashlib
import importlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp
import pytest
import pyvips

from imaging.formats import FORMATS
from imgsvc.cli import COMMANDS
from imgsvc.terminal.borrowed import command_of
from imgsvc.transfers.sources import EXTENSIONS
from tests import pictures, servers
from tests.imgsvc import sites
from tests.imgsvc.command_line import CommandLine, numbered
from transform_service.operations.base import load_operations


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Served]:
    with servers.serve(tmp_path_factory.mktemp("service")) as served:
        yield served


@pytest.fixture
def shell(service: servers.Served, tmp_path: Path) -> CommandLine:
    return CommandLine(tmp_path / "home", service.url, folder=tmp_path)


@pytest.fixture
def image_id(shell: CommandLine, tmp_path: Path) -> str:
    (tmp_path / "photo.jpg").write_bytes(pictures.jpeg(90, 60))
    (record,) = shell.ok("upload", "photo.jpg", "--title", "Sunset by the sea", "--tag", "sea", "--json").lines
    return str(record["image_id"])


def test_an_image_is_found_described_and_deleted(shell: CommandLine, image_id: str) -> None:
    assert image_id in shell.ok("list").out
    assert [each["image_id"] for each in shell.ok("list", "--tag", "sea", "--limit", "1", "--json").lines] == [image_id]
    assert shell.ok("search", "sunset", "se", "--limit", "1").out.splitlines()[1].startswith(image_id)
    nothing = shell.ok("search", "nothing-has-this")
    assert (nothing.out, nothing.err) == ("", "imgsvc: no images match\n")
    assert shell.ok("list", "--tag", "nothing", "--json").err == ""
    shown = shell.ok("info", image_id).out
    assert "width              90\n" in shown
    assert "title              Sunset by the sea\n" in shown
    assert shell.ok("delete", image_id, "--yes").out == f"deleted {image_id}\n"
    assert shell.ok("delete", "-", "--yes", stdin=image_id.encode()).out == f"deleted before {image_id}\n"
    done = shell.run("info", image_id)
    assert (done.code, done.out) == (5, "")


def test_originals_and_variants_become_files_or_go_to_stdout(shell: CommandLine, image_id: str, tmp_path: Path) -> None:
    assert shell.ok("get", image_id).out == f"{image_id}.jpg\n"
    assert (tmp_path / f"{image_id}.jpg").read_bytes() == (tmp_path / "photo.jpg").read_bytes()
    assert shell.ok("get", f"{image_id}.png?thumb=30", "-o", "-").content.startswith(b"\x89PNG")
    url = shell.ok("url", image_id, "thumb=20", "--format", "webp").out.strip()
    assert shell.ok("get", url, "-o", "small.webp", "--json").lines[0]["file"] == "small.webp"
    assert _size(tmp_path / "small.webp") == (20, 13)
    done = shell.run("get", image_id)
    assert (done.code, done.err) == (
        2, f"imgsvc: {image_id}.jpg exists; use another name, or --force to replace it\n",
    )  # fmt: skip
    shell.ok("get", image_id, "--chain", "blur=2", "-o", "small.webp", "--force")
    (tmp_path / "folder").mkdir()
    mistakes = (("folder", "is a folder; name a file in it"), ("none/x.webp", "the folder none does not exist"))
    for target, said in mistakes:
        for command in (("get", image_id), ("transform", "thumb=20", "photo.jpg")):
            done = shell.run(*command, "-o", target, "--force")
            assert (done.code in {1, 2}, said in done.err) == (True, True), done.err
    assert (tmp_path / "small.webp").read_bytes()[8:12] == b"WEBP"


def test_the_name_of_the_file_chooses_the_format(shell: CommandLine, image_id: str, tmp_path: Path) -> None:
    original = (tmp_path / "photo.jpg").read_bytes()
    for image, name, head in (
        (f"{image_id}?thumb=30", "a.PNG", b"\x89PNG"),
        (f"{image_id}?thumb=30", "a.tif", b"II*\0"),
        (f"{image_id}.gif?thumb=30", "b.png", b"GIF8"),
        (f"{image_id}?thumb=30&format=gif", "c.png", b"GIF8"),
        (image_id, "d.jpeg", original),
        (image_id, "e.original", original),
    ):
        shell.ok("get", image, "-o", name)
        assert (tmp_path / name).read_bytes().startswith(head), name
    shell.ok("get", image_id, "--format", "webp", "-o", "f.png")
    assert (tmp_path / "f.png").read_bytes()[8:12] == b"WEBP"


def test_urls_are_made_without_asking_the_service(tmp_path: Path) -> None:
    nobody = CommandLine(tmp_path / "home", "https://images.example.com")
    base = f"https://images.example.com/v1/images/{'a' * 32}"
    assert nobody.ok("url", "a" * 32).out == f"{base}\n"
    assert nobody.ok("url", "a" * 32, "thumb=300&blur=2", "--format", "webp").out == f"{base}.webp?thumb=300&blur=2\n"
    ladder = nobody.ok("url", "a" * 32, "--srcset", "200,400", "--format", "auto").out
    assert ladder == f"{base}.auto?w=200 200w, {base}.auto?w=400 400w\n"
    secret = "sk_0123456789ab_this-is-a-secret-for-tests_43-characters-ab"
    signed = nobody.ok("url", "a" * 32, "thumb=300", "--signed", "--expires", "1h", SIGNING_SECRET=secret).out
    assert signed.startswith(f"{base}?thumb=300&key=0123456789ab&expires=")
    done = nobody.run("url", "a" * 32, "--signed", SIGNING_SECRET="")
    said = "imgsvc: there is no signing secret; set SIGNING_SECRET, or `signing_secret` in a profile\n"
    assert (done.code, done.err) == (2, said)
    done = nobody.run("url", "a" * 32, "thum=300")
    assert (done.code, done.err.splitlines()[0]) == (2, "imgsvc: unknown operation 'thum'; did you mean 'thumb'?")


def test_an_export_is_complete_and_goes_on(shell: CommandLine, image_id: str, tmp_path: Path) -> None:
    shell.ok("export", "copy")
    manifest = (tmp_path / "copy/manifest.jsonl").read_text().splitlines()
    lines = {line["image_id"]: line for line in map(json.loads, manifest)}
    line = lines[image_id]
    assert (line["title"], line["tags"], line["metadata"]) == ("Sunset by the sea", ["sea"], {})
    files = {path.relative_to(tmp_path / "copy").as_posix() for path in (tmp_path / "copy").rglob("*.*g")}
    assert {str(line["file"]) for line in lines.values()} == files
    for each in lines.values():
        assert hashlib.sha256((tmp_path / "copy" / str(each["file"])).read_bytes()).hexdigest() == each["sha256"]
    (tmp_path / "copy" / str(line["file"])).unlink()
    (again,) = shell.ok("export", "copy", "--json").lines
    assert (again["exported"], again["known"], again["failed"]) == (1, len(lines) - 1, 0)


def test_a_broken_pipe_is_no_error(shell: CommandLine, image_id: str) -> None:
    assert image_id
    command = f"{sys.executable} -m imgsvc list --json | head -c 0; echo ${{PIPESTATUS[0]}}"
    environment = {**shell.environment, "PYTHONPATH": str(servers.ROOT)}
    done = subprocess.run(["bash", "-c", command], env=environment, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("141\n", "")


def test_a_full_disk_is_named(shell: CommandLine, image_id: str, tmp_path: Path) -> None:
    with servers.small_disk(tmp_path / "small", "size=16k"):
        (tmp_path / "small/full").write_bytes(bytes(12_000))
        done = shell.run(
            "get", image_id, "--chain", "resize=400x400,fill,enlarge", "--format", "png", "-o", "small/a.png"
        )
        assert (done.code, done.err) == (
            1, "imgsvc: small/a.png: the disk is full; make room, and run the command again\n",
        )  # fmt: skip
        assert {path.name for path in (tmp_path / "small").iterdir()} == {"full"}


_DOWN = "http://127.0.0.1:1 does not respond (nothing listens there); start it, or name another one with --url"


@pytest.mark.parametrize(
    ("command", "url", "said"),
    [
        *((command, "http://127.0.0.1:1", _DOWN) for command in ("list", "upload", "import", "export", "delete")),
        ("list", "http://nobody.invalid", "http://nobody.invalid does not respond (the host name is unknown); start"),
        ("list", "images.example.com", "'images.example.com' is not the URL of a service, such as https://images."),
    ],
)
def test_a_service_that_is_down_or_elsewhere_is_one_sentence(tmp_path: Path, url: str, said: str, command: str) -> None:
    shell = CommandLine(tmp_path / "home", url, folder=tmp_path)
    numbered(tmp_path / "photos", 1)
    arguments = {"upload": ["photos"], "import": ["photos"], "export": ["out"], "list": [], "search": ["x"]}
    done = shell.run(command, *arguments.get(command, ["a" * 32]), *(["--yes"] if command == "delete" else []))
    assert (done.code, done.err[: len(said) + 8]) == (2 if "://" not in url else 3, f"imgsvc: {said}")
    assert len(done.err.splitlines()) == 1


def test_what_is_no_imgsvc_is_recognised(tmp_path: Path) -> None:
    from tests.imgsvc.test_import_command import web_server  # noqa: PLC0415

    with web_server(tmp_path) as url:
        shell = CommandLine(tmp_path / "home", url)
        for command in (["list"], ["upload", str(Path(__file__))]):
            done = shell.run(*command)
            assert (done.code, done.err) == (
                3, f"imgsvc: {url} is not an imgsvc: its answers are others; check --url, IMGSVC_URL and the profile\n",
            )  # fmt: skip


def test_a_busy_service_is_asked_again_and_then_named(tmp_path: Path) -> None:
    body = b'{"detail": "the client sends too many requests; retry later"}'
    head = b"HTTP/1.1 429 Too Many Requests\r\nContent-Type: application/problem+json\r\nRetry-After: 0\r\n"
    with answering(head + b"Content-Length: %d\r\nConnection: close\r\n\r\n" % len(body) + body) as (url, asked):
        done = CommandLine(tmp_path / "home", url).run("list")
    assert (done.code, done.err) == (6, "imgsvc: the client sends too many requests; retry later\n")
    assert len(asked) == 3


def test_help_is_fast_and_serve_imports_no_client() -> None:
    assert _seconds("--help") < 0.3
    code = (
        "import sys; from imgsvc.cli import main; main(['serve', '--help']);"
        "print({'rich', 'urllib3', 'imgsvc_client', 'imgsvc.commands.upload'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=servers.ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "set()"


def test_names_that_are_a_letter_off_are_corrected(shell: CommandLine) -> None:
    for arguments, said in (
        (["uplaod"], "imgsvc: there is no command 'uplaod'; did you mean 'upload'?"),
        (["list", "--limt", "1"], "imgsvc: there is no option '--limt'; did you mean '--limit'?"),
        (["keys", "lst"], "imgsvc: there is no command 'lst'; did you mean 'list'?"),
        (["keys", "create", "x", "--scop", "read"], None),  # the beginning of an option, as before
        (["keys", "create", "x", "--scoep", "read"], "imgsvc: there is no option '--scoep'; did you mean '--scope'?"),
        (
            ["delete", "nonsense", "--yes"],
            "imgsvc: 'nonsense' is not an image; write its ID, as `imgsvc list` shows it",
        ),
    ):
        done = shell.run(*arguments, DATA_DIR="nowhere")
        assert done.code == 2
        assert said is None or done.err.startswith(said), done.err


@pytest.mark.parametrize("arguments", [(), ("keys",)])
def test_a_group_alone_lists_its_commands(shell: CommandLine, arguments: tuple[str, ...]) -> None:
    done = shell.run(*arguments)
    assert (done.code, done.out, done.err.startswith("Usage: imgsvc")) == (2, "", True)


BORROWED = [name for entries in COMMANDS.values() for name, entry in entries.items() if entry.run]


@pytest.mark.parametrize("name", BORROWED)
def test_borrowed_commands_pass_on_exactly_what_argparse_would(name: str) -> None:
    """Each option and argument with a value, also one that is false, becomes the same namespace."""
    entry = next(entries[name] for entries in COMMANDS.values() if name in entries)
    parser = argparse.ArgumentParser()
    importlib.import_module(entry.load).add_options(parser)
    for arguments in _uses(parser):
        seen: list[argparse.Namespace] = []

        def run(options: argparse.Namespace, seen: list[argparse.Namespace] = seen) -> int:
            seen.append(options)
            return 0

        command_of(name, parser, run, {}).main(arguments, standalone_mode=False)
        assert vars(seen[0]) == vars(parser.parse_args(arguments)), arguments


def _uses(parser: argparse.ArgumentParser) -> Iterator[list[str]]:
    """Command lines: with all options, and with only what is required."""
    below = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    for action in below:
        for name, each in action.choices.items():
            yield from ([name, *rest] for rest in _uses(each))
    if below:
        return
    for every in (True, False):
        arguments: list[str] = []
        for action in parser._actions:
            if isinstance(action, argparse._HelpAction):
                continue
            value = [] if action.nargs == 0 else [_value(action)]
            if not action.option_strings:
                arguments += value
            elif every or action.required:
                arguments += [action.option_strings[-1], *value]
        yield arguments


def _value(action: argparse.Action) -> str:
    if action.choices:
        return str(next(iter(action.choices)))
    for text in ("0", "1h", "320,640", "a"):
        try:
            action.type(text) if callable(action.type) else text
        except (argparse.ArgumentTypeError, ValueError):
            continue
        return text
    raise AssertionError(action)


def test_deleting_asks_first(shell: CommandLine, image_id: str) -> None:
    done = shell.run("delete", image_id)
    assert (done.code, done.err) == (
        2, "imgsvc: deleting needs a confirmation, and stdin is not a terminal; use --yes\n",
    )  # fmt: skip
    with shell.on_terminal("delete", image_id) as terminal:
        os.write(terminal.master, b"n\n")
        assert terminal.ended() == 130
    shell.ok("info", image_id)


def test_without_a_terminal_there_are_no_bars_and_no_colours(shell: CommandLine, tmp_path: Path) -> None:
    numbered(tmp_path / "photos", 2)
    done = shell.ok("upload", "photos")
    assert "\x1b" not in done.err + done.out
    with shell.on_terminal("doctor") as terminal:
        terminal.ended()
    assert "\x1b[32m" in terminal.text
    shell.variables = {"NO_COLOR": "1"}
    with shell.on_terminal("doctor") as terminal:
        terminal.ended()
    assert "\x1b[32m" not in terminal.text


def test_local_files_are_transformed_as_the_service_would(shell: CommandLine, image_id: str, tmp_path: Path) -> None:
    served = shell.ok("get", f"{image_id}.webp?rotate=90&thumb=30&blur=2", "-o", "-").content
    nobody = CommandLine(tmp_path / "home", folder=tmp_path)
    assert (
        nobody.ok("transform", "rotate=90&thumb=30&blur=2", "photo.jpg", "-o", "-", "--format", "webp").content
        == served
    )
    nobody.ok("transform", "thumb=30", "photo.jpg", "-o", "a.png")
    marked = nobody.ok("transform", "watermark=a.png,southeast,0.5", "photo.jpg", "--to", "out", "--json").lines
    assert [each["file"] for each in marked] == ["out/photo.jpg"]
    (tmp_path / "bad.jpg").write_text("no image")
    done = nobody.run("transform", "thumb=9", "bad.jpg", "missing.jpg", "photo.jpg", "--to", "small")
    assert (done.code, done.out) == (1, "small/photo.jpg\n")
    assert [line.split(":")[1] for line in done.err.splitlines()] == [" bad.jpg", " missing.jpg"]


def test_explain_and_sign_print_json_too(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(pictures.jpeg(90, 60))
    (plan,) = CommandLine(tmp_path).ok("explain", "thumb=30", tmp_path / "photo.jpg", "--json").lines
    assert (plan["as_written"], plan["output"]) == ("thumb=30", "JPEG, 30 x 20, quality 80")
    secret = {"SIGNING_SECRET": f"sk_0123456789ab_{'x' * 43}"}
    (signed,) = CommandLine(tmp_path).ok("sign", f"/v1/images/{'a' * 32}.webp", "--json", **secret).lines
    assert str(signed["url"]).startswith(f"/v1/images/{'a' * 32}.webp?key=0123456789ab&signature=")


def test_every_operation_and_format_works_locally(tmp_path: Path) -> None:
    shell = CommandLine(tmp_path / "home", folder=tmp_path)
    (tmp_path / "photo.jpg").write_bytes(pictures.jpeg(300, 300))
    examples = [cls.examples[0] for name, cls in sorted(load_operations().items()) if name != "watermark"]
    chain = "&".join(example for example in examples if not example.startswith("page"))
    formats = [name for name, each in FORMATS.items() if each.writer]
    for fmt in formats:
        shell.ok("transform", "page=0&thumb=200&watermark=photo.jpg,centre,0.5", "photo.jpg", "-o", f"small.{fmt}")
    shell.ok("transform", chain, "photo.jpg", "-o", "all.webp")
    assert _size(tmp_path / "small.webp") == (200, 200)


def test_files_of_folders_are_those_of_the_formats() -> None:
    assert {f".{extension}" for each in FORMATS.values() for extension in each.extensions} <= EXTENSIONS


async def test_a_sweep_removes_blobs_that_no_image_uses(tmp_path: Path, http: aiohttp.ClientSession) -> None:
    with sites.local_site(tmp_path, http) as site:
        await site.upload()
        orphan = site.folder / "blobs/originals/ab/cd" / ("abcd" + "0" * 60)
        used = [path for path in (site.folder / "blobs").rglob("*") if path.is_file() and len(path.name) == 64]
        assert used
        orphan = used[0].parents[2] / "ab/cd" / ("abcd" + "0" * 60)
        orphan.parent.mkdir(parents=True, exist_ok=True)
        orphan.write_bytes(b"an orphan")
        assert site.command("sweep", "--age", "1h") == "removed 0 blobs that no image uses\n"
        os.utime(orphan, (time.time() - 7200,) * 2)
        assert site.command("sweep", "--age", "1h", "--json") == '{"removed": 1}\n'
        assert not orphan.exists()
        assert used[0].exists()


def _size(file: Path) -> tuple[int, int]:
    image = pyvips.Image.new_from_file(str(file))
    return image.width, image.height


def _seconds(*arguments: str) -> float:
    """The time of a core that a command takes, however busy the machine is."""
    process = subprocess.Popen(
        [sys.executable, "-m", "imgsvc", *arguments], cwd=servers.ROOT, stdout=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return usage.ru_utime + usage.ru_stime


@contextmanager
def answering(answer: bytes) -> Iterator[tuple[str, list[bytes]]]:
    """A server that gives the same answer to every request, one per connection."""
    asked: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    request = b""
                    while b"\r\n\r\n" not in request and (data := connection.recv(65536)):
                        request += data
                    if request:
                        asked.append(request)
                        connection.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}", asked
        server.shutdown(socket.SHUT_RDWR)
        thread.join()
