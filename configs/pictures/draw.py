"""Draws the pictures of demo.yaml, by Pillow alone: `python configs/pictures/draw.py [NAME …]`.

Every scene is painted at twice its size, from the far to the near, and scaled down at the end. The same seeds give the
same pictures.
"""

import math
import sys
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from random import Random

from PIL import Image, ImageChops, ImageDraw, ImageFilter

WIDTH, HEIGHT = 1280, 720
SCALE = 2
SIZE = (WIDTH * SCALE, HEIGHT * SCALE)
BLACK, WHITE = (0, 0, 0), (255, 255, 255)

Colour = tuple[int, int, int]
Point = tuple[float, float]
Picture = Image.Image
Mask = Image.Image


# -- paint


def dice(seed: object) -> Random:
    """Random numbers for one thing in one picture."""
    return Random(str(seed))  # noqa: S311 - pictures want to be repeatable, not secret


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """A colour between two."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return red, green, blue


def smooth(share: float) -> float:
    """0 to 1 with a soft start and a soft end."""
    share = max(0.0, min(1.0, share))
    return share * share * (3 - 2 * share)


def gradient(*stops: tuple[float, Colour]) -> Picture:
    """From top to bottom; positions from 0 to 1."""
    strip = Image.new("RGB", (1, 512))
    for row in range(512):
        at = row / 511
        (a, first), (b, second) = next(
            ((low, high) for low, high in pairwise(stops) if at <= high[0]), (stops[-1], stops[-1])
        )
        strip.putpixel((0, row), mix(first, second, smooth((at - a) / (b - a)) if b > a else 1.0))
    return strip.resize(SIZE, Image.Resampling.BICUBIC)


def fade(*stops: tuple[float, int]) -> Mask:
    """A mask from top to bottom; positions from 0 to 1, strengths to 255."""
    return gradient(*((at, (value, value, value)) for at, value in stops)).getchannel("R")


def flat(colour: Colour) -> Picture:
    """Nothing but a colour."""
    return Image.new("RGB", SIZE, colour)


def noise(seed: object, wide: float, high: float | None = None, octaves: int = 5) -> Mask:
    """Clouds of grey; the largest ones are about `wide` by `high` pixels."""
    high = high or wide
    found: Mask | None = None
    for octave in reversed(range(octaves)):
        cells = (max(2, round(WIDTH * 2**octave / wide)), max(2, round(HEIGHT * 2**octave / high)))
        grain = Image.frombytes("L", cells, dice(f"{seed}{octave}").randbytes(cells[0] * cells[1]))
        layer = grain.resize(SIZE, Image.Resampling.BICUBIC)
        found = layer if found is None else Image.blend(found, layer, 0.55)
    assert found is not None  # noqa: S101 - there is at least one octave
    return found


def levels(mask: Mask, low: float, high: float, power: float = 1.0, top: int = 255) -> Mask:
    """Greys from `low` (and below) to `high` (and above), spread over 0 to `top`."""
    return mask.point([round(top * max(0.0, min(1.0, (v - low) / (high - low))) ** power) for v in range(256)])


def glow(centre: Point, radius: float, power: float = 2.0, squash: float = 1.0) -> Mask:
    """A soft round light."""
    disc = levels(
        ImageChops.invert(Image.radial_gradient("L")), 76, 255, power
    )  # 76: the circle that touches the sides
    wide, high = round(radius * 2 * SCALE), round(radius * 2 * squash * SCALE)
    mask = Image.new("L", SIZE)
    place = (round(centre[0] * SCALE - wide / 2), round(centre[1] * SCALE - high / 2))
    mask.paste(disc.resize((wide, high), Image.Resampling.BICUBIC), place)
    return mask


def area(*shapes: Sequence[Point], blur: float = 0.0, value: int = 255) -> Mask:
    """Polygons as a mask."""
    mask = Image.new("L", SIZE)
    pen = ImageDraw.Draw(mask)
    for points in shapes:
        pen.polygon([(x * SCALE, y * SCALE) for x, y in points], fill=value)
    return soften(mask, blur)


def oval(centre: Point, wide: float, high: float, blur: float = 0.0) -> Mask:
    """An ellipse as a mask; half axes."""
    mask = Image.new("L", SIZE)
    (x, y), s = centre, SCALE
    ImageDraw.Draw(mask).ellipse(((x - wide) * s, (y - high) * s, (x + wide) * s, (y + high) * s), fill=255)
    return soften(mask, blur)


def slab(left: float, top: float, right: float, bottom: float, radius: float, blur: float = 0.0) -> Mask:
    """A rectangle with round corners as a mask."""
    mask, s = Image.new("L", SIZE), SCALE
    ImageDraw.Draw(mask).rounded_rectangle((left * s, top * s, right * s, bottom * s), radius * s, fill=255)
    return soften(mask, blur)


def soften(mask: Mask, blur: float) -> Mask:
    """Blurred by so many pixels."""
    return mask.filter(ImageFilter.GaussianBlur(blur * SCALE)) if blur else mask


def both(*masks: Mask) -> Mask:
    """Where all the masks are."""
    found = masks[0]
    for mask in masks[1:]:
        found = ImageChops.multiply(found, mask)
    return found


def cover(picture: Picture, paint: Colour | Picture, mask: Mask, strength: float = 1.0) -> None:
    """Lay paint over a part of the picture."""
    picture.paste(
        paint, (0, 0, *SIZE) if isinstance(paint, tuple) else (0, 0), levels(mask, 0, 255, 1, round(255 * strength))
    )


def shine(picture: Picture, colour: Colour, mask: Mask, strength: float = 1.0) -> None:
    """Add light to a part of the picture."""
    light = Image.composite(flat(colour), flat(BLACK), levels(mask, 0, 255, 1, round(255 * strength)))
    picture.paste(ImageChops.screen(picture, light))


def stars(picture: Picture, seed: object, count: int, bottom: float) -> None:
    """A sky of stars down to a height, thinner towards it."""
    chance = dice(seed)
    pen = ImageDraw.Draw(picture)
    for _ in range(count):
        x, y = chance.uniform(0, SIZE[0]), chance.random() ** 1.5 * bottom * SCALE
        size, bright = 0.5 + 2.1 * chance.random() ** 6, chance.uniform(0.25, 1) * (1 - y / (bottom * SCALE)) ** 0.5
        base = picture.getpixel((min(SIZE[0] - 1, int(x)), min(SIZE[1] - 1, int(y))))
        tone = mix(base, chance.choice([WHITE, (255, 236, 214), (214, 228, 255)]), bright)
        pen.ellipse((x - size, y - size, x + size, y + size), fill=tone)


# -- shapes of the land


def ridge(seed: object, base: float, height: float, roughness: float = 0.5, steps: int = 10) -> list[Point]:
    """A mountain line from the left edge to the right one, by midpoint displacement."""
    chance = dice(seed)
    line = [chance.uniform(-1, 1), chance.uniform(-1, 1)]
    reach = 1.0
    for _ in range(steps):
        middles = [(a + b) / 2 + chance.uniform(-reach, reach) for a, b in pairwise(line)]
        line = [value for pair in zip(line, [*middles, 0.0], strict=True) for value in pair][:-1]
        reach *= roughness
    return [(WIDTH * i / (len(line) - 1), base - height * value) for i, value in enumerate(line)]


def waves(seed: object, base: float, height: float, longest: float = 900.0, octaves: int = 4) -> list[Point]:
    """A soft line of hills from edge to edge."""
    chance = dice(seed)
    parts = [(2**o / longest * math.tau, chance.uniform(0, math.tau), 0.42**o) for o in range(octaves)]
    return [
        (x, base - height * sum(a * math.sin(f * x + p) for f, p, a in parts)) for x in (4.0 * i for i in range(322))
    ]


def down(line: Sequence[Point], bottom: float = HEIGHT) -> list[Point]:
    """The land below a line."""
    return [*line, (line[-1][0], bottom), (line[0][0], bottom)]


def finish(picture: Picture, seed: object, vignette: float = 0.35) -> Picture:
    """Scale down, darken the corners a little, and hide the steps of the gradients under fine grain."""
    edge = levels(
        Image.radial_gradient("L").resize(SIZE, Image.Resampling.BICUBIC), 120, 255, 1.6, round(255 * vignette)
    )
    cover(picture, BLACK, edge)
    small = picture.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)
    grain = Image.frombytes("L", (WIDTH, HEIGHT), dice(seed).randbytes(WIDTH * HEIGHT)).point(
        [v * 5 // 255 for v in range(256)]
    )
    return ImageChops.subtract(
        ImageChops.add(small, Image.merge("RGB", [grain] * 3)), Image.new("RGB", small.size, (2, 2, 2))
    )


# -- the scenes


def dunes() -> Picture:
    """Dunes at dusk, the sun low on the left."""
    picture = gradient((0, (38, 44, 92)), (0.22, (112, 78, 128)), (0.4, (222, 124, 110)), (0.52, (255, 196, 128)))
    cloud = both(levels(noise("dunes-sky", 700, 60), 120, 190, 1.3), fade((0, 0), (0.15, 200), (0.42, 60), (0.5, 0)))
    cover(picture, (255, 176, 138), cloud, 0.45)
    sun = (330, 345)
    shine(picture, (255, 190, 110), glow(sun, 620, 2.6))
    shine(picture, (255, 230, 170), glow(sun, 130, 2.2))
    cover(picture, (255, 246, 214), oval(sun, 34, 34, 0.8))
    for number, (base, height, far) in enumerate(
        [(372, 14, 1.0), (402, 26, 0.78), (452, 44, 0.5), (528, 62, 0.25), (636, 74, 0.0)]
    ):
        _dune(picture, number, base, height, far)
    shine(picture, (255, 170, 100), glow((330, 380), 520, 2.2, 0.35), 0.35)
    return picture


def _dune(picture: Picture, number: int, base: float, height: float, far: float) -> None:
    line = waves(f"dune{number}", base, height, 760 + 240 * (1 - far))
    land = area(down(line))
    lit, dark = mix((226, 138, 84), (246, 172, 124), far), mix((64, 36, 58), (186, 110, 112), far)
    cover(picture, lit, land)
    cover(picture, mix(dark, lit, 0.35), both(land, fade((base / HEIGHT - 0.05, 0), (base / HEIGHT + 0.3, 255))))
    peaks = [i for i in range(8, len(line) - 8) if line[i][1] == min(p[1] for p in line[i - 8 : i + 9])]
    for peak in peaks:
        cover(picture, dark, both(land, _lee(line, peak, height, far)), 0.92)
    ripples = levels(noise(f"ripple{number}", 150, 7 - 3 * far, 3), 110, 170, 1.2)
    cover(picture, dark, both(land, ripples), 0.2 * (1 - far) + 0.04)
    rim = ImageChops.subtract(land, ImageChops.offset(land, 0, 3))
    shine(picture, (255, 214, 160), rim, 0.16)


def _lee(line: Sequence[Point], peak: int, height: float, far: float) -> Mask:
    """The side of a dune that the sun does not reach: from the crest down along a bending edge."""
    x0, y0 = line[peak]
    drop = 300 * (1 - far) + 60
    edge = [
        (x0 - 30 * (1 - far) * math.sin(t * 4.2) - 150 * (1 - far) * t * t - 20 * t, y0 + drop * t)
        for t in (i / 40 for i in range(41))
    ]
    crest = [point for point in line[peak:] if point[0] < x0 + 5.5 * height + 120]
    far_side = [(crest[-1][0] + 40, crest[-1][1] + drop)]
    sharp = area([*edge[::-1], *crest, *far_side], blur=0.7)
    reach = glow((x0, y0), 6.2 * height + 150, 0.8, 0.9)
    return both(sharp, levels(reach, 0, 150))


def night_city() -> Picture:
    """A city at night across the water, every window a small light."""
    picture = gradient((0, (8, 12, 34)), (0.35, (22, 28, 66)), (0.62, (92, 62, 96)), (0.7, (150, 92, 96)))
    stars(picture, "city", 500, 330)
    cover(picture, (60, 56, 92), both(levels(noise("city-sky", 500, 70), 125, 200), fade((0.1, 0), (0.5, 255))), 0.5)
    shine(picture, (235, 232, 214), glow((1010, 130), 220, 3.5), 0.6)
    cover(picture, (244, 238, 222), oval((1010, 130), 31, 31, 0.6))
    shine(picture, (255, 160, 110), glow((640, 520), 900, 1.8, 0.35), 0.35)
    lights = flat(BLACK)
    for layer, haze in enumerate((0.62, 0.36, 0.1)):
        _skyline(picture, lights, layer, haze)
    picture.paste(ImageChops.screen(picture, lights.filter(ImageFilter.GaussianBlur(4))))
    picture.paste(ImageChops.screen(picture, lights.filter(ImageFilter.GaussianBlur(26))))
    _mirror(picture, 520, (16, 20, 44), ripple=9.0, stretch=1.35, dim=0.42)
    return picture


def _skyline(picture: Picture, lights: Picture, layer: int, haze: float) -> None:
    chance = dice(f"skyline{layer}")
    pen, lamp = ImageDraw.Draw(picture), ImageDraw.Draw(lights)
    body, s = mix((12, 14, 30), (104, 74, 104), haze), SCALE
    x = -20.0
    while x < WIDTH:
        wide = chance.uniform(34, 86) * (1.15 - 0.4 * haze)
        middle = 1 - abs((x + wide / 2) / WIDTH - 0.5) * 1.1
        top = 520 - chance.uniform(70, 300 - 50 * layer) * (0.5 + 0.75 * middle) * (0.75 + 0.4 * haze)
        roof = chance.random()
        pen.rectangle((x * s, top * s, (x + wide) * s, 521 * s), fill=body)
        if roof < 0.3:
            pen.rectangle(((x + wide * 0.2) * s, (top - 12) * s, (x + wide * 0.8) * s, top * s), fill=body)
        if roof > 0.78:
            pen.line(((x + wide / 2) * s, top * s, (x + wide / 2) * s, (top - 46) * s), fill=body, width=3)
            lamp.ellipse(
                ((x + wide / 2 - 1.6) * s, (top - 48) * s, (x + wide / 2 + 1.6) * s, (top - 45) * s), fill=(255, 60, 50)
            )
        _windows(pen, lamp, chance, (x, top, x + wide), haze)
        x += wide + chance.choice([0, 0, 2, 9])


def _windows(
    pen: ImageDraw.ImageDraw, lamp: ImageDraw.ImageDraw, chance: Random, house: tuple[float, float, float], haze: float
) -> None:
    left, top, right = house
    step_x, step_y, s = 5.5 - 1.5 * haze, 7.5 - 2.0 * haze, SCALE
    lively = chance.uniform(0.16, 0.6)
    tones = [(255, 214, 140), (255, 190, 110), (255, 232, 190), (196, 220, 255)]
    tone = chance.choice(tones)
    for row in range(int((510 - top) / step_y)):
        floor_lit = lively * (2.2 if chance.random() < 0.12 else 1.0)
        for column in range(int((right - left - 6) / step_x)):
            if chance.random() > floor_lit:
                continue
            x, y = left + 4 + column * step_x, top + 6 + row * step_y
            bright = chance.uniform(0.35, 1.0) * (1 - 0.55 * haze)
            colour = mix((30, 28, 44), chance.choice([tone, tone, chance.choice(tones)]), bright)
            box = (x * s, y * s, (x + step_x * 0.55) * s, (y + step_y * 0.5) * s)
            pen.rectangle(box, fill=colour)
            lamp.rectangle(box, fill=mix(BLACK, colour, 0.75))


def _mirror(picture: Picture, water: int, colour: Colour, *, ripple: float, stretch: float, dim: float) -> None:
    """Still water from a height down: the picture above it upside down, blurred, in strips that waver."""
    s = SCALE
    depth = (HEIGHT - water) * s
    source = picture.crop((0, round(water * s - depth / stretch), SIZE[0], water * s))
    flipped = source.transpose(Image.Transpose.FLIP_TOP_BOTTOM).resize((SIZE[0], depth), Image.Resampling.BICUBIC)
    flipped = flipped.filter(ImageFilter.BoxBlur((1, 6)))
    sheet, chance = flipped.copy(), dice("mirror")
    y = 0
    while y < depth:
        near = y / depth
        strip = max(2, round((1 + 5 * near) * s))
        shift = round(ripple * s * (0.15 + near) * chance.uniform(-1, 1))
        band = flipped.crop((0, y, SIZE[0], min(depth, y + strip)))
        sheet.paste(ImageChops.offset(band, shift, 0), (0, y))
        y += strip
    sheet = Image.blend(sheet.filter(ImageFilter.GaussianBlur(1.6)), Image.new("RGB", sheet.size, colour), dim)
    picture.paste(sheet, (0, water * s))


def sea() -> Picture:
    """The sun over the sea, its light broken into glitter, one sail."""
    picture = gradient((0, (52, 74, 128)), (0.25, (128, 118, 160)), (0.42, (240, 158, 122)), (0.5, (255, 206, 140)))
    bands = both(levels(noise("sea-sky", 620, 46), 118, 185, 1.4), fade((0, 40), (0.3, 255), (0.47, 40), (0.5, 0)))
    cover(picture, (255, 186, 150), bands, 0.55)
    cover(
        picture,
        (112, 84, 128),
        both(levels(noise("sea-low", 520, 30), 140, 200), fade((0.28, 0), (0.44, 230), (0.5, 40))),
        0.5,
    )
    sun = (760, 318)
    shine(picture, (255, 190, 110), glow(sun, 560, 2.4))
    shine(picture, (255, 226, 170), glow(sun, 120, 2.0))
    cover(picture, (255, 248, 220), oval(sun, 38, 38, 0.8))
    water = gradient((0.5, (214, 140, 120)), (0.56, (120, 98, 128)), (0.75, (44, 60, 104)), (1, (16, 30, 66)))
    cover(picture, water, area([(0, 360), (WIDTH, 360), (WIDTH, HEIGHT), (0, HEIGHT)]))
    _swell(picture)
    shine(picture, (255, 176, 110), both(glow((760, 360), 420, 1.6, 1.4), fade((0.499, 0), (0.5, 255))), 0.42)
    _glitter(picture, 760, 362)
    _sail(picture, 402, 372, 1.0)
    cover(picture, (255, 214, 170), both(glow((760, 360), 1000, 1.2, 0.05), fade((0, 255), (1, 255))), 0.35)
    return picture


def _swell(picture: Picture) -> None:
    """Waves: dashes of dark and of reflected sky, larger towards the viewer."""
    chance = dice("swell")
    dark, pale = Image.new("L", SIZE), Image.new("L", SIZE)
    pens = (ImageDraw.Draw(dark), ImageDraw.Draw(pale))
    for _ in range(5200):
        near = chance.random() ** 1.6
        y = 363 + 357 * near
        long, high = 10 + 130 * near * chance.uniform(0.4, 1.3), 0.5 + 5.5 * near * chance.uniform(0.3, 1)
        x = chance.uniform(-100, WIDTH)
        box = (x * SCALE, (y - high / 2) * SCALE, (x + long) * SCALE, (y + high / 2) * SCALE)
        chance.choice(pens).ellipse(box, fill=round(chance.uniform(30, 130)))
    cover(picture, (12, 22, 54), soften(dark, 0.8), 0.75)
    cover(picture, (236, 164, 146), soften(pale, 0.8), 0.42)


def _glitter(picture: Picture, middle: float, horizon: float) -> None:
    chance = dice("glitter")
    mask = Image.new("L", SIZE)
    pen = ImageDraw.Draw(mask)
    for _ in range(4200):
        near = chance.random() ** 1.35
        y = horizon + (HEIGHT - horizon) * near
        x = middle + chance.gauss(0, 26 + 120 * near)
        long, high = (1.5 + 17 * near) * chance.uniform(0.4, 1.4), (0.5 + 2.4 * near) * chance.uniform(0.5, 1)
        away = abs(x - middle) / (60 + 240 * near)
        pen.ellipse(
            ((x - long) * SCALE, (y - high) * SCALE, (x + long) * SCALE, (y + high) * SCALE),
            fill=round(255 * max(0.12, 1 - away) * chance.uniform(0.5, 1)),
        )
    shine(picture, (255, 236, 190), soften(mask, 0.4), 0.95)
    shine(picture, (255, 190, 120), soften(mask, 9), 0.7)


def _sail(picture: Picture, x: float, y: float, size: float) -> None:
    def at(*points: Point) -> list[Point]:
        return [(x + px * size, y + py * size) for px, py in points]

    cover(picture, (40, 34, 62), area(at((-34, 0), (36, 0), (26, 11), (-25, 11)), blur=0.3))
    cover(picture, (250, 214, 184), area(at((2, -4), (2, -92), (34, -6)), blur=0.3))
    cover(picture, (204, 150, 148), area(at((-2, -6), (-2, -84), (-27, -8)), blur=0.3))
    cover(picture, (40, 34, 62), area(at((-0.9, 0), (-0.9, -96), (0.9, -96), (0.9, 0))))
    cover(picture, (40, 34, 62), area(at((-30, 12), (32, 12), (18, 44), (-16, 44)), blur=5), 0.55)


def robot() -> Picture:
    """A portrait of a robot, lit from a window on the left."""
    picture = gradient((0, (58, 74, 86)), (0.6, (36, 46, 60)), (1, (20, 26, 38)))
    shine(picture, (120, 170, 180), glow((420, 260), 640, 1.8), 0.5)
    shine(picture, (220, 130, 90), glow((1060, 420), 430, 2.2), 0.32)
    for x, y, size, tone in [
        (180, 140, 54, (150, 200, 200)),
        (1090, 190, 66, (255, 180, 120)),
        (1000, 90, 34, (255, 210, 160)),
        (270, 420, 40, (120, 180, 190)),
        (1170, 420, 44, (255, 160, 110)),
        (90, 330, 30, (160, 210, 210)),
    ]:
        shine(picture, tone, oval((x, y), size, size, 2.5), 0.16)
    _metal(picture, slab(330, 610, 950, 860, 120), (96, 104, 116), (640, 640))
    _metal(picture, slab(560, 540, 720, 650, 18), (66, 72, 84), (640, 590))
    for number in range(5):
        cover(picture, (30, 34, 44), slab(562, 556 + 18 * number, 718, 562 + 18 * number, 3, 0.8), 0.8)
    _antenna(picture)
    for x in (404, 876):
        _metal(picture, slab(x - 34, 290, x + 34, 430, 26), (150, 96, 66), (x, 340))
    head = slab(416, 180, 864, 550, 104)
    cover(picture, BLACK, soften(ImageChops.offset(head, 20, 26), 22), 0.45)
    _metal(picture, head, (176, 178, 176), (560, 300))
    _face(picture, head)
    return picture


def _metal(picture: Picture, mask: Mask, tone: Colour, light: Point) -> None:
    """A rounded piece of painted metal: lighter towards the lamp, darker at its far edge, a bright rim."""
    cover(picture, tone, mask)
    cover(picture, mix(tone, (14, 18, 30), 0.72), both(mask, fade((0.2, 0), (0.95, 255))), 0.8)
    shine(picture, mix(tone, WHITE, 0.5), both(mask, glow((light[0] - 60, light[1] - 70), 330, 1.7)), 0.42)
    inner = soften(mask, 16)
    cover(
        picture,
        (16, 20, 32),
        both(mask, levels(inner, 255, 110), levels(ImageChops.offset(inner, 26, 20), 120, 255)),
        0.0,
    )
    dark_edge = both(mask, ImageChops.invert(soften(ImageChops.offset(mask, -34, -30), 18)))
    cover(picture, (12, 16, 28), dark_edge, 0.72)
    lit_edge = both(mask, ImageChops.invert(soften(ImageChops.offset(mask, 9, 10), 4)))
    shine(picture, (206, 236, 240), lit_edge, 0.7)
    warm_edge = both(mask, ImageChops.invert(soften(ImageChops.offset(mask, -7, -3), 3)))
    shine(picture, (255, 150, 90), warm_edge, 0.5)
    scratches = levels(noise("metal", 260, 3, 3), 120, 190)
    cover(picture, mix(tone, BLACK, 0.6), both(mask, scratches), 0.12)


def _antenna(picture: Picture) -> None:
    _metal(picture, slab(634, 96, 646, 196, 6), (110, 116, 124), (640, 140))
    shine(picture, (255, 110, 70), glow((640, 88), 150, 2.4), 0.75)
    cover(picture, (255, 120, 84), oval((640, 88), 19, 19, 0.6))
    cover(picture, (255, 226, 196), oval((634, 82), 6, 6, 2))


def _face(picture: Picture, head: Mask) -> None:
    visor = slab(468, 262, 812, 420, 74)
    shine(picture, (230, 244, 246), soften(ImageChops.offset(visor, -4, -4), 2), 0.25)
    cover(picture, (16, 22, 34), visor)
    cover(picture, (44, 62, 84), both(visor, fade((0.36, 255), (0.46, 0))), 0.75)
    for x in (556, 724):
        shine(picture, (70, 220, 230), both(glow((x, 342), 130, 2.0), soften(visor, 1)), 0.9)
        cover(picture, (120, 244, 244), oval((x, 342), 34, 34, 1.2))
        cover(picture, (16, 60, 78), oval((x, 342), 17, 17, 1.4))
        cover(picture, (236, 255, 255), oval((x - 10, 330), 8, 8, 1.2))
    reflection = area(
        [(500, 262), (580, 262), (530, 420), (450, 420)], [(600, 262), (618, 262), (568, 420), (550, 420)]
    )
    shine(picture, (190, 220, 230), both(visor, reflection), 0.13)
    for number in range(7):
        x = 556 + number * 24
        cover(
            picture, (34, 38, 48), slab(x, 462 + abs(number - 3) * -2.2, x + 14, 496 + abs(number - 3) * -5.0, 5, 0.6)
        )
        shine(picture, (255, 150, 90), slab(x + 3, 474, x + 11, 478, 2, 2.2), 0.5)
    for x, y in ((470, 226), (810, 226), (470, 500), (810, 500)):
        cover(picture, (70, 74, 82), both(head, oval((x, y), 9, 9, 0.6)))
        shine(picture, WHITE, oval((x - 2, y - 3), 3.4, 3.0, 1.4), 0.6)
    seam = slab(440, 440, 840, 443, 1)
    cover(picture, (40, 44, 54), both(head, seam), 0.6)


def mountains() -> Picture:
    """Mountains in the morning mist, ridge behind ridge."""
    picture = gradient((0, (120, 150, 184)), (0.3, (196, 198, 206)), (0.5, (250, 218, 190)), (0.7, (252, 226, 204)))
    cover(
        picture, (255, 240, 226), both(levels(noise("mountain-sky", 560, 80), 120, 200), fade((0, 200), (0.4, 30))), 0.5
    )
    sun = (905, 205)
    shine(picture, (255, 220, 170), glow(sun, 560, 2.2), 0.85)
    cover(picture, (255, 250, 234), oval(sun, 30, 30, 1.2))
    far, near = (198, 190, 200), (22, 38, 52)
    for number in range(7):
        depth = number / 6
        base, height = 312 + 330 * depth**1.15, 128 - 40 * depth
        line = ridge(f"mount{number}b", base, height, 0.52)
        land = area(down(line))
        cover(picture, mix(far, near, depth**1.25), land)
        if number < 2:
            _snow(picture, land, number, base - height)
        if depth > 0.6:
            _firs(picture, line, number, mix(far, near, depth**1.25), 9 + 22 * (depth - 0.6))
        mist = both(
            levels(noise(f"mist{number}", 520, 70), 60, 200),
            fade((base / HEIGHT - 0.02, 0), (base / HEIGHT + 0.14, 255), (1, 255)),
        )
        cover(picture, mix((252, 230, 212), (150, 164, 180), depth), mist, 0.62 - 0.36 * depth)
    _birds(picture, [(300, 190, 11), (336, 176, 9), (372, 196, 8), (350, 214, 7), (410, 182, 7)], (70, 78, 98))
    return picture


def _snow(picture: Picture, land: Mask, number: int, top: float) -> None:
    light = levels(noise(f"snow{number}", 120, 150), 118, 150)
    height = fade((top / HEIGHT - 0.05, 255), (top / HEIGHT + 0.3, 0))
    cover(picture, (250, 234, 224), both(land, light, height), 0.6)


def _firs(picture: Picture, line: Sequence[Point], seed: int, tone: Colour, size: float) -> None:
    chance = dice(f"firs{seed}")
    trees = []
    for x, y in line[::3]:
        if chance.random() < 0.75:
            tall = size * chance.uniform(0.5, 1.6)
            top = x + chance.uniform(-2, 2)
            trees.append([(top - tall * 0.24, y + 3), (top, y - tall), (top + tall * 0.24, y + 3)])
    cover(picture, tone, area(*trees))


def _birds(picture: Picture, flock: Sequence[tuple[float, float, float]], tone: Colour) -> None:
    pen = ImageDraw.Draw(picture)
    for x, y, size in flock:
        wing = [
            (x + size * t, y - size * 0.55 * math.sin(abs(t) * math.pi) ** 0.8 + size * 0.2 * t * t)
            for t in (i / 10 - 1 for i in range(21))
        ]
        pen.line([(px * SCALE, py * SCALE) for px, py in wing], fill=tone, width=4, joint="curve")


def forest() -> Picture:
    """A forest in the early sun, its light in shafts between the trunks."""
    picture = gradient((0, (196, 214, 150)), (0.4, (232, 236, 190)), (0.62, (190, 200, 140)), (1, (60, 72, 40)))
    shine(picture, (255, 246, 200), glow((780, 230), 560, 1.6), 0.8)
    far, near = (186, 200, 150), (24, 30, 22)
    for layer in range(6):
        depth = layer / 5
        tone = mix(far, near, depth**1.1)
        _leaves(picture, layer, depth, tone)
        _trunks(picture, layer, depth, tone)
        ground = area(down(waves(f"ground{layer}", 430 + 190 * depth, 10 + 12 * depth, 620)))
        cover(picture, mix((150, 168, 96), (26, 36, 18), depth**1.2), ground)
        moss = levels(noise(f"moss{layer}", 60, 12 + 10 * depth, 4), 128, 180)
        cover(picture, mix((206, 214, 120), (84, 104, 38), depth), both(ground, moss), 0.5)
        if 0 < layer < 4:
            cover(picture, (240, 240, 196), fade((0.2, 0), (0.55, 150), (0.75, 0)), 0.16)
    _shafts(picture)
    return picture


def _trunks(picture: Picture, layer: int, depth: float, tone: Colour) -> None:
    chance = dice(f"trunks{layer}")
    bottom = 452 + 205 * depth
    for _ in range(round(26 - 21 * depth)):
        x = chance.uniform(-20, WIDTH + 20)
        if depth > 0.7 and 470 < x < 980:
            x += 520 if x > 725 else -500
        wide, lean = (4 + 34 * depth**1.5) * chance.uniform(0.7, 1.3), chance.uniform(-26, 26)
        trunk = area(
            [
                (x - wide * 0.75, bottom + 12),
                (x - wide * 0.5, bottom - 70),
                (x + lean - wide * 0.34, -10),
                (x + lean + wide * 0.34, -10),
                (x + wide * 0.5, bottom - 70),
                (x + wide * 0.8, bottom + 12),
            ]
        )
        cover(picture, tone, trunk)
        side = 7 if x < 780 else -7
        rim = both(trunk, ImageChops.invert(soften(ImageChops.offset(trunk, -side, 0), 2)))
        shine(picture, (255, 226, 150), rim, 0.55 * (1 - 0.4 * depth))
        if depth > 0.5:
            bark = levels(noise(f"bark{layer}", 9, 130, 3), 118, 165)
            cover(picture, mix(tone, BLACK, 0.5), both(trunk, bark), 0.5)


def _leaves(picture: Picture, layer: int, depth: float, tone: Colour) -> None:
    """A ragged roof of leaves: clouds that are pushed over a threshold the more, the higher they hang."""
    clouds = noise(f"leaves{layer}", 170 + 60 * depth, 120, 7)
    roof = Image.blend(clouds, fade((0, 255), (0.3 + 0.16 * (1 - depth), 40), (0.62, 0)), 0.42)
    for part, share in ((132, 0.45), (146, 0.62)):
        cover(picture, mix(tone, (150, 178, 66), share * (1 - 0.4 * depth)), levels(roof, part, part + 7), 0.8)


def _shafts(picture: Picture) -> None:
    chance = dice("shafts")
    light = Image.new("L", SIZE)
    for _ in range(15):
        angle, wide = chance.uniform(0.35, 2.2), chance.uniform(0.012, 0.035)
        reach = chance.uniform(620, 900)
        ends = [(780 + reach * math.cos(a), -60 + reach * math.sin(a)) for a in (angle - wide, angle + wide)]
        light = ImageChops.lighter(light, area([(780, -60), *ends], blur=7, value=round(chance.uniform(70, 190))))
    dust = levels(noise("dust", 300, 300), 60, 210)
    shine(picture, (255, 244, 180), both(light, fade((0, 120), (0.25, 255), (0.95, 0)), dust), 0.6)


def aurora() -> Picture:
    """Northern lights over a frozen lake."""
    picture = gradient((0, (6, 10, 30)), (0.4, (12, 28, 58)), (0.66, (30, 66, 88)), (0.7, (50, 88, 100)))
    stars(picture, "aurora", 1100, 470)
    for number, (base, tall, strength) in enumerate([(330, 250, 0.55), (392, 330, 1.0), (300, 200, 0.4)]):
        _curtain(picture, number, base, tall, strength)
    for number, (base, height, tone) in enumerate(
        [(470, 62, (28, 52, 74)), (500, 46, (16, 32, 50)), (513, 16, (8, 16, 28))]
    ):
        line = ridge(f"north{number}", base, height, 0.5)
        land = area(down(line, 521))
        cover(picture, tone, land)
        if number < 2:
            snow = levels(noise(f"north-snow{number}", 70, 110), 124, 150)
            cover(picture, (120, 176, 178), both(land, snow, fade((0.5, 255), (0.7, 0))), 0.45)
        else:
            _firs(picture, line, 77, tone, 30)
    _mirror(picture, 520, (8, 22, 36), ripple=3.0, stretch=1.1, dim=0.35)
    frost = levels(noise("ice", 340, 16), 128, 190)
    cover(picture, (170, 214, 214), both(frost, fade((0.72, 0), (0.74, 110), (1, 200))), 0.22)
    return picture


def _curtain(picture: Picture, number: int, base: float, tall: float, strength: float) -> None:
    """A curtain of light: in every column a ray that is sharp below and fades upward, from green to violet."""
    chance = dice(f"curtain{number}")
    parts = [(chance.uniform(0.6, 1.3) * 1.9**o / WIDTH * math.tau, chance.uniform(0, 7), 0.55**o) for o in range(4)]
    columns, rows = WIDTH // 2, 360
    green, violet = Image.new("L", (columns, rows)), Image.new("L", (columns, rows))
    beams = Image.frombytes("L", (columns // 5, 1), chance.randbytes(columns // 5)).resize(
        (columns, 1), Image.Resampling.BICUBIC
    )
    pen, high = ImageDraw.Draw(green), ImageDraw.Draw(violet)
    for column in range(columns):
        x = column * 2
        foot = (base + 62 * sum(a * math.sin(f * x + p) for f, p, a in parts)) / 2
        fold = 0.35 + 0.65 * abs(math.sin(sum(a * math.cos(f * 1.7 * x + p) for f, p, a in parts) * 2.2))
        power = strength * fold * (0.45 + 0.55 * beams.getpixel((column, 0)) / 255)
        reach = tall / 2 * (0.55 + 0.45 * fold)
        for step in range(int(reach)):
            up = step / reach
            light = power * smooth(step / 20) * (1 - up) ** 1.7
            pen.point((column, foot - step), fill=round(215 * light))
            high.point((column, foot - step), fill=round(150 * power * up * (1 - up) ** 1.1 * 1.6))
    for mask, tone in ((green, (70, 255, 160)), (violet, (176, 90, 255))):
        large = mask.resize(SIZE, Image.Resampling.BICUBIC)
        shine(picture, tone, soften(large, 2.2), 0.85)
        shine(picture, tone, soften(large, 26), 0.5)


def lighthouse() -> Picture:
    """A lighthouse on its rock at nightfall, the lamp lit."""
    picture = gradient((0, (22, 34, 70)), (0.35, (66, 76, 124)), (0.58, (206, 128, 124)), (0.68, (248, 184, 140)))
    stars(picture, "lighthouse", 260, 240)
    cloud = both(levels(noise("house-sky", 640, 66), 118, 190, 1.2), fade((0, 60), (0.4, 255), (0.68, 90)))
    cover(picture, (74, 66, 108), cloud, 0.6)
    cover(picture, (255, 180, 150), both(ImageChops.offset(cloud, 0, 14), fade((0.3, 0), (0.66, 255))), 0.35)
    lamp = (862.0, 196.0)
    for far, spread, strength in ((-1500, 120, 0.6), (900, 86, 0.45)):
        beam = area(
            [
                (lamp[0], lamp[1] - 5),
                (lamp[0] + far, lamp[1] - spread - 30),
                (lamp[0] + far, lamp[1] + spread - 30),
                (lamp[0], lamp[1] + 5),
            ],
            blur=6,
        )
        shine(picture, (255, 236, 180), both(beam, glow(lamp, 900, 1.3)), strength)
    water = gradient((0.68, (190, 130, 134)), (0.74, (92, 88, 128)), (1, (18, 28, 58)))
    cover(picture, water, area([(0, 490), (WIDTH, 490), (WIDTH, HEIGHT), (0, HEIGHT)]))
    chop = levels(noise("chop", 110, 9, 4), 128, 190)
    cover(picture, (14, 22, 50), both(chop, fade((0.68, 0), (0.75, 255))), 0.6)
    cover(
        picture,
        (250, 190, 160),
        both(levels(noise("chop2", 150, 6, 3), 150, 200), fade((0.68, 220), (0.9, 0)), fade((0.679, 0), (0.681, 255))),
        0.5,
    )
    _rock(picture)
    _tower(picture, lamp)
    return picture


def _rock(picture: Picture) -> None:
    def crag(x: float) -> float:
        return 508 - 84 * smooth((x - 560) / 240) + 120 * smooth((x - 1060) / 260)

    line = [(x, crag(x) + (y - 0)) for x, y in ridge("rock", 0, 15, 0.62)]
    start = next(i for i, point in enumerate(line) if point[0] > 520)
    left = [(452, 600), (476, 578), (490, 560), (512, 548), (524, 522)]
    rock = area([*left, *line[start:], (WIDTH, 640), (1100, 648), (800, 622), (600, 610)])
    cover(picture, (44, 38, 56), rock)
    facets = levels(noise("facets", 90, 50, 6), 112, 160)
    cover(picture, (134, 96, 98), both(rock, facets, fade((0.5, 255), (0.88, 60))), 0.6)
    cover(picture, (14, 14, 28), both(rock, levels(noise("cracks", 26, 60, 6), 140, 190)), 0.5)
    cover(
        picture, (86, 96, 70), both(rock, levels(noise("grass", 40, 14), 110, 170), fade((0.55, 255), (0.66, 0))), 0.55
    )
    foam = levels(noise("foam", 80, 12, 5), 110, 170)
    shore = both(
        soften(
            area(
                [(430, 596), (600, 598), (820, 612), (1110, 640), (WIDTH, 636), (WIDTH, 664), (1000, 660), (640, 628)]
            ),
            4,
        ),
        foam,
    )
    cover(picture, (240, 222, 220), shore, 0.85)


def _tower(picture: Picture, lamp: Point) -> None:
    x, bottom = lamp[0], 446.0

    def half(y: float) -> float:
        return 23 + 17 * (y - 226) / (bottom - 226)

    tower = area([(x - half(226), 226), (x + half(226), 226), (x + half(bottom), bottom), (x - half(bottom), bottom)])
    cover(picture, (232, 220, 212), tower)
    for top in (262, 340, 418):
        cover(
            picture,
            (176, 54, 52),
            both(tower, area([(0, top), (WIDTH, top), (WIDTH, top + 38), (0, top + 38)], blur=0.3)),
        )
    side = area([(x + 2, 200), (x + 80, 200), (x + 80, 480), (x + 8, 480)], blur=12)
    cover(picture, (34, 30, 62), both(tower, side), 0.72)
    shine(
        picture,
        (255, 190, 150),
        both(tower, area([(x - 60, 200), (x - 20, 200), (x - 30, 470), (x - 60, 470)], blur=7)),
        0.35,
    )
    for y in (304, 384):
        cover(picture, (255, 210, 130), both(tower, slab(x - 7, y, x + 3, y + 15, 4)))
    _lantern(picture, lamp)
    _cottage(picture)


def _lantern(picture: Picture, lamp: Point) -> None:
    x, dark = lamp[0], (40, 36, 54)
    gallery = [(x - 36, 220), (x + 36, 220), (x + 31, 230), (x - 31, 230)]
    rail = [(x - 37, 205), (x + 37, 205), (x + 37, 207), (x - 37, 207)]
    half_roof = [(22, 180), (12, 163), (2, 156), (2, 142)]
    roof = [(x - dx, y) for dx, y in half_roof] + [(x + dx, y) for dx, y in reversed(half_roof)]
    frames = [_bar(x + dx, 176, 220, 1.1) for dx in (-17, -6, 6, 17)]
    posts = [_bar(x + dx, 206, 221, 0.7) for dx in range(-36, 37, 9)]
    cover(picture, (255, 240, 190), slab(x - 17, 178, x + 17, 221, 3))
    cover(picture, dark, area(gallery, rail, roof, *frames, *posts))
    shine(picture, (255, 226, 150), glow(lamp, 170, 2.2), 0.95)
    shine(picture, (255, 250, 230), glow(lamp, 46, 1.4), 1.0)


def _bar(x: float, top: float, bottom: float, half: float) -> list[Point]:
    return [(x - half, top), (x + half, top), (x + half, bottom), (x - half, bottom)]


def _cottage(picture: Picture) -> None:
    cover(picture, (70, 58, 70), area([(930, 420), (1010, 416), (1010, 458), (930, 456)]))
    cover(picture, (52, 40, 52), area([(922, 422), (970, 390), (1018, 418)]))
    cover(picture, (255, 206, 120), slab(950, 430, 962, 443, 1))
    shine(picture, (255, 190, 110), glow((956, 437), 46, 2.0), 0.6)


def desert_road() -> Picture:
    """A straight road through the desert in the late afternoon."""
    picture = gradient((0, (56, 118, 178)), (0.3, (128, 176, 208)), (0.5, (246, 214, 176)), (0.56, (255, 226, 186)))
    for number, (wide, high, low) in enumerate([(560, 90, 128), (300, 44, 140)]):
        cloud = both(
            levels(noise(f"desert-sky{number}", wide, high, 7), low, 205, 1.2), fade((0, 120), (0.2, 255), (0.52, 0))
        )
        cover(picture, (176, 160, 178), ImageChops.offset(cloud, 0, 12), 0.5)
        cover(picture, (255, 238, 220), cloud, 0.85)
    shine(picture, (255, 210, 150), glow((1010, 360), 620, 2.0, 0.6), 0.6)
    for number, (base, tone) in enumerate([(398, (176, 138, 150)), (402, (168, 100, 84))]):
        _mesas(picture, number, base, tone)
    ground = gradient((0.55, (216, 160, 112)), (0.62, (204, 132, 82)), (1, (146, 82, 50)))
    land = area([(0, 400), (WIDTH, 400), (WIDTH, HEIGHT), (0, HEIGHT)])
    cover(picture, ground, land)
    for number, (size, tone) in enumerate([(12, (120, 70, 48)), (5, (236, 178, 124))]):
        cover(
            picture,
            tone,
            both(land, levels(noise(f"sand{number}", 20 * size, size, 4), 128, 185), fade((0.55, 60), (1, 255))),
            0.42,
        )
    _scrub(picture)
    _road(picture)
    _poles(picture)
    cover(picture, (255, 220, 180), fade((0.5, 0), (0.555, 190), (0.6, 0)), 0.42)
    return picture


def _mesas(picture: Picture, number: int, base: float, tone: Colour) -> None:
    chance = dice(f"mesa{number}b")
    line: list[Point] = [(0, base)]
    x = chance.uniform(-40, 60)
    while x < WIDTH:
        wide, tall = chance.uniform(70, 240), chance.uniform(24, 96) * (0.7 + 0.5 * number)
        slope = tall * 0.38
        line += [
            (x, base),
            (x + slope, base - tall * 0.45),
            (x + slope + 6, base - tall),
            (x + slope + wide * 0.4, base - tall * 1.03),
        ]
        line += [
            (x + slope + wide, base - tall),
            (x + slope + wide + 7, base - tall * 0.45),
            (x + 2 * slope + wide + 8, base),
        ]
        x += 2 * slope + wide + chance.uniform(40, 330)
    land = area(down(line, base + 6))
    cover(picture, tone, land)
    cover(picture, mix(tone, BLACK, 0.4), both(land, levels(noise(f"strata{number}", 700, 7, 2), 118, 165)), 0.35)
    cover(picture, mix(tone, (60, 30, 50), 0.6), both(land, levels(noise(f"gully{number}", 26, 200, 4), 126, 165)), 0.5)
    lit = both(land, ImageChops.invert(soften(ImageChops.offset(land, -14, 0), 4)))
    shine(picture, (255, 190, 130), lit, 0.4)


def _scrub(picture: Picture) -> None:
    chance = dice("scrub")
    for near, x in sorted((chance.random() ** 1.7, chance.uniform(0, WIDTH)) for _ in range(340)):
        y, size = 404 + 316 * near, 1.4 + 17 * near * chance.uniform(0.5, 1.2)
        if abs(x - 640) < 30 + 700 * near:
            continue
        pen = ImageDraw.Draw(picture)
        pen.ellipse(
            ((x - size * 2.4) * SCALE, (y - size * 0.2) * SCALE, (x + size) * SCALE, (y + size * 0.3) * SCALE),
            fill=(112, 64, 44),
        )
        for _ in range(round(5 + 26 * near)):
            a, b, r = (
                x + chance.gauss(0, size * 0.5),
                y - abs(chance.gauss(0, size * 0.42)),
                size * chance.uniform(0.12, 0.3),
            )
            tone = mix((92, 98, 58), (176, 160, 92), smooth((a - x) / size + 0.5) * chance.uniform(0.5, 1))
            pen.ellipse(((a - r) * SCALE, (b - r) * SCALE, (a + r) * SCALE, (b + r) * SCALE), fill=tone)


def _road(picture: Picture) -> None:
    end = (640, 401)

    def lane(left: float, right: float, top: float = 401, bottom: float = HEIGHT) -> list[Point]:
        """A strip of the road; widths as shares of its half width at the lower edge."""
        rows = [(top - 401) / 319, (bottom - 401) / 319]
        return [
            (end[0] + 560 * left * rows[0], top),
            (end[0] + 560 * right * rows[0], top),
            (end[0] + 560 * right * rows[1], bottom),
            (end[0] + 560 * left * rows[1], bottom),
        ]

    cover(picture, (176, 112, 74), area(lane(-1.22, 1.22), blur=2.5), 0.8)
    asphalt = area(lane(-1, 1))
    cover(picture, gradient((0.55, (150, 128, 128)), (0.62, (98, 90, 98)), (1, (54, 52, 62))), asphalt)
    cover(picture, (150, 136, 136), both(asphalt, levels(noise("asphalt", 6, 4, 2), 150, 230)), 0.3)
    cover(picture, (30, 30, 40), both(asphalt, area(lane(-0.62, -0.4), lane(0.4, 0.62), blur=9)), 0.4)
    for side in (-0.93, 0.9):
        cover(picture, (240, 226, 206), area(lane(side, side + 0.03)), 0.85)
    depth = 1.0
    while depth > 0.004:
        cover(picture, (250, 196, 74), area(lane(-0.016, 0.016, 401 + 319 * depth * 0.72, 401 + 319 * depth)), 0.92)
        depth *= 0.56


def _poles(picture: Picture) -> None:
    pen, tone = ImageDraw.Draw(picture), (66, 44, 46)
    tops: list[list[Point]] = []
    for number in range(8):
        near = 0.62**number
        x, foot, tall = 640 - 590 * near - 4, 401 + 250 * near, 430 * near
        for left, top, right, bottom in (
            (x - 5 * near, foot - tall, x + 5 * near, foot),
            (x - 50 * near, foot - tall * 0.93, x + 50 * near, foot - tall * 0.91),
        ):
            pen.rectangle(
                (left * SCALE, top * SCALE, right * SCALE, bottom * SCALE),
                fill=mix(tone, (190, 140, 120), 1 - near**0.4),
            )
        tops.append([(x + at * near, foot - tall * 0.935) for at in (-44, 44)])
    for first, second in pairwise(tops):
        for (x0, y0), (x1, y1) in zip(first, second, strict=True):
            sag = (y1 - y0) * 0.1 + abs(x1 - x0) * 0.05
            wire = [
                (x0 + (x1 - x0) * t, y0 + (y1 - y0) * t + 4 * sag * t * (1 - t)) for t in (i / 24 for i in range(25))
            ]
            pen.line([(x * SCALE, y * SCALE) for x, y in wire], fill=tone, width=2)


def paper_boat() -> Picture:
    """A paper boat on dark water among the lights of an evening, from close by."""
    picture = gradient((0, (20, 34, 52)), (0.5, (44, 70, 88)), (1, (12, 24, 36)))
    shine(picture, (255, 170, 96), glow((960, 210), 560, 1.6), 0.5)
    _bokeh(picture)
    _mirror(picture, 470, (14, 34, 48), ripple=5.0, stretch=1.5, dim=0.35)
    for number, (tone, low) in enumerate([((8, 20, 30), 132), ((255, 196, 130), 150)]):
        ripple = both(levels(noise(f"pond{number}", 420, 13, 4), low, 200), fade((0.65, 0), (0.68, 120), (1, 255)))
        cover(picture, tone, ripple, 0.5 - 0.22 * number)
    cover(picture, (240, 200, 160), fade((0.6, 0), (0.652, 90), (0.72, 0)), 0.5)
    boat = _boat(0, 1)
    for mask, tone in _boat(30, -0.82):
        cover(
            picture, mix(tone, (24, 50, 66), 0.42), both(soften(mask, 4.5), fade((0, 255), (0.82, 220), (1, 30))), 0.75
        )
    cover(picture, (4, 12, 20), oval((612, 566), 260, 12, 9), 0.75)
    for mask, tone in boat:
        cover(picture, tone, mask)
        cover(picture, mix(tone, (90, 84, 90), 0.4), both(mask, levels(noise("paper", 30, 30, 4), 120, 190)), 0.16)
    for mask, _ in boat[:3]:
        edge = both(mask, ImageChops.invert(soften(ImageChops.offset(mask, -4, 4), 2)))
        shine(picture, (255, 214, 160), edge, 0.5)
    for number in range(4):
        ring = ImageChops.subtract(
            oval((612, 572), 290 + 74 * number, 20 + 13 * number, 1.2),
            oval((612, 573), 285 + 74 * number, 18 + 13 * number, 1.2),
        )
        shine(picture, (255, 210, 160), both(ring, fade((0.76, 0), (0.83, 255))), 0.32 - 0.06 * number)
    return picture


def _boat(drop: float, turn: float) -> list[tuple[Mask, Colour]]:
    """The facets of the folded paper; `turn` below 0 mirrors them in the water."""

    def at(*points: Point) -> Mask:
        return area([(x + 612, 566 + drop + y * turn) for x, y in points], blur=0.4)

    return [
        (at((-26, -76), (-8, -290), (150, -62)), (206, 186, 178)),
        (at((-170, -58), (-8, -290), (-26, -50)), (250, 240, 226)),
        (at((-330, -146), (-200, 0), (180, 6), (150, -52), (-26, -40)), (244, 232, 216)),
        (at((150, -52), (180, 6), (220, 2), (350, -128)), (178, 158, 156)),
        (at((-330, -146), (-26, -40), (-26, -76), (-170, -92)), (160, 146, 150)),
        (at((350, -128), (150, -52), (-26, -40), (-26, -70), (160, -84)), (148, 128, 132)),
        (at((-330, -146), (-200, 0), (-60, 2), (-26, -40)), (253, 245, 232)),
    ]


def _bokeh(picture: Picture) -> None:
    chance = dice("bokeh-c")
    tones = [(255, 176, 96), (255, 206, 140), (255, 140, 92), (150, 200, 214), (255, 226, 180)]
    for _ in range(54):
        x, size = chance.uniform(0, WIDTH), chance.uniform(9, 40)
        y = 440 - 390 * chance.random() ** 1.5
        disc = oval((x, y), size, size, 1.6)
        ring = ImageChops.subtract(disc, oval((x, y), size * 0.86, size * 0.86, 2.6))
        tone, strength = chance.choice(tones), chance.uniform(0.1, 0.5)
        shine(picture, tone, disc, strength)
        shine(picture, tone, ring, strength * 0.5)


def balloons() -> Picture:
    """Hot-air balloons over a valley at sunrise."""
    picture = gradient((0, (112, 162, 206)), (0.35, (190, 208, 214)), (0.6, (255, 222, 176)), (0.7, (255, 206, 150)))
    cover(
        picture,
        (255, 244, 226),
        both(levels(noise("balloon-sky", 620, 70, 6), 122, 200), fade((0, 220), (0.5, 60), (0.6, 0))),
        0.6,
    )
    shine(picture, (255, 214, 140), glow((250, 440), 620, 1.8), 0.8)
    cover(picture, (255, 250, 224), oval((250, 436), 30, 30, 1.2))
    for number, (base, height, far) in enumerate(
        [(478, 26, 1.0), (512, 34, 0.75), (556, 40, 0.5), (612, 44, 0.25), (668, 40, 0)]
    ):
        line = waves(f"valley{number}", base, height, 640 + 160 * number)
        land, tone = area(down(line)), mix((44, 66, 52), (222, 176, 158), far)
        cover(picture, tone, land)
        fields = levels(noise(f"fields{number}", 150, 16 + 20 * (1 - far), 3), 126, 150)
        cover(picture, mix((142, 142, 66), (236, 196, 160), far), both(land, fields), 0.5)
        _firs(picture, line, 100 + number, mix(tone, (16, 30, 30), 0.5 * (1 - far) + 0.1), 5 + 20 * (1 - far))
        mist = fade((base / HEIGHT + 0.01, 0), (base / HEIGHT + 0.09, 255), (1, 255))
        cover(picture, (255, 218, 176), both(mist, levels(noise(f"haze{number}", 420, 60), 70, 210)), 0.5 * far + 0.08)
    reds, blues = [(196, 58, 48), (244, 176, 72)], [(42, 92, 140), (240, 230, 210)]
    greens, violets = [(58, 120, 104), (246, 206, 110)], [(122, 66, 120), (240, 150, 120)]
    for x, y, size, tones, haze in [
        (1060, 330, 24, violets, 0.5),
        (520, 250, 30, greens, 0.42),
        (690, 372, 20, reds, 0.55),
        (905, 190, 62, blues, 0.18),
        (410, 372, 15, blues, 0.6),
        (652, 226, 112, reds, 0.0),
    ]:
        _balloon(picture, (x, y), size, tones, haze)
    return picture


def _balloon(picture: Picture, centre: Point, size: float, tones: Sequence[Colour], haze: float) -> None:
    x, y = centre
    sky = (250, 218, 184)

    def edge(share: float) -> list[Point]:
        """One seam from the crown to the mouth; `share` from -1 (left rim) to 1 (right rim)."""
        found = []
        for step in range(61):
            t = (step / 60) ** 1.5
            wide = math.sqrt(1 - (1 - t / 0.5) ** 2) if t < 0.5 else 1 - 0.86 * ((t - 0.5) / 0.5) ** 1.7
            found.append((x + size * share * wide, y - size * 1.05 + size * 2.25 * t))
        return found

    seams = [math.sin(a) for a in (math.pi * (i / 10 - 0.5) for i in range(11))]
    for number, (left, right) in enumerate(pairwise(seams)):
        cover(picture, mix(tones[number % 2], sky, haze), area([*edge(left), *reversed(edge(right))]))
    body = area([*edge(-1), *reversed(edge(1))])
    shade = both(body, ImageChops.invert(glow((x - size * 0.5, y - size * 0.25), size * 2.0, 0.9)))
    cover(picture, mix((44, 26, 60), sky, haze), shade, 0.75)
    shine(picture, (255, 226, 170), both(body, glow((x - size * 0.55, y - size * 0.3), size * 0.9, 1.4)), 0.5)
    mouth, basket = y + size * 1.2, y + size * 1.52
    dark = mix((74, 48, 36), sky, haze)
    pen = ImageDraw.Draw(picture)
    for side in (-1, 1):
        rope = [(x + side * size * 0.15, mouth), (x + side * size * 0.11, basket)]
        pen.line([(a * SCALE, b * SCALE) for a, b in rope], fill=dark, width=max(1, round(size / 36)))
    cover(picture, dark, slab(x - size * 0.13, basket, x + size * 0.13, basket + size * 0.19, size * 0.03))
    shine(picture, (255, 190, 100), glow((x, mouth), size * 0.32, 1.6), 0.8 * (1 - haze))


def planet() -> Picture:
    """A ringed planet over the plain of its moon."""
    picture = gradient((0, (8, 8, 26)), (0.5, (24, 20, 56)), (0.75, (66, 40, 88)), (1, (20, 16, 40)))
    for number, (tone, wide) in enumerate([((110, 60, 150), 620), ((40, 110, 150), 420)]):
        cover(picture, tone, levels(noise(f"nebula{number}", wide, wide * 0.6, 7), 128, 215, 1.5), 0.6)
    stars(picture, "planet", 1500, 640)
    shine(picture, (255, 190, 140), glow((690, 290), 470, 2.4), 0.35)
    _rings(picture, (690, 290), behind=True)
    _globe(picture, (690, 290), 172)
    _rings(picture, (690, 290), behind=False)
    cover(picture, (206, 210, 224), oval((262, 168), 30, 30, 0.5))
    cover(picture, (14, 12, 34), both(oval((262, 168), 31, 31, 0.5), oval((248, 158), 32, 32, 7)), 0.88)
    for number, (base, height, tone) in enumerate(
        [(560, 50, (92, 66, 112)), (610, 36, (58, 42, 80)), (660, 24, (28, 22, 48))]
    ):
        land = area(down(ridge(f"moon{number}", base, height, 0.48)))
        cover(picture, tone, land)
        cover(
            picture,
            mix(tone, (236, 170, 160), 0.6),
            both(land, levels(noise(f"regolith{number}", 150, 34, 6), 118, 190)),
            0.4,
        )
        rim = ImageChops.subtract(land, ImageChops.offset(land, -3, 4))
        shine(picture, (255, 196, 170), rim, 0.32)
        cover(picture, (120, 70, 120), fade((base / HEIGHT, 0), (base / HEIGHT + 0.12, 160)), 0.16)
    return picture


def _globe(picture: Picture, centre: Point, size: float) -> None:
    globe = oval(centre, size, size, 0.6)
    bands = gradient(
        (0.16, (222, 160, 116)),
        (0.24, (246, 208, 158)),
        (0.31, (200, 124, 92)),
        (0.38, (250, 220, 178)),
        (0.45, (226, 158, 112)),
        (0.52, (244, 200, 152)),
        (0.6, (176, 104, 86)),
        (0.66, (214, 150, 118)),
    )
    swirl = ImageChops.offset(bands, 0, 22)
    bands.paste(swirl, mask=levels(noise("swirl", 300, 22, 5), 112, 150))
    bands = bands.rotate(-14, Image.Resampling.BICUBIC, center=(centre[0] * SCALE, centre[1] * SCALE))
    cover(picture, bands, globe)
    light = (centre[0] - size * 0.5, centre[1] - size * 0.42)
    cover(picture, (14, 8, 30), both(globe, ImageChops.invert(glow(light, size * 1.75, 0.75))), 0.96)
    shine(picture, (255, 236, 200), both(globe, glow(light, size * 0.9, 1.6)), 0.3)
    rim = both(globe, ImageChops.invert(soften(oval((centre[0] + 7, centre[1] + 6), size, size), 7)))
    shine(picture, (255, 220, 190), rim, 0.6)


def _rings(picture: Picture, centre: Point, *, behind: bool) -> None:
    mask, s = Image.new("L", SIZE), SCALE
    pen = ImageDraw.Draw(mask)
    chance = dice("rings")
    for number in range(90):
        wide = 398 - number * 1.75
        level = (
            0 if 44 < number < 50 else round(chance.uniform(60, 220) * (0.45 + 0.55 * math.sin(number / 90 * math.pi)))
        )
        x, y = centre
        pen.ellipse(((x - wide) * s, (y - wide * 0.2) * s, (x + wide) * s, (y + wide * 0.2) * s), fill=level)
    x, y = centre
    pen.ellipse(((x - 240) * s, (y - 48) * s, (x + 240) * s, (y + 48) * s), fill=0)
    pen.rectangle((0, 0, SIZE[0], y * s) if not behind else (0, y * s, *SIZE), fill=0)
    turned = mask.rotate(-14, Image.Resampling.BICUBIC, center=(x * s, y * s))
    cover(picture, (250, 216, 178), turned, 0.7 if behind else 0.85)


SCENES: dict[str, Callable[[], Picture]] = {
    "dunes": dunes,
    "night-city": night_city,
    "sea": sea,
    "robot": robot,
    "mountains": mountains,
    "forest": forest,
    "aurora": aurora,
    "lighthouse": lighthouse,
    "desert-road": desert_road,
    "paper-boat": paper_boat,
    "balloons": balloons,
    "planet": planet,
}


def main(names: Sequence[str]) -> None:
    """Draw the named scenes, or all of them."""
    folder = Path(__file__).parent
    for name in names or SCENES:
        finish(SCENES[name](), name).save(folder / f"{name}.jpg", quality=84, optimize=True, progressive=True)


if __name__ == "__main__":
    main(sys.argv[1:])
