"""Draws a landscape that stands in for a picture which is only known by its URL. Needs Pillow (extra `[emulator]`)."""

import math
from random import Random
from typing import Any

# From the top of the sky to the horizon, then the sun, then the nearest ridge.
_PALETTES = (
    ((44, 62, 104), (240, 170, 130), (255, 226, 180), (38, 34, 58)),
    ((26, 38, 76), (196, 110, 120), (255, 190, 150), (24, 20, 40)),
    ((96, 150, 198), (232, 236, 226), (255, 250, 232), (36, 66, 62)),
    ((14, 28, 54), (70, 120, 140), (206, 232, 224), (10, 24, 32)),
    ((110, 96, 140), (246, 206, 176), (255, 240, 214), (58, 44, 66)),
)
_RIDGES = 5
_HORIZON = 0.6  # of the height


def draw_scene(origin: str, size: tuple[int, int]) -> Any:
    """Ridges in haze under a low sun; the same origin always gives the same picture."""
    from PIL import Image, ImageFilter

    dice = Random(origin)  # noqa: S311 - a stand-in wants to be repeatable, not secret
    top, horizon, sun, near = dice.choice(_PALETTES)
    width, height = round(size[0] * 1.5), round(size[1] * 1.5)
    scene = _gradient(Image, (width, height), top, horizon)
    centre, radius = (dice.uniform(0.2, 0.8) * width, dice.uniform(0.3, 0.5) * height), height * 0.05
    for spread, strength in ((9.0, 70), (4.0, 90), (1.0, 255)):
        glow = _disc(Image, (width, height), centre, radius * spread).filter(
            ImageFilter.GaussianBlur(radius * spread / 4)
        )
        scene.paste(sun, mask=glow.point([round(level * strength / 255) for level in range(256)]))
    for ridge in range(_RIDGES):
        depth = (ridge + 1) / _RIDGES
        colour = tuple(round(a + (b - a) * depth**1.3) for a, b in zip(horizon, near, strict=True))
        scene.paste(colour, mask=_ridge(Image, (width, height), dice, depth))
    return scene


def _gradient(image: Any, size: tuple[int, int], top: tuple[int, ...], bottom: tuple[int, ...]) -> Any:
    ramp = image.new("L", size, 255)
    ramp.paste(image.linear_gradient("L").resize((size[0], round(size[1] * _HORIZON))))
    return image.composite(image.new("RGB", size, bottom), image.new("RGB", size, top), ramp)


def _disc(image: Any, size: tuple[int, int], centre: tuple[float, float], radius: float) -> Any:
    from PIL import ImageDraw

    mask = image.new("L", size)
    ImageDraw.Draw(mask).circle(centre, radius, fill=255)
    return mask


def _ridge(image: Any, size: tuple[int, int], dice: Random, depth: float) -> Any:
    """One ridge as a mask, with smoothed edges; nearer ones stand lower and are rougher."""
    from PIL import ImageDraw

    width, height = size
    base = height * (0.48 + 0.42 * depth)
    waves = [(dice.uniform(0.7, 1.4) * 2**octave, dice.uniform(0, math.tau), 0.55**octave) for octave in range(6)]
    amplitude = height * (0.07 + 0.05 * depth)
    scale = 2
    mask = image.new("L", (width * scale, height * scale))
    points = [
        (x * scale, scale * (base + amplitude * sum(a * math.sin(f * x / width * math.tau + p) for f, p, a in waves)))
        for x in range(0, width + 4, 4)
    ]
    corners = [(width * scale, height * scale), (0, height * scale)]
    ImageDraw.Draw(mask).polygon([*points, *corners], fill=255)
    return mask.resize(size, image.Resampling.LANCZOS)
