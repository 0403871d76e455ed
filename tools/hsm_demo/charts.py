# SPDX-License-Identifier: Apache-2.0
"""charts: bars and lines as SVG and PNG; without python3-matplotlib there are none, and the report says so."""
import os

try:
    import matplotlib
    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "keyfleet"  # the same picture is the same file
    from matplotlib import pyplot
except ImportError:
    pyplot = None

# By what the row is: shades of one colour for one, two and three HSMs.
SHADES = {"2016: OpenSC's module": ("#f3d9a4", "#e6b75c", "#cf9420"), "2016: sc-hsm-embedded": ("#bcd0e8", "#86a9d2", "#5382b8"),
          "OpenSC's module": ("#b5473c",), "keyfleet": ("#9fd3ba", "#52a883", "#1c7350")}
COLOURS = ("#2f7d5b", "#2b5f9e", "#b5473c", "#7a4fa3", "#c98b2b", "#444444")


def colour(legend, number):
    """Of the row called so: "keyfleet, 2 HSMs"."""
    kind, _, hsms = legend.partition(", ")
    shades = SHADES.get(kind)
    return shades[int(hsms[0]) - 1] if shades and hsms[:1].isdigit() else COLOURS[number % len(COLOURS)]


def can_draw():
    return pyplot is not None


def _finish(figure, folder, name):
    figure.tight_layout()
    for ending, metadata in (("svg", {"Date": None}), ("png", None)):
        figure.savefig(os.path.join(folder, f"{name}.{ending}"), dpi=110, metadata=metadata)
    pyplot.close(figure)


def bars(folder, name, title, unit, groups, series, log=False):
    """`series`: [(legend, [value or None of each group])]."""
    figure, axes = pyplot.subplots(figsize=(12, 5.2))
    width = 0.86 / len(series)
    for i, (legend, values) in enumerate(series):
        at = [g - 0.43 + width * (i + 0.5) for g in range(len(groups))]
        drawn = axes.bar(at, [v or 0 for v in values], width * 0.94, label=legend, color=colour(legend, i))
        labels = ["" if v is None else f"{v:.3g}" for v in values]
        axes.bar_label(drawn, labels, fontsize=7, rotation=90 if width < 0.11 else 0, padding=2)
    axes.set_xticks(range(len(groups)), groups)
    axes.set_ylabel(unit)
    axes.set_title(title)
    if log:
        axes.set_yscale("log")
    axes.margins(x=0.01, y=0.08)
    axes.grid(axis="y", alpha=0.3)
    axes.set_axisbelow(True)
    axes.legend(fontsize=8, ncols=min(5, len(series)), loc="upper center", bbox_to_anchor=(0.5, -0.08), frameon=False)
    _finish(figure, folder, name)


def lines(folder, name, title, axis, unit, series):
    """`series`: [(legend, [(x, y)], style)]; a colour each two legends that begin alike."""
    figure, axes = pyplot.subplots(figsize=(9, 4.6))
    names = list(dict.fromkeys(legend.split(",")[0] for legend, _, _ in series))
    for legend, points, style in series:
        axes.plot([x for x, _ in points], [y for _, y in points], style, label=legend,
                  color=COLOURS[names.index(legend.split(",")[0]) % len(COLOURS)])
    axes.set_xticks(sorted({x for _, points, _ in series for x, _ in points}))
    axes.set_xlabel(axis)
    axes.set_ylabel(unit)
    axes.set_ylim(bottom=0)
    axes.set_title(title)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    _finish(figure, folder, name)
