"""Airflow notifiers of this project."""
