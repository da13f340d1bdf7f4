"""What the command says where nothing can be measured, and that locust stays out of this process."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from loadtests import locust_process
from tests.loadtests.running import loadtests
from tests.servers import ROOT, free_port


def one_line(stderr: str) -> str:
    (line,) = stderr.strip().splitlines()
    return line


@pytest.mark.usefixtures("wallpapers")
def test_a_target_that_is_down_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    done = loadtests("--target", url, "--reports", tmp_path)
    assert done.returncode == 2
    assert one_line(done.stderr).startswith(f"loadtests: the target {url} does not answer: ")
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("wallpapers")
def test_a_target_that_is_no_address_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    done = loadtests("--target", "127.0.0.1:8080", "--reports", tmp_path)
    assert done.returncode == 2
    assert one_line(done.stderr).startswith("loadtests: '127.0.0.1:8080' is no target: give scheme, host and port")


def test_no_photo_to_seed_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    done = loadtests("--target", "http://127.0.0.1:1", "--wallpapers", tmp_path, "--reports", tmp_path)
    assert done.returncode == 2
    assert one_line(done.stderr).startswith("loadtests: no image to seed: there are no photos in ")


@pytest.mark.usefixtures("wallpapers")
def test_without_an_engine_it_says_what_to_do(tmp_path: Path) -> None:
    done = loadtests("--reports", tmp_path, DOCKER_HOST=f"unix://{tmp_path}/none.sock")
    assert done.returncode == 2
    assert one_line(done.stderr) == (
        "loadtests: no Docker Engine answers: start one, set DOCKER_HOST, or give a TARGET"
    )


@pytest.mark.parametrize("option", ["--reports", "--files"])
@pytest.mark.usefixtures("wallpapers")
def test_a_folder_that_is_a_file_is_told_before_anything_is_started(option: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = loadtests("--reports", tmp_path, "--files", tmp_path, option, tmp_path / "file")
    assert done.returncode == 2
    assert one_line(done.stderr) == (
        f"loadtests: {option}: {tmp_path}/file is no folder to write into: File exists; give another one"
    )
    assert not done.stdout


def test_a_spike_that_is_too_short_is_told() -> None:
    done = loadtests("--shape", "spike", "--seconds", 1)
    assert done.returncode == 2
    assert done.stderr.endswith("error: --seconds of a spike, before and after it, are 20 at the least\n")


def test_locust_that_does_not_stop_is_ended_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locust_process, "_STOP_SECONDS", 0.1)
    process = subprocess.Popen(["sleep", "60"])
    waits = iter([KeyboardInterrupt])
    wait = process.wait

    def interrupted(timeout: float | None = None) -> int:
        for error in waits:
            raise error
        return wait(timeout)

    monkeypatch.setattr(process, "wait", interrupted)
    with pytest.raises(locust_process.NothingMeasured, match="locust did not stop within"):
        locust_process._wait(process)
    assert wait(5) == -signal.SIGKILL


def test_help_names_shapes_and_exit_codes() -> None:
    done = loadtests("--help")
    assert done.returncode == 0
    for word in ("steady", "ramp", "spike", "soak", "cold", "exit codes", "--target", "--users"):
        assert word in done.stdout


def test_locust_patches_only_the_processes_that_make_the_load() -> None:
    code = "import loadtests.__main__, sys; sys.exit('gevent' in sys.modules or 'locust' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_a_fault_that_would_begin_too_late_is_told_at_once(tmp_path: Path) -> None:
    done = loadtests("--fault", "stop-redis", "--seconds", 20, "--warm-up", 5, "--reports", tmp_path)
    assert done.returncode == 2
    assert "--fault-after 40 and --fault-seconds 15 end after the run, which lasts 25 s" in done.stderr
