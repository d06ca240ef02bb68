"""Airflow triggers of this project."""
