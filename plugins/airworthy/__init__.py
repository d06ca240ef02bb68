"""How Airflow talks to the project's world."""
