"""Airflow plugin; `.airflowignore` excludes all other files from the plugin loader."""

from __future__ import annotations

from airflow.plugins_manager import AirflowPlugin

from airworthy.links import (
    BacktestLink,
    DataDocsLink,
    DriftReportLink,
    MlflowPageLink,
    MlflowRunLink,
    ModelCardLink,
    ModelsLink,
    ProfileLink,
    RejectedRowsLink,
)
from airworthy.timetables import (
    DayMapper,
    LandingTimetable,
    PublishedHourTimetable,
    PublishedPartitionTimetable,
)
from airworthy.ui import reports
from include.settings import settings


class AirworthyPlugin(AirflowPlugin):
    """Register task links, timetables, the application that serves reports, and MLflow's menu entry."""

    name = "airworthy"
    operator_extra_links = [
        BacktestLink(),
        DataDocsLink(),
        DriftReportLink(),
        MlflowPageLink(),
        MlflowRunLink(),
        ModelCardLink(),
        ModelsLink(),
        ProfileLink(),
        RejectedRowsLink(),
    ]
    timetables = [LandingTimetable, PublishedPartitionTimetable, PublishedHourTimetable]
    partition_mappers = [DayMapper]
    fastapi_apps = [{"name": "airworthy", "app": reports.reports_app, "url_prefix": "/airworthy"}]
    external_views = [
        {
            "name": "Models",
            "href": f"http://127.0.0.1:{settings().mlflow_port}/#/models",
            "url_route": "models",
            "category": "browse",
        }
    ]
