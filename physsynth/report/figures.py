"""Figures as plain dicts that Plotly reads, from plain arrays.

Colours are those of Okabe and Ito (2008), "Color universal design", which people with colour-blindness
can tell apart; every colour comes with a dash or a symbol of its own, so that a figure also reads in grey.
Each function returns ``data``, ``layout`` and, where a narrow screen needs another arrangement,
``narrow``: changes of the layout by dotted path.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from physsynth.report.numbers import percent, significant

Spec = dict[str, Any]
Band = tuple[ArrayLike, ArrayLike]

INK, QUIET, LINE = "#1b2229", "#56616c", "#e3e7eb"
BLUE, VERMILION, GREEN, ORANGE = "#0072b2", "#d55e00", "#009e73", "#e69f00"
PURPLE, SKY = "#cc79a7", "#56b4e9"
MODE_COLOURS = (VERMILION, BLUE, GREEN, PURPLE, ORANGE, SKY)
MODE_DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
DECADES_BELOW, DECADES_SHOWN = 1e4, 1e12
FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Liberation Sans", Arial, sans-serif'


@dataclass(frozen=True)
class Panel:
    """One small multiple: points against predictive bands.

    Parameters
    ----------
    title : str
    x : sequence of float
        Where the bands are given.
    bands : mapping of float to (lower, upper)
        Probability of each band, for example 0.5 and 0.9.
    observed_x, observed : sequence of float
        The measured points.
    median : sequence of float, optional
    """

    title: str
    x: ArrayLike
    bands: Mapping[float, Band]
    observed_x: ArrayLike
    observed: ArrayLike
    median: ArrayLike | None = None


@dataclass(frozen=True)
class Row:
    """A number with a range, on a line of its own."""

    label: str
    value: float
    lower: float
    upper: float
    note: str = ""


def curves_over_data(
    times: ArrayLike,
    curves: Mapping[str, Any],
    observed: Mapping[str, tuple[ArrayLike, ArrayLike]],
    threshold: float | None = None,
    *,
    x: str = "time [h]",
    y: str = "concentration [mg/L]",
    threshold_label: str = "",
    at_most: int = 40,
) -> Spec:
    """Draw simulated curves, coloured by mode, over measured points.

    Parameters
    ----------
    times : (T,)
    curves : mapping of mode to array (n, T)
        Of each mode at most `at_most` are drawn, evenly picked.
    observed : mapping of subject to (times, values)
        May be empty.
    threshold : float, optional
        Drawn as a line with `threshold_label`.
    x, y : str
        Titles of the axes.
    """
    lines = [_mode_trace(times, mode, part, i, at_most) for i, (mode, part) in enumerate(curves.items())]
    points = [_points(*_joined(observed), f"measured ({len(observed)} subjects)")] if observed else []
    layout = _layout(x, y, height=460, yaxis={"rangemode": "tozero"})
    if threshold is not None:
        layout |= _line_across(threshold, threshold_label or significant(threshold))
    return {"data": [*lines, *points], "layout": layout, "narrow": {"height": 440}}


def cause_and_response(
    times: ArrayLike,
    causes: Mapping[str, ArrayLike],
    responses: Mapping[str, ArrayLike],
    threshold: float | None = None,
    *,
    x: str = "time [s]",
    cause: str = "excitation",
    response: str = "displacement [m]",
    threshold_label: str = "",
) -> Spec:
    """Draw one input over time for each mode, and below it, on the same times, what it brings about.

    Parameters
    ----------
    times : (T,)
    causes : mapping of mode to (T,) or (T - 1,)
        With one value less than there are times, each holds between two of them.
    responses : mapping of mode to (T,)
    threshold : float, optional
        Drawn over the responses with `threshold_label`, and mirrored where a response goes that far
        below zero.
    x, cause, response : str
        Titles of the axes.
    """
    above = [_signal_trace(times, mode, part, i, "y2") for i, (mode, part) in enumerate(causes.items())]
    below = [_signal_trace(times, mode, part, i, "y") for i, (mode, part) in enumerate(responses.items())]
    layout = _layout(x, response, height=560)
    layout["yaxis2"] = {**layout["yaxis"], "title": {"text": cause, "standoff": 8}, "domain": [0.55, 1.0]}
    layout["yaxis"] |= {"domain": [0.0, 0.45]}
    layout["xaxis"] |= {"anchor": "y"}
    if threshold is not None:
        lowest = min(float(np.min(np.asarray(part, float))) for part in responses.values())
        levels = [threshold, -threshold] if lowest <= -0.9 * threshold else [threshold]
        layout["shapes"] = [_line_across(level, "")["shapes"][0] for level in levels]
        layout["annotations"] = _line_across(threshold, threshold_label)["annotations"]
    return {"data": [*above, *below], "layout": layout, "narrow": {"height": 480}}


def interval_rows(
    rows: Sequence[Row],
    *,
    x: str = "failure probability",
    log: bool = True,
    target: tuple[float, str] | None = None,
) -> Spec:
    """Draw numbers with their ranges one under the other, on one axis.

    Parameters
    ----------
    rows : sequence of Row
        From top to bottom; for example the Monte Carlo error and the posterior range apart.
    target : (value, label), optional
        A line to compare with.
    """
    places = list(range(len(rows)))[::-1]
    ranges = [_range_trace(row, place, i) for i, (row, place) in enumerate(zip(rows, places, strict=True))]
    layout = _layout(x, "", height=95 + 74 * len(rows), showlegend=False)
    layout["yaxis"] = {"visible": False, "range": [-0.55, len(rows) - 0.25], "fixedrange": True}
    layout["xaxis"] |= _axis(log, [end for row in rows for end in (row.lower, row.upper)])
    layout["annotations"] = [_row_label(row, place) for row, place in zip(rows, places, strict=True)]
    layout["margin"] |= {"l": 16}
    if target is not None:
        layout |= _line_up(*target, annotations=layout["annotations"])
    return {"data": ranges, "layout": layout}


def distribution(
    samples: ArrayLike,
    *,
    weights: ArrayLike | None = None,
    percentiles: Sequence[float] = (5, 50, 95),
    x: str = "failure probability",
    log: bool = True,
    bins: int = 40,
) -> Spec:
    """Draw the distribution of a quantity as a histogram with percentiles marked.

    Samples that are 0 have no place on a log axis, and those many decades below the others would leave the
    others none; they count in the percentiles and are named in the axis title.
    """
    values = np.asarray(samples, float)
    share = np.full(values.shape, 1 / values.size) if weights is None else np.asarray(weights, float)
    share = share / share.sum()
    marks = {p: weighted_percentile(values, share, p) for p in percentiles}
    least = _least_shown(values, list(marks.values())) if log else -np.inf
    kept = (values > 0) & (values >= least) if log else np.isfinite(values)
    edges, heights = _histogram(values[kept], share[kept], bins, log)
    where = f"below {significant(least)}" if (values[~kept] > 0).any() else "at 0"
    left_out = f" ({percent(1 - share[kept].sum())} {where} not shown)" if share[~kept].sum() > 0 else ""
    layout = _layout(x + left_out, "share of the draws", height=340, showlegend=False)
    layout["xaxis"] |= _axis(log, edges)
    layout["yaxis"] |= {"tickformat": ".0%", "rangemode": "tozero"}
    shown = {p: value for p, value in marks.items() if not log or value >= least > 0}
    layout["shapes"] = [_upright(value) for value in shown.values()]
    layout["annotations"] = [_mark(p, value, log, i) for i, (p, value) in enumerate(shown.items())]
    layout["margin"] |= {"t": 58}
    return {"data": [_steps(edges, heights)], "layout": layout}


def bars(
    labels: Sequence[str],
    values: ArrayLike,
    *,
    lower: ArrayLike | None = None,
    upper: ArrayLike | None = None,
    x: str = "share of the probability",
    colours: Sequence[str] = (BLUE,),
    form=percent,
) -> Spec:
    """Draw horizontal bars, each labelled above and with its value at the end.

    Parameters
    ----------
    labels, values : one of each per bar, from top to bottom
    lower, upper : sequence of float, optional
        Ranges, drawn as whiskers.
    colours : sequence of str
        Repeated as needed; `MODE_COLOURS` to match `curves_over_data`.
    form : callable
        Turns a value into its text.
    """
    places = list(range(len(labels)))[::-1]
    trace = {
        "type": "bar",
        "orientation": "h",
        "x": numbers(values),
        "y": places,
        "width": 0.42,
        "marker": {"color": [colours[i % len(colours)] for i in range(len(labels))]},
        "customdata": list(labels),
        "hovertemplate": "%{customdata}: %{x}<extra></extra>",
    }
    heights = np.asarray(values, float).tolist()
    highest = max(heights if upper is None else [*heights, *np.asarray(upper, float).tolist()], default=1.0)
    if lower is not None and upper is not None:
        trace["error_x"] = _whiskers(values, lower, upper)
    layout = _layout(x, "", height=80 + 58 * len(labels), showlegend=False)
    layout["yaxis"] = {"visible": False, "range": [-0.5, len(labels) - 0.25], "fixedrange": True}
    layout["xaxis"] |= {"range": [0, 1.02 * highest], "tickformat": ".0%" if form is percent else ""}
    layout["margin"] |= {"l": 16}
    layout["annotations"] = [
        _bar_label(label, form(float(value)), place)
        for label, value, place in zip(labels, heights, places, strict=True)
    ]
    return {"data": [trace], "layout": layout}


def predictive_panels(
    panels: Sequence[Panel],
    *,
    x: str = "time [h]",
    y: str = "concentration [mg/L]",
    columns: int = 4,
) -> Spec:
    """Draw small multiples on shared axes: measured points against predictive bands."""
    data = [trace for i, panel in enumerate(panels) for trace in _panel_traces(panel, i)]
    wide, wide_height = _grid(len(panels), columns)
    narrow, narrow_height = _grid(len(panels), 2)
    top = max(_highest(panel) for panel in panels)
    right = max(float(np.max(panel.x)) for panel in panels)
    layout = _layout("", "", height=wide_height)
    layout["margin"] |= {"l": 48, "b": 50}
    for i, panel in enumerate(panels):
        layout[_axis_name("x", i)] = _panel_axis(wide[i][0], "y", i, [0, 1.02 * right])
        layout[_axis_name("y", i)] = _panel_axis(wide[i][1], "x", i, [0, 1.06 * top])
        layout.setdefault("annotations", []).append(_panel_title(panel.title, i))
    layout["annotations"] += _shared_titles(x, y)
    changes = {"height": narrow_height, "legend.y": 1 + 46 / narrow_height}
    for i in range(len(panels)):
        changes[f"{_axis_name('x', i)}.domain"], changes[f"{_axis_name('y', i)}.domain"] = narrow[i]
    layout["legend"] |= {"y": 1 + 46 / wide_height}
    return {"data": data, "layout": layout, "narrow": changes}


def fan(
    n: ArrayLike,
    quantiles: Mapping[float, ArrayLike],
    *,
    target: float | None = None,
    planned: float | None = None,
    x: str = "further patients",
    y: str = "width of the 90 % interval (factor)",
    log: bool = True,
) -> Spec:
    """Draw how the spread of a quantity shrinks with the number of measurements, as a fan.

    Parameters
    ----------
    n : (N,)
    quantiles : mapping of float to (N,)
        For example 0.05, 0.5, 0.8, 0.95; outermost pairs are filled, the median is drawn solid.
    target, planned : float, optional
        The spread wanted, and the n to plan with.
    """
    levels = sorted(quantiles)
    data = _fan_traces(numbers(n), {level: numbers(quantiles[level]) for level in levels})
    layout = _layout(x, y, height=400)
    spreads = np.concatenate([np.asarray(quantiles[level], float) for level in levels])
    layout["yaxis"] |= _axis(log, spreads[np.isfinite(spreads)])
    if target is not None:
        layout |= _line_across(target, f"target {significant(target)}", layout["yaxis"])
    if planned is not None:
        layout["shapes"] = [*layout.get("shapes", []), _upright(planned)]
        label = _label_up(planned, f"plan with {significant(planned)}")
        layout["annotations"] = [*layout.get("annotations", []), label]
    return {"data": data, "layout": layout}


def with_line(spec: Spec, value: float, label: str) -> Spec:
    """Return a figure with one more line across it, for example a floor below a target."""
    layout = spec["layout"]
    line = _line_across(value, label, layout.get("yaxis"))
    both = {part: [*layout.get(part, []), *line[part]] for part in ("shapes", "annotations")}
    return {**spec, "layout": {**layout, **both}}


def curve(
    x_values: ArrayLike,
    y_values: ArrayLike,
    *,
    marked: tuple[float, str] | None = None,
    x: str = "",
    y: str = "",
) -> Spec:
    """Draw one curve, with a place on it marked and named.

    Parameters
    ----------
    x_values, y_values : (N,)
    marked : (x, label), optional
    x, y : str
        Titles of the axes.
    """
    line = {"type": "scatter", "mode": "lines", "x": numbers(x_values), "y": numbers(y_values)}
    look = {"line": {"color": BLUE, "width": 2}, "hovertemplate": "%{x:.3g}: %{y:.3g}<extra></extra>"}
    layout = _layout(x, y, height=340, showlegend=False)
    if marked is not None:
        layout["shapes"] = [_upright(marked[0])]
        layout["annotations"] = [_label_up(*marked)]
    return {"data": [{**line, **look}], "layout": layout}


def xy_over_data(
    grid: ArrayLike,
    bands: Mapping[float, Band],
    observed_x: ArrayLike,
    observed: ArrayLike,
    *,
    median: ArrayLike | None = None,
    marks: Mapping[str, tuple[float, float]] | None = None,
    x: str = "speed [m/s]",
    y: str = "stopping distance [m]",
) -> Spec:
    """Draw measured points over predictive bands against a condition.

    Parameters
    ----------
    grid : (G,)
        Conditions at which the bands are given.
    bands : mapping of float to (lower (G,), upper (G,))
    observed_x, observed : (N,)
    median : (G,), optional
    marks : mapping of label to (x, y), optional
        Points to be named, for example the case in question.
    """
    panel = Panel("", grid, bands, observed_x, observed, median)
    layout = _layout(x, y, height=430, yaxis={"rangemode": "tozero"}, xaxis={"rangemode": "tozero"})
    layout["annotations"] = [_callout(label, *place) for label, place in (marks or {}).items()]
    named = [_mark_trace(label, *place) for label, place in (marks or {}).items()]
    return {"data": [*_panel_traces(panel, 0), *named], "layout": layout}


def residuals(
    points: tuple[ArrayLike, ArrayLike],
    means: tuple[ArrayLike, ArrayLike],
    band: Band,
    *,
    x: str = "time [s]",
    y: str = "residual over noise",
) -> Spec:
    """Draw residuals over a coordinate, their mean at each place, and where it lies under a right model.

    Parameters
    ----------
    points : (coordinate (N,), residual (N,))
    means : (coordinate (P,), mean (P,))
    band : (lower (P,), upper (P,))
    """
    line = {
        "type": "scatter",
        "mode": "lines+markers",
        "x": numbers(means[0]),
        "y": numbers(means[1]),
        "line": {"color": BLUE, "width": 1.5},
        "name": "mean at each place",
        "hoverinfo": "x+y",
    }
    layout = _layout(x, y, height=380)
    layout["shapes"] = [_line_across(0.0, "")["shapes"][0]]
    shade = _band(means[0], band, "rgba(0,114,178,.16)", "mean of a right model, 95 %")
    labels = ["residual"] * np.size(points[1])
    return {"data": [shade, line, _points(*points, labels, "residual")], "layout": layout}


def numbers(values: Any) -> list[float | None]:
    """Return numbers as a list with six significant digits; None where they are not finite."""
    array = np.asarray(values, float).ravel()
    return [float(f"{value:.6g}") if np.isfinite(value) else None for value in array]


def weighted_percentile(values: np.ndarray, weights: np.ndarray, percentile: float) -> float:
    """Return the value below which `percentile` per cent of the weight lies.

    Examples
    --------
    >>> weighted_percentile(np.array([3.0, 1.0, 2.0]), np.array([1.0, 1.0, 2.0]) / 4, 50)
    2.0
    """
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weights[order])
    index = np.searchsorted(reached, percentile / 100 * (1 - 1e-12))
    return float(values[order][min(index, values.size - 1)])


def _layout(x, y, *, height, showlegend=True, xaxis=None, yaxis=None) -> Spec:
    axis = {
        "gridcolor": LINE,
        "linecolor": QUIET,
        "ticks": "outside",
        "tickcolor": QUIET,
        "ticklen": 4,
        "zeroline": False,
        "automargin": True,
    }
    return {
        "height": height,
        "font": {"family": FONT, "size": 13, "color": INK},
        "paper_bgcolor": "#fff",
        "plot_bgcolor": "#fff",
        "margin": {"l": 56, "r": 16, "t": 44, "b": 48},
        "hovermode": "closest",
        "hoverlabel": {"font": {"family": FONT, "size": 13}},
        "dragmode": "zoom",
        "showlegend": showlegend,
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "xanchor": "left"},
        "xaxis": {
            **axis,
            "title": {"text": x, "standoff": 8},
            "showgrid": False,
            "showline": True,
            **(xaxis or {}),
        },
        "yaxis": {**axis, "title": {"text": y, "standoff": 8}, **(yaxis or {})},
    }


def _mode_trace(times, mode, curves, place, at_most):
    array = np.atleast_2d(np.asarray(curves, float))
    picked = array[np.unique(np.linspace(0, len(array) - 1, min(at_most, len(array))).round().astype(int))]
    gap = np.full((len(picked), 1), np.nan)
    return {
        "type": "scatter",
        "mode": "lines",
        "name": mode,
        "x": numbers(np.hstack([np.tile(np.asarray(times, float), (len(picked), 1)), gap])),
        "y": numbers(np.hstack([picked, gap])),
        "line": {
            "color": MODE_COLOURS[place % len(MODE_COLOURS)],
            "width": 1,
            "dash": MODE_DASHES[place % len(MODE_DASHES)],
        },
        "opacity": 0.45,
        "connectgaps": False,
        "hoverinfo": "name",
    }


def _signal_trace(times, mode, values, place, axis):
    """Draw one curve; values between two times are held, so the last is repeated at the end."""
    values = np.asarray(values, float)
    held = len(values) == len(np.asarray(times)) - 1
    return {
        "type": "scatter",
        "mode": "lines",
        "name": mode,
        "legendgroup": mode,
        "showlegend": axis == "y2",
        "xaxis": "x",
        "yaxis": axis,
        "x": numbers(times),
        "y": numbers(np.append(values, values[-1]) if held else values),
        "line": {
            "color": MODE_COLOURS[place % len(MODE_COLOURS)],
            "width": 1.6,
            "dash": MODE_DASHES[place % len(MODE_DASHES)],
            "shape": "hv" if held else "linear",
        },
    }


def _joined(observed):
    pairs = [(np.asarray(x, float), np.asarray(y, float)) for x, y in observed.values()]
    labels = [name for name, (x, _) in zip(observed, pairs, strict=True) for _ in x]
    return np.concatenate([x for x, _ in pairs]), np.concatenate([y for _, y in pairs]), labels


def _points(x, y, labels, name):
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": numbers(x),
        "y": numbers(y),
        "customdata": labels,
        "hovertemplate": "%{customdata}: %{y}<extra></extra>",
        "marker": {"color": INK, "size": 5, "line": {"color": "#fff", "width": 1}},
    }


def _line_across(value, label, axis=None):
    """A line and its label; on a log axis Plotly wants a line's own value, but the logarithm for a label."""
    place = float(np.log10(value)) if (axis or {}).get("type") == "log" else value
    line = {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": value, "y1": value}
    text = {"xref": "paper", "x": 1, "xanchor": "right", "y": place, "yanchor": "bottom", "text": label}
    return {
        "shapes": [{**line, "line": {"color": INK, "width": 1.5, "dash": "dash"}}],
        "annotations": [
            {**text, "showarrow": False, "font": {"size": 12.5}, "bgcolor": "rgba(255,255,255,.8)"}
        ],
    }


def _upright(value):
    line = {"type": "line", "yref": "paper", "y0": 0, "y1": 1, "x0": value, "x1": value}
    return {**line, "line": {"color": INK, "width": 1.3, "dash": "dash"}}


def _label_up(x, text):
    place = {"x": x, "yref": "paper", "y": 1, "yanchor": "bottom", "xanchor": "center"}
    return {**place, "text": text, "showarrow": False, "font": {"size": 12.5}}


def _line_up(value, label, annotations):
    return {"shapes": [_upright(value)], "annotations": [*annotations, _label_up(np.log10(value), label)]}


def _axis(log, values):
    """Describe an axis that spans values: on a log axis in powers of ten."""
    if not log:
        return {}
    array = np.asarray(values, float)
    array = array[array > 0]
    low, high = np.log10(array.min()), np.log10(array.max())
    margin = max(0.06 * (high - low), 0.08)
    ticks = {"dtick": 1} if high - low > 1 else {}
    span = [round(float(low - margin), 4), round(float(high + margin), 4)]
    return {"type": "log", "range": span, "exponentformat": "power", **ticks}


def _range_trace(row, place, i):
    colour = (BLUE, VERMILION, GREEN, PURPLE)[i % 4]
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "x": numbers([row.lower, row.value, row.upper]),
        "y": [place, place, place],
        "name": row.label,
        "line": {"color": colour, "width": 5},
        "marker": {
            "color": [colour, "#fff", colour],
            "size": [12, 13, 12],
            "symbol": ["line-ns", "circle", "line-ns"],
            "line": {"color": colour, "width": 2.5},
        },
        "hovertemplate": "%{x}<extra></extra>",
    }


