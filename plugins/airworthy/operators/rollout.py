"""Begin and end a rollout: between the two, one attempt owns the use case."""

from __future__ import annotations

from dataclasses import asdict
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowSkipException

from airworthy import runs
from airworthy.hooks.airworthy_database import AirworthyDatabaseHook
from airworthy.hooks.gateway import GatewayHook
from airworthy.hooks.model_registry import ModelRegistryHook
from airworthy.links import ModelsLink
from include.settings import settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Engine

    from airflow.sdk import Context, XComArg

    from include.certificates.certificate import Certificate
    from include.modeling.registry.registry import Registry
    from include.release.rollout import Hold


class ReleaseOperator(BaseOperator):
    """What the operators of a rollout share: the use case, the hold on it, and who they talk to."""

    template_fields: Sequence[str] = ("use_case", "hold")
    operator_extra_links = (ModelsLink(),)

    def __init__(
        self,
        *,
        use_case: str,
        hold: dict[str, Any] | XComArg | None = None,
        airworthy_conn_id: str = AirworthyDatabaseHook.default_conn_name,
        mlflow_conn_id: str = ModelRegistryHook.default_conn_name,
        gateway_conn_id: str = GatewayHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.use_case = use_case
        self.hold: Any = hold
        self.airworthy_conn_id = airworthy_conn_id
        self.mlflow_conn_id = mlflow_conn_id
        self.gateway_conn_id = gateway_conn_id

    @cached_property
    def engine(self) -> Engine:
        """The airworthy database."""
        return AirworthyDatabaseHook(self.airworthy_conn_id).engine

    @cached_property
    def registry(self) -> Registry:
        """The model registry."""
        return ModelRegistryHook(self.mlflow_conn_id, engine=self.engine).registry

    @property
    def evidence_url(self) -> str:
        """What the gateway says of the use case."""
        return GatewayHook(self.gateway_conn_id).page(self.use_case)

    def held(self) -> Hold:
        """Return the hold that `begin` took."""
        from include.release.rollout import Hold

        return Hold(**self.hold)

    def verified(self, version: int) -> Certificate:
        """
        Return the certificate of a version, which is the model that the ledger says was registered.

        :raises CertificateInvalid: if nobody trusted certified exactly these files for this use case
        :raises ReleaseError: if another model was registered as this version, or none
        """
        from include.database import ledger
        from include.modeling.registration.versions import verify

        certificate = verify(self.registry, self.use_case, version, trusted=settings().trusted_keys)
        with self.engine.connect() as connection:
            ledger.require_registered(connection, self.use_case, version, certificate.model_digest)
        return certificate

    def show_aliases(self) -> None:
        """Make MLflow's aliases follow the desired state."""
        from include.modeling.registration.versions import project
        from include.release import rollout

        with self.engine.connect() as connection:
            state = rollout.read(connection, self.use_case)
        project(self.registry, state)


class BeginRolloutOperator(ReleaseOperator):
    """
    Verify the candidate's certificate and take the use case for its rollout; the XCom is the hold.

    Skips the rollout of a version that is the champion already.

    Example::

        begin = BeginRolloutOperator(task_id="begin", use_case="flight_delay").as_setup()

    :param use_case: a declared use case
    """

    def execute(self, context: Context) -> dict[str, Any]:
        """Return the hold."""
        from include.release import rollout

        version = runs.candidate_version(context)
        with self.engine.connect() as connection:
            if rollout.read(connection, self.use_case).champion == version:
                raise AirflowSkipException(f"{self.use_case} version {version} is the champion already.")
        self.verified(version)
        owner, actor = runs.run_key(context), runs.requester(context)
        return asdict(rollout.begin(self.engine, self.use_case, version, owner=owner, actor=actor))


class RestoreChampionOperator(ReleaseOperator):
    """
    Unless the challenger was promoted, give the champion all traffic back and retire the challenger.

    Example::

        RestoreChampionOperator(task_id="restore", use_case="flight_delay", hold=begin.output).as_teardown()

    :param use_case: a declared use case
    :param hold: what `BeginRolloutOperator` returned (templated)
    """

    def execute(self, context: Context) -> bool:
        """Return whether there was a challenger to retire."""
        from include.release import rollout

        reason = "the rollout ended without a promotion"
        owner, actor, version = runs.run_key(context), runs.actor(context), self.held().version
        retired = rollout.restore(
            self.engine, self.use_case, version, owner=owner, actor=actor, reason=reason
        )
        if retired:
            self.show_aliases()
        return retired


class RollBackOperator(ReleaseOperator):
    """
    Make the previous champion the champion again.

    Example::

        RollBackOperator(task_id="roll_back", use_case="flight_delay", reason="{{ params.reason }}")

    :param use_case: a declared use case
    :param reason: why, for the ledger (templated)
    """

    template_fields: Sequence[str] = ("use_case", "reason")

    def __init__(self, *, reason: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.reason = reason

    def execute(self, context: Context) -> int | None:
        """Return the version that is the champion now."""
        from include.release import rollout

        key, actor = runs.run_key(context), runs.actor(context)
        state = rollout.roll_back(self.engine, self.use_case, actor=actor, reason=self.reason, key=key)
        self.show_aliases()
        return state.champion
