"""Buckets as an fsspec filesystem, and with it as `ObjectStoragePath("blob://conn@bucket/key")`."""
