"""The contract of every operation, and its pixels compared with those of libvips called directly."""

import inspect
import itertools
from pathlib import Path

import numpy as np
import pytest
import pyvips

from imaging.formats import FORMATS
from imaging.geometry import Frame, Size
from service_kit.errors import BadRequest, UnprocessableImage
from tests import pictures
from tests.files import header_of, render_file
from transform_service.chain import parse
from transform_service.operations.base import Operation, load_operations
from transform_service.planning.plan import OutputLimits
from transform_service.planning.planner import plan, with_overlays

EXAMPLES = [example for operation in load_operations().values() for example in operation.examples]
MARK = (pyvips.Image.black(20, 10, bands=4).copy(interpretation="srgb") + [0, 255, 0, 128]).cast("uchar")
"""The overlay of every watermark: half-transparent green."""
SIZES = [(1, 1), (1, 300), (301, 2), (64, 48), (333, 101), (517, 700)]


def operation(text: str) -> Operation:
    return parse(text, max_operations=1).operations[0]


def rendered(source: Path, query: str, output: str = "png") -> pyvips.Image:
    header = header_of(source)
    made = plan(
        parse(query or "rotate=0", max_operations=20).operations,
        FORMATS[output],
        header,
        "",
        OutputLimits(10**9, 65535),
    )
    target = source.with_suffix(f".out.{output}")
    target.unlink(missing_ok=True)
    mark = source.with_name("mark.png")
    if made.plan.overlays:
        if not mark.exists():
            MARK.write_to_file(str(mark))
        made = with_overlays(made, dict.fromkeys(made.plan.overlays, header_of(mark)))
    render_file(source, made.plan, target, dict.fromkeys(made.plan.overlays, mark))
    return pictures.decode(target.read_bytes())


@pytest.mark.parametrize("cls", load_operations().values(), ids=load_operations())
def test_an_operation_documents_itself(cls: type[Operation]) -> None:
    assert cls.__doc__
    assert cls.__doc__ is not Operation.__doc__
    assert cls.examples
    assert all(example.partition("=")[0] == cls.name for example in cls.examples)
    assert inspect.getfile(cls).endswith(f"/{cls.name}.py")


@pytest.mark.parametrize("example", EXAMPLES)
def test_canonical_text_parses_to_the_same_operation(example: str) -> None:
    assert operation(str(operation(example))) == operation(example)


@pytest.mark.parametrize("bands", [1, 2, 3, 4])
@pytest.mark.parametrize("example", EXAMPLES)
def test_the_predicted_size_is_the_actual_size(tmp_path: Path, example: str, bands: int) -> None:
    for (width, height), suffix in itertools.product(SIZES, ("jpg", "png")):
        if suffix == "jpg" and bands in {2, 4}:
            continue
        source = tmp_path / f"{width}x{height}.{suffix}"
        picture = pictures.gradient(width, height, bands).copy(interpretation="srgb" if bands > 2 else "b-w")
        picture.write_to_file(str(source))
        try:
            image = rendered(source, example)
        except BadRequest as error:  # the image is too small for this crop
            assert "starts outside of the image" in error.detail  # noqa: PT017
            continue
        size, predicted = Size(image.width, image.height), operation(example).output(Frame(Size(width, height)))
        assert predicted.size.contains(size), (source, example)
        assert size == predicted.size or not predicted.exact, (source, example)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("query", ["thumb=100", "blur=1&thumb=100", "rotate=90", "rotate=20", "blur=2"])
def test_every_exif_orientation_is_applied_first(tmp_path: Path, orientation: int, query: str) -> None:
    picture = pictures.gradient(333, 201).copy()
    picture.set_type(pyvips.GValue.gint_type, "orientation", orientation)
    picture.write_to_file(str(tmp_path / "turned.jpg"), Q=95)
    upright = pyvips.Image.new_from_file(str(tmp_path / "turned.jpg")).autorot()
    upright.write_to_file(str(tmp_path / "upright.png"))
    turned, expected = (rendered(tmp_path / name, query) for name in ("turned.jpg", "upright.png"))
    assert (turned.width, turned.height) == (expected.width, expected.height)
    assert np.abs(pictures.pixels(turned) - pictures.pixels(expected)).mean() < 1.5


