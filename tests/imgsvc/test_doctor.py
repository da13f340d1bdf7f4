"""`imgsvc doctor`: what is wrong with a deployment, and what to do."""

import http.server
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp
import pytest

from tests import edge, pictures, servers
from tests.imgsvc import sites
from tests.imgsvc.command_line import CommandLine
from tests.imgsvc.test_commands import answering


@pytest.fixture(scope="module")
def behind_varnish(tmp_path_factory: pytest.TempPathFactory) -> Iterator[edge.Edge]:
    with edge.started(tmp_path_factory.mktemp("edge")) as running:
        yield running


def found(shell: CommandLine, *options: str, code: int = 0, **variables: str) -> dict[str, list[tuple[str, str]]]:
    """Levels and texts of what it finds, by check."""
    done = shell.run("doctor", "--json", *options, **variables)
    assert done.code == code, done.out + done.err
    findings: dict[str, list[tuple[str, str]]] = {}
    for line in done.lines:
        assert line["advice"] or line["level"] in {"good", "note"}
        findings.setdefault(str(line["check"]), []).append((str(line["level"]), str(line["text"])))
    return findings


def test_a_deployment_behind_varnish_is_well(behind_varnish: edge.Edge, tmp_path: Path) -> None:
    findings = found(CommandLine(tmp_path, behind_varnish.url("varnish")), "--write")
    assert {level for each in findings.values() for level, _ in each} <= {"good", "note"}
    assert findings["caching"][-1][1].startswith("the second request for a variant is a hit")
    assert findings["uploads"] == [("good", "files may have up to 67.1 MB")]
    assert [text.split(" takes")[0] for _, text in findings["write"]] == [
        "an upload", "a new variant", "the deletion reaches every cache before its answer",
    ]  # fmt: skip


async def test_keys_that_are_missing_wrong_or_too_weak_are_found(tmp_path: Path, http: aiohttp.ClientSession) -> None:
    with sites.closed_site(tmp_path, http) as site:
        shell = CommandLine(tmp_path / "home", site.url)
        assert found(shell)["keys"] == [("note", "keys are required, and there is none")]
        shell.key = "ik_0123456789ab_" + "a" * 43
        assert found(shell, code=1)["keys"] == [("problem", "the key is not valid; check that all of it was copied")]
        shell.key = site.new_key("list")
        findings = found(shell, "--write", code=1)
        assert findings["keys"] == [("good", "keys are required, and this one may list images")]
        assert findings["write"][0][1].startswith("the upload answers 403: ")
        shell.key = site.key
        assert found(shell, "--write")["write"][-1][0] == "good"
        done = CommandLine(tmp_path / "home", site.url).run("list")
        said = "imgsvc: this requires a key with the scope `list`; set IMGSVC_KEY, or `key` in a profile\n"
        assert (done.code, done.err) == (4, said)
        private = await site.upload(sites.bearer(site.key), query="?visibility=private")
        done = CommandLine(tmp_path / "home", site.url).run("get", private)
        assert "or set IMGSVC_KEY, or `key` in a profile, to a key with the scope `read`" in done.err
        shell.key = site.new_key("read")
        assert "; the key is that in IMGSVC_KEY, or of the profile" in shell.run("list").err


def test_a_service_that_does_not_respond_or_is_no_imgsvc_is_a_problem(tmp_path: Path) -> None:
    findings = found(CommandLine(tmp_path, "http://127.0.0.1:1"), "--write", code=1)
    assert findings == {"health": [("problem", "http://127.0.0.1:1 does not respond (nothing listens there)")]}
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello"
    with answering(answer) as (url, _):
        texts = [text for _, text in found(CommandLine(tmp_path, url), code=1)["health"]]
    assert texts[0] == f"{url}/v1/images/healthcheck answers 200 without JSON"


def test_a_clock_that_is_wrong_is_found(tmp_path: Path) -> None:
    body = b'{"status": "okay"}'
    date = b"Date: Sat, 01 Jan 2000 00:00:00 GMT\r\nContent-Type: application/json\r\nConnection: close\r\n"
    with answering(b"HTTP/1.1 200 OK\r\n%sContent-Length: %d\r\n\r\n%s" % (date, len(body), body)) as (url, _):
        ((level, text),) = found(CommandLine(tmp_path, url), code=1)["clock"]
    assert (level, text.startswith("its clock and that of this machine are ")) == ("problem", True)


def test_certificates_are_checked(tmp_path: Path) -> None:
    openssl = servers.program("openssl")
    for name, days in (("long", "90"), ("short", "3")):
        options = ["-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.crt", "-days", days]
        about = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
        subprocess.run([openssl, "req", "-x509", *options, *about], cwd=tmp_path, check=True, capture_output=True)
        with https(tmp_path / f"{name}.crt", tmp_path / f"{name}.key") as url:
            shell = CommandLine(tmp_path, url)
            ((level, text),) = found(shell, code=1)["tls"]
            assert (level, text.startswith("the certificate is not valid: self")) == ("problem", True)
            shell.variables = {"SSL_CERT_FILE": str(tmp_path / f"{name}.crt")}
            findings = found(shell, code=1)
            expected = {"long": ("good", "the certificate is valid for 90 days")}
            assert findings["tls"] == [expected.get(name, ("warning", "the certificate expires in 3 days"))]
            assert "answers 404 without JSON" in findings["health"][0][1]