def _row_label(row, place):
    words = f"<b>{_safe(row.label)}</b>  {_safe(row.note)}" if row.note else f"<b>{_safe(row.label)}</b>"
    at = {"xref": "paper", "x": 0, "xanchor": "left", "y": place, "yanchor": "bottom", "yshift": 14}
    return {**at, "text": words, "showarrow": False, "align": "left", "font": {"size": 13}}


def _bar_label(label, value, place):
    at = {"xref": "paper", "x": 0, "xanchor": "left", "y": place, "yanchor": "bottom", "yshift": 9}
    return {**at, "text": f"{_safe(label)}  <b>{_safe(value)}</b>", "showarrow": False, "align": "left"}


def _least_shown(values, marks):
    """Return the least value that a log axis shows: a few decades below the least percentile."""
    positive = values[values > 0]
    if not positive.size:
        return 0.0
    return max(positive.min(), min(marks) / DECADES_BELOW, max(marks) / DECADES_SHOWN)


def _histogram(values, share, bins, log):
    scale = np.log10(values) if log else values
    heights, edges = np.histogram(scale, bins=bins, weights=share)
    return (10**edges if log else edges), heights


def _steps(edges, heights):
    return {
        "type": "scatter",
        "mode": "lines",
        "x": numbers(edges),
        "y": numbers([*heights, 0.0]),
        "line": {"shape": "hv", "color": BLUE, "width": 1.5},
        "fill": "tozeroy",
        "fillcolor": "rgba(0,114,178,.22)",
        "hovertemplate": "%{x}: %{y:.1%}<extra></extra>",
    }


