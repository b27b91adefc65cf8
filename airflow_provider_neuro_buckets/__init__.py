"""Apache Airflow provider for Neuro (Apolo) buckets.

Airflow imports this module whenever it starts, so it loads nothing but the standard library.
"""

from airflow_provider_neuro_buckets.get_provider_info import get_provider_info

__version__ = "0.1.0"

__all__ = ["__version__", "get_provider_info"]
