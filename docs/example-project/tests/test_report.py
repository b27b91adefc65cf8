from __future__ import annotations

import json
from typing import Any

import pytest
from report import dag


def test_the_report_adds_up_all_tables(hook: Any, bucket: str) -> None:
    hook.put_blob(bucket, "tables/monday.csv", b"shop,sold\nGraz,7\nLinz,1\n")
    hook.put_blob(bucket, "tables/tuesday.csv", b"shop,sold\nGraz,2\n")

    run = dag.test(run_conf={"bucket": bucket})

    assert run.state == "success"
    report = json.loads(b"".join(hook.fetch_blob(bucket, "report.json")))
    assert report == {"tables": 2, "sold": 10}


@pytest.mark.usefixtures("hook")
def test_without_a_bucket_the_run_fails() -> None:
    assert dag.test(run_conf={"bucket": "not-there"}).state == "failed"
