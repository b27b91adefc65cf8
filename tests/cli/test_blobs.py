from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from cli.running import Cli
from platform_rig import Platform

if TYPE_CHECKING:
    from airflow_provider_neuro_buckets.buckets import Buckets


@pytest.fixture
def tree(platform: Platform, bucket: str) -> str:
    """A bucket with some blobs in it."""
    platform.put(bucket, **{"a.txt": b"1", "data/b.txt": b"22", "data/deep/c.bin": b"333", "database.txt": b"4444"})
    return bucket


def keys(cli: Cli, *arguments: str) -> list[str]:
    return [row["key"] for row in cli(*arguments, "-o", "json").rows]


def test_ls_lists_one_level_by_prefix(cli: Cli, tree: str) -> None:
    assert keys(cli, "ls", f"blob:{tree}") == ["data/", "a.txt", "database.txt"]
    assert keys(cli, "ls", f"blob:{tree}/data") == ["data/", "database.txt"]
    assert keys(cli, "ls", f"blob:{tree}/data/") == ["data/deep/", "data/b.txt"]


def test_ls_recursive_lists_every_key(cli: Cli, tree: str) -> None:
    assert keys(cli, "ls", "-r", f"blob:{tree}/data/") == ["data/b.txt", "data/deep/c.bin"]


def test_ls_tells_what_a_program_wants_to_know(cli: Cli, tree: str) -> None:
    [blob] = cli("ls", f"blob:{tree}/a.txt", "-o", "json").rows
    assert blob["uri"].endswith(f"/{tree}/a.txt")
    assert (blob["key"], blob["size"], blob["is_dir"]) == ("a.txt", 1, False)
    assert blob["modified_at"].startswith("20")
    assert blob["etag"]
    [folder] = cli("ls", f"blob:{tree}/data/d", "-o", "json").rows
    assert (folder["key"], folder["size"], folder["modified_at"], folder["is_dir"]) == ("data/deep/", 0, None, True)


def test_a_listing_that_is_cut_says_so_and_one_that_just_fits_does_not(cli: Cli, tree: str) -> None:
    cut = cli("ls", "-r", f"blob:{tree}", "--limit", "3", "-o", "json")
    assert len(cut.rows) == 3
    assert cut.err == "There is more: these are the first 3. --limit 0 lists all.\n"
    for limit in ("4", "5", "0"):
        whole = cli("ls", "-r", f"blob:{tree}", "--limit", limit, "-o", "json")
        assert (len(whole.rows), whole.err) == (4, "")


def test_an_empty_listing_is_an_empty_list(cli: Cli, bucket: str) -> None:
    ran = cli("ls", f"blob:{bucket}", "-o", "json")
    assert (ran.status, ran.out) == (0, "[]\n")
    assert cli("ls", f"blob:{bucket}").out == "No data found\n"


def test_a_table_shows_time_size_and_address(cli: Cli, tree: str) -> None:
    lines = cli("ls", f"blob:{tree}/a.txt").out.splitlines()
    assert lines[0].split() == ["modified_at", "|", "size", "|", "uri"]
    assert lines[2].split()[2] == "1"
    assert lines[2].endswith(f"/{tree}/a.txt")


def test_glob_takes_the_pattern_as_it_stands(cli: Cli, tree: str) -> None:
    assert keys(cli, "glob", f"blob:{tree}/**/*.txt") == ["a.txt", "data/b.txt", "database.txt"]
    assert keys(cli, "glob", f"blob:{tree}/?.txt") == ["a.txt"]
    assert keys(cli, "glob", f"blob:{tree}/[!a]*.txt") == ["database.txt"]
    assert keys(cli, "glob", f"blob:{tree}/*.parquet") == []


def test_whatever_is_in_a_key_the_address_leads_back_to_it(cli: Cli, platform: Platform, bucket: str) -> None:
    odd = ["\x1b[31mred", "two\nlines", "50%25", "q?x#y", "[red]x", "ключ", "\u202egnp.exe"]

    async def put(buckets: Buckets) -> None:
        for key in odd:
            await buckets.put_blob(bucket, key, b"x")

    platform.ask(put)
    rows = cli("ls", "-r", f"blob:{bucket}", "-o", "json").rows
    assert {row["key"] for row in rows} == set(odd)
    for row in rows:
        assert keys(cli, "ls", "-r", row["uri"]) == [row["key"]]
    for output in ("table", "plain", "json", "yaml"):
        assert cli("ls", "-r", f"blob:{bucket}", "-o", output).out.replace("\n", "").isprintable()


