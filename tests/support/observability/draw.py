#!/usr/bin/env python3
"""Draws the dashboard with the data of a Prometheus: draw.py DASHBOARD URL START END OUT

Rows, places, titles, units and legends are those of the dashboard's JSON. The data is what its queries give for the
time from START to END. The picture is no screenshot: it shows only what the dashboard says, in the manner of Grafana.
"""

import datetime
import math
import sys

import matplotlib
matplotlib.use("Agg")
from matplotlib import dates, pyplot, ticker  # noqa: E402
from matplotlib.patches import FancyBboxPatch  # noqa: E402
from PIL import Image  # noqa: E402

import dashboard as boards  # noqa: E402
import prometheus  # noqa: E402

DPI = 100
COLUMN, UNIT, MARGIN, HEAD = 66, 35, 10, 56  # pixels
BACKGROUND, PANEL, BORDER, TEXT, FAINT, LINES = "#111217", "#181b1f", "#2c3036", "#d8d9da", "#9fa4ab", "#2c3036"
COLOURS = ["#73bf69", "#f2cc0c", "#8ab8ff", "#ff780a", "#f2495c", "#5794f2", "#b877d9", "#56a64b", "#fade2a", "#e0b400",
           "#a352cc", "#37872d", "#c4162a", "#1f60c4"]
NAMED = {"green": "#73bf69", "orange": "#ff9830", "red": "#f2495c", "blue": "#5794f2"}
LEGEND_ROWS = 4


def with_prefix(value):
    for limit, prefix in ((1e9, "G"), (1e6, "M"), (1e3, "K")):
        if abs(value) >= limit:
            return f"{value / limit:.3g} {prefix}"
    return f"{value:.3g}"


def seconds(value):
    if value == 0:
        return "0 s"
    for limit, factor, unit in ((60, 1 / 60, "min"), (1, 1, "s"), (1e-3, 1e3, "ms"), (0, 1e6, "µs")):
        if abs(value) >= limit:
            return f"{value * factor:.3g} {unit}"


FORMATS = {
    "s": seconds,
    "percentunit": lambda value: f"{value * 100:.3g} %",
    "reqps": lambda value: f"{with_prefix(value)} req/s",
    "ops": lambda value: f"{with_prefix(value)} ops/s",
    "cps": lambda value: f"{with_prefix(value)} c/s",
    "none": with_prefix,
}