@pytest.mark.parametrize("width", [97, 500, 1001, 2999])
def test_shrink_on_load_keeps_the_predicted_size(tmp_path: Path, width: int) -> None:
    for height, side in itertools.product((55, 777, 2001), (7, 50, 99, 333)):
        source = tmp_path / f"{width}x{height}.jpg"
        if not source.exists():
            pictures.gradient(width, height).write_to_file(str(source))
        image = rendered(source, f"thumb={side}")
        shrink = max(1.0, width / side, height / side)
        assert Size(image.width, image.height) == Size(width, height).shrunk(shrink)


def test_transparent_colours_do_not_bleed(tmp_path: Path) -> None:
    left = pyvips.Image.black(50, 100, bands=4).copy(interpretation="srgb") + [255, 0, 0, 0]
    right = pyvips.Image.black(50, 100, bands=4).copy(interpretation="srgb") + [0, 0, 255, 255]
    left.join(right, "horizontal").cast("uchar").write_to_file(str(tmp_path / "x.png"))
    for query in ("blur=4", "rotate=30", "thumb=31"):
        pixels = rendered(tmp_path / "x.png", query).numpy().astype(int)
        visible = pixels[pixels[:, :, 3] > 8]
        assert visible[:, 0].max() <= 8, query  # hidden red stays hidden


def test_a_background_fills_transparent_pixels(tmp_path: Path) -> None:
    (pyvips.Image.black(4, 4, bands=4).copy(interpretation="srgb") + [255, 0, 0, 128]).cast("uchar").write_to_file(
        str(tmp_path / "x.png")
    )
    assert rendered(tmp_path / "x.png", "background=0000ff").getpoint(1, 1) == pytest.approx([128, 0, 127], abs=1)
    assert rendered(tmp_path / "x.png", "background=0000ff80").getpoint(1, 1)[3] == pytest.approx(192, abs=1)
    assert rendered(tmp_path / "x.png", "thumb=4", "jpeg").getpoint(1, 1) == pytest.approx([255, 127, 127], abs=3)


@pytest.mark.parametrize("output", [fmt.name for fmt in FORMATS.values() if fmt.writer])
@pytest.mark.parametrize("kind", ["grey", "grey+alpha", "16 bit", "cmyk", "palette", "1x1", "rgba", "float"])
def test_every_kind_of_image_converts_to_every_format(tmp_path: Path, kind: str, output: str) -> None:
    picture, suffix = {
        "grey": (pictures.gradient(40, 30, 1), "png"),
        "grey+alpha": (pictures.gradient(40, 30, 2).copy(interpretation="b-w"), "png"),
        "16 bit": ((pictures.gradient(40, 30) * 256).cast("ushort").copy(interpretation="rgb16"), "png"),
        "cmyk": (pictures.gradient(40, 30).colourspace("cmyk"), "jpg"),
        "palette": (pictures.gradient(40, 30), "gif"),
        "1x1": (pictures.gradient(1, 1), "png"),
        "rgba": (pictures.gradient(40, 30, 4), "webp"),
        "float": (pictures.gradient(40, 30).colourspace("scrgb"), "tiff"),
    }[kind]
    source = tmp_path / f"x.{suffix}"
    picture.write_to_file(str(source))
    for query in ("thumb=20", "rotate=20", "blur=1", "background=ff0000", ""):
        image = rendered(source, query, output)
        assert image.interpretation in {"srgb", "b-w"}
        assert image.format == "uchar"


def test_colours_become_srgb(tmp_path: Path) -> None:
    """A wide-gamut profile is converted, not dropped."""
    source = tmp_path / "p3.jpg"
    colour = (pyvips.Image.black(32, 32, bands=3).copy(interpretation="srgb") + [200, 60, 60]).cast("uchar")
    colour.icc_transform("p3", input_profile="srgb").jpegsave(str(source), Q=100)
    assert pyvips.Image.new_from_file(str(source)).getpoint(5, 5) != pytest.approx([200, 60, 60], abs=3)
    for query in ("thumb=16", "blur=1"):
        image = rendered(source, query)
        assert image.getpoint(5, 5) == pytest.approx([200, 60, 60], abs=3), query
        assert not image.get_typeof("icc-profile-data")


