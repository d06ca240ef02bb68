from __future__ import annotations

import gzip
from datetime import date

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from include.data.lake.erasure import Entity
from include.data.sources import files
from include.data.sources.files import Landing
from include.declarations import Column, Dataset, FileSource
from include.governance.landed_files import find_landed_files

ANN = Entity("person", "ann")


def visits(path="visits/{partition}.csv", **source):
    return Dataset(
        name="visits",
        owner="ann",
        description="Visits.",
        source=FileSource(path=path, **source),
        whole="{partition}" not in path,
        columns=(Column(name="person", dtype="string"), Column(name="at", dtype="string")),
        key=("person",),
        first_partition=date(2013, 7, 1),
    )


@pytest.fixture
def landing(tmp_path):
    (tmp_path / "visits").mkdir()
    return Landing(str(tmp_path))


def search(landing, dataset, entity=ANN):
    names = find_landed_files(landing, [dataset], entity)
    return [name.removeprefix(f"{landing.uri}/visits/") for name in names]


def test_text_file_is_found_by_a_whole_word(landing, tmp_path):
    (tmp_path / "visits/2013-07-01.csv").write_text("person,at\nbob,1\nann,2\n")
    (tmp_path / "visits/2013-07-02.csv").write_text("person,at\nanna,1\njoann,2\nann\u00e9,3\n")
    (tmp_path / "visits/notes.csv").write_text("ann\n")
    assert search(landing, visits()) == ["2013-07-01.csv"]


@pytest.mark.parametrize("text", ["ann", "x,ann", "ann,x", "anna,joann,ann"])
@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_word_is_found_across_chunks(landing, tmp_path, monkeypatch, text, size):
    monkeypatch.setattr(files, "CHUNK_BYTES", size)
    (tmp_path / "visits/2013-07-01.csv").write_text(text)
    (tmp_path / "visits/2013-07-02.csv").write_text(text.replace("ann", "anna"))
    assert search(landing, visits()) == ["2013-07-01.csv"]


def test_compressed_and_escaped_text_is_searched(landing, tmp_path):
    line = b'{"person": "J\\u00f6rg", "at": "1"}\n'
    (tmp_path / "visits/2013-07-01.jsonl.gz").write_bytes(gzip.compress(line))
    dataset = visits("visits/{partition}.jsonl.gz", format="jsonl")
    assert search(landing, dataset, Entity("person", "J\u00f6rg")) == ["2013-07-01.jsonl.gz"]


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("x.jsonl", "J\u00f6rg", r'{"person": "J\u00F6rg"}'),
        ("x.jsonl", "ann", r'{"person": "\u0061n\u006E"}'),
        ("x.jsonl", "a/b", r'{"person": "a\/b"}'),
        ("x.jsonl", 'a"b', r'{"person": "a\"b"}'),
        ("x.jsonl", "a\\b", r'{"person": "a\\b"}'),
        ("x.jsonl", "a\tb", r'{"person": "a\tb"}'),
        ("x.jsonl", "\U0001f600", r'{"person": "\ud83D\uDe00"}'),
        ("x.jsonl", "ann", r'{"note": "line\nann"}'),
        ("x.csv", 'a"b', 'person\n"a""b"\n'),
        ("x.csv", '"', 'person\n""""\n'),
        ("x.csv", "a'b", "person\n'a''b'\n"),
        ("x.csv", 'a"b', 'person\n"a\\"b"\n'),
        ("x.csv", 'a"b', 'person\n"a^"b"\n'),
    ],
)
@pytest.mark.parametrize("size", [1, 7, 1 << 20])
def test_every_spelling_of_a_value_is_found(landing, tmp_path, monkeypatch, name, value, text, size):
    monkeypatch.setattr(files, "CHUNK_BYTES", size)
    (tmp_path / name).write_text(text)
    dataset = visits(name, **{"format": "jsonl"} if name == "x.jsonl" else {"escape": "^"})
    assert len(search(landing, dataset, Entity("person", value))) == 1
    assert search(landing, dataset, Entity("person", f"{value}z")) == []


def test_parquet_is_searched_in_the_column_of_its_file(landing, tmp_path):
    pq.write_table(pa.table({"who": ["ann"], "at": ["x"]}), tmp_path / "visits/2013-07-01.parquet")
    pq.write_table(pa.table({"who": ["bob"], "at": ["ann"]}), tmp_path / "visits/2013-07-02.parquet")
    dataset = visits("visits/{partition}.parquet", format="parquet", rename={"who": "person"})
    assert search(landing, dataset) == ["2013-07-01.parquet"]


def test_file_that_cannot_be_searched_is_named(landing, tmp_path):
    (tmp_path / "visits/2013-07-01.csv.gz").write_bytes(b"no gzip")
    (name,) = search(landing, visits("visits/{partition}.csv.gz"))
    assert name.startswith("2013-07-01.csv.gz (cannot be searched: ")


def test_dataset_without_the_column_is_not_searched(landing, tmp_path):
    (tmp_path / "visits/2013-07-01.csv").write_text("ann\n")
    assert search(landing, visits(), Entity("email", "ann")) == []