def test_rm_removes_one_blob_and_no_other(cli: Cli, platform: Platform, tree: str) -> None:
    ran = cli("rm", f"blob:{tree}/data/b.txt")
    assert (ran.status, ran.out) == (0, f"Removed 1 blob at blob:{tree}/data/b.txt\n")
    assert platform.keys(tree) == ["a.txt", "data/deep/c.bin", "database.txt"]


def test_rm_removes_a_folder_only_when_told(cli: Cli, platform: Platform, tree: str) -> None:
    refused = cli("rm", f"blob:{tree}/data")
    assert refused.status == 1
    assert "--recursive" in refused.err
    assert len(platform.keys(tree)) == 4
    assert cli("rm", "-r", f"blob:{tree}/data", "-o", "json").rows == [{"uri": f"blob:{tree}/data", "blobs": 2}]
    assert platform.keys(tree) == ["a.txt", "database.txt"]


@pytest.mark.parametrize("form", ["blob:{name}", "blob:{name}/", "{uri}", "{uri}/", "blob:{id}"])
def test_rm_empties_a_bucket_only_when_told_whatever_its_address_looks_like(
    cli: Cli, platform: Platform, tree: str, form: str
) -> None:
    [known] = cli("buckets", "get", tree, "-o", "json").rows
    address = form.format(**known)
    refused = cli("rm", "--recursive", address)
    assert (refused.status, refused.err) == (2, f"{address} is a whole bucket. Add --whole-bucket to empty it.\n")
    assert len(platform.keys(tree)) == 4
    assert cli("rm", "--recursive", "--whole-bucket", address).status == 0
    assert platform.keys(tree) == []
    assert tree in platform.buckets()


def test_rm_of_what_is_not_there_fails(cli: Cli, tree: str) -> None:
    for arguments in (["rm"], ["rm", "-r"]):
        ran = cli(*arguments, f"blob:{tree}/nothing")
        assert (ran.status, ran.out, ran.err.count("\n")) == (1, "", 1)
        assert "nothing" in ran.err


def test_sign_prints_a_url_with_which_anybody_gets_the_blob(cli: Cli, tree: str) -> None:
    ran = cli("sign", f"blob:{tree}/data/b.txt", "--expires", "60")
    assert ran.status == 0
    assert ran.err == ""
    [url] = ran.out.splitlines()
    with urlopen(url, timeout=30) as answer:
        assert answer.read() == b"22"
    [row] = cli("sign", f"blob:{tree}/a.txt", "--expires", "60", "-o", "json").rows
    assert row["expires_in_seconds"] == 60
    with urlopen(row["url"], timeout=30) as answer:
        assert answer.read() == b"1"


def test_a_url_for_a_blob_that_is_not_there_is_made_and_gives_nothing(cli: Cli, tree: str) -> None:
    url = cli("sign", f"blob:{tree}/nothing").out.strip()
    with pytest.raises(HTTPError, match="404"):
        urlopen(url, timeout=30)


def test_du_counts_the_blobs_and_bytes_of_a_bucket(cli: Cli, tree: str, bucket: str) -> None:
    assert cli("du", tree, "-o", "json").rows == [{"bucket": tree, "blobs": 4, "bytes": 10}]
    cli("rm", "-r", "--whole-bucket", f"blob:{tree}")
    assert cli("du", bucket, "-o", "json").rows == [{"bucket": bucket, "blobs": 0, "bytes": 0}]


@pytest.mark.parametrize(
    "arguments",
    [["ls", "s3:bucket/key"], ["glob", "bucket/*"], ["rm", "bucket/key"], ["sign", "bucket/key"], ["sign", "blob:"]],
)
def test_what_is_no_address_is_bad_usage_told_in_one_line(cli: Cli, arguments: list[str]) -> None:
    ran = cli(*arguments)
    assert (ran.status, ran.out, ran.err.count("\n")) == (2, "", 1)


@pytest.mark.parametrize(
    "arguments", [["ls", "blob:b", "--limit", "-1"], ["sign", "blob:b/k", "--expires", "0"], ["ls"]]
)
def test_arguments_that_cannot_be_are_bad_usage(cli: Cli, arguments: list[str]) -> None:
    assert cli(*arguments).status == 2
