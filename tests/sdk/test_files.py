"""The files on disk: plain Lance that another reader opens, and checksums that find a flipped bit."""

import json
import re
import shutil
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from conftest import Server, elanus
from pymilvus import DataType

DIM = 24
ROWS = 3000


def x(i):
    return np.random.default_rng(i).standard_normal(DIM).astype(np.float32)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A store that nobody serves: three segments, deletes in two of them, some rows in the log."""
    folder = tmp_path_factory.mktemp("files")
    env = {"ELANUS_COMPACTION_ENABLED": "false", "ELANUS_GC_INTERVAL_MS": "0"}
    server = Server(folder / "data", folder / "log", env).start()
    client = server.client()
    schema = client.create_schema(enable_dynamic_field=True)
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=DIM)
    schema.add_field("word", DataType.VARCHAR, max_length=100, nullable=True)
    schema.add_field("tags", DataType.ARRAY, element_type=DataType.INT64, max_capacity=8)
    params = client.prepare_index_params()
    params.add_index("vector", index_type="AUTOINDEX", metric_type="L2")
    client.create_collection("t", schema=schema, index_params=params, consistency_level="Strong")
    for part in range(3):
        client.insert("t", [
            {"id": i, "vector": x(i), "word": None if i % 7 == 0 else f"w{i}", "tags": [i] * (i % 4), "more": i}
            for i in range(part * 1000, (part + 1) * 1000)])
        client.flush("t")
    client.delete("t", filter="id % 10 == 3 and id < 2000")
    client.flush("t")
    client.insert("t", [{"id": 9999, "vector": x(9999), "word": "log", "tags": []}])
    assert server.stop() == 0
    assert not server.panics()
    return folder / "data"


def bucket_files(store):
    """The files that belong to collections, and the store's own."""
    return sorted(p for p in store.rglob("*") if p.is_file() and "local" not in p.relative_to(store).parts)


def test_another_reader_opens_the_segments(store):
    lance_file = pytest.importorskip("lance.file", reason="pylance is not installed")
    segments = sorted(store.glob("collections/*/segments/*/data.lance"))
    assert len(segments) == 3
    seen = {}
    for path in segments:
        table = lance_file.LanceFileReader(str(path)).read_all().to_table()
        assert {"id", "vector", "word", "tags", "_ts"} <= set(table.column_names)
        for row in table.to_pylist():
            assert row["id"] not in seen
            seen[row["id"]] = row
    assert sorted(seen) == list(range(ROWS))
    for i in range(0, ROWS, 97):
        row = seen[i]
        assert np.array_equal(np.array(row["vector"], np.float32), x(i))
        assert row["word"] == (None if i % 7 == 0 else f"w{i}") and row["tags"] == [i] * (i % 4)
        assert row["_ts"] > 0


def test_inspect_tells_what_is_there(store):
    shown = elanus("inspect", store, "--json")
    assert shown.returncode == 0, shown
    report = json.loads(shown.stdout)
    collection = report["collections"][0]
    assert collection["name"] == "t" and len(collection["segments"]) == 3
    assert sum(s["rows"] for s in collection["segments"]) == ROWS
    assert sum(s["deleted_rows"] for s in collection["segments"]) == 200
    assert report["total_bytes"] == pytest.approx(sum(p.stat().st_size for p in bucket_files(store)), rel=0.2)
    assert elanus("inspect", store).returncode == 0


def test_verify_passes(store):
    checked = elanus("verify", store)
    assert checked.returncode == 0, checked
    assert "panicked" not in checked.stderr


def kind(path, store):
    """Numbers and names taken out: `collections/N/segments/N/deletes.N`."""
    return re.sub(r"[0-9a-f]*\d[0-9a-f]*", "N", str(path.relative_to(store)))


def newest_of_each_kind(store):
    kinds = defaultdict(list)
    for path in bucket_files(store):
        if path.stat().st_size:
            kinds[kind(path, store)].append(path)
    return {k: max(paths, key=lambda p: (len(str(p)), str(p))) for k, paths in kinds.items()}


def test_a_flipped_byte_is_found(store, tmp_path):
    """In every kind of file, at the beginning, in the middle and at the end: exit 1 and the file's name."""
    copy = tmp_path / "copy"
    shutil.copytree(store, copy)
    files = newest_of_each_kind(copy)
    assert len(files) >= 4, files  # the store's own, a manifest, data, keys, …
    missed = []
    for name, path in files.items():
        good = path.read_bytes()
        for where in sorted({0, len(good) // 3, len(good) // 2, len(good) - 1}):
            path.write_bytes(good[:where] + bytes([good[where] ^ 0x10]) + good[where + 1:])
            checked = elanus("verify", copy)
            said = checked.stdout + checked.stderr
            if checked.returncode != 1 or path.name not in said or "panicked" in said:
                missed.append((name, where, len(good), checked.returncode, said[-300:]))
        path.write_bytes(good)
    assert not missed, "\n".join(map(str, missed))
    assert elanus("verify", copy).returncode == 0


def test_a_cut_or_missing_file_is_found(store, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(store, copy)
    missed = []
    for name, path in newest_of_each_kind(copy).items():
        good = path.read_bytes()
        for what in (good[: len(good) // 2], b"", None):
            path.unlink() if what is None else path.write_bytes(what)
            checked = elanus("verify", copy)
            said = checked.stdout + checked.stderr
            # A manifest that is gone altogether cannot be told from one that was never written.
            hidden = what is None and "manifest" in name
            if "panicked" in said or (not hidden and checked.returncode != 1):
                missed.append((name, what and len(what), checked.returncode, said[-300:]))
            path.write_bytes(good)
    assert not missed, "\n".join(map(str, missed))


def test_a_damaged_segment_gives_an_error_and_not_a_wrong_answer(store, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(store, copy)
    path = newest_of_each_kind(copy)["collections/N/segments/N/data.lance"]
    good = path.read_bytes()
    path.write_bytes(good[: len(good) // 2])
    server = Server(copy, tmp_path / "log", {"ELANUS_COMPACTION_ENABLED": "false"})
    try:
        try:
            server.start(timeout=30)
        except RuntimeError as error:
            assert "damaged" in str(error) or "lance" in str(error).lower()
            return
        client = server.client(timeout=10)
        with pytest.raises(Exception):
            client.query("t", filter="id >= 0", limit=10_000, output_fields=["vector"])
        assert server.running() and client.list_collections() == ["t"]
    finally:
        if server.running():
            server.kill()
        assert not server.panics(), server.panics()


def test_offline_compaction_keeps_every_row(store, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(store, copy)
    count = ["sql", "--data", copy, "--format", "csv", "-c",
             "SELECT count(*) AS n, sum(id) AS s FROM t WHERE id < 9000"]
    before = elanus(*count)
    assert before.returncode == 0 and before.stdout.splitlines()[1].startswith("2800,"), before
    size = sum(p.stat().st_size for p in Path(copy).rglob("data.lance"))
    compacted = elanus("compact", copy, "--collection", "t", "--all")
    assert compacted.returncode == 0, compacted
    cleaned = elanus("gc", copy, env={"ELANUS_GC_GRACE_MS": "0"})
    assert cleaned.returncode == 0, cleaned
    assert elanus(*count).stdout == before.stdout
    assert elanus("verify", copy).returncode == 0
    segments = list(Path(copy).glob("collections/*/segments/*/data.lance"))
    assert len(segments) <= 2 and sum(p.stat().st_size for p in segments) <= size
