"""Records that are alike are read by a pattern: they say what another parser of XML says, or the answer is refused."""

from __future__ import annotations

import gc
from xml.etree import ElementTree as ET

import pytest

from airflow_provider_neuro_buckets.buckets.errors import InvalidAnswer
from airflow_provider_neuro_buckets.buckets.stores.alike import Records
from airflow_provider_neuro_buckets.buckets.stores.markup import parse_records
from airflow_provider_neuro_buckets.buckets.stores.s3_wire import parse_listing

PLAIN = "<C><K>a</K><S>1</S></C>"
OTHER = "<C><K>b</K><E/><S>2</S></C>"
NESTED = "<C><K>c</K><O><I>x</I><N>y</N></O><S>3</S></C>"
ODD = "<C><K>?</K><S>1</S></C>"
PREFIX = "<P><K>p/</K></P>"

DOCUMENTS = {
    "one record": f"<R>{PLAIN}</R>",
    "alike": f"<R><A>x</A>{PLAIN * 20}<B>y</B></R>",
    "different texts": "<R>" + "".join(f"<C><K>k{n}</K><S>{n}</S></C>" for n in range(20)) + "</R>",
    "shapes in turn": f"<R>{(PLAIN + OTHER + NESTED) * 20}</R>",
    "runs of shapes": f"<R>{PLAIN * 5}{OTHER * 5}{NESTED * 5}{PREFIX * 5}{PLAIN * 5}</R>",
    "more runs than are looked for": f"<R>{(PLAIN * 2 + OTHER * 2) * 40}</R>",
    "a field between": f"<R>{PLAIN * 3}<A>z</A>{PLAIN * 3}</R>",
    "a record in a comment": f"<R><!--{PLAIN * 3}-->{PLAIN * 3}</R>",
    "a comment between": f"<R>{PLAIN * 3}<!--{PLAIN * 3}-->{PLAIN * 3}</R>",
    "all after the first in a comment": f"<R>{PLAIN}<!--{PLAIN * 3}--></R>",
    "CDATA": f"<R><A><![CDATA[{PLAIN * 3}]]></A>{PLAIN * 3}<C><K><![CDATA[<&>]]></K></C>{PLAIN * 3}</R>",
    "a record with an attribute, then a comment": f'<R><C a="1"><K>q</K></C><!--{PLAIN * 3}--></R>',
    "records deeper": f"<R><D>{PLAIN * 3}</D>{PLAIN * 3}</R>",
    "records in a record": f"<R><C>{PLAIN * 3}</C>{PLAIN * 3}</R>",
    "a record of the same name inside": f"<R>{'<C><C>x</C><K>y</K></C>' * 3}</R>",
    "references": "<R>" + "<C><K>&lt;&amp;&quot;&#65;&#x42;&apos;&gt;</K><S>&quot;7&quot;</S></C>" * 3 + "</R>",
    "quotes": "<R>" + "<C><K>&quot;a&#34;</K><S>7</S></C>" * 3 + "</R>",
    "a reference to what looks like one": "<R>" + "<C><K>&amp;quot;</K><S>&amp;#34;</S></C>" * 3 + "</R>",
    "no text": "<R>" + "<C><K></K><S> </S></C>" * 3 + "</R>",
    "lines": "<R>\n" + "  <C>\n    <K>a</K>\n    <S>1</S>\n  </C>\n" * 3 + "</R>",
    "line ends": "<R>" + PLAIN + "<C><K>a\r\nb\rc\td</K><S>1</S></C>" * 3 + "</R>",
    "beyond ASCII": "<R>" + "<C><K>ключ-鍵-\U0001f511-\u00a0\u0085</K><S>1</S></C>" * 3 + "</R>",
    "a declaration": f'<?xml version="1.0" encoding="UTF-8"?><R>{PLAIN * 3}</R>',
    "an instruction between": f"<R>{PLAIN * 3}<?x {PLAIN}?>{PLAIN * 3}</R>",
    "a field twice": "<R>" + "<C><K>a</K><K>b</K></C>" * 3 + "</R>",
    "text beside fields": "<R>" + "<C>x<K>a</K>y</C>" * 3 + "</R>",
    "a name space": f'<R xmlns="urn:a" xmlns:n="urn:a">{"<C><n:K>a</n:K></C>" * 3}</R>',
}

