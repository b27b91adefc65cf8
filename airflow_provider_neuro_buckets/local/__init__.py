"""The embedded platform: the REST service of Neuro buckets with a real S3 server behind it, on this machine alone.

It shares no code with the client, so that each can tell when the other is wrong.
"""
