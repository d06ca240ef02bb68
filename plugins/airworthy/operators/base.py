"""Base classes of the operators."""

from __future__ import annotations

from contextlib import contextmanager
from functools import cached_property, wraps
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, TypeVar, cast

from airflow.sdk import BaseOperator, BaseOperatorLink
from airflow.sdk.exceptions import AirflowSkipException

from airworthy import run_context
from airworthy.hooks.airworthy_database import AirworthyDatabaseHook
from airworthy.hooks.gateway import GatewayHook
from airworthy.hooks.lake import LakeHook
from airworthy.hooks.model_registry import ModelRegistryHook
from airworthy.lineage_events import LineageDataset, lake_table
from airworthy.links import MlflowRunLink, ModelPageLink, ModelsLink, RegistryVersionLink
from include.catalog import catalog
from include.errors import GateFailed
from include.settings import settings

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence
    from datetime import timedelta

    from sqlalchemy import Engine

    from airflow.sdk import Context, XComArg

    from include.certificates.certificate import Certificate
    from include.data.snapshots.snapshot import Snapshot
    from include.declarations import UseCase
    from include.modeling.evaluation.evidence import Evidence
    from include.modeling.pipeline.workspace import TrainedCandidate, Workspace
    from include.modeling.registry.registry import Registry
    from include.release.rollout import Lease


# XCom of a task of a rollout that failed: why, in words for the ledger.
FAILURE = "failure"

Execute = TypeVar("Execute", bound="Callable[[Any, Context], Any]")


def fails_run(execute: Execute) -> Execute:
    """
    Decorate a task of a `ModelOperator`: whatever it raises, the MLflow run ends as FAILED.

    A run that an earlier try ended as FAILED is opened again first. A refusal by the gates is a result, not a
    failure: its run ends as FINISHED. A task that is skipped has not failed either.
    """

    @wraps(execute)
    def wrapper(operator: ModelOperator, context: Context) -> Any:
        from include.modeling.registry.run_outcome import fail_run, reopen_run

        run_id = (operator.candidate or {}).get("run_id", "")
        try:
            is_reopened = bool(run_id) and reopen_run(operator.mlflow.registry, run_id)
            try:
                return execute(operator, context)
            except GateFailed:
                if is_reopened:
                    operator.mlflow.registry.finish(run_id)
                raise
        except (GateFailed, AirflowSkipException):
            raise
        except BaseException as error:
            run_id = (operator.candidate or {}).get("run_id")
            if run_id:
                fail_run(operator.mlflow.registry, run_id, operator.task_id, error)
            raise

    return cast("Execute", wrapper)


