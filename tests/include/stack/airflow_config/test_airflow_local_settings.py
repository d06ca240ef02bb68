"""Modules that the processes of Airflow import before they fork."""

from __future__ import annotations

import warnings
from importlib import reload
from importlib.util import find_spec

import pytest

from include.stack.airflow_config import airflow_local_settings
from include.stack.airflow_config.airflow_local_settings import NOT_IN_TASKS, operator_modules, task_modules


@pytest.mark.parametrize(
    "name",
    ["include.modeling.pipeline.train", "include.release.rollout", "include.monitoring.champion_check"],
)
def test_core_that_operators_import_is_preloaded(name):
    assert name in task_modules()


def test_servers_and_declarations_are_not_preloaded():
    assert all(find_spec(name) for name in NOT_IN_TASKS)
    preloaded = [*operator_modules(), *task_modules()]
    assert not set(NOT_IN_TASKS) & set(preloaded)
    rooms = {name.split(".")[1] for name in preloaded if name.startswith("include.")}
    assert not rooms & {"datasets", "features", "use_cases"}


def test_warning_that_is_not_about_the_task_is_silent():
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        reload(airflow_local_settings)
        warnings.warn("GitWildMatchPattern ('gitwildmatch') is deprecated.", DeprecationWarning, stacklevel=1)
        warnings.warn("another one", DeprecationWarning, stacklevel=1)
    assert [str(warning.message) for warning in shown] == ["another one"]