# Each operation compared with libvips called directly. The photo is a lossless crop of a real one.

SRGB = {"interpretation": "srgb"}
LUMA = [[0.2126, 0.7152, 0.0722]]


def _recomb(image: pyvips.Image, matrix: list[list[float]]) -> pyvips.Image:
    return (image.recomb(pyvips.Image.new_from_list(matrix)) + 0.5).cast("uchar")


def _bands(image: pyvips.Image, factor: float) -> pyvips.Image:
    rows = [[factor * (row == band) + (1 - factor) * LUMA[0][band] for band in range(3)] for row in range(3)]
    return _recomb(image, rows)


def _with_mark(image: pyvips.Image, width: int, place: tuple[int, int], opacity: float) -> pyvips.Image:
    mark = MARK.thumbnail_image(width, height=9999)
    mark = mark[0:3].bandjoin((mark[3] * opacity).cast("uchar"))
    return image.composite2(mark, "over", x=place[0], y=place[1]).cast("uchar")[0:3]


DIRECT = {
    "resize=200x200": lambda i: i.thumbnail_image(200, height=142, size="force"),
    "resize=200x": lambda i: i.thumbnail_image(200, height=142, size="force"),
    "resize=200x200,outside": lambda i: i.thumbnail_image(99999, height=200),
    "resize=700x,enlarge": lambda i: i.thumbnail_image(700, height=496, size="force"),
    "resize=200x200,cover": lambda i: i.thumbnail_image(200, height=200, crop="centre"),
    "resize=200x90,fill": lambda i: i.thumbnail_image(200, height=90, size="force"),
    "resize=300x300,contain&background=00ff00": lambda i: i.thumbnail_image(300, height=212, size="force").gravity(
        "centre", 300, 300, extend="background", background=[0, 255, 0]
    ),
    "crop=100x90": lambda i: i.crop(200, 132, 100, 90),
    "crop=100x90,southeast": lambda i: i.crop(400, 264, 100, 90),
    "crop=10,20,100x90": lambda i: i.crop(10, 20, 100, 90),
    "crop=10,20,8000x8000": lambda i: i.crop(10, 20, 490, 334),
    "crop=100x90,smart": lambda i: i.smartcrop(100, 90, interesting="attention"),
    "flip": lambda i: i.flipver(),
    "flop": lambda i: i.fliphor(),
    "rotate=270": lambda i: i.rot270(),
    "rotate=33.5&background=ffffff": lambda i: i.rotate(33.5, background=[255.0, 255.0, 255.0]),
    "grayscale": lambda i: _recomb(i, LUMA).copy(interpretation="b-w"),
    "blur=3": lambda i: pictures.blurred(i, 3),
    "sharpen=1": lambda i: i.sharpen(sigma=1),
    "pixelate=10": lambda i: i.shrink(10, 10, ceil=True).zoom(10, 10).crop(0, 0, i.width, i.height),
    "brightness=1.5": lambda i: i.linear(1.5, 0.5, uchar=True),
    "contrast=0.5": lambda i: i.linear(0.5, 127.5 * 0.5 + 0.5, uchar=True),
    "saturation=0": lambda i: _bands(i, 0),
    "saturation=2.5": lambda i: _bands(i, 2.5),
    "pad=600x400&background=00ff00": lambda i: i.gravity(
        "centre", 600, 400, extend="background", background=[0, 255, 0]
    ),
    f"watermark={'0' * 32}": lambda i: _with_mark(i, 20, (240, 172), 1),
    f"watermark={'0' * 32},southwest,0.5,0.2": lambda i: _with_mark(i, 100, (0, 304), 0.5),
}


