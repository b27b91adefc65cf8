"""Whether content that does not fit what is known of its blob is wrong, or nothing that fits is known of the blob."""

from __future__ import annotations

from airflow_provider_neuro_buckets.buckets.errors import IntegrityError
from airflow_provider_neuro_buckets.buckets.stores.base import BlobMeta, BlobStore, Proof
from airflow_provider_neuro_buckets.buckets.threads import in_thread
from airflow_provider_neuro_buckets.buckets.transfer.checksum import (
    Read,
    can_compare,
    has_checksum,
    is_made_of,
    may_be_made_of,
)
from airflow_provider_neuro_buckets.buckets.transfer.content import vouches_for_md5


async def judge(store: BlobStore, meta: BlobMeta, read: Read) -> Proof:
    """Return what proves that content is that of a blob, of which neither the MD5 nor parts of usual sizes do.

    :param read: reads the content.
    :raises IntegrityError: it is not.
    """
    if meta.md5 is None and can_compare(meta):
        part = await store.first_part(meta)
        if part is not None and may_be_made_of(meta, part):
            if not await in_thread(lambda: is_made_of(meta, read, part)):
                raise corrupt(store, meta)
            return Proof.CHECKSUM
    checksum = await store.checksum(meta)
    if checksum is not None:
        has_it = await in_thread(lambda: has_checksum(checksum, meta.size, read))
        if has_it is False:
            raise _other_bytes(store, meta, checksum.algorithm.upper())
        if has_it:
            return Proof.CHECKSUM
    if meta.md5 is not None:
        await refuse_if_vouched(store, meta)
    return Proof.SIZE


async def refuse_if_vouched(store: BlobStore, meta: BlobMeta) -> None:
    """Refuse content that has another MD5 than its blob.

    :raises IntegrityError: what looks like its MD5 is that.
    """
    if await vouches_for_md5(store, meta):
        raise corrupt(store, meta)


def corrupt(store: BlobStore, meta: BlobMeta) -> IntegrityError:
    """Return the error for bytes that arrived as others."""
    return _other_bytes(store, meta, "MD5" if meta.md5 is not None else "ETag, which is made of the MD5s of its parts")


def _other_bytes(store: BlobStore, meta: BlobMeta, what: str) -> IntegrityError:
    return IntegrityError(
        f"the bytes received of {store.address(meta.key)} do not have its {what}", remedy="Transfer it again"
    )
