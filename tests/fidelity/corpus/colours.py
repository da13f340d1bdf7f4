"""Colours to sRGB, independently of libvips: littleCMS for profiles, NumPy for the numbers of PNG and AVIF."""

import io

import numpy as np
import pyvips
from PIL import Image, ImageCms

_SRGB = ImageCms.createProfile("sRGB")
_XYZ_TO_SRGB = np.array([[3.2404542, -1.5371385, -0.4985314], [-0.9692660, 1.8760108, 0.0415560],
                         [0.0556434, -0.2040259, 1.0572252]])  # fmt: skip
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
D65 = (0.3127, 0.3290)
_OPAQUE = {"RGBA": "RGB", "LA": "L", "P": "RGB"}
PRIMARIES = {
    1: (0.64, 0.33, 0.30, 0.60, 0.15, 0.06),
    9: (0.708, 0.292, 0.170, 0.797, 0.131, 0.046),
    12: (0.680, 0.320, 0.265, 0.690, 0.150, 0.060),
}
"""x and y of red, green and blue, by number in ISO 23091-2, all with the white point D65."""


def from_profile(image: Image.Image, profile: bytes) -> Image.Image:
    """Convert to RGB or grey, with alpha kept. A profile that does not fit the image is ignored, as in browsers."""
    alpha = image.getchannel("A") if image.mode in {"RGBA", "LA"} else None
    opaque = (
        image.convert({"RGBA": "RGB", "LA": "L", "P": "RGB"}[image.mode])
        if image.mode in {"RGBA", "LA", "P"}
        else image
    )
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        converted = ImageCms.profileToProfile(
            opaque, source, _SRGB, renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC, outputMode="RGB"
        )
    except (ImageCms.PyCMSError, OSError):
        return image
    assert converted
    if alpha is not None:
        converted.putalpha(alpha)
    return converted


def cmyk_profile() -> bytes:
    """The profile of CMYK images that have none: a press, and not a formula, as in Pillow."""
    return bytes(pyvips.Image.profile_load("cmyk"))


def from_numbers(
    rgba: np.ndarray, primaries: tuple[float, ...], white: tuple[float, float], gamma: float | None
) -> np.ndarray:
    """Convert height x width x RGBA, of 8 bits, by the chromaticities and the exponent of a display.

    Without an exponent, the curve is that of sRGB.
    """
    codes = np.arange(256) / 255
    linear = _srgb_to_linear(codes) if gamma is None else codes**gamma
    matrix = _XYZ_TO_SRGB @ _adapted(_to_xyz(primaries, white), white)
    mixed = np.clip(linear[rgba[:, :, :3]] @ matrix.T, 0, 1)
    encoded = np.where(mixed <= 0.0031308, 12.92 * mixed, 1.055 * mixed ** (1 / 2.4) - 0.055)
    return np.dstack([np.rint(encoded * 255).astype(np.uint8), rgba[:, :, 3:]])


def _srgb_to_linear(codes: np.ndarray) -> np.ndarray:
    return np.where(codes <= 0.04045, codes / 12.92, ((codes + 0.055) / 1.055) ** 2.4)


def _to_xyz(primaries: tuple[float, ...], white: tuple[float, float]) -> np.ndarray:
    columns = np.array([[x / y, 1, (1 - x - y) / y] for x, y in np.reshape(primaries, (3, 2))]).T
    return columns * np.linalg.solve(columns, _white(white))


def _white(white: tuple[float, float]) -> np.ndarray:
    x, y = white
    return np.array([x / y, 1, (1 - x - y) / y])


def _adapted(matrix: np.ndarray, white: tuple[float, float]) -> np.ndarray:
    """Adapt a white point to D65 (Bradford)."""
    gain = np.diag((_BRADFORD @ _white(D65)) / (_BRADFORD @ _white(white)))
    return np.linalg.inv(_BRADFORD) @ gain @ _BRADFORD @ matrix
