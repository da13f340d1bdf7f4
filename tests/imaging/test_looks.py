"""What images look like, in a few bytes."""

import base64
import random

import pytest

from imaging.looks import HASH_SIDE, Colour, Pixel, basic_colour, look, perceptual_hash, thumbhash

THUMBHASHES = [
    ((32, 32), False, "W+gNHxphdndwiIiGiGeId3iHNx/7cY8H"),
    ((32, 20), False, "F0gOHJZgdnhxiHiGeIb2mw/XiA=="),
    ((10, 32), False, "UkgNKhpzkHh4d4d3j0hY+Ig="),
    ((32, 32), True, "XOiFFQwIYXZwiIdoePSlHPiHdnZIKUeVMA=="),
    ((32, 7), True, "j6iGEYwIgIeUiIeGPwioeIBQRCaUhHk="),
    ((5, 3), False, "QggCDIRwd3iCiIiHiHhwZAfHiA=="),
]
"""By the package `thumbhash` 0.1.1 from npm, of the author of the format."""
RED, GLASS = (220, 20, 30, 255), (0, 0, 0, 0)


def pattern(width: int, height: int, *, alpha: bool) -> list[Pixel]:
    """Pixels that are the same in every run."""
    return [
        (x * 7 % 256, y * 8 % 256, x * y % 256, (x * 31 + y * 17) % 256 if alpha else 255)
        for y in range(height)
        for x in range(width)
    ]


@pytest.mark.parametrize(("size", "alpha", "expected"), THUMBHASHES)
def test_a_thumbhash_is_that_of_its_author(size: tuple[int, int], alpha: bool, expected: str) -> None:
    found, wanted = thumbhash(*size, pattern(*size, alpha=alpha)), base64.b64decode(expected)
    nibbles = [[*(byte >> 4 for byte in text), *(byte & 15 for byte in text)] for text in (found, wanted)]
    assert len(found) == len(wanted)
    assert max(abs(one - two) for one, two in zip(*nibbles, strict=True)) <= 1, (
        "a value between two is rounded either way"
    )


def test_transparent_pixels_have_no_colour() -> None:
    grey = [0] * HASH_SIDE * HASH_SIDE
    mixed = look([RED] * 3 + [GLASS] * 13, (4, 4, [RED] * 3 + [GLASS] * 13), grey)
    assert mixed.colour == 0xDC141E
    assert mixed.colours == Colour.RED
    nothing = look([GLASS] * 16, (4, 4, [GLASS] * 16), grey)
    assert (nothing.colour, nothing.colours) == (None, 0)


def test_the_dominant_colour_is_that_of_most_pixels() -> None:
    blue, green = (10, 40, 200, 255), (10, 200, 40, 255)
    pixels = [blue] * 50 + [green] * 40 + [RED] * 10
    found = look(pixels, (10, 10, pixels), [0] * HASH_SIDE * HASH_SIDE)
    assert found.colour == 0x0A28C8
    assert found.colours == Colour.BLUE | Colour.GREEN


@pytest.mark.parametrize(
    ("pixel", "colour"),
    [
        ((0, 0, 0), Colour.BLACK),
        ((255, 255, 255), Colour.WHITE),
        ((128, 128, 130), Colour.GREY),
        ((255, 0, 0), Colour.RED),
        ((255, 140, 0), Colour.ORANGE),
        ((255, 230, 0), Colour.YELLOW),
        ((0, 160, 0), Colour.GREEN),
        ((30, 60, 220), Colour.BLUE),
        ((128, 0, 160), Colour.PURPLE),
        ((255, 105, 180), Colour.PINK),
        ((255, 182, 193), Colour.PINK),
        ((120, 70, 20), Colour.BROWN),
    ],
)
def test_colours_have_the_names_that_people_use(pixel: tuple[int, int, int], colour: Colour) -> None:
    assert basic_colour(*pixel) is colour


def test_a_perceptual_hash_survives_noise_and_tells_pictures_apart() -> None:
    chance = random.Random(3)
    waves = [int(128 + 60 * ((x // 5 + y // 7) % 2) + x - y) for y in range(HASH_SIDE) for x in range(HASH_SIDE)]
    noisy = [value + chance.randrange(-6, 7) for value in waves]
    other = [int(128 + 60 * ((x // 9 + y // 3) % 2) - x + y) for y in range(HASH_SIDE) for x in range(HASH_SIDE)]

    def distance(one: list[int], two: list[int]) -> int:
        return (((perceptual_hash(one) or 0) ^ (perceptual_hash(two) or 0)) & (1 << 64) - 1).bit_count()

    assert distance(waves, noisy) <= 4
    assert distance(waves, other) > 12
    assert -(2**63) <= (perceptual_hash(waves) or 0) < 2**63


@pytest.mark.parametrize("grey", [0, 1, 7, 128, 255])
def test_a_picture_of_one_colour_has_no_perceptual_hash(grey: int) -> None:
    assert perceptual_hash([grey] * HASH_SIDE * HASH_SIDE) is None
