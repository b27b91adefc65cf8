"""An S3 endpoint with one bucket of a great many keys, made up as they are asked for: ``listing_server.py COUNT``.

It answers ListObjectsV2 and nothing else, with no more work than joining prepared text, so that whoever lists waits for
himself. Signatures are not looked at.
"""

from __future__ import annotations

import asyncio
import sys

from aiohttp import web

PAGE = 1000
_HEAD = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
    "<Name>keys</Name><Prefix>{prefix}</Prefix><KeyCount>{count}</KeyCount><MaxKeys>{most}</MaxKeys>"
    "<EncodingType>url</EncodingType><IsTruncated>{more}</IsTruncated>{next}"
)
_KEY = "<Contents><Key>folder-{folder:04}/key-{number:09}.bin</Key>"
_REST = (
    "<LastModified>2026-01-02T03:04:05.000Z</LastModified><ETag>&quot;d41d8cd98f00b204e9800998ecf8427e&quot;</ETag>"
    "<Size>4096</Size><StorageClass>STANDARD</StorageClass></Contents>"
)
_TAIL = "</ListBucketResult>"


def page(begin: int, *, count: int, most: int, prefix: str) -> str:
    """Return the page of a listing that begins at key number `begin` of `count`."""
    end = min(begin + most, count)
    more = end < count
    head = _HEAD.format(
        prefix=prefix,
        count=end - begin,
        most=most,
        more=str(more).lower(),
        next=f"<NextContinuationToken>{end}</NextContinuationToken>" if more else "",
    )
    keys = "".join(_KEY.format(folder=number // PAGE, number=number) + _REST for number in range(begin, end))
    return head + keys + _TAIL


def application(count: int) -> web.Application:
    """Return the endpoint, with `count` keys."""

    async def answer(request: web.Request) -> web.Response:
        query = request.query
        if request.method != "GET" or query.get("list-type") != "2":
            return web.Response(status=501, text="<Error><Code>NotImplemented</Code></Error>", content_type="text/xml")
        most = min(PAGE, int(query.get("max-keys", PAGE)))
        begin = int(query.get("continuation-token", "0"))
        shown = count if not query.get("prefix") else 0
        text = page(begin, count=shown, most=most, prefix=query.get("prefix", ""))
        return web.Response(text=text, content_type="application/xml")

    made = web.Application()
    made.router.add_route("*", "/{anything:.*}", answer)
    return made


async def _main(count: int) -> None:
    runner = web.AppRunner(application(count), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    print(f"http://{host}:{port}", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    sys.exit(asyncio.run(_main(int(sys.argv[1]))))