BROKEN = {
    "ends in a run": f"<R>{PLAIN * 3}",
    "ends in a record": f"<R>{PLAIN * 3}<C><K>",
    "a tag crossed": f"<R>{PLAIN * 3}<C><K>a</S><S>1</K></C></R>",
    "an unknown reference": f"<R>{PLAIN}{'<C><K>&nothing;</K><S>1</S></C>' * 3}</R>",
    "a bare ampersand": f"<R>{PLAIN}{'<C><K>a & b</K><S>1</S></C>' * 3}</R>",
    "a bare ampersand before a quote": f"<R>{PLAIN}{'<C><K>&&quot;</K><S>1</S></C>' * 3}</R>",
    "a reference that is ignored": f"<R>{NESTED}{NESTED.replace('y', '&nothing;') * 3}</R>",
    "a control character": f"<R>{PLAIN}{ODD * 3}</R>".replace("?", "\x01"),
    "no character": f"<R>{PLAIN}{ODD * 3}</R>".replace("?", "\uffff"),
    "the end of CDATA": f"<R>{PLAIN}{'<C><K>]]&gt;]]></K><S>1</S></C>' * 3}</R>",
    "records after the root": f"<R>{PLAIN}</R>{PLAIN * 3}",
    "a doctype": f"<!DOCTYPE R><R>{PLAIN * 3}</R>",
}


def _read(body: bytes) -> tuple[str, dict[str, str], list[tuple[str, dict[str, str]]]]:
    fields: dict[str, str] = {}
    records: list[tuple[str, dict[str, str]]] = []

    def on_records(name: str, found: Records) -> None:
        records.extend(
            (name, {field: texts[at] for field, texts in found.texts.items() if texts[at]}) for at in range(found.count)
        )

    kinds = {name: (lambda found, name=name: on_records(name, found)) for name in ("C", "P")}
    return parse_records(body, fields, kinds), fields, records


def _local(tag: str) -> str:
    return tag.rpartition("}")[2]


def _text_before_the_end(element: ET.Element) -> str:
    return (element[-1].tail if len(element) else element.text) or ""


@pytest.mark.parametrize("document", DOCUMENTS.values(), ids=DOCUMENTS.keys())
def test_records_say_what_another_parser_says(document: str) -> None:
    root = ET.fromstring(document)
    records = [
        (_local(item.tag), {_local(field.tag): text for field in item if (text := _text_before_the_end(field))})
        for item in root
        if _local(item.tag) in {"C", "P"}
    ]
    fields = {_local(item.tag): _text_before_the_end(item) for item in root if _local(item.tag) not in {"C", "P"}}
    assert _read(document.encode()) == (root.tag.rpartition("}")[2], fields, records)


@pytest.mark.parametrize("document", BROKEN.values(), ids=BROKEN.keys())
def test_what_is_no_xml_is_refused_wherever_it_breaks(document: str) -> None:
    with pytest.raises(InvalidAnswer):
        _read(document.encode())


def test_bytes_that_are_no_text_are_refused_within_a_run() -> None:
    bad = "<C><K>é</K><S>1</S></C>".encode("latin-1")
    with pytest.raises(InvalidAnswer):
        _read(f"<R>{PLAIN}".encode() + bad * 3 + b"</R>")


def test_records_in_another_encoding_are_read_in_that() -> None:
    document = '<?xml version="1.0" encoding="ISO-8859-1"?><R>' + "<C><K>Ã©</K><S>1</S></C>" * 3 + "</R>"
    assert _read(document.encode("latin-1"))[2] == [("C", {"K": "Ã©", "S": "1"})] * 3


LISTING = "<ListBucketResult>{}</ListBucketResult>".format(
    "<Contents><Key>k</Key><Size>1</Size><LastModified>2026-01-02T03:04:05Z</LastModified></Contents>" * 1000
).encode()


def test_reading_a_listing_leaves_nothing_to_the_garbage_collector() -> None:
    """One that looks at all that a worker holds stops its event loop for a tenth of a second."""

    def left() -> int:
        gc.collect()
        page, _ = parse_listing(LISTING, "here")
        assert [blob.key for blob in page.blobs] == ["k"] * 1000
        del page
        return gc.collect()

    gc.disable()
    try:
        assert min(left() for _ in range(5)) == 0  # other threads of the process leave something now and then
    finally:
        gc.enable()


def test_reading_many_pages_does_not_look_as_if_much_were_to_stay() -> None:
    """A full collection is due when a quarter as many objects have outlived two small ones as there are already."""
    full = 0

    def count(phase: str, info: dict[str, int]) -> None:
        nonlocal full
        full += phase == "start" and info["generation"] == 2

    gc.collect()
    gc.freeze()
    gc.collect()
    few: list[list[int]] = [[] for _ in range(2000)]  # what is frozen does not count: so a quarter is soon there
    gc.collect()
    gc.callbacks.append(count)
    try:
        for _ in range(300):
            parse_listing(LISTING, "here")
    finally:
        gc.callbacks.remove(count)
        gc.unfreeze()
    assert (full, len(few)) == (0, 2000)
