"""Airflow plugin; `.airflowignore` excludes all other files from the plugin loader."""

from __future__ import annotations

from airflow.plugins_manager import AirflowPlugin

from airworthy.failures import RunCreation
from airworthy.links import (
    BacktestLink,
    CertificateLink,
    DataDocsLink,
    DriftReportLink,
    MlflowPageLink,
    MlflowRunLink,
    ModelCardLink,
    ModelPageLink,
    ModelsLink,
    ProfileLink,
    QuarantinedRowsLink,
    RegistryVersionLink,
    RejectedRowsLink,
)
from airworthy.timetables import (
    DayMapper,
    LandingTimetable,
    NightTimetable,
    PublishedHourTimetable,
    PublishedPartitionTimetable,
)
from airworthy.ui.app import airworthy_app
from include.settings import settings


class AirworthyPlugin(AirflowPlugin):
    """Register task links, timetables, deadlines, the pages of the fleet, and entries of the menu."""

    name = "airworthy"
    operator_extra_links = [
        BacktestLink(),
        CertificateLink(),
        DataDocsLink(),
        DriftReportLink(),
        MlflowPageLink(),
        MlflowRunLink(),
        ModelCardLink(),
        ModelPageLink(),
        ModelsLink(),
        ProfileLink(),
        QuarantinedRowsLink(),
        RegistryVersionLink(),
        RejectedRowsLink(),
    ]
    timetables = [LandingTimetable, NightTimetable, PublishedPartitionTimetable, PublishedHourTimetable]
    partition_mappers = [DayMapper]
    deadline_references = [RunCreation]
    fastapi_apps = [{"name": "airworthy", "app": airworthy_app, "url_prefix": "/airworthy"}]
    # Relative, so that they are right behind a proxy. MLflow refuses to be framed.
    external_views = [
        {"name": "Models", "href": "airworthy/", "url_route": "models", "category": "browse"},
        {"name": "Model data", "href": "airworthy/tables", "url_route": "model-data", "category": "browse"},
        {"name": "MLflow", "href": f"{settings().mlflow_public_uri}/#/models", "category": "browse"},
    ]