def _mark(percentile, value, log, i):
    text = f"{significant(percentile)} %<br><b>{percent(value)}</b>"
    return _label_up(np.log10(value) if log and value > 0 else value, text)


def _whiskers(values, lower, upper):
    value, low, high = (np.asarray(part, float) for part in (values, lower, upper))
    sides = {"array": numbers(high - value), "arrayminus": numbers(value - low), "symmetric": False}
    return {"type": "data", **sides, "color": INK, "thickness": 1.5, "width": 5}


def _panel_traces(panel, i):
    axes = {"xaxis": _short("x", i), "yaxis": _short("y", i), "showlegend": i == 0}
    shades = ("rgba(0,114,178,.16)", "rgba(0,114,178,.34)", "rgba(0,114,178,.5)")
    traces = []
    for shade, level in zip(shades, sorted(panel.bands, reverse=True), strict=False):
        traces.append({**_band(panel.x, panel.bands[level], shade, f"{100 * level:g} % predicted"), **axes})
    if panel.median is not None:
        line = {"type": "scatter", "mode": "lines", "x": numbers(panel.x), "y": numbers(panel.median)}
        style = {
            "line": {"color": BLUE, "width": 1.5},
            "name": "median",
            "hoverinfo": "y",
            "legendgroup": "median",
        }
        traces.append({**line, **style, **axes})
    labels = [panel.title or "measured"] * len(np.ravel(panel.observed))
    points = _points(panel.observed_x, panel.observed, labels, "measured")
    return [*traces, {**points, **axes, "legendgroup": "measured"}]


