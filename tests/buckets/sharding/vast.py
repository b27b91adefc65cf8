"""A planner in a process of its own, before an S3 endpoint with more keys than anybody would write: made up as listed.

``vast.py COUNT copy|sync`` prints what the plan comes to, and how much memory it took.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import multiprocessing
import sys
from multiprocessing.connection import Connection

from aiohttp import web
from yarl import URL

from airflow_provider_neuro_buckets.buckets.sharding import BucketEnd, CopyJob, Job, SyncJob, plan_shards
from benchmarks.listing_server import PAGE, page
from benchmarks.meter import measured
from buckets.transfer.clients import at, client
from conformance.rigs.base import describe_bucket, describe_keys

SHARDS = 16
_LEVEL = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
    "<EncodingType>url</EncodingType><IsTruncated>false</IsTruncated>{folders}</ListBucketResult>"
)
_FOLDER = "<CommonPrefixes><Prefix>folder-{:04}/</Prefix></CommonPrefixes>"


def endpoint(count: int) -> web.Application:
    """Return the endpoint: each bucket has `count` keys, a thousand in a folder, and swallows what is put into it."""

    async def answer(request: web.Request) -> web.Response:
        if request.method == "PUT":
            digest = hashlib.md5(await request.read()).hexdigest()
            return web.Response(headers={"ETag": f'"{digest}"'})
        query = request.query
        if query.get("list-type") != "2":
            return web.Response(status=404)
        prefix = query.get("prefix", "")
        first = int(prefix.removeprefix("folder-").removesuffix("/")) * PAGE if prefix else 0
        last = first + PAGE if prefix else count
        if query.get("delimiter") and not prefix:
            folders = (
                f"<CommonPrefixes><Prefix>folder-{at:04}/</Prefix></CommonPrefixes>" for at in range(count // PAGE)
            )
            return web.Response(text=_LEVEL.format(folders="".join(folders)), content_type="application/xml")
        begin = int(query.get("continuation-token", first))
        text = page(begin, count=last, most=PAGE, prefix=prefix)
        return web.Response(text=text, content_type="application/xml")

    made = web.Application(client_max_size=1024**3)
    made.router.add_route("*", "/{anything:.*}", answer)
    return made


def serve(count: int, pipe: Connection) -> None:
    """Be the endpoint, in a process of its own, until that is ended."""

    async def run() -> None:
        runner = web.AppRunner(endpoint(count), access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        pipe.send(runner.addresses[0][1])
        await asyncio.Event().wait()

    asyncio.run(run())


async def plan(mode: str, url: str) -> dict[str, object]:
    buckets = [
        (bucket, describe_keys(bucket, bucket_name=name, endpoint_url=url, region_name="us-east-1", **SECRETS))
        for name in ("source", "destination", "scratch")
        for bucket in [describe_bucket(id_=f"bucket-{name}", name=name, provider="minio")]
    ]
    async with client(*buckets) as opened:
        src, dst, work = (BucketEnd(opened, at(bucket)) for bucket, _ in buckets)
        job: Job = CopyJob(src, dst) if mode == "copy" else SyncJob(src, dst, delete_extra=True)
        made = await plan_shards(job, work=BucketEnd(opened, work.uri + "work"), shards=SHARDS)
    return made.as_json()


SECRETS = {"access_key_id": "nobody-looks", "secret_access_key": "nobody-looks"}


def main(count: int, mode: str) -> None:
    here, there = multiprocessing.get_context("spawn").Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(count, there))
    server.start()
    try:
        url = URL.build(scheme="http", host="127.0.0.1", port=here.recv())
        print(json.dumps(measured(lambda: asyncio.run(plan(mode, str(url))))))  # noqa: T201 - the test reads it
    finally:
        server.terminate()
        server.join()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
