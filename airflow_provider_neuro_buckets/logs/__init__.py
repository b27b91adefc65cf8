"""Task logs of Airflow in a bucket."""
