"""Panels that all dashboards use: Prometheus data with a unit, a legend and a description."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from grafana_foundation_sdk.builders import common, dashboard, heatmap, prometheus, stat, table, text, timeseries
from grafana_foundation_sdk.models.common import (
    BigValueColorMode,
    LegendDisplayMode,
    LegendPlacement,
    SortOrder,
    StackingMode,
    TooltipDisplayMode,
)
from grafana_foundation_sdk.models.dashboard import (
    DataSourceRef,
    DataTransformerConfig,
    DynamicConfigValue,
    Threshold,
    ThresholdsMode,
    VariableRefresh,
    VariableSort,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

SOURCE: Final = DataSourceRef(type_val="prometheus", uid="prometheus")
Query = tuple[str, str]
"""PromQL and the legend of its series."""
HEIGHT: Final = 8
COLUMNS: Final = 24
"""Width of a dashboard, in grid columns."""


def _query(query: Query, ref: int) -> prometheus.Dataquery:
    expr, legend = query
    return prometheus.Dataquery().expr(expr).legend_format(legend).ref_id(chr(ord("A") + ref)).datasource(SOURCE)


def graph(
    title: str,
    queries: Sequence[Query],
    unit: str,
    description: str,
    *,
    span: int = 8,
    stacked: bool = False,
    limit: float | None = None,
    top: float | None = None,
) -> timeseries.Panel:
    """A time series panel.

    Args:
        title: of the panel.
        queries: whose series are shown.
        unit: Grafana's name of the unit.
        description: what the panel shows.
        span: width in columns.
        stacked: whether to stack the series, because their sum is meaningful.
        limit: threshold, drawn as a line.
        top: upper end of the axis.
    """
    panel = (
        timeseries.Panel()
        .title(title)
        .description(description)
        .datasource(SOURCE)
        .unit(unit)
        .min(0)
        .span(span)
        .height(HEIGHT)
        .line_width(1)
        .fill_opacity(30 if stacked else 5)
        .legend(
            common.VizLegendOptions()
            .display_mode(LegendDisplayMode.LIST)
            .placement(LegendPlacement.BOTTOM)
            .show_legend(True)
            .calcs([])
        )
        .tooltip(common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI).sort(SortOrder.DESCENDING))
        .targets([_query(query, ref) for ref, query in enumerate(queries)])
    )
    if stacked:
        panel.stacking(common.StackingConfig().mode(StackingMode.NORMAL).group("A"))
    if top is not None:
        panel.max(top)
    if limit is not None:
        panel.thresholds(_thresholds(limit, rising=True))
        panel.thresholds_style(common.GraphThresholdsStyleConfig().mode("line"))  # type: ignore[arg-type]
    return panel


def stat_panel(
    title: str,
    query: str,
    unit: str,
    description: str,
    *,
    limit: float | None = None,
    rising: bool = True,
    span: int = 4,
) -> stat.Panel:
    """A panel with one current value.

    Args:
        title: of the panel.
        query: PromQL that gives one series.
        unit: Grafana's name of the unit.
        description: what the panel shows.
        limit: threshold beyond which the value is red.
        rising: whether values above the limit are bad; else those below are.
        span: width in columns.
    """
    panel = (
        stat.Panel()
        .title(title)
        .description(description)
        .datasource(SOURCE)
        .unit(unit)
        .span(span)
        .height(4)
        .color_mode(BigValueColorMode.VALUE if limit is not None else BigValueColorMode.NONE)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).values(False))
        .targets([_query((query, ""), 0)])
    )
    if limit is not None:
        panel.thresholds(_thresholds(limit, rising=rising))
    return panel


def _thresholds(limit: float, *, rising: bool) -> dashboard.ThresholdsConfig:
    below, above = ("green", "red") if rising else ("red", "green")
    steps = [Threshold(value=None, color=below), Threshold(value=limit, color=above)]
    return dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps)


def histogram_heatmap(title: str, histogram: str, unit: str, description: str, *, span: int = 12) -> heatmap.Panel:
    """A heatmap of a histogram over time.

    Args:
        title: of the panel.
        histogram: name of its ``_bucket`` series, with labels in braces.
        unit: of the observations.
        description: what the panel shows.
        span: width in columns.
    """
    expr = f"sum by (le) (increase({histogram}[$__rate_interval]))"
    query = _query((expr, "{{le}}"), 0).format(PromQueryFormat.HEATMAP)
    return (
        heatmap.Panel()
        .title(title)
        .description(description)
        .datasource(SOURCE)
        .span(span)
        .height(HEIGHT)
        .calculate(False)
        .y_axis(heatmap.YAxisConfig().unit(unit))
        .targets([query])
    )


def label_table(title: str, query: str, columns: Sequence[str], description: str, *, span: int = 12) -> table.Panel:
    """A table with one row per series: its labels and its value.

    Args:
        title: of the panel.
        query: PromQL.
        columns: labels, in order; the value comes last.
        description: what the table lists.
        span: width in columns.
    """
    target = _query((query, ""), 0).instant().format(PromQueryFormat.TABLE)
    shown = {"includeByName": dict.fromkeys([*columns, "Value"], True)}
    order = {"indexByName": {name: index for index, name in enumerate([*columns, "Value"])}}
    return (
        table.Panel()
        .title(title)
        .show_header(True)
        .description(description)
        .datasource(SOURCE)
        .span(span)
        .height(HEIGHT)
        .targets([target])
        .with_transformation(DataTransformerConfig(id_val="organize", options=shown | order))
        .override_by_name("Value", [DynamicConfigValue(id_val="unit", value="s")])
    )


def note(content: str) -> text.Panel:
    """A line of text across the whole dashboard."""
    return text.Panel().title("").content(content).span(COLUMNS).height(2)


def quantiles(histogram: str, by: str = "", which: Sequence[float] = (0.5, 0.95, 0.99)) -> list[Query]:
    """Quantiles of a histogram over time.

    Args:
        histogram: name of its ``_bucket`` series, with labels in braces.
        by: label by which series are kept apart.
        which: quantiles, each 0 … 1.
    """
    labels, name = (f"le, {by}", f" {{{{{by}}}}}") if by else ("le", "")
    inner = f"sum by ({labels}) (rate({histogram}[$__rate_interval]))"
    return [(f"histogram_quantile({q:g}, {inner})", f"p{100 * q:g}{name}") for q in which]


def rate(counter: str, by: str) -> str:
    """PromQL: rate of a counter, summed by labels."""
    return f"sum by ({by}) (rate({counter}[$__rate_interval]))"


def variable(name: str, label: str, query: str) -> dashboard.QueryVariable:
    """A dashboard variable: a list from which some or all values can be selected.

    Args:
        name: as used in queries.
        label: as shown to the user.
        query: ``label_values(…)``.
    """
    return (
        dashboard.QueryVariable(name)
        .label(label)
        .query(query)
        .datasource(SOURCE)
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
        .all_value(".*")
        .current({"text": "All", "value": "$__all", "selected": True})  # type: ignore[arg-type]
    )
