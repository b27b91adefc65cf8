"""``airflow neuro-buckets …``: buckets, blobs and credentials from a shell, on an Airflow connection."""
