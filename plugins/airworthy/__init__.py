"""Airflow extensions: hooks, operators, sensors, triggers, timetables, links and pages."""
