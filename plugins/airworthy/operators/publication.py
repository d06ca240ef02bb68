"""Publication of datasets, and the asset events that follow from it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowSkipException

from airworthy import assets, run_context
from airworthy.hooks.airworthy_database import AirworthyDatabaseHook
from airworthy.operators.ingestion import PublishPartitionOperator
from airworthy.timetables import INCOMPLETE
from include import partitions
from include.catalog import catalog
from include.errors import AirworthyError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk import Asset, Context, XComArg

    from airworthy.hooks.lake import LakeHook
    from include.data.lake.delta_tables import Lake
    from include.declarations import FeatureView
    from include.partitions import Partition


class PublishSourceOperator(PublishPartitionOperator):
    """
    Replace the run's partitions of a table that feature views read, and announce them.

    A feature view's partition is announced when the last of its inputs is published, and again whenever one
    of them is published again. A partition with a missing input is not announced; the log names what is
    missing.

    Example::

        PublishSourceOperator(task_id="publish", table="flight_features", frame=validate.output, outlets=[…])

    :param table: a declared dataset or feature view
    :param frame: path of the staged frame (templated)
    :param outlets: the asset of the table; those of the inputs of its readers are added
    """

    def __init__(self, *, table: str, outlets: Sequence[Asset], **kwargs: Any) -> None:
        self.own_outlets = tuple(outlets)
        all_outlets = [*outlets, *_inputs_of_readers(table)]
        super().__init__(table=table, partitions_of=table, outlets=all_outlets, **kwargs)

    def announce(self, context: Context, lake: Lake) -> None:
        """Send the asset events of the table and of each feature view that reads it."""
        for asset in self.own_outlets:
            run_context.announce_partitions(context, asset)
        for view in _readers(self.table):
            context["outlet_events"][assets.inputs_asset(view.name)].add_partitions(
                self._complete(context, lake, view)
            )

    def _complete(self, context: Context, lake: Lake, view: FeatureView) -> list[str]:
        from include.data.features import readiness

        changed = self.partitions(context)
        dependent = readiness.dependent_partitions(
            view, self.table, changed, lake, datasets=catalog().sources
        )
        for partition, missing in dependent.waiting.items():
            name = partitions.format_partition(partition)
            self.log.info("%s of %s waits for %s", view.name, name, ", ".join(missing))
        # A day of a source may complete 24 hours of a view, the first version of a reference table all days.
        is_whole = catalog().sources[self.table].whole
        if context["dag_run"].partition_key is None or view.granularity == "hour" or is_whole:
            ready = _format_ranges(dependent.ready)
        else:
            ready = [partitions.format_partition(partition) for partition in dependent.ready]
        return ready or [f"{INCOMPLETE} {run_context.partition_key(context)}"]


class PublishDatasetOperator(PublishSourceOperator):
    """
    Replace the run's days of a dataset, and send an asset event for each day whose inputs are complete.

    For a dataset of labels, the XCom `completeness` holds the share of each day's rows whose label landed.

    Example::

        PublishDatasetOperator(task_id="publish", dataset="flights", frame=validate.output)

    :param dataset: a declared dataset
    :param frame: path of the staged frame (templated)
    """

    def __init__(
        self,
        *,
        dataset: str,
        frame: str | XComArg,
        airworthy_conn_id: str = AirworthyDatabaseHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(table=dataset, frame=frame, outlets=[assets.dataset(dataset)], **kwargs)
        self.airworthy_conn_id = airworthy_conn_id

    def execute(self, context: Context) -> int:
        """Return the version of the table after the commit, which records the code of the declaration."""
        from include.data.build_code import declared_code

        self.code = declared_code(self.table)
        return super().execute(context)

    def skip_without_news(self, context: Context, hook: LakeHook) -> None:
        """
        Skip a nightly run that read the same rows again of a dataset that is read whole.

        Rejected rows of a dataset that is read whole are pending with its newest version alone.
        """
        dataset = catalog().datasets[self.table]
        if not dataset.whole:
            return
        from include.data.quarantine import intake
        from include.data.quarantine.queue import Quarantine
        from include.data.whole_datasets import unchanged_since

        queue = Quarantine(dataset, hook.lake, AirworthyDatabaseHook(self.airworthy_conn_id).engine)
        day = max(run_context.run_days(context))
        run = run_context.attempt_key(context)
        newest = None
        if run_context.is_scheduled(context):
            newest = unchanged_since(dataset, hook.lake, hook.staging.open(self.frame))
        if newest is not None:
            intake.attach_to_version(queue, day, newest, run=run)
            raise AirflowSkipException(
                f"{dataset.name}: the file has the rows that were read on {newest}; nothing new has landed."
            )
        intake.supersede_versions(queue, day, run=run)

    def announce(self, context: Context, lake: Lake) -> None:
        """Send the asset events, and record how complete the labels of use cases are."""
        super().announce(context, lake)
        if complete := self._labels(context, lake):
            context["ti"].xcom_push("completeness", complete)

    def _labels(self, context: Context, lake: Lake) -> dict[str, dict[str, float]]:
        """Return the share of rows whose label has landed, by use case and day; empty for other datasets."""
        from include.data.snapshots import label_completeness

        shares = {}
        for use_case in catalog().use_cases.values():
            if use_case.label.dataset != self.table:
                continue
            spine = catalog().spine_of(use_case)
            minimum = use_case.label.minimum_completeness
            try:
                completeness = label_completeness.label_completeness(
                    use_case, spine, lake, run_context.run_days(context)
                )
            # The partition is published: another team's use case must not fail this task.
            except AirworthyError as error:
                self.log.warning("%s: its labels were not counted: %s", use_case.name, error)
                continue
            shares[use_case.name] = {str(day): counts.share for day, counts in completeness.items()}
            for day, counts in completeness.items():
                if counts.share < minimum:
                    self.log.warning(
                        "%s: %.1f %% of the labels of %s have landed; training uses the day from %.0f %% on",
                        use_case.name, 100 * counts.share, day, 100 * minimum,
                    )  # fmt: skip
        return shares


def outlets(dataset: str) -> list[Asset]:
    """Return the assets that change with a dataset: its own, and the inputs of each view that reads it."""
    return [assets.dataset(dataset), *_inputs_of_readers(dataset)]


def publish_asset_event(context: Context, dataset: str, changed: Sequence[Partition], lake: Lake) -> None:
    """Send asset events for changed partitions of a dataset, one for each contiguous range."""
    from include.data.features import readiness

    events = context["outlet_events"]
    keys = _format_ranges(changed)
    events[assets.dataset(dataset)].add_partitions(keys)
    for view in _readers(dataset):
        dependent = readiness.dependent_partitions(view, dataset, changed, lake, datasets=catalog().sources)
        ready = _format_ranges(dependent.ready)
        events[assets.inputs_asset(view.name)].add_partitions(ready or [f"{INCOMPLETE} {keys[0]}"])


def _format_ranges(changed: Sequence[Partition]) -> list[str]:
    return [
        partitions.format_key(partition_range) for partition_range in partitions.contiguous_ranges(changed)
    ]


def _inputs_of_readers(table: str) -> list[Asset]:
    return [assets.inputs_asset(view.name) for view in _readers(table)]


def _readers(dataset: str) -> list[FeatureView]:
    """Return the feature views that read a dataset."""
    readers = []
    for view in catalog().feature_views.values():
        if dataset in {source.dataset for source in view.sources}:
            readers.append(view)
    return readers
