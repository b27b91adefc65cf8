"""Blobs as assets of Airflow and datasets of OpenLineage."""
