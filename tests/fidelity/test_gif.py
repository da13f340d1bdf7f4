"""GIF: areas that no frame draws, or that are cleared, are transparent, as in browsers."""

import random
from pathlib import Path

import numpy as np
import pytest

from imaging.gif_canvas import corrected
from tests import pictures
from tests.fidelity.gifs import CLEAR, KEEP, RESTORE, Frame, gif, parsed, shown
from tests.fidelity.rendering import opened, rendered
from tests.files import header_of, mapped

FULL = bytes(range(256)) * 3
"""A colour table without a free index."""
SMALL = bytes([0, 0, 200, 255, 0, 0, 0, 255, 0, 255, 255, 0])


def flat(width: int, height: int, index: int) -> np.ndarray:
    return np.full((height, width), index, np.uint8)


def spread(width: int, height: int) -> np.ndarray:
    """Every index of a full colour table."""
    return (np.arange(width * height) % 256).astype(np.uint8).reshape(height, width)


def animated(body: bytes) -> list[np.ndarray]:
    """The frames of a file, as Pillow composes them."""
    image = opened(body)
    frames = []
    for number in range(getattr(image, "n_frames", 1)):
        image.seek(number)
        frames.append(np.asarray(image.convert("RGBA")).copy())
    return frames


def same(found: np.ndarray, wanted: np.ndarray) -> None:
    """Equal where something is seen."""
    assert found.shape == wanted.shape
    assert np.array_equal(found[:, :, 3], wanted[:, :, 3])
    seen = wanted[:, :, 3] > 0
    assert np.array_equal(found[seen], wanted[seen])


def as_rgba(body: bytes) -> np.ndarray:
    return np.asarray(opened(body).convert("RGBA"))


def check(folder: Path, body: bytes) -> None:
    """Every page, alone and as part of the animation, is what a browser shows."""
    wanted = shown(body)
    (folder / "file").write_bytes(body)
    header = header_of(folder / "file")
    assert (header.height, header.width) == wanted[0].shape[:2]
    assert header.frames == len(wanted)
    assert header.alpha or all((frame[:, :, 3] == 255).all() for frame in wanted)
    for number, frame in enumerate(wanted):
        same(as_rgba(rendered(folder, body, f"page={number}&rotate=0")), frame)
    if len(wanted) > 1:
        moving = animated(rendered(folder, body, "compress=100", "webp"))
        wanted = [frame for n, frame in enumerate(wanted) if n == 0 or (frame != wanted[n - 1]).any()]
        for found, frame in zip(moving, wanted, strict=True):
            same(found, frame)