@pytest.fixture(scope="module")
def cutting(photo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """500 x 354 pixels of a photo."""
    path = tmp_path_factory.mktemp("cutting") / "photo.png"
    small = pyvips.Image.thumbnail(str(photo), 900).colourspace("srgb").copy_memory()
    small.smartcrop(500, 354).write_to_file(str(path))
    return path


@pytest.mark.parametrize("query", DIRECT)
def test_an_operation_gives_the_pixels_of_libvips(cutting: Path, query: str) -> None:
    """The largest difference is 1 of 255, or 2 if alpha is premultiplied and unpremultiplied.

    A rotation differs at single pixels of hard edges. `outside` and `cover` differ by a part of a pixel, since either
    side of the box may give the scale.
    """
    direct = pictures.pixels(DIRECT[query](pyvips.Image.new_from_file(str(cutting)).copy_memory()))
    served = pictures.pixels(rendered(cutting, query))
    assert served.shape == direct.shape
    distance = np.abs(served - direct)
    if "outside" in query or "cover" in query:
        assert np.percentile(distance, 99) <= 8
    else:
        assert distance.max() <= (90 if "rotate=33.5" in query else 2)
        assert np.percentile(distance, 99) <= 2


def test_autocrop_removes_a_border_of_one_colour(cutting: Path, tmp_path: Path) -> None:
    photo = pyvips.Image.new_from_file(str(cutting)).crop(0, 0, 200, 100).draw_rect([0.0, 0.0, 255.0], 0, 0, 200, 100)
    for name, background in (("red", [255, 0, 0]), ("clear", [9, 9, 9, 0])):
        inner = photo.addalpha() if len(background) > 3 else photo
        framed = inner.embed(13, 17, 300, 200, extend="background", background=background)
        framed.write_to_file(str(tmp_path / f"{name}.png"))
        image = rendered(tmp_path / f"{name}.png", "autocrop")
        assert (image.width, image.height) == (200, 100), name
        assert np.abs(pictures.pixels(image) - pictures.pixels(photo)).max() == 0
        small = rendered(tmp_path / f"{name}.png", "autocrop&resize=50x50,cover")
        assert (small.width, small.height) == (50, 50)
    plain = (pyvips.Image.black(20, 10, bands=3) + 7).cast("uchar").copy(**SRGB)
    plain.write_to_file(str(tmp_path / "plain.png"))
    assert rendered(tmp_path / "plain.png", "autocrop").width == 20


def test_the_limits_hold_for_the_result_of_autocrop(tmp_path: Path) -> None:
    """The planner knows only the size of the whole image; what autocrop leaves may have another shape."""
    line = pyvips.Image.black(1000, 1000, bands=3).copy(**SRGB).draw_rect([255.0] * 3, 100, 0, 800, 1, fill=True)
    line.rot90().write_to_file(str(tmp_path / "line.png"))
    made = plan(
        parse("autocrop&resize=8000x,enlarge", max_operations=9).operations,
        FORMATS["png"],
        header_of(tmp_path / "line.png"),
        "",
        OutputLimits(100_000_000, 8192),
    )
    with pytest.raises(UnprocessableImage, match="resize=8000x"):
        render_file(tmp_path / "line.png", made.plan, tmp_path / "out.png")


@pytest.mark.parametrize("suffix", ["tiff", "gif", "webp"])
def test_a_page_is_selected(tmp_path: Path, suffix: str) -> None:
    pages = [(pyvips.Image.black(40, 30, bands=3) + 60 * n).cast("uchar").copy(**SRGB) for n in range(4)]
    roll = pyvips.Image.arrayjoin(pages, across=1).copy()
    roll.set_type(pyvips.GValue.gint_type, "page-height", 30)
    source = tmp_path / f"x.{suffix}"
    roll.write_to_file(str(source))
    for query in ("page=2", "page=2&thumb=20", "rotate=90&page=2&blur=1"):
        image = rendered(source, query)
        assert image.get_n_pages() == 1
        assert pictures.pixels(image).mean() == pytest.approx(120, abs=2), query


def test_watermarks_cover_transparent_pixels_too(tmp_path: Path) -> None:
    (pyvips.Image.black(40, 30, bands=4).copy(**SRGB)).cast("uchar").write_to_file(str(tmp_path / "clear.png"))
    image = rendered(tmp_path / "clear.png", f"watermark={'0' * 32}")
    assert image.getpoint(20, 15) == [0, 255, 0, 128]
    assert image.getpoint(0, 0)[3] == 0
