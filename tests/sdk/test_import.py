"""Bulk import of JSON, Parquet, CSV and NumPy files, from a folder and from the bucket."""

import json

import numpy as np
import pytest
from conftest import Server, eventually
from pymilvus import (
    BulkInsertState,
    DataType,
    MilvusException,
    connections,
    utility,
)

pytestmark = pytest.mark.filterwarnings("ignore")
DIM = 4


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return tmp_path_factory.mktemp("files")


@pytest.fixture(scope="module")
def importer(tmp_path_factory, files):
    folder = tmp_path_factory.mktemp("importer")
    server = Server(folder / "data", folder / "log", {"ELANUS_SERVER_IMPORT_DIR": str(files)}).start()
    connections.connect("import", uri=server.uri)
    yield server
    connections.disconnect("import")
    assert server.stop() == 0, server.tail()
    assert not server.panics(), server.panics()


@pytest.fixture
def client(importer):
    return importer.client()


def collection(client, name, dynamic=True, auto_id=False):
    schema = client.create_schema(auto_id=auto_id, enable_dynamic_field=dynamic)
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=DIM)
    schema.add_field("word", DataType.VARCHAR, max_length=20, nullable=True)
    schema.add_field("doc", DataType.JSON, nullable=True)
    schema.add_field("tags", DataType.ARRAY, element_type=DataType.INT64, max_capacity=4, nullable=True)
    schema.add_field("small", DataType.INT8, default_value=np.int8(7))
    params = client.prepare_index_params()
    params.add_index("vector", index_type="FLAT", metric_type="L2")
    client.create_collection(name, schema=schema, index_params=params, consistency_level="Strong")


def run(name, *paths, **options):
    """Imports and waits; the last state."""
    task = utility.do_bulk_insert(name, [str(p) for p in paths], using="import", **options)
    return wait(task)


def wait(task):
    def ended():
        state = utility.get_bulk_insert_state(task, using="import")
        done = state.state in (BulkInsertState.ImportCompleted, BulkInsertState.ImportFailed)
        return state if done else None

    return eventually(ended)


def everything(client, name):
    fields = ["id", "vector", "word", "doc", "tags", "small", "extra"]
    rows = client.query(name, filter="id >= 0", output_fields=fields)
    return [dict(row) for row in sorted(rows, key=lambda r: r["id"])]


ROWS = [
    {"id": 0, "vector": [0.0, 1, 2, 3], "word": "a", "doc": {"k": [1]}, "tags": [1, 2], "small": 1, "extra": "x"},
    {"id": 1, "vector": [1.0, 1, 2, 3], "word": None, "doc": None, "tags": None, "small": 2},
    {"id": 2, "vector": [2.0, 1, 2, 3], "word": "", "doc": {}, "tags": []},
]
EXPECTED = [ROWS[0], ROWS[1], {**ROWS[2], "small": 7}]


@pytest.mark.parametrize("form", ["rows", "list", "lines"])
def test_json(client, files, name, form):
    collection(client, name)
    text = {
        "rows": lambda: json.dumps({"rows": ROWS}, indent=1),
        "list": lambda: json.dumps(ROWS),
        "lines": lambda: "\n".join(json.dumps(r) for r in ROWS),
    }[form]()
    (files / f"{name}.json").write_text(text)
    state = run(name, f"{name}.json")
    assert state.state == BulkInsertState.ImportCompleted, state.infos
    assert state.row_count == 3 and state.infos["progress_percent"] == "100"
    assert everything(client, name) == EXPECTED
    hits = client.search(name, [[2.0, 1, 2, 3]], limit=1, output_fields=["word"])
    assert hits[0][0]["id"] == 2


def test_csv(client, files, name):
    collection(client, name)
    lines = [
        "id;vector;word;doc;tags;extra",
        '0;[0, 1, 2, 3];a;"{""k"": [1]}";[1, 2];x',
        "1;[1, 1, 2, 3];none;none;none;none",
    ]
    (files / f"{name}.csv").write_text("\n".join(lines))
    state = run(name, f"{name}.csv", sep=";", nullkey="none")
    assert state.state == BulkInsertState.ImportCompleted, state.infos
    rows = everything(client, name)
    assert rows[0] == {**EXPECTED[0], "small": 7}
    assert rows[1]["word"] is None and rows[1]["doc"] is None and rows[1]["tags"] is None