CASES = {
    "first frame smaller": ((40, 30), [Frame(flat(20, 10, 1), 5, 5)], SMALL),
    "first frame smaller, full": ((40, 30), [Frame(spread(20, 15), 5, 5)], FULL),
    "no control": ((40, 30), [Frame(flat(20, 10, 1), 5, 5, control=False)], SMALL),
    "cleared": ((40, 30), [Frame(flat(40, 30, 1), disposal=CLEAR), Frame(flat(10, 10, 2), 3, 4)], SMALL),
    "cleared, full": ((40, 30), [Frame(spread(40, 30), disposal=CLEAR), Frame(spread(10, 10), 3, 4)], FULL),
    "cleared in the middle": (
        (40, 30),
        [Frame(flat(40, 30, 1)), Frame(spread(20, 20), 9, 9, CLEAR), Frame(flat(5, 5, 2), 12, 12)],
        FULL,
    ),
    "cleared by the last": ((40, 30), [Frame(flat(40, 30, 1)), Frame(flat(9, 9, 2), 3, 3, CLEAR)], SMALL),
    "restored": (
        (40, 30),
        [Frame(flat(40, 30, 1)), Frame(flat(20, 20, 2), 9, 9, RESTORE), Frame(flat(5, 5, 3), 12, 12)],
        SMALL,
    ),
    "the first is restored": ((40, 30), [Frame(flat(40, 30, 1), disposal=RESTORE), Frame(flat(9, 9, 2), 3, 3)], FULL),
    "restored twice": (
        (40, 30),
        [Frame(flat(40, 30, n), n, n, RESTORE) for n in (1, 2)] + [Frame(flat(5, 5, 3), 20, 20, KEEP)] * 2,
        SMALL,
    ),
    "a hole over a cleared area": (
        (40, 30),
        [
            Frame(flat(40, 30, 1), disposal=CLEAR),
            Frame(spread(30, 20), 5, 5, transparent=7),
            Frame(flat(9, 9, 2), 12, 12),
        ],
        FULL,
    ),
    "local tables": (
        (40, 30),
        [Frame(flat(20, 30, 1), disposal=CLEAR, palette=SMALL), Frame(flat(20, 30, 2), 20, palette=FULL)],
        b"",
    ),
    "all cleared": ((40, 30), [Frame(spread(10, 30), 10 * n, 0, CLEAR) for n in range(4)], FULL),
    "beyond the screen": ((40, 30), [Frame(flat(40, 30, 1)), Frame(flat(20, 20, 2), 30, 20)], SMALL),
    "outside of the screen": ((40, 30), [Frame(flat(40, 30, 1)), Frame(flat(20, 20, 2), 50, 40)], SMALL),
    "the first beyond the screen": ((40, 30), [Frame(flat(40, 30, 1), 5, 5), Frame(flat(20, 20, 2), 50, 40)], SMALL),
    "no screen": ((0, 0), [Frame(flat(40, 30, 1)), Frame(flat(20, 20, 2), 20, 20)], SMALL),
    "640 x 480": ((640, 480), [Frame(flat(40, 30, 1), 5, 5), Frame(flat(90, 90, 2), 500, 300)], SMALL),
    "800 x 600, whole": ((800, 600), [Frame(flat(800, 600, 1)), Frame(flat(90, 90, 2), 500, 300)], SMALL),
    "1024 x 768": ((1024, 768), [Frame(flat(40, 30, 1))], FULL),
    "2050 x 20": ((2050, 20), [Frame(flat(40, 10, 1), 3, 3), Frame(flat(40, 10, 2), 1999, 3)], SMALL),
    "interlaced": ((40, 30), [Frame(spread(20, 20), 5, 5, CLEAR, interlaced=True), Frame(flat(9, 9, 2))], FULL),
    "disposal 4": ((40, 30), [Frame(flat(40, 30, 1)), Frame(flat(9, 9, 2), 3, 3, 4), Frame(flat(9, 9, 3), 20)], FULL),
    "disposal 7": ((40, 30), [Frame(flat(40, 30, 1)), Frame(flat(9, 9, 2), 3, 3, 7), Frame(flat(9, 9, 3), 20)], FULL),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("background", [0, 2])
def test_what_is_not_drawn_is_transparent(tmp_path: Path, name: str, background: int) -> None:
    screen, frames, palette = CASES[name]
    check(tmp_path, gif(screen, frames, palette, background))


def invented(seed: int) -> bytes:
    """A GIF of up to five frames, each with its own size, place, table, disposal and transparency."""
    rng = random.Random(seed)
    width, height = rng.choice([(30, 20), (16, 16), (7, 31)])
    palette = rng.choice([b"", SMALL, FULL])
    frames = []
    for number in range(rng.randint(1, 5)):
        across, down = rng.choice([(width, height), (rng.randint(1, width), rng.randint(1, height))])
        left, top = rng.choice([(0, 0), (rng.randint(0, width - 1), rng.randint(0, height - 1))])
        local = rng.choice([b"", SMALL, FULL]) if palette else rng.choice([SMALL, FULL])
        colours = len(local or palette) // 3
        cells = np.random.default_rng(seed + number).integers(0, colours, (down, across), dtype=np.uint8)
        transparent = rng.choice([None, None, rng.randrange(colours)])
        frames.append(
            Frame(
                rng.choice([cells, cells // 2, flat(across, down, number % colours)]),
                left, top, rng.choice([0, KEEP, CLEAR, CLEAR, RESTORE]), transparent, local,
                interlaced=top + down <= height and rng.random() < 0.2,
                delay=10 + number,
            )
        )  # fmt: skip
    return gif((width, height), frames, palette, rng.randrange(4))


@pytest.mark.parametrize("seed", range(60))
def test_invented_animations_are_as_in_a_browser(tmp_path: Path, seed: int) -> None:
    check(tmp_path, invented(seed))


SPRITE = gif((40, 30), [Frame(flat(40, 30, 1), disposal=CLEAR), Frame(spread(10, 10), 10, 10)], FULL)
"""A still square after a whole red frame that is cleared."""


@pytest.mark.parametrize("output", ["png", "webp", "gif", "avif", "tiff"])
@pytest.mark.parametrize(
    "chain", ["rotate=0", "resize=40x30,fill", "crop=0,0,30x25", "flip&flip", "resize=80x60,enlarge"]
)
def test_every_path_keeps_what_is_empty_transparent(tmp_path: Path, chain: str, output: str) -> None:
    found = as_rgba(rendered(tmp_path, SPRITE, f"page=1&{chain}", output))
    scale = found.shape[0] // 25
    assert (found[: 8 * scale, :, 3].max(), found[12 * scale : 18 * scale, 12 * scale : 18 * scale, 3].min()) == (
        0,
        255,
    )


@pytest.mark.parametrize("chain", ["thumb=20", "thumb=20&rotate=90&rotate=270"])
@pytest.mark.parametrize("output", ["png", "webp", "gif"])
def test_a_smaller_animation_keeps_what_is_empty_transparent(tmp_path: Path, chain: str, output: str) -> None:
    frames = animated(rendered(tmp_path, SPRITE, chain + ("&page=1" if output == "png" else ""), output))
    assert frames[-1].shape[:2] == (15, 20)
    assert (frames[-1][:2, :, 3].max() == 0, frames[-1][6:9, 6:9, 3].min() > 240) == (True, True)


def test_a_jpeg_gets_the_background_where_nothing_is_drawn(tmp_path: Path) -> None:
    body = gif((40, 30), [Frame(flat(20, 10, 1), 10, 10)], SMALL, background=2)
    assert opened(rendered(tmp_path, body, "rotate=0&compress=100", "jpeg")).getpixel((2, 2)) == (255, 255, 255)
    red, green, blue = opened(rendered(tmp_path, body, "background=ff8800&compress=100", "jpeg")).getpixel((2, 2))
    assert (red > 250, 130 < green < 142, blue < 5) == (True, True, True)


@pytest.mark.parametrize("name", CASES)
def test_an_animation_without_its_metadata_looks_the_same(tmp_path: Path, name: str) -> None:
    screen, frames, palette = CASES[name]
    body = gif(screen, frames, palette, 2)
    stripped = rendered(tmp_path, body, "rotate=0", "gif")
    assert stripped == body


def test_delays_stay_with_their_frames(tmp_path: Path) -> None:
    frames = [Frame(spread(20, 15), 5 * n, 5, CLEAR, delay=10 + 10 * n) for n in range(4)]
    result = opened(rendered(tmp_path, gif((40, 30), frames, FULL), "flip", "gif"))
    found = []
    for number in range(result.n_frames):
        result.seek(number)
        found.append(result.info["duration"])
    assert found == [100, 200, 300, 400]


COMMENT = b"\x21\xfe\x03abc\0"


@pytest.mark.parametrize(
    "tail",
    [
        b"",
        COMMENT,
        COMMENT + b";",
        COMMENT + b";more",
        b";more" * 20,
        b";;",
        COMMENT + b";" + SPRITE,
        b"\0;",
        b"\0\0\0;abc",
    ],
    ids=["none", "comment", "ended", "bytes", "only bytes", "two ends", "another", "zero", "zeros"],
)
@pytest.mark.parametrize("frames", [1, 3])
def test_what_follows_the_last_frame_does_no_harm(tmp_path: Path, frames: int, tail: bytes) -> None:
    """Of a comment and bytes behind the end, libnsgif warned as of damage."""
    pictures = [Frame(flat(40, 30, number)) for number in range(frames)]
    body = gif((40, 30), pictures, SMALL, tail=tail)
    check(tmp_path, body)
    assert rendered(tmp_path, body, "rotate=0", "gif") == gif((40, 30), pictures, SMALL)


def test_ordinary_files_are_not_copied(tmp_path: Path) -> None:
    for body in (gif((40, 30), [Frame(flat(40, 30, 1))] * 3, SMALL), pictures.animation(5)):
        (tmp_path / "file").write_bytes(body)
        data = mapped(tmp_path / "file")
        assert corrected(data).data is data


@pytest.mark.parametrize("seed", range(12))
def test_the_compositor_agrees_with_pillow(seed: int) -> None:
    """Pillow clears to nothing as well, and composes in another way. It grows the canvas, and fills that of stills."""
    body = invented(seed)
    width, height, _, frames = parsed(body)
    if len(frames) > 1 and all(
        f.left + f.pixels.shape[1] <= width and f.top + f.pixels.shape[0] <= height for f in frames
    ):
        for found, wanted in zip(animated(body), shown(body), strict=True):
            same(found, wanted)
