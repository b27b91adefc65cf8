"""Paths of the filesystem: ``bucket/key``, where the key is the text as it stands, with no escapes."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass
from urllib.parse import quote

from fsspec.utils import stringify_path

from airflow_provider_neuro_buckets.buckets.errors import ConfigurationError, InvalidAddress, IsADirectory

SCHEME = "blob"
_START = f"{SCHEME}://"
_FORM = "Write blob://bucket/key, or blob://conn_id@bucket/key"


@dataclass(frozen=True, slots=True)
class Place:
    """A blob or a folder, as a path names it.

    :ivar bucket: name or id; empty for the list of all buckets.
    :ivar key: exactly what stands behind the bucket; empty for the bucket itself.
    """

    bucket: str
    key: str

    def __str__(self) -> str:
        return _START + self.path

    @property
    def path(self) -> str:
        """The path without a scheme."""
        return f"{self.bucket}/{self.key}" if self.key else self.bucket

    @property
    def uri(self) -> str:
        """The ``blob:`` address that the client reads, with escapes."""
        # yarl is for those who really read and write
        from airflow_provider_neuro_buckets.buckets.uri import quote_key  # noqa: PLC0415 - as said

        return f"{SCHEME}:{quote(self.bucket, safe='')}/{quote_key(self.key)}"

    @property
    def folder(self) -> str:
        """The address of what lies below."""
        return self.uri if not self.key else f"{self.uri}/"

    def below(self, name: str) -> Place:
        """Return what is called `name` in this folder."""
        return Place(self.bucket, f"{self.key}/{name}" if self.key else name)


def split_url(path: object) -> tuple[str | None, str]:
    """Return the conn id that a URL names, and the path behind it with its slashes."""
    text = str(stringify_path(path))
    if not text.startswith(_START):
        return None, text.removeprefix(f"{SCHEME}::")
    head, slash, tail = text[len(_START) :].partition("/")
    conn_id, at, bucket = head.rpartition("@")
    return (conn_id or None) if at else None, bucket + slash + tail


def parse_path(path: object, *, conn_id: str | None) -> Place:
    """Read a path; slashes at its end only say that a folder is meant.

    :param conn_id: the connection that answers.
    :raises InvalidAddress: it names no bucket, or a folder that no path can name.
    :raises ConfigurationError: it asks for another connection.
    """
    named, text = split_url(path)
    if named is not None and named != conn_id:
        raise ConfigurationError(
            f"{_START}{named}@{text} is not on connection {conn_id!r}, which was asked for it",
            remedy="Make a path of its own for each connection",
        )
    bucket, slash, key = text.partition("/")
    if not bucket and (slash or key):
        raise InvalidAddress(f"{text!r} begins with a slash, where a bucket should be named", remedy=_FORM)
    if key.endswith("//") or key == "/":
        raise InvalidAddress(
            f"{_START}{text} ends with an empty name, which paths cannot tell from the folder above it",
            remedy="Use the hook for such keys",
        )
    return Place(bucket, key.removesuffix("/"))


def parse_blob(path: object, *, conn_id: str | None) -> Place:
    """Read the path of a blob.

    :raises InvalidAddress: as :func:`parse_path`, or it names a bucket only.
    :raises IsADirectory: it ends with a slash.
    """
    place = parse_path(path, conn_id=conn_id)
    if not place.key:
        raise InvalidAddress(f"{place} is not a blob", remedy=_FORM)
    if str(stringify_path(path)).endswith("/"):
        raise IsADirectory(
            f"{place}/ ends with a slash: that is a folder",
            remedy="Leave the slash out, or use the hook for such a key",
        )
    return place


def stripped(path: object) -> str:
    """Return a path as fsspec keeps it: with no scheme, no conn id and no slash at its end."""
    return split_url(path)[1].rstrip("/")


def target_of(source: str, destination: str, *, is_dir: bool) -> str:
    """Return where fsspec copies a file or folder: into a folder that exists, or under the new name.

    :param source: a path; with a slash at its end what is in it is copied, and not itself.
    :param destination: a path; a slash at its end says that it is a folder.
    :param is_dir: the destination is a folder.
    """
    if (is_dir or destination.endswith("/")) and not source.endswith("/"):
        return posixpath.join(destination.rstrip("/"), source.rpartition("/")[2])
    return destination.rstrip("/")
