"""The rates as horizontal bars, in one SVG."""

from statistics import median
from xml.sax.saxutils import escape

import report

WIDTH, NAME, BAR, LINE = 760, 150, 450, 20
BASELINE, LIMIT = "#b5c9d8", "#9a9a9a"
COLORS = {"mariadb": "#2f6f9f", "sqlite": "#5b9bc8", "baseline mariadb": BASELINE, "baseline sqlite": BASELINE,
          "echo": LIMIT, "statements in C": LIMIT, "ON DELETE CASCADE": LIMIT}
OTHER = "#c9a26b"
FONT = 'font-family="sans-serif" font-size="12"'


def element(name, text="", **attributes):
    written = " ".join(f'{key.replace("_", "-")}="{value}"' for key, value in attributes.items())
    return f"<{name} {written}>{escape(text)}</{name}>" if text else f"<{name} {written}/>"


def bar(y, system, rates, scale):
    """A bar to the median, and a line from the lowest to the highest round."""
    middle = y + LINE / 2
    parts = [
        element("text", report.title(system), x=NAME - 8, y=middle + 4, text_anchor="end"),
        element("rect", x=NAME, y=y + 3, width=f"{median(rates) * scale:.1f}", height=LINE - 6,
                fill=COLORS.get(system, OTHER)),
        element("text", report.number(median(rates)), x=f"{NAME + max(rates) * scale + 6:.1f}", y=middle + 4),
    ]
    if len(rates) > 1:
        parts.append(element("line", x1=f"{NAME + min(rates) * scale:.1f}", x2=f"{NAME + max(rates) * scale:.1f}",
                             y1=middle, y2=middle, stroke="black"))
    return parts


def picture(results):
    """Empty if there is nothing to draw."""
    works = {}
    for (work, system), records in report.groups(results["records"]).items():
        rates = report.values(records, "per_second") or report.values(records, "rows_per_second")
        if rates and ("reclaim" not in work and "hot" not in work and "even" not in work and "1 post" not in work
                      and not work.startswith("Growth")):
            title = "Removal of many posts: rows" if "many posts" in work or "CASCADE" in work else f"{work}: calls"
            works.setdefault(title, {})[work if "CASCADE" in work else system] = rates
    parts = []
    y = 10
    for work, systems in works.items():
        parts.append(element("text", f"{work} a second", x=10, y=y + 14, font_weight="bold"))
        y += LINE
        scale = BAR / max(max(rates) for rates in systems.values())
        for system, rates in systems.items():
            parts += bar(y, system, rates, scale)
            y += LINE
        y += LINE // 2
    if not parts:
        return ""
    head = (f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y}"\n'
            f'  viewBox="0 0 {WIDTH} {y}" {FONT}>')
    return "\n".join([head, element("rect", width=WIDTH, height=y, fill="white")] + parts + ["</svg>", ""])
