"""What a model saves, where it is worst, and when it changed: the results of monitoring in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

COLUMNS = (
    "saved per 1,000 rows",
    "in the window",
    "of the cost without",
    "in all windows",
    "worst slice",
    "changed on",
)


def value_row(quality: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the cells of `COLUMNS` for the figures of the quality of one check."""
    value = quality.get("value") or {}
    slices = "; ".join(map(_slice_text, quality.get("worst_slices") or ()))
    changes = "; ".join(map(_change_text, quality.get("change_points") or ()))
    if "saved" not in value:
        return value.get("reason", ""), "", "", "", slices, changes
    currency = value["currency"]
    saved = f"{value['saved']:,.0f} {currency} ({value['lower']:,.0f} to {value['upper']:,.0f})"
    share = value.get("return")
    return (
        saved,
        f"{value['total']:,.0f} {currency}",
        "" if share is None else f"{share:.0%}",
        _total_text(value.get("of_all") or {}),
        slices,
        changes,
    )


def _total_text(value: Mapping[str, Any]) -> str:
    """Return what all windows saved, with its interval, the share of the cost without and the first day."""
    if "total" not in value:
        return ""
    share = "" if value["return"] is None else f", {value['return']:.0%} of the cost without"
    since = "" if value["start"] is None else f", since {value['start']}"
    interval = f"{value['total_lower']:,.0f} to {value['total_upper']:,.0f}"
    return f"{value['total']:,.0f} {value['currency']} ({interval}){share}{since}"


def describe_maturity(quality: Mapping[str, Any]) -> str:
    """Return after how many days labels are mature, as a sentence; empty if it is not known."""
    maturity = quality.get("maturity") or {}
    if maturity.get("mature_after") is None:
        return ""
    share = max(maturity["shares"])
    return (
        f" Labels are mature {maturity['mature_after']} days after the prediction: {share:.0%} have landed."
    )


def _slice_text(figures: Mapping[str, Any]) -> str:
    lower, upper = figures["interval"]
    return (
        f"{figures['by']} {figures['slice']}: {figures['metric']} {figures['value']:.4g} ({lower:.4g} to "
        f"{upper:.4g}), all rows {figures['overall']:.4g}{', worse' if figures['is_worse'] else ''}"
    )


def _change_text(change: Mapping[str, Any]) -> str:
    return f"{change['day']}: loss {change['before']:.4g}, then {change['after']:.4g}"
