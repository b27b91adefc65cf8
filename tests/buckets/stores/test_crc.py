from __future__ import annotations

import base64
import subprocess
import sys

import google_crc32c
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_neuro_buckets.buckets.stores.crc import Crc

KINDS = pytest.mark.parametrize("kind", list(Crc))
CHECKED = b"123456789"
"""What the catalogue of CRCs gives the checksum of, for each kind."""


@pytest.mark.parametrize(
    ("kind", "crc"), [(Crc.CRC32, 0xCBF43926), (Crc.CRC32C, 0xE3069283), (Crc.CRC64NVME, 0xAE8B14860A799888)]
)
def test_each_kind_is_what_its_name_says(kind: Crc, crc: int) -> None:
    assert of(kind, CHECKED) == crc


def of(kind: Crc, content: bytes) -> int:
    assert kind.function is not None
    return kind.function(content, 0)


@KINDS
@given(parts=st.lists(st.binary(max_size=300), max_size=8))
def test_the_checksum_of_a_whole_follows_from_those_of_its_parts(kind: Crc, parts: list[bytes]) -> None:
    assert kind.of_parts([(of(kind, part), len(part)) for part in parts]) == of(kind, b"".join(parts))


@KINDS
def test_the_checksum_of_a_whole_follows_for_parts_of_the_usual_size(kind: Crc) -> None:
    part = bytes(range(256)) * 32768
    told = [(of(kind, part), len(part))] * 3 + [(of(kind, b"end"), 3)]
    assert kind.of_parts(told) == of(kind, part * 3 + b"end")


def test_a_checksum_is_read_as_google_writes_it() -> None:
    written = base64.b64encode(google_crc32c.Checksum(b"content").digest()).decode()
    crc = Crc.CRC32C.of_base64(written)
    assert crc is not None
    assert crc == google_crc32c.value(b"content")
    assert base64.b64encode(Crc.CRC32C.bytes_of(crc)).decode() == written


@pytest.mark.parametrize("text", [None, "", "?", "eA==", base64.b64encode(bytes(16)).decode()])
@KINDS
def test_what_is_no_checksum_of_the_kind_is_none(kind: Crc, text: str | None) -> None:
    assert kind.of_base64(text) is None


def test_without_the_extra_the_others_are_not_computed_and_nothing_fails() -> None:
    program = """
import sys
sys.modules["awscrt"] = None
from airflow_provider_neuro_buckets.buckets.stores.checksums import is_computable
print([name for name in ("crc32", "crc32c", "crc64nvme", "sha1", "sha256", "md6") if is_computable(name)])
"""
    ran = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert ran.stdout.strip() == "['crc32', 'sha1', 'sha256']"


def test_without_its_fast_library_the_crc32_is_computed_all_the_same() -> None:
    program = """
import sys
sys.modules["isal"] = sys.modules["isal.isal_zlib"] = None
from airflow_provider_neuro_buckets.buckets.stores.crc import Crc
print(Crc.CRC32.function(b"6789", Crc.CRC32.function(b"12345", 0)) == 0xCBF43926)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"
