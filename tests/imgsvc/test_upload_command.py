"""`imgsvc upload`: each file once, whatever happens, and a bar that tells the truth."""

import asyncio
import contextlib
import http.server
import itertools
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import urllib3

from tests import pictures, servers
from tests.imgsvc.command_line import CommandLine, numbered
from tests.imgsvc.sites import Site

LONG = bool(os.environ.get("LONG"))


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Served]:
    with servers.serve(tmp_path_factory.mktemp("service")) as served:
        yield served


@pytest.fixture
def shell(service: servers.Served, tmp_path: Path) -> CommandLine:
    return CommandLine(tmp_path / "home", service.url)


def stored(folder: Path) -> list[tuple[str, int]]:
    """File names, and how often each is stored, straight from the database."""
    query = "SELECT original_filename, count(*) FROM images WHERE deleted_at IS NULL GROUP BY original_filename"
    with sqlite3.connect(f"file:{folder}/images.sqlite3?mode=ro", uri=True) as database:
        return sorted(database.execute(query).fetchall())


def test_every_file_is_stored_once_though_the_service_is_killed_in_the_middle(tmp_path: Path) -> None:
    number = 1000 if LONG else 100
    files = numbered(tmp_path / "photos", number)
    port, data = servers.free_port(), tmp_path / "data"
    shell = CommandLine(tmp_path / "home", f"http://127.0.0.1:{port}")
    lies = []

    def look(shown: int) -> None:
        there = sum(times for _, times in stored(data))
        if shown > there:
            lies.append((shown, there))

    with servers.serve(tmp_path, PORT=str(port)) as first:
        terminal = shell.on_terminal("upload", tmp_path / "photos", look=look)
        upload = terminal.__enter__()
        upload.wait_for(number // 3)
        first.process.kill()
        first.process.wait()
    before = sum(times for _, times in stored(data))
    assert number // 3 <= before
    with servers.serve(tmp_path, PORT=str(port)):
        assert upload.ended() == 0, upload.text[-2000:]
        terminal.__exit__(None, None, None)
        assert stored(data) == [(file.name, 1) for file in files]
        assert lies == []
        assert [done for done, _ in upload.shown] == sorted(done for done, _ in upload.shown)
        assert {total for _, total in upload.shown} == {number}
        assert upload.shown[-1] == (number, number)
        assert f"{number:,} stored, 0 already there, 0 failed" in upload.text
        again = shell.ok("upload", tmp_path / "photos")
        assert f"0 stored, {number:,} already there, 0 failed" in again.err
        (tmp_path / "home/.local/state/imgsvc").rename(tmp_path / "forgotten")  # the day's Idempotency-Keys remain
        shell.ok("upload", tmp_path / "photos")
        assert stored(data) == [(file.name, 1) for file in files]


def test_a_file_that_is_no_image_does_not_stop_the_others(shell: CommandLine, tmp_path: Path) -> None:
    numbered(tmp_path / "mixed", 5)
    (tmp_path / "mixed/bad.jpg").write_text("no image")
    (tmp_path / "mixed/notes.txt").write_text("left out")
    done = shell.run("upload", tmp_path / "mixed")
    assert (done.code, len(done.out.splitlines())) == (1, 5)
    assert f"{tmp_path}/mixed/bad.jpg: the file is not an image in a supported format" in done.err
    assert "5 stored, 0 already there, 1 failed" in done.err
    assert "left out, since their names are not those of images: 1" in done.err


def test_a_link_in_a_circle_and_a_folder_that_cannot_be_read_stop_nothing(shell: CommandLine, tmp_path: Path) -> None:
    numbered(tmp_path / "photos", 2)
    (tmp_path / "photos/circle.jpg").symlink_to("circle.jpg")
    (tmp_path / "photos/nothing.jpg").symlink_to("nowhere.jpg")
    done = shell.run("upload", tmp_path / "photos")
    assert (done.code, len(done.out.splitlines())) == (1, 2), done.err
    assert f"imgsvc: {tmp_path}/photos/circle.jpg: Too many levels of symbolic links\n" in done.err
    assert "2 stored, 0 already there, 1 failed" in done.err


def test_labels_reach_the_service(shell: CommandLine, tmp_path: Path) -> None:
    (file,) = numbered(tmp_path / "one", 1)
    options = ["--title", "Sunset", "--alt", "the sea", "--tag", "sea", "--tag", "france", "--private", "--ttl", "900"]
    (record,) = shell.ok("upload", file, *options, "--json").lines
    assert record["source"] == str(file)
    (info,) = shell.ok("info", record["image_id"], "--json").lines
    assert (info["title"], info["alt"], info["tags"]) == ("Sunset", "the sea", ["sea", "france"])
    assert (info["visibility"], info["original_filename"]) == ("private", file.name)
    assert info["expires_at"] is not None


def test_stdin_patterns_and_urls_are_stored(shell: CommandLine, tmp_path: Path) -> None:
    image = pictures.jpeg(50, 41)
    (piped,) = shell.ok("upload", "-", "--name", "piped.jpg", "--json", stdin=image).lines
    assert shell.ok("info", piped["image_id"], "--json").lines[0]["original_filename"] == "piped.jpg"
    numbered(tmp_path / "deep", 3)
    assert len(shell.ok("upload", f"{tmp_path}/deep/**/*2.jpg").out.splitlines()) == 1
    (copied,) = shell.ok("upload", piped["url"], "--json").lines
    assert (copied["sha256"], copied["image_id"] == piped["image_id"]) == (piped["sha256"], False)


def test_what_was_deleted_or_has_changed_is_stored_again(shell: CommandLine, tmp_path: Path) -> None:
    (file,) = numbered(tmp_path / "changing", 1)

    def upload() -> object:
        (record,) = shell.ok("upload", file, "--json").lines
        return record["image_id"]

    first = upload()
    assert upload() == first
    os.utime(file)
    assert upload() == first
    shell.ok("delete", first, "--yes")
    second = upload()
    assert second != first
    assert upload() == second
    file.write_bytes(pictures.jpeg(31, 31))
    third = upload()
    assert third not in {first, second}
    (copy,) = shell.ok("upload", file, "--again", "--json").lines
    assert copy["image_id"] != third


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("missing.jpg",), 1, "imgsvc: missing.jpg: No such file or directory\n"),
        (("empty",), 1, "imgsvc: there are no images in empty (1 other files); images end with .apng"),
        (("one.jpg", "--parallel", "x"), 2, "imgsvc: invalid value for '--parallel': 'x' is not a whole number; see"),
        (("s3://bucket/one.jpg",), 2, "imgsvc: s3://bucket/one.jpg is not a URL of http or https; `imgsvc import`"),
        (("*.webp",), 2, "imgsvc: no file fits *.webp; write a pattern such as 'photos/**/*.jpg'\n"),
        ((), 2, "imgsvc: missing argument 'FILE|FOLDER|PATTERN|URL|-...'; see `imgsvc upload --help`\n"),
        (("one.jpg", "--tga", "x"), 2, "imgsvc: there is no option '--tga'; did you mean '--tag'?\n"),
        (("one.jpg", "--parallel", "99"), 2, "imgsvc: invalid value for '--parallel': 99 is not from 1 to 16; see"),
        (
            ("one.jpg", "--focus", "2,0"),
            2,
            "imgsvc: invalid value for '--focus': '2,0' is not a focal point; write it as",
        ),
        (("one.jpg", "--metadata", "[1]"), 2, "imgsvc: invalid value for '--metadata': '[1]' is not a JSON object"),
        (("http://127.0.0.1:1/a.jpg",), 1, "imgsvc: http://127.0.0.1:1/a.jpg: the server does not respond (nothing"),
    ],
)
def test_what_cannot_be_uploaded_is_explained(
    shell: CommandLine, tmp_path: Path, arguments: tuple[str, ...], code: int, said: str
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty/notes.txt").write_text("no image")
    (tmp_path / "one.jpg").write_bytes(pictures.jpeg())
    shell.folder = tmp_path
    done = shell.run("upload", *arguments)
    assert (done.code, done.err[: len(said)]) == (code, said)


def test_ctrl_c_ends_at_once_and_the_next_run_goes_on(tmp_path: Path, shell: CommandLine) -> None:
    numbered(tmp_path / "many", 30)
    opened = threading.Event()
    with proxy(shell.url, lambda number: number <= 12 or opened.is_set()) as url:
        shell.url = url
        with shell.on_terminal("upload", tmp_path / "many") as terminal:
            terminal.wait_for(12)
            terminal.press_ctrl_c()
            assert terminal.ended() == 130
            assert "Traceback" not in terminal.text
        opened.set()
        done = shell.ok("upload", tmp_path / "many")
    assert "18 stored, 12 already there, 0 failed" in done.err
    assert len(set(done.out.splitlines())) == 30


def test_runs_at_the_same_time_store_each_file_once(shell: CommandLine, tmp_path: Path) -> None:
    numbered(tmp_path / "shared", 10)
    with contextlib.ExitStack() as stack:
        runs = [stack.enter_context(shell.started("upload", tmp_path / "shared")) for _ in range(3)]
        results = [run.communicate() for run in runs]
    assert [run.returncode for run in runs] == [0, 0, 0], results
    assert len({url for out, _ in results for url in out.decode().split()}) == 10


def test_other_labels_in_a_second_run_are_those_of_the_image(shell: CommandLine, tmp_path: Path) -> None:
    (file,) = numbered(tmp_path / "labelled", 1)
    shell.ok("upload", file)
    (record,) = shell.ok("upload", file, "--tag", "sea", "--title", "Sunset", "--json").lines
    (info,) = shell.ok("info", record["image_id"], "--json").lines
    assert (record["new"], info["title"], info["tags"]) == (False, "Sunset", ["sea"])


def test_what_another_machine_has_deleted_is_stored_again(shell: CommandLine, tmp_path: Path) -> None:
    (file,) = numbered(tmp_path / "elsewhere", 1)
    for home in ("one", "two", "three"):
        other = CommandLine(tmp_path / home, shell.url)
        (record,) = other.ok("upload", file, "--json").lines
        other.ok("delete", record["image_id"], "--yes")
    assert shell.ok("upload", file, "--json").lines[0]["new"] is True


def test_names_that_are_no_text_and_homes_that_are_read_only_are_no_obstacle(
    shell: CommandLine, tmp_path: Path
) -> None:
    folder = tmp_path / "odd"
    folder.mkdir()
    (folder / os.fsdecode(b"caf\xe9.jpg")).write_bytes(pictures.jpeg(21, 20))
    shell.home = Path("/proc/nobody")
    done = shell.ok("upload", folder, "--json")
    assert done.lines[0]["source"] == f"{folder}/caf\\xe9.jpg"
    assert done.err.startswith("imgsvc: warning: cannot write /proc/nobody/.local/state/imgsvc/uploads-")


@contextlib.contextmanager
def proxy(url: str, passes: Callable[[int], bool]) -> Iterator[str]:
    """A proxy that asks for each upload, by number, if it may pass, and answers others with 429 as nginx does."""
    seen = itertools.count(1)

    class Proxy(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if not passes(next(seen)):
                self._answer(429, b'{"detail": "too many uploads"}')
                return
            headers = {name: self.headers[name] for name in ("Content-Type", "Idempotency-Key")}
            answer = urllib3.request("POST", url + self.path, body=body, headers=headers)
            self._answer(answer.status, answer.data)

        def do_GET(self) -> None:
            self._answer(200, urllib3.request("GET", url + self.path).data)

        def do_HEAD(self) -> None:
            self._answer(urllib3.request("HEAD", url + self.path).status, b"")

        def _answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Retry-After", "0")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as server:
        server.handle_error = lambda *_: None  # type: ignore[method-assign]  # clients are killed
        threading.Thread(target=server.serve_forever).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()


def test_a_service_that_is_busy_for_longer_is_waited_for(shell: CommandLine, tmp_path: Path) -> None:
    files = numbered(tmp_path / "photos", 15)
    with proxy(shell.url, lambda number: number % 7 == 0) as url:
        busy = CommandLine(tmp_path / "home", url)
        done = busy.ok("upload", tmp_path / "photos", "--json")
        assert busy.ok("upload", "-", stdin=pictures.jpeg(25, 24)).out.startswith(url)
    assert sorted(str(line["source"]) for line in done.lines) == sorted(map(str, files))
    assert "15 stored, 0 already there, 0 failed" in done.err


def test_urls_stay_whole_on_terminals_and_go_where_stdout_goes(shell: CommandLine, tmp_path: Path) -> None:
    numbered(tmp_path / "photos", 3)
    with shell.on_terminal("upload", tmp_path / "photos") as terminal:
        assert terminal.ended() == 0
    urls = [line for line in terminal.text.replace("\x1b[2K", "").splitlines() if line.startswith("http")]
    with (
        (tmp_path / "urls.txt").open("wb") as file,
        shell.on_terminal("upload", tmp_path / "photos", stdout=file) as it,
    ):
        assert it.ended() == 0
    written = (tmp_path / "urls.txt").read_text().splitlines()
    assert len(written) == 3
    assert sorted(url.strip() for url in urls) == sorted(written)
    assert "stored 3 of 3" in it.text
    assert "http" not in it.text


@pytest.mark.parametrize("command", ["upload", "import"])
def test_a_key_that_cannot_upload_ends_it_before_the_first_file(closed: Site, tmp_path: Path, command: str) -> None:
    numbered(tmp_path / "photos", 3)
    for key, said in (
        ("", "this requires a key with the scope `upload`"),
        ("ik_000000000000_" + 43 * "x", "not valid"),
        (closed.new_key("list"), "the key lacks the scope `upload`"),
    ):
        shell = CommandLine(tmp_path / "home", closed.url, key, tmp_path)
        done = shell.run(command, tmp_path / "photos")
        assert (done.code, done.err.count("\n")) == (4, 1), done.err
        assert said in done.err or (not key and "IMGSVC_KEY" in done.err)


async def test_a_key_that_was_revoked_is_no_success_for_images_that_are_there(closed: Site, tmp_path: Path) -> None:
    files = numbered(tmp_path / "photos", 1)
    key = closed.new_key("upload")
    shell = CommandLine(tmp_path / "home", closed.url, key)
    shell.ok("upload", *files)
    assert (await closed.json("DELETE", f"/v1/keys/{key.split('_')[1]}", closed.key))[0] == 204
    async with asyncio.timeout(30):  # a revocation takes effect within seconds
        while (done := await asyncio.to_thread(shell.run, "upload", *files)).code == 0:
            pass
    assert (done.code, "revoked" in done.err) == (4, True), done.err
