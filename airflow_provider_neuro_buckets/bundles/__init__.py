"""DAG bundles in a bucket."""
