"""HTTP/1.1 to a storage: connections, what goes out, what comes in. Of buckets, blobs and providers it knows nothing.

Why not aiohttp, which speaks to the platform: it takes a third of the CPU time that a small file needs. Here asyncio
has the sockets, httptools reads the answers, and a large body goes from the system into the buffer that is handed on.
"""
