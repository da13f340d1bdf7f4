"""One contract for every operation there is, and each one's pixels against libvips called directly."""

import inspect
import itertools
from pathlib import Path

import numpy as np
import pytest
import pyvips

from service_kit import vips
from service_kit.formats import FORMATS
from tests import pictures
from transform_service.chain import parse
from transform_service.geometry import Size
from transform_service.operations.base import Operation, load_operations
from transform_service.planner import OutputLimits, plan
from transform_service.renderer import render

EXAMPLES = [example for operation in load_operations().values() for example in operation.examples]
SIZES = [(1, 1), (1, 300), (301, 2), (64, 48), (333, 101), (517, 700)]


def operation(text: str) -> Operation:
    return parse(text, max_operations=1).operations[0]


def rendered(source: Path, query: str, output: str = "png") -> pyvips.Image:
    header = vips.read_header(source, 10**9, 100)
    made = plan(parse(query, max_operations=20).operations, FORMATS[output], header, "", OutputLimits(10**9, 65535))
    target = source.with_suffix(f".out.{output}")
    target.unlink(missing_ok=True)
    result = render(source, made.plan, target)
    assert result.bytes == target.stat().st_size
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
def test_the_predicted_size_is_the_real_one(tmp_path: Path, example: str, bands: int) -> None:
    for (width, height), suffix in itertools.product(SIZES, ("jpg", "png")):
        if suffix == "jpg" and bands in {2, 4}:
            continue
        source = tmp_path / f"{width}x{height}.{suffix}"
        picture = pictures.gradient(width, height, bands).copy(interpretation="srgb" if bands > 2 else "b-w")
        picture.write_to_file(str(source))
        image = rendered(source, example)
        assert Size(image.width, image.height) == operation(example).output_size(Size(width, height)), (source, example)


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
        assert Size(image.width, image.height) == Size(width, height).within(side)


def test_transparent_colours_do_not_bleed(tmp_path: Path) -> None:
    left = pyvips.Image.black(50, 100, bands=4).copy(interpretation="srgb") + [255, 0, 0, 0]
    right = pyvips.Image.black(50, 100, bands=4).copy(interpretation="srgb") + [0, 0, 255, 255]
    left.join(right, "horizontal").cast("uchar").write_to_file(str(tmp_path / "x.png"))
    for query in ("blur=4", "rotate=30", "thumb=31"):
        pixels = rendered(tmp_path / "x.png", query).numpy().astype(int)
        visible = pixels[pixels[:, :, 3] > 8]
        assert visible[:, 0].max() <= 8, query  # hidden red stays hidden


def test_a_background_goes_behind_what_is_transparent(tmp_path: Path) -> None:
    (pyvips.Image.black(4, 4, bands=4).copy(interpretation="srgb") + [255, 0, 0, 128]).cast("uchar").write_to_file(
        str(tmp_path / "x.png")
    )
    assert rendered(tmp_path / "x.png", "background=0000ff").getpoint(1, 1) == pytest.approx([128, 0, 127], abs=1)
    assert rendered(tmp_path / "x.png", "background=0000ff80").getpoint(1, 1)[3] == pytest.approx(192, abs=1)
    assert rendered(tmp_path / "x.png", "thumb=4", "jpeg").getpoint(1, 1) == pytest.approx([255, 127, 127], abs=3)


@pytest.mark.parametrize("output", FORMATS)
@pytest.mark.parametrize("kind", ["grey", "grey+alpha", "16 bit", "cmyk", "palette", "1x1", "rgba", "float"])
def test_every_kind_of_picture_goes_into_every_format(tmp_path: Path, kind: str, output: str) -> None:
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