@contextmanager
def https(certificate: Path, key: Path) -> Iterator[str]:
    """A server that answers everything with 404."""

    class Quiet(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        server.handle_error = lambda *_: None  # type: ignore[method-assign]
        threading.Thread(target=server.serve_forever).start()
        try:
            yield f"https://localhost:{server.server_address[1]}"
        finally:
            server.shutdown()


def test_from_inside_all_parts_are_reached(tmp_path: Path, redis_url: str) -> None:
    with servers.serve(tmp_path):
        settings = {"DATA_DIR": str(tmp_path / "data"), "RESULT_CACHE_URL": redis_url, "AUTH": "auto"}
        settings["PROMETHEUS_MULTIPROC_DIR"] = str(tmp_path / "of-the-workers")
        findings = found(CommandLine(tmp_path), "--inside", **settings)
    assert {"settings", "database", "blobs", "redis", "disk", "sandbox", "libvips"} == findings.keys()
    assert findings["redis"][0][0] == findings["database"][0][0] == findings["blobs"][0][0] == "good"
    assert not [path for path in (tmp_path / "data/blobs/incoming").iterdir() if "doctor" in path.name]


def test_another_access_secret_than_before_is_found(tmp_path: Path) -> None:
    shell, secret = CommandLine(tmp_path), tmp_path / "data/access_secret"
    settings = {"DATA_DIR": str(tmp_path / "data")}
    with servers.serve(tmp_path):
        first = secret.read_text()
    secret.unlink()
    with servers.serve(tmp_path) as served:
        assert "ERROR" in served.log.read_text()
        assert "the access secret is not the one that was used before" in served.log.read_text()
    ((level, text),) = found(shell, "--inside", **settings)["access secret"]
    assert (level, text.endswith("URLs that were signed before answer 403")) == ("warning", True)
    assert "access-secret" in shell.ok("audit", **settings).out
    with servers.serve(tmp_path) as served:
        assert "the access secret" not in served.log.read_text(), "it is the same as before"
    secret.write_text(first)
    with servers.serve(tmp_path) as served:
        assert "the access secret is not the one that was used before" in served.log.read_text(), "also the way back"
    assert shell.ok("audit", **settings).out.count("access-secret") == 2


def test_a_stored_image_that_cannot_be_decoded_is_no_problem(behind_varnish: edge.Edge, tmp_path: Path) -> None:
    shell = CommandLine(tmp_path, behind_varnish.url("varnish"))
    (tmp_path / "whole.jpg").write_bytes(pictures.jpeg(400, 300))
    (tmp_path / "damaged.png").write_bytes(pictures.png_header(400, 300))
    shell.ok("upload", tmp_path / "whole.jpg")
    (record,) = shell.ok("upload", tmp_path / "damaged.png", "--json").lines
    assert shell.run("get", f"{record['image_id']}.webp?thumb=32").code == 1, "it is damaged"
    assert found(shell)["caching"][-1][1].startswith("the second request for a variant is a hit")
    shell.ok("delete", record["image_id"], "--yes")


@pytest.mark.parametrize(
    ("settings", "problems"),
    [
        (
            {"MAX_PIXELS": "many", "MAX_FRAME": "9"},
            {"settings": ["MAX_PIXELS='many'", "MAX_FRAME is not a setting; did you mean MAX_FRAMES?"]},
        ),
        (
            {
                "BLOB_URL": "memory://", "AUTH": "open", "PUBLIC_URL": "https://a.example", "WEB_CONCURRENCY": "2",
                "ALLOWED_HOSTS": '["b.example"]',
            },
            {
                "settings": [
                    "BLOB_URL=memory:// loses all images with the process",
                    "AUTH=open, and others can reach the service",
                    "ALLOWED_HOSTS refuses a.example, which PUBLIC_URL names",
                    "SQLite serves one process, and WEB_CONCURRENCY is 2",
                ],
            },
        ),
        (
            {"RESULT_CACHE_URL": "redis://127.0.0.1:1", "BLOB_URL": "file:///proc/nothing"},
            {
                "database": ["sqlite:///"],
                "redis": ["redis://127.0.0.1:1 does not respond"],
                "blobs": ["file:///proc/nothing does not exist"],
            },
        ),
    ],
)  # fmt: skip
def test_from_inside_mistakes_are_problems(
    tmp_path: Path, settings: dict[str, str], problems: dict[str, list[str]]
) -> None:
    findings = found(CommandLine(tmp_path), "--inside", code=1, **{"DATA_DIR": str(tmp_path / "none"), **settings})
    for check, texts in problems.items():
        shown = [text for level, text in findings[check] if level == "problem"]
        assert len(shown) == len(texts)
        assert all(any(text.startswith(said) for text in shown) for said in texts), findings
