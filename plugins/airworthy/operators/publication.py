"""Publish a dataset's partition, and set off what is complete with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airworthy import assets, run_context
from airworthy.operators.ingestion import PublishPartitionOperator
from airworthy.timetables import INCOMPLETE
from include import partitions
from include.catalog import catalog

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk import Asset, Context, XComArg

    from include.data.lake.delta_tables import Lake
    from include.declarations import FeatureView
    from include.partitions import Partition


class PublishDatasetOperator(PublishPartitionOperator):
    """
    Replace the run's days of a dataset, and announce every day for which a feature view now has all inputs.

    A day is announced once: when the last of its inputs is published, and again whenever one of them is
    published anew. A day that lacks another input sets nothing off; the log names what is missing.
    Of labels the XCom `completeness` says which part of each day's rows have theirs by now.

    Example::

        PublishDatasetOperator(task_id="publish", dataset="flights", frame=validate.output)

    :param dataset: a declared dataset
    :param frame: path of the staged frame (templated)
    """

    def __init__(self, *, dataset: str, frame: str | XComArg, **kwargs: Any) -> None:
        granularity = catalog().datasets[dataset].granularity
        super().__init__(
            table=dataset, frame=frame, granularity=granularity, outlets=outlets(dataset), **kwargs
        )

    def announce(self, context: Context, lake: Lake) -> None:
        """Tell those who follow the dataset, and each feature view which of its days are complete."""
        run_context.announce_partitions(context, assets.dataset(self.table))
        for view in _readers(self.table):
            context["outlet_events"][assets.inputs_asset(view.name)].add_partitions(
                self._complete(context, lake, view)
            )
        if complete := self._labels(context, lake):
            context["ti"].xcom_push("completeness", complete)

    def _labels(self, context: Context, lake: Lake) -> dict[str, dict[str, float]]:
        """Return, by use case and day, which part of the rows have their label now, if this is the label."""
        from include.data.snapshots import label_completeness

        shares = {}
        for use_case in catalog().use_cases.values():
            if use_case.label.dataset != self.table:
                continue
            view, least = catalog().feature_views[use_case.feature_view], use_case.label.minimum_completeness
            found = label_completeness.label_completeness(use_case, view, lake, run_context.run_days(context))
            shares[use_case.name] = {str(day): one.share for day, one in found.items()}
            for day in (day for day, one in found.items() if one.share < least):
                self.log.warning(
                    "%s: %.1f %% of the labels of %s have landed; it is learnt from at %.0f %%",
                    use_case.name, 100 * found[day].share, day, 100 * least,
                )  # fmt: skip
        return shares

    def _complete(self, context: Context, lake: Lake, view: FeatureView) -> list[str]:
        from include.data.features import readiness

        days = run_context.run_days(context)
        found = readiness.dependent_days(view, self.table, days, lake, datasets=catalog().datasets)
        for day, missing in found.waiting.items():
            self.log.info("%s of %s waits for %s", view.name, day, ", ".join(missing))
        if context["dag_run"].partition_key is None:
            ready = [partitions.format_key(stretch) for stretch in partitions.contiguous_ranges(found.ready)]
        else:
            ready = [str(day) for day in found.ready]
        return ready or [f"{INCOMPLETE} {run_context.partition_key(context)}"]


def outlets(dataset: str) -> list[Asset]:
    """Return the assets that change with a dataset: itself, and the inputs of each view that reads it."""
    return [assets.dataset(dataset), *(assets.inputs_asset(view.name) for view in _readers(dataset))]


def publish_asset_event(context: Context, dataset: str, changed: Sequence[Partition], lake: Lake) -> None:
    """Name these partitions on the assets of a dataset, each stretch of days once."""
    from include.data.features import readiness

    events, days = context["outlet_events"], sorted({partitions.day_of(one) for one in changed})
    keys = [partitions.format_key(stretch) for stretch in partitions.contiguous_ranges(changed)]
    events[assets.dataset(dataset)].add_partitions(keys)
    for view in _readers(dataset):
        found = readiness.dependent_days(view, dataset, days, lake, datasets=catalog().datasets)
        ready = [partitions.format_key(stretch) for stretch in partitions.contiguous_ranges(found.ready)]
        events[assets.inputs_asset(view.name)].add_partitions(ready or [f"{INCOMPLETE} {keys[0]}"])


def _readers(dataset: str) -> list[FeatureView]:
    views = catalog().feature_views.values()
    return [view for view in views if dataset in {source.dataset for source in view.sources}]