class ModelOperator(BaseOperator):
    """Base class of operators for one use case: references to data and model, and connections."""

    template_fields: Sequence[str] = ("use_case", "snapshot", "candidate", "evidence")
    operator_extra_links: Collection[BaseOperatorLink] = (MlflowRunLink(), ModelPageLink())

    def __init__(
        self,
        *,
        use_case: str,
        snapshot: str | XComArg | None = None,
        candidate: dict[str, Any] | XComArg | None = None,
        evidence: dict[str, Any] | XComArg | None = None,
        lake_conn_id: str = LakeHook.default_conn_name,
        mlflow_conn_id: str = ModelRegistryHook.default_conn_name,
        airworthy_conn_id: str = AirworthyDatabaseHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.use_case = use_case
        self.snapshot: Any = snapshot
        self.candidate: Any = candidate
        self.evidence: Any = evidence
        self.lake_conn_id = lake_conn_id
        self.mlflow_conn_id = mlflow_conn_id
        self.airworthy_conn_id = airworthy_conn_id

    @cached_property
    def engine(self) -> Engine:
        """Airworthy database."""
        return AirworthyDatabaseHook(self.airworthy_conn_id).engine

    @cached_property
    def mlflow(self) -> ModelRegistryHook:
        """Hook of MLflow."""
        return ModelRegistryHook(self.mlflow_conn_id, engine=self.engine)

    @property
    def evidence_url(self) -> str:
        """URL of the MLflow run; empty before it exists."""
        run_id = self.candidate.get("run_id") if isinstance(self.candidate, dict) else None
        return self.mlflow.run_url(run_id) if run_id else ""

    def snapshot_tables(self, snapshot: Snapshot) -> tuple[LineageDataset, ...]:
        """Return the tables of a snapshot, at their versions, as lineage."""
        uri = LakeHook(self.lake_conn_id).uri
        return tuple(lake_table(uri, table, version) for table, version in snapshot.versions.items())

    @contextmanager
    def workspace(self) -> Iterator[Workspace]:
        """Provide a workspace whose folder is deleted afterwards."""
        from include.modeling.pipeline.workspace import Workspace

        with TemporaryDirectory(prefix=f"{self.use_case}-") as folder:
            specification = self.snapshot_taken().specification if self.snapshot else None
            keys = settings().signing_key.parent
            yield Workspace(
                self.mlflow.registry, self.specified_use_case(), Path(folder), keys, frozen=specification
            )

    def specified_use_case(self) -> UseCase:
        """
        Return the use case as it was declared when the snapshot was taken; without a snapshot, as it is.

        So a change that is deployed between two tasks counts from the next run on.
        """
        declared = catalog().use_cases[self.use_case]
        specification = self.snapshot_taken().specification if self.snapshot else None
        return specification.governed_by(declared) if specification else declared

    def snapshot_taken(self) -> Snapshot:
        """Return the snapshot of an earlier task."""
        from include.data.snapshots.snapshot import Snapshot

        return Snapshot.from_json(self.snapshot)

    def candidate_trained(self) -> TrainedCandidate:
        """Return the candidate of an earlier task."""
        from include.modeling.pipeline.workspace import TrainedCandidate

        return TrainedCandidate(**self.candidate)

    def evaluate(self, context: Context) -> Evidence:
        """Return the evidence of the candidate, compared with the version that is the champion now."""
        from include.data.snapshots import leakage_history
        from include.data.snapshots import snapshot as snapshots
        from include.data.snapshots.version_rows import version_rows
        from include.database import ledger
        from include.modeling.evaluation.context import DataHistory
        from include.modeling.pipeline.evaluate import evaluate_candidate
        from include.monitoring.production_rows import newest_rows
        from include.release import rollout

        lake = LakeHook(self.lake_conn_id).lake
        snapshot = self.snapshot_taken()
        attempt = self.attempt(context)
        use_case = self.specified_use_case()
        with self.engine.connect() as connection:
            champion = rollout.read_state(connection, self.use_case).champion
            refusals = ledger.refusals_since_promotion(connection, self.use_case, attempt=attempt)
            production = newest_rows(connection, lake, use_case, snapshot, champion)
        is_dated = use_case.split.by == "time"
        history = DataHistory(
            leakage_history.of_snapshot(self.engine, lake, snapshot, is_dated=is_dated),
            production,
        )
        frame = snapshots.read_snapshot(use_case, snapshot, lake)
        with self.workspace() as workspace:
            return evaluate_candidate(
                workspace,
                self.candidate_trained(),
                frame,
                champion_version=champion,
                refusals=refusals,
                history=history,
                read_rows=lambda specification, test: version_rows(specification, snapshot, lake, test),
            )

    def record_refusal(self, context: Context, reason: str, evidence: dict[str, Any]) -> None:
        """Write to the ledger, once per run and candidate, that the candidate was refused."""
        from include.database.ledger import Entry, append

        key = f"{run_context.dag_run_key(context)}/{evidence['run_id']}/gate"
        evidence |= {"attempt": self.attempt(context), "backfill": run_context.is_backfill(context)}
        refusal = Entry(
            self.use_case, "refused", run_context.actor(context), reason, evidence=evidence, dedup_key=key
        )
        with self.engine.begin() as connection:
            append(connection, refusal)

    def attempt(self, context: Context) -> str:
        """Return the identity of the attempt: the DAG run and the inputs of the model."""
        logged = self.mlflow.registry.logged_model(self.candidate_trained().run_id)
        return f"{run_context.dag_run_key(context)}/{logged.tags['airworthy.inputs'] if logged else ''}"


class ReleaseOperator(BaseOperator):
    """What the operators of a rollout share: the use case, its lease, and the connections."""

    template_fields: Sequence[str] = ("use_case", "lease")
    operator_extra_links = (ModelsLink(), ModelPageLink(), RegistryVersionLink())

    def __init__(
        self,
        *,
        use_case: str,
        lease: dict[str, Any] | XComArg | None = None,
        airworthy_conn_id: str = AirworthyDatabaseHook.default_conn_name,
        mlflow_conn_id: str = ModelRegistryHook.default_conn_name,
        gateway_conn_id: str = GatewayHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.use_case = use_case
        self.lease: Any = lease
        self.airworthy_conn_id = airworthy_conn_id
        self.mlflow_conn_id = mlflow_conn_id
        self.gateway_conn_id = gateway_conn_id

    @cached_property
    def engine(self) -> Engine:
        """Airworthy database."""
        return AirworthyDatabaseHook(self.airworthy_conn_id).engine

    @cached_property
    def registry(self) -> Registry:
        """Model registry."""
        return ModelRegistryHook(self.mlflow_conn_id, engine=self.engine).registry

    @property
    def evidence_url(self) -> str:
        """URL of the gateway's page of the use case."""
        return GatewayHook(self.gateway_conn_id).page(self.use_case)

    @property
    def version_url(self) -> str:
        """URL of the version in MLflow's registry; empty without a lease."""
        if not isinstance(self.lease, dict):
            return ""
        return ModelRegistryHook(self.mlflow_conn_id).version_url(self.use_case, self.lease["version"])

    def patience(self, local: timedelta) -> timedelta:
        """
        Return how long a change of what is served may take.

        :param local: how long it may take on this machine
        """
        declared = catalog().use_cases.get(self.use_case)
        return declared.serving.patience(local) if declared else local

    def parse_lease(self) -> Lease:
        """Return the lease that `BeginRolloutOperator` returned as XCom."""
        from include.release.rollout import Lease

        return Lease(**self.lease)

    def verified(self, version: int) -> Certificate:
        """
        Return the verified certificate of a version that is registered in the ledger.

        :raises CertificateInvalid: if no trusted key certified exactly these files for this use case
        :raises ReleaseError: if the ledger has another model for this version, or none
        """
        from include.database import ledger
        from include.modeling.registration.versions import verify_version

        certificate = verify_version(self.registry, self.use_case, version, trusted=settings().trusted_keys)
        with self.engine.connect() as connection:
            ledger.require_registered(connection, self.use_case, version, certificate.model_digest)
        return certificate

    def show_aliases(self) -> None:
        """Set MLflow's aliases to the desired state."""
        from include.modeling.registration.versions import project_aliases
        from include.release import rollout

        with self.engine.connect() as connection:
            state = rollout.read_state(connection, self.use_case)
        project_aliases(self.registry, state)