def _band(x, band, shade, name):
    x, (lower, upper) = np.asarray(x, float), band
    return {
        "type": "scatter",
        "mode": "lines",
        "x": numbers(np.concatenate([x, x[::-1]])),
        "y": numbers(np.concatenate([np.asarray(upper, float), np.asarray(lower, float)[::-1]])),
        "fill": "toself",
        "fillcolor": shade,
        "line": {"width": 0, "color": BLUE},
        "name": name,
        "legendgroup": name,
        "hoverinfo": "skip",
    }


def _grid(count, columns):
    """Domains (x, y) of panels in rows, with room for a title above each, and the height of the whole."""
    columns = min(columns, count)
    rows = -(-count // columns)
    height = 110 + 150 * rows
    gap_x, gap_y = 0.16 / columns, 0.24 / rows
    wide, tall = (1 - gap_x * (columns - 1)) / columns, (1 - gap_y * rows) / rows
    places = [(i % columns, i // columns) for i in range(count)]
    domains = [
        (_span(column * (wide + gap_x), wide), _span(1 - gap_y - tall - row * (tall + gap_y), tall))
        for column, row in places
    ]
    return domains, height


def _span(start, length):
    return [round(max(start, 0.0), 5), round(min(start + length, 1.0), 5)]


def _panel_axis(domain, anchor, i, span):
    look = {"gridcolor": LINE, "zeroline": False, "ticks": "outside", "ticklen": 3, "tickcolor": QUIET}
    return {
        **look,
        "domain": domain,
        "anchor": _short(anchor, i),
        "range": [float(f"{end:.4g}") for end in span],
        "tickfont": {"size": 11},
        "nticks": 4,
        "showgrid": anchor == "x",
        "showline": anchor == "y",
        "linecolor": QUIET,
        "matches": None if i == 0 else ("x" if anchor == "y" else "y"),
    }


def _panel_title(title, i):
    at = {"xref": f"{_short('x', i)} domain", "yref": f"{_short('y', i)} domain", "x": 0, "y": 1}
    look = {"showarrow": False, "xanchor": "left", "yanchor": "bottom", "font": {"size": 12}}
    return {**at, **look, "text": f"<b>{_safe(title)}</b>"}


def _shared_titles(x, y):
    below = {"x": 0.5, "y": 0, "xanchor": "center", "yanchor": "top", "yshift": -24, "text": _safe(x)}
    beside = {"x": 0, "y": 0.5, "xanchor": "right", "yanchor": "middle", "xshift": -28, "textangle": -90}
    page = {"xref": "paper", "yref": "paper", "showarrow": False}
    return [{**page, **below}, {**page, **beside, "text": _safe(y)}]


def _highest(panel):
    ends = [np.max(np.asarray(upper, float)) for _, upper in panel.bands.values()]
    return float(max([*ends, np.max(np.asarray(panel.observed, float))]))


def _fan_traces(n, quantiles):
    levels = sorted(quantiles)
    outer = (quantiles[levels[0]], quantiles[levels[-1]])
    span = f"{100 * levels[0]:g} to {100 * levels[-1]:g} % of outcomes"
    traces = [_band(n, outer, "rgba(0,114,178,.18)", span)]
    dashes = {0.5: "solid"}
    for level in levels:
        edge = level in (levels[0], levels[-1])
        line = {
            "color": BLUE,
            "width": 1 if edge else 2.2,
            "dash": dashes.get(level, "dot" if edge else "dash"),
        }
        traces.append(
            {
                "type": "scatter",
                "mode": "lines",
                "x": n,
                "y": quantiles[level],
                "line": line,
                "name": f"{100 * level:g} %",
                "showlegend": not edge,
                "hovertemplate": f"{100 * level:g} %: %{{y:.3g}} at n = %{{x}}<extra></extra>",
            }
        )
    return traces


def _mark_trace(label, x, y):
    look = {"symbol": "diamond", "size": 11, "color": VERMILION, "line": {"color": "#fff", "width": 1.2}}
    return {
        "type": "scatter",
        "mode": "markers",
        "x": numbers([x]),
        "y": numbers([y]),
        "marker": look,
        "name": label,
        "showlegend": False,
        "hovertemplate": f"{_safe(label)}<extra></extra>",
    }


def _callout(label, x, y):
    return {"x": x, "y": y, "text": _safe(label), "showarrow": True, "arrowhead": 0, "ax": -40, "ay": -34}


def _axis_name(letter, i):
    return f"{letter}axis" if i == 0 else f"{letter}axis{i + 1}"


def _short(letter, i):
    return letter if i == 0 else f"{letter}{i + 1}"


def _safe(text):
    """Escape text for Plotly, which reads a few HTML tags."""
    return str(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