def test_parquet(client, files, name):
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    collection(client, name)
    table = pa.table({
        "id": pa.array([0, 1, 2], pa.int32()),
        "vector": pa.array([r["vector"] for r in ROWS], pa.list_(pa.float64())),
        "word": [r["word"] for r in ROWS],
        "doc": [None if r["doc"] is None else json.dumps(r["doc"]) for r in ROWS],
        "tags": pa.array([r["tags"] for r in ROWS], pa.list_(pa.int64())),
        "small": pa.array([1, 2, 7], pa.int8()),
        "$meta": [json.dumps({"extra": "x"}), None, "{}"],
    })
    for codec in ["snappy", "zstd", "gzip", "lz4", "none"]:
        pq.write_table(table, files / f"{name}_{codec}.parquet", compression=codec)
        state = run(name, f"{name}_{codec}.parquet")
        assert state.state == BulkInsertState.ImportCompleted, state.infos
        assert everything(client, name) == EXPECTED, codec


def test_numpy(client, files, name):
    collection(client, name)
    folder = files / name
    folder.mkdir()
    np.save(folder / "id.npy", np.arange(5000))
    np.save(folder / "vector.npy", np.ones((5000, DIM)) * np.arange(5000)[:, None])
    np.save(folder / "word.npy", np.array([f"ü{i}" for i in range(5000)]))
    np.save(folder / "small.npy", np.arange(5000).astype(np.int8))
    names = [f"{name}/{f}.npy" for f in ["id", "vector", "word", "small"]]
    state = run(name, *names)
    assert state.state == BulkInsertState.ImportCompleted and state.row_count == 5000, state
    row = client.query(name, filter="id == 4999", output_fields=["vector", "word", "small"])[0]
    assert row["word"] == "ü4999" and row["small"] == -121 and list(row["vector"]) == [4999.0] * DIM
    np.save(folder / "small.npy", np.zeros(3, np.int8))
    assert "differ in their number of rows" in run(name, *names).failed_reason


def test_keys_are_made_and_partitions_named(client, files, name):
    collection(client, name, auto_id=True)
    client.create_partition(name, "p")
    rows = [{k: v for k, v in r.items() if k != "id"} for r in ROWS]
    (files / f"{name}.json").write_text(json.dumps(rows))
    assert run(name, f"{name}.json", partition_name="p").state == BulkInsertState.ImportCompleted
    found = client.query(name, filter="small >= 0", partition_names=["p"], output_fields=["id"])
    assert len({r["id"] for r in found}) == 3
    (files / f"{name}.json").write_text(json.dumps(ROWS))
    assert "is auto-generated, no need to provide" in run(name, f"{name}.json").failed_reason


@pytest.mark.parametrize("row, words", [
    ({"vector": [1, 2, 3]}, "expected 4 elements, but got 3"),
    ({"word": "x" * 21}, "word"),
    ({"small": 128}, "an integer from -128 to 127"),
    ({"id": "text"}, "an integer"),
    ({"tags": [1, 2, 3, 4, 5]}, "tags"),
    ({"tags": "no"}, "a list"),
    ({"other": 1}, "the field 'other' is not defined in schema"),
    ({"vector": None}, "vector"),
])
def test_a_bad_row_leaves_nothing_behind(client, files, name, row, words):
    collection(client, name, dynamic=False)
    good = [{"id": i, "vector": [0.0] * DIM, "small": 1} for i in range(5000)]
    (files / f"{name}.json").write_text(json.dumps([*good, {**good[0], **row}]))
    state = run(name, f"{name}.json")
    assert state.state == BulkInsertState.ImportFailed and words in state.failed_reason, state
    assert client.query(name, output_fields=["count(*)"])[0]["count(*)"] == 0


