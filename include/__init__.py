"""What Airworthy means: plain Python that knows nothing of Airflow."""
