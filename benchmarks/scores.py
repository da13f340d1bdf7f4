"""SSIMULACRA2 of thumbnails against the best possible one: fully decoded, scaled with Lanczos 3 in floating point.

Runs in the environment of requirements/report.txt and uses no libvips, which would otherwise judge itself. Reads jobs
as JSON from standard input and writes scores to standard output. The argument is the number of processes.
"""

import io
import json
import multiprocessing
import sys
from pathlib import Path
from typing import TypedDict

import numpy as np
from PIL import Image, ImageCms
from ssimulacra2 import compute_ssimulacra2

Pixels = np.ndarray
Image.MAX_IMAGE_PIXELS = None  # the photos are our own


class Job(TypedDict):
    """A photo, and the path of each system's thumbnail."""

    photo: str
    format: str
    source: str
    served: dict[str, str]


def score(job: Job) -> list[dict[str, object]]:
    """One score per system. Thumbnails of equal size share a reference."""
    source = _layers(job["source"])
    references: dict[tuple[int, int], Pixels] = {}
    scores: list[dict[str, object]] = []
    for system, path in job["served"].items():
        served = _layers(path)
        size = (served.shape[1], served.shape[0])
        if size not in references:
            references[size] = _flat(_lanczos(source, size))
        value = round(float(compute_ssimulacra2(_png(references[size]), _png(_flat(served)))), 2)
        row = {"system": system, "format": job["format"], "photo": job["photo"], "ssimulacra2": value}
        scores.append({**row, "bytes": Path(path).stat().st_size})
    return scores


def _layers(path: str) -> Pixels:
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


def _lanczos(pixels: Pixels, size: tuple[int, int]) -> Pixels:
    if (pixels.shape[1], pixels.shape[0]) == size:
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


if __name__ == "__main__":
    with multiprocessing.Pool(int(sys.argv[1])) as pool:
        found = pool.map(score, json.load(sys.stdin), chunksize=1)
    print(json.dumps([one for scores in found for one in scores]))
