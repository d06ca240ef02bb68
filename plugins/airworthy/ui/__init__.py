"""What the project adds to Airflow's pages."""
