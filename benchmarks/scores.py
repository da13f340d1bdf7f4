"""SSIMULACRA2 of thumbnails against the best possible one: fully decoded, scaled with Lanczos 3 in floating point.

This uses Pillow and NumPy, but not libvips, which would otherwise judge itself.
"""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms
from ssimulacra2 import compute_ssimulacra2

from benchmarks.treatments import SCALED, Pixels, Size, Treatment, size_of

Image.MAX_IMAGE_PIXELS = None  # the photos are our own


def scores(photo: Path, thumbnails: Sequence[Path], treatments: Sequence[Treatment] | None = None) -> list[float]:
    """One score per thumbnail. `treatments`: what was done to each besides scaling, by default nothing."""
    source = _layers(photo)
    scaled: dict[Size, Pixels] = {}
    found = []
    for path, treatment in zip(thumbnails, treatments or [SCALED] * len(thumbnails), strict=True):
        served = _layers(path)
        size = treatment.scaled_size(size_of(source), size_of(served))
        if size not in scaled:
            scaled[size] = _lanczos(source, size)
        reference = treatment.apply(scaled[size], size_of(served))
        found.append(round(float(compute_ssimulacra2(_png(_flat(reference)), _png(_flat(served)))), 2))
    return found


def _layers(path: Path) -> Pixels:
    """Height x width x 4, float32: red, green and blue of sRGB, premultiplied, and alpha from 0 to 1."""
    with Image.open(path) as image:
        image.load()
        pixels = np.asarray(_srgb(image).convert("RGBA"), dtype=np.float32)
    alpha = pixels[:, :, 3:] / 255
    return np.concatenate([pixels[:, :, :3] * alpha, alpha], axis=2)


def _srgb(image: Image.Image) -> Image.Image:
    profile = image.info.get("icc_profile")
    if not profile or image.mode not in {"RGB", "RGBA"}:
        return image
    colours = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    return ImageCms.profileToProfile(image, colours, ImageCms.createProfile("sRGB")) or image


def _lanczos(pixels: Pixels, size: Size) -> Pixels:
    if size_of(pixels) == size:
        return pixels
    planes = [Image.fromarray(np.ascontiguousarray(pixels[:, :, n])) for n in range(pixels.shape[2])]
    return np.dstack([np.asarray(plane.resize(size, Image.Resampling.LANCZOS)) for plane in planes])


def _flat(pixels: Pixels) -> Pixels:
    """8 bits, on white."""
    return np.clip(np.rint(pixels[:, :, :3] + (1 - pixels[:, :, 3:]) * 255.0), 0, 255).astype(np.uint8)


def _png(pixels: Pixels) -> io.BytesIO:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=0)
    buffer.seek(0)
    return buffer
