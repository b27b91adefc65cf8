"""From an address to its page in the platform's web console."""

from __future__ import annotations

import re
from urllib.parse import quote

from airflow_provider_neuro_buckets.buckets.config import BucketsConfig
from airflow_provider_neuro_buckets.buckets.errors import InvalidAddress
from airflow_provider_neuro_buckets.buckets.uri import BlobAddress, is_blob_uri, parse_blob_uri

_MAGIC = re.compile(r"[*?\[\\]")
_PLACE = re.compile(r"\{(\w+)\}")


def console_link(config: BucketsConfig, address: object) -> str:
    """Return the URL that `console_url` of a configuration makes of an address; empty for none. Requests nothing.

    :param address: a bucket's name or id, or a ``blob:`` URI; of a pattern the folder before its first operator
        counts, and the first of several addresses.
    """
    if isinstance(address, list | tuple):
        address = next(iter(address), None)
    if config.console_url is None or not address:
        return ""
    try:
        found = _read(str(address))
    except InvalidAddress:
        return ""
    places = {
        "cluster_name": found.cluster or config.cluster_name,
        "org_name": found.org or config.org_name,
        "project_name": found.project or found.owner or config.project_name,
        "bucket": found.bucket,
        "key": found.key,
    }
    if not all(places[name] for name in _PLACE.findall(config.console_url) if name != "key"):
        return ""  # only the platform knows, and nobody asks it for a link
    return _PLACE.sub(lambda place: quote(places[place[1]] or "", safe="/"), config.console_url)


def _read(text: str) -> BlobAddress:
    if not is_blob_uri(text) and not set(":/") & set(text):
        return BlobAddress(bucket=text, key="")
    if found := _MAGIC.search(text):
        text = text[: text.rfind("/", 0, found.start()) + 1]
    return parse_blob_uri(text)[0]
