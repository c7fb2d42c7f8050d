"""The few kinds of panels that our dashboards are made of, on top of Grafana's own builders."""

from __future__ import annotations

from typing import Final

from grafana_foundation_sdk.builders import common, heatmap, prometheus, stat, timeseries
from grafana_foundation_sdk.builders import dashboard as dashboards
from grafana_foundation_sdk.models.common import (
    BigValueColorMode,
    BigValueGraphMode,
    LegendDisplayMode,
    LegendPlacement,
    SortOrder,
    StackingMode,
    TooltipDisplayMode,
)
from grafana_foundation_sdk.models.dashboard import DataSourceRef, Threshold, ThresholdsMode
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

PROMETHEUS: Final = DataSourceRef(type_val="prometheus", uid="${datasource}")
THIRD, EIGHTH = 8, 3
_LETTERS: Final = "ABCDEFGHIJ"

Query = tuple[str, str]
"""A PromQL expression, and what its lines are called."""


def lines(title: str, *queries: Query, says: str, unit: str = "short", stacked: bool = False) -> timeseries.Panel:
    """Figures over time. ``says`` is what the picture means, and what is good."""
    legend = common.VizLegendOptions().display_mode(LegendDisplayMode.LIST).placement(LegendPlacement.BOTTOM)
    tooltip = common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI).sort(SortOrder.DESCENDING)
    panel = timeseries.Panel().title(title).description(says).unit(unit).min(0).span(THIRD).height(8)
    panel.datasource(PROMETHEUS).legend(legend.show_legend(True)).tooltip(tooltip).fill_opacity(25 if stacked else 8)
    if stacked:
        panel.stacking(common.StackingConfig().mode(StackingMode.NORMAL))
    for letter, (expr, name) in zip(_LETTERS, queries, strict=False):
        panel.with_target(query(letter, expr, name))
    return panel


def heat(title: str, buckets: str, *, says: str) -> heatmap.Panel:
    """A heat map of latencies out of a histogram: ``buckets`` is the name of its ``_bucket`` series, with matchers."""
    colors = heatmap.HeatmapColorOptions().mode(HeatmapColorMode.SCHEME).scheme("Spectral").steps(64)
    expr = f"sum by (le) (increase({buckets}[$__rate_interval]))"
    panel = heatmap.Panel().title(title).description(says).span(THIRD).height(8).datasource(PROMETHEUS)
    panel.calculate(False).color(colors).y_axis(heatmap.YAxisConfig().unit("s"))
    return panel.with_target(query("A", expr, "{{le}}").format(PromQueryFormat.HEATMAP))


def number(
    title: str, expr: str, *, says: str, unit: str = "short", good: tuple[float, float] | None = None
) -> stat.Panel:
    """One figure of now. ``good`` is where it turns orange, and where red."""
    steps = [Threshold(color="green", value=None)]
    if good is not None:
        steps += [Threshold(color="orange", value=good[0]), Threshold(color="red", value=good[1])]
    panel = stat.Panel().title(title).description(says).unit(unit).span(EIGHTH).height(4).datasource(PROMETHEUS)
    panel.color_mode(BigValueColorMode.VALUE).graph_mode(BigValueGraphMode.AREA)
    panel.thresholds(dashboards.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps))
    return panel.with_target(query("A", expr, ""))


def marks(name: str, color: str, expr: str) -> dashboards.AnnotationQuery:
    """Marks in every picture of a dashboard, wherever the query has a value."""
    return dashboards.AnnotationQuery().name(name).datasource(PROMETHEUS).enable(True).icon_color(color).expr(expr)


def query(letter: str, expr: str, legend: str) -> prometheus.Dataquery:
    """One query of a panel."""
    return prometheus.Dataquery().ref_id(letter).expr(expr).legend_format(legend).range().datasource(PROMETHEUS)


def quantile(share: float, buckets: str, by: str = "") -> str:
    """A quantile out of a histogram; ``by`` are further labels to keep apart."""
    labels = f"{by}, le" if by else "le"
    return f"histogram_quantile({share}, sum by ({labels}) (rate({buckets}[$__rate_interval])))"


def quantiles(buckets: str) -> tuple[Query, ...]:
    """The three that tell most."""
    return tuple((quantile(share, buckets), f"p{share * 100:g}") for share in (0.5, 0.95, 0.99))


def rate(expr: str, by: str = "") -> str:
    """How much of a counter a second, over all processes; ``by`` are labels to keep apart."""
    return f"sum{f' by ({by})' if by else ''} (rate({expr}[$__rate_interval]))"