class Picture:
    def __init__(self, board, server, start, end):
        self.board, self.server, self.start, self.end = board, server, start, end
        self.step = max(1, round((end - start) / 240))
        self.rate_interval = f"{max(4 * 2, self.step + 2, 10)}s"
        rows = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in board["panels"])
        self.width, self.height = 24 * COLUMN + 2 * MARGIN, HEAD + rows * UNIT + MARGIN
        self.figure = pyplot.figure(figsize=(self.width / DPI, self.height / DPI), dpi=DPI, facecolor=BACKGROUND)
        self.canvas = self.figure.add_axes([0, 0, 1, 1])
        self.canvas.set(xlim=(0, self.width), ylim=(self.height, 0))
        self.canvas.axis("off")

    def text(self, x, y, text, size=8, colour=TEXT, **options):
        return self.canvas.text(x, y, text, fontsize=size, color=colour, va="center", **options)

    def width_of(self, text, size):
        # This is the average width in the font that matplotlib brings.
        return len(text) * size * 0.78

    def box(self, place):
        return MARGIN + place["x"] * COLUMN, HEAD + place["y"] * UNIT, place["w"] * COLUMN, place["h"] * UNIT

    def series(self, panel):
        """[(legend, times, values)]"""
        found = []
        for target in panel["targets"]:
            expression = boards.filled(target["expr"], rate_interval=self.rate_interval,
                                       whole_range=f"{round(self.end - self.start)}s")
            for one in self.server.query_range(expression, self.start, self.end, self.step):
                legend = target["legendFormat"]
                for label, value in one["metric"].items():
                    legend = legend.replace("{{" + label + "}}", value)
                values = dict((float(when), float(value)) for when, value in one["values"])
                steps = int((self.end - self.start) / self.step)
                times = [self.start + self.step * index for index in range(steps + 1)]
                found.append((legend, times, [values.get(when, math.nan) for when in times]))
        return sorted(found, key=lambda one: one[0])

    def draw(self):
        when = [datetime.datetime.fromtimestamp(one, datetime.timezone.utc).strftime("%H:%M:%S")
                for one in (self.start, self.end)]
        self.text(MARGIN + 6, HEAD / 2, self.board["title"], 13, weight="bold")
        self.text(self.width - MARGIN - 6, HEAD / 2, f"{when[0]} to {when[1]} UTC    Service: All", 8, FAINT,
                  ha="right")
        empty = []
        for panel in self.board["panels"]:
            if panel["type"] == "row":
                x, y, _, height = self.box(panel["gridPos"])
                self.text(x + 4, y + height / 2 + 2, "⌄  " + panel["title"], 10, weight="bold")
                continue
            self.frame(panel)
            series = self.series(panel)
            if not any(not math.isnan(value) for _, _, values in series for value in values):
                x, y, width, height = self.box(panel["gridPos"])
                self.text(x + width / 2, y + height / 2, "No data", 9, FAINT, ha="center")
                empty.append(panel["title"])
            elif panel["type"] == "stat":
                self.stat(panel, series)
            else:
                self.graph(panel, series)
        return empty

    def frame(self, panel):
        x, y, width, height = self.box(panel["gridPos"])
        self.canvas.add_patch(FancyBboxPatch((x + 3, y + 3), width - 6, height - 6,
                                             boxstyle="round,pad=0,rounding_size=3",
                                             facecolor=PANEL, edgecolor=BORDER, linewidth=0.8))
        self.text(x + 12, y + 18, panel["title"], 8.5, weight="medium")

    def axes(self, x, y, width, height):
        return self.figure.add_axes([x / self.width, 1 - (y + height) / self.height, width / self.width,
                                     height / self.height])

    def stat(self, panel, series):
        x, y, width, height = self.box(panel["gridPos"])
        defaults, only_value = panel["fieldConfig"]["defaults"], panel["options"]["textMode"] == "value"
        each = (width - 16) / len(series)
        for index, (legend, times, values) in enumerate(series):
            last = [value for value in values if not math.isnan(value)][-1]
            colour = [step["color"] for step in defaults["thresholds"]["steps"]
                      if step["value"] is None or last >= step["value"]][-1]
            colour = NAMED.get(colour, colour)
            left = x + 8 + index * each
            below = self.axes(left, y + height - 38, each, 33)
            below.axis("off")
            below.fill_between(times, values, color=colour, alpha=0.2, linewidth=0)
            below.plot(times, values, color=colour, linewidth=0.9)
            finite = [value for value in values if not math.isnan(value)]
            below.set(xlim=(self.start, self.end), ylim=(0, max(finite) * 1.15 or 1))
            if not only_value:
                self.text(left + each / 2, y + 42, legend, 7, FAINT, ha="center")
            self.text(left + each / 2, y + (70 if not only_value else 62), FORMATS[defaults["unit"]](last),
                      13 if len(series) > 1 else 17, colour, ha="center", weight="bold")

    def legend(self, x, bottom, width, series):
        """Draws rows of names, at most LEGEND_ROWS. Returns the number of rows."""
        rows, current, used = [], [], 0
        for index, (name, _, _) in enumerate(series):
            needed = self.width_of(name, 6.8) + 26
            if current and used + needed > width - 16:
                rows.append(current)
                current, used = [], 0
            current.append((index, name, used))
            used += needed
        rows.append(current)
        shown = rows[:LEGEND_ROWS]
        for number, row in enumerate(shown):
            y = bottom - 13 * (len(shown) - number) + 4
            for index, name, offset in row:
                colour = COLOURS[index % len(COLOURS)]
                self.canvas.plot([x + 12 + offset, x + 24 + offset], [y, y], color=colour, linewidth=2.4)
                self.text(x + 29 + offset, y, name, 6.8)
        if len(rows) > LEGEND_ROWS:
            self.text(x + width - 14, bottom - 9, f"+ {sum(map(len, rows[LEGEND_ROWS:]))}", 6.8, FAINT, ha="right")
        return len(shown)

    def graph(self, panel, series):
        x, y, width, height = self.box(panel["gridPos"])
        defaults = panel["fieldConfig"]["defaults"]
        custom = defaults["custom"]
        rows = self.legend(x, y + height - 6, width, series)
        axes = self.axes(x + 62, y + 34, width - 62 - 16, height - 34 - 13 * rows - 30)
        axes.set_facecolor(PANEL)
        times = [datetime.datetime.fromtimestamp(one, datetime.timezone.utc) for one in series[0][1]]
        style = "steps-post" if custom["lineInterpolation"] == "stepAfter" else "default"
        highest = 0
        for index, (_, _, values) in enumerate(series):
            colour = COLOURS[index % len(COLOURS)]
            axes.plot(times, values, color=colour, linewidth=1.1, drawstyle=style, zorder=3)
            axes.fill_between(times, values, color=colour, alpha=custom["fillOpacity"] / 100 * 0.8, linewidth=0,
                              step="post" if style == "steps-post" else None)
            highest = max([highest] + [value for value in values if not math.isnan(value)])
        top = defaults.get("max") or highest * 1.1 or 1
        for step in defaults.get("thresholds", {}).get("steps", []):
            # As in Grafana a threshold does not make the axis longer.
            if step["value"] is not None and step["value"] <= top:
                axes.axhline(step["value"], color=NAMED["red"], linewidth=0.9, linestyle=(0, (6, 4)))
        axes.set(xlim=(times[0], times[-1]), ylim=(0, top * (1.05 if defaults.get("max") else 1)))
        if custom["scaleDistribution"]["type"] == "log":
            axes.set(yscale="log", ylim=(4e-4, max(2 * highest, 1)))
            axes.yaxis.set_minor_locator(ticker.NullLocator())
            axes.yaxis.set_major_locator(ticker.LogLocator(10, numticks=5))
        else:
            axes.yaxis.set_major_locator(ticker.MaxNLocator(4, integer=defaults["unit"] == "none" and top <= 4))
        axes.yaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: FORMATS[defaults["unit"]](value)))
        axes.xaxis.set_major_locator(dates.MinuteLocator())
        axes.xaxis.set_major_formatter(dates.DateFormatter("%H:%M"))
        axes.tick_params(colors=FAINT, labelsize=6.8, length=0)
        axes.grid(color=LINES, linewidth=0.6)
        for spine in axes.spines.values():
            spine.set_visible(False)


def main():
    path, url, start, end, out = sys.argv[1:6]
    pyplot.rcParams["font.family"] = "DejaVu Sans"
    picture = Picture(boards.load(path), prometheus.Prometheus(url), float(start), float(end))
    empty = picture.draw()
    picture.figure.savefig(out + ".big.png", dpi=DPI, facecolor=BACKGROUND)
    # 200 colours are enough for the picture, and need a third of the bytes.
    with Image.open(out + ".big.png") as image:
        image.convert("RGB").quantize(200, dither=Image.Dither.NONE).save(out, optimize=True)
    print("no data: " + ", ".join(empty) if empty else "every panel has data")


if __name__ == "__main__":
    main()
