"""Web applications that Airflow's API server mounts."""