def test_bad_files_and_requests_are_refused(client, files, name):
    collection(client, name)
    (files / "broken.json").write_text('[{"id": 1,')
    (files / "broken.parquet").write_bytes(b"PAR1 is not enough")
    (files / "broken.npy").write_bytes(b"no")
    for file, words in [
        ("broken.json", "no valid JSON"),
        ("broken.parquet", "no valid Parquet"),
        ("broken.npy", "the field 'broken' is not defined"),
        ("missing.json", "cannot be read"),
        ("../outside.json", "cannot be read"),
        ("/etc/passwd.json", "server.import_dir"),
    ]:
        state = run(name, file)
        assert state.state == BulkInsertState.ImportFailed and words in state.failed_reason, state
    for paths, words in [(["a.txt"], "unexpected file type"), ([], "import request is empty"),
                         (["a.npy", "b.json"], "cannot be mixed")]:
        with pytest.raises(MilvusException) as error:
            utility.do_bulk_insert(name, paths, using="import")
        assert words in str(error.value)
    with pytest.raises(MilvusException) as error:
        utility.get_bulk_insert_state(77, using="import")
    assert "import job does not exist, jobID=77" in str(error.value)
    with pytest.raises(MilvusException):
        utility.do_bulk_insert(name + "_none", ["a.json"], using="import")
    tasks = utility.list_bulk_insert_tasks(collection_name=name, using="import")
    assert len(tasks) == 6
    assert len(utility.list_bulk_insert_tasks(limit=2, collection_name=name, using="import")) == 2


@pytest.mark.parametrize("auto_id", [False, True])
def test_an_import_outlives_a_kill(make_server, name, auto_id):
    """It goes on at the next start, and each row is there once, also where keys are made."""
    rows = 40_000
    server = make_server()
    client = server.client()
    connections.connect("killed", uri=server.uri)
    try:
        collection(client, name, auto_id=auto_id)
        folder = server.data / "upload"
        folder.mkdir()
        lines = [{"id": i, "vector": [float(i)] * DIM, "word": f"w{i}"} for i in range(rows)]
        if auto_id:
            lines = [{k: v for k, v in line.items() if k != "id"} for line in lines]
        (folder / "a.json").write_text("\n".join(json.dumps(line) for line in lines))
        task = utility.do_bulk_insert(name, ["upload/a.json"], using="killed")
        progress = lambda: int(utility.get_bulk_insert_state(task, using="killed").infos["progress_percent"])
        eventually(lambda: progress() > 50, interval=0.001)
        server.kill()
        server.start()
        connections.disconnect("killed")
        connections.connect("killed", uri=server.uri)
        state = lambda: utility.get_bulk_insert_state(task, using="killed")
        eventually(lambda: state().state_name in ("Completed", "Failed"))
        assert state().state == BulkInsertState.ImportCompleted and state().row_count == rows, state()
        client = server.client()
        assert client.query(name, output_fields=["count(*)"])[0]["count(*)"] == rows
        found = client.query(name, filter='word in ["w0", "w39999"]', output_fields=["word"])
        assert sorted(row["word"] for row in found) == ["w0", "w39999"]
    finally:
        connections.disconnect("killed")


def test_files_of_the_store_and_jobs_after_a_restart(make_server, name):
    server = make_server()
    client = server.client()
    connections.connect("again", uri=server.uri)
    try:
        collection(client, name)
        (server.data / "upload").mkdir()
        (server.data / "upload" / "a.json").write_text(json.dumps(ROWS))
        task = utility.do_bulk_insert(name, ["upload/a.json"], using="again")
        done = lambda: utility.get_bulk_insert_state(task, using="again").state_name == "Completed"
        eventually(done)
        server.kill()
        server.start()
        eventually(lambda: server.client().query(name, output_fields=["count(*)"])[0]["count(*)"] == 3)
        connections.disconnect("again")
        connections.connect("again", uri=server.uri)
        assert done()
    finally:
        connections.disconnect("again")
