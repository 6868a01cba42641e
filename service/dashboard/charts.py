"""Line charts as geometry: a template draws them as SVG, with their numbers beside the lines as text."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

Point = tuple[float, float]


@dataclass(frozen=True)
class Series:
    """One line: its name and its points, in the order of x."""

    name: str
    points: Sequence[Point]


@dataclass(frozen=True)
class Line:
    """A line in a plane of 100 by 100, y growing downwards; `dots` are there for few points."""

    name: str
    path: str
    last: str
    dots: tuple[Point, ...]


@dataclass(frozen=True)
class Chart:
    """`y_ticks` from the top down and `x_ticks` from the left, evenly spread. `summary` says it in words."""

    lines: tuple[Line, ...]
    y_ticks: tuple[str, ...]
    x_ticks: tuple[str, ...]
    x_name: str
    summary: str = field(default="")


FEW = 24


def line_chart(
    series: Sequence[Series], *, x_name: str, top: float | None = None, as_percent: bool = False
) -> Chart | None:
    """A chart of what has points; None when nothing has. `y` begins at 0 and ends at `top`, or above the highest."""
    drawn = [each for each in series if each.points]
    if not drawn:
        return None
    xs = [x for each in drawn for x, _ in each.points]
    low, high = min(xs), max(xs)
    most = top or nice_top(max(y for each in drawn for _, y in each.points))
    show = _percent if as_percent else _plain

    def place(point: Point) -> Point:
        across = (point[0] - low) / (high - low) if high > low else 0.5
        return round(100 * across, 2), round(100 - 100 * min(1.0, point[1] / most), 2)

    lines = []
    for each in drawn:
        places = [place(point) for point in each.points]
        path = " ".join(f"{x:g},{y:g}" for x, y in places)
        dots = tuple(places) if len(places) <= FEW else (places[-1],)
        lines.append(Line(each.name, path, show(each.points[-1][1]), dots))
    summary = "; ".join(
        f"{each.name}: {show(each.points[0][1])} at {x_name} {each.points[0][0]:g},"
        f" {show(each.points[-1][1])} at {x_name} {each.points[-1][0]:g}"
        for each in drawn
    )
    y_ticks = tuple(show(most * part / 4) for part in (4, 3, 2, 1, 0))
    middle = (low + high) / 2
    x_ticks = tuple(f"{x:g}" for x in ([low, middle, high] if middle.is_integer() else [low, high]) if high > low)
    return Chart(tuple(lines), y_ticks, x_ticks or (f"{low:g}",), x_name, summary)


def nice_top(highest: float) -> float:
    """The least of 1, 2, 4, 5 and 10 times a power of ten that is not below."""
    if highest <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(highest))
    return next(step * power for step in (1, 2, 4, 5, 10) if step * power >= highest)


def _plain(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def _percent(value: float) -> str:
    return f"{100 * value:.0f}\u202f%"
