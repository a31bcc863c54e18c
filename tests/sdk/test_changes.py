"""Partial upserts, array operations, schema changes and times to live."""

import threading
import time

import pytest
from conftest import make_collection
from pymilvus import DataType
from pymilvus.exceptions import MilvusException


def all_of(client, name, *fields):
    return client.query(name, filter="id >= 0", output_fields=list(fields))


def test_partial_upserts_of_one_row_lose_nothing(server):
    client = server.client()
    names = [f"n{i}" for i in range(4)]
    make_collection(client, "parts", *[(n, DataType.INT64, {"nullable": True}) for n in names])
    client.insert("parts", [{"id": 1, "v": [0, 0], **dict.fromkeys(names, 0)}])

    def work(name):
        own = server.client()
        for value in range(1, 9):
            own.upsert("parts", [{"id": 1, name: value}], partial_update=True)

    threads = [threading.Thread(target=work, args=(n,)) for n in names]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert all_of(client, "parts", *names) == [{"id": 1, **dict.fromkeys(names, 8)}]


def test_array_operations(server):
    field_op = pytest.importorskip("pymilvus").__dict__.get("FieldOp")
    if field_op is None:
        pytest.skip("this client has no FieldOp")
    client = server.client()
    array = {"element_type": DataType.INT64, "max_capacity": 4, "nullable": True}
    make_collection(client, "arrays", ("tags", DataType.ARRAY, array))
    client.insert("arrays", [{"id": 1, "v": [0, 0], "tags": [1, 2, 1]}, {"id": 2, "v": [0, 0], "tags": None}])
    client.upsert("arrays", [{"id": 1, "tags": [9]}, {"id": 2, "tags": [5]}], field_ops={"tags": field_op.array_append()})
    client.upsert("arrays", [{"id": 1, "tags": [1]}], field_ops={"tags": field_op.array_remove()})
    assert [list(r["tags"]) for r in all_of(client, "arrays", "tags")] == [[2, 9], [5]]
    with pytest.raises(MilvusException, match="array length 5 exceeds max_capacity 4"):
        client.upsert("arrays", [{"id": 1, "tags": [3, 4, 5]}], field_ops={"tags": field_op.array_append()})


def test_a_dropped_field_is_gone_and_its_name_free(server):
    client = server.client()
    if not hasattr(client, "drop_collection_field"):
        pytest.skip("this client drops no fields")
    text = {"max_length": 20, "nullable": True}
    make_collection(client, "shrinking", ("tag", DataType.VARCHAR, text))
    client.insert("shrinking", [{"id": i, "v": [i, i], "tag": f"t{i}"} for i in range(5)])
    client.flush("shrinking")
    client.drop_collection_field("shrinking", field_name="tag")
    with pytest.raises(MilvusException, match="tag not exist"):
        all_of(client, "shrinking", "tag")
    for name, words in [("id", "primary key field"), ("v", "the last vector field"), ("x", "field not found")]:
        with pytest.raises(MilvusException, match=words):
            client.drop_collection_field("shrinking", field_name=name)
    client.add_collection_field("shrinking", "tag", DataType.VARCHAR, max_length=20, nullable=True)
    client.insert("shrinking", [{"id": 9, "v": [9, 9], "tag": "new"}])
    assert [r["tag"] for r in all_of(client, "shrinking", "tag")] == [None] * 5 + ["new"]
    assert client.query("shrinking", filter='tag == "t1"') == []


def test_a_vector_field_is_added(server):
    client = server.client()
    make_collection(client, "growing")
    client.insert("growing", [{"id": 1, "v": [1, 1]}])
    client.flush("growing")
    client.add_collection_field("growing", "w", DataType.FLOAT_VECTOR, dim=3, nullable=True)
    with pytest.raises(MilvusException, match="field index of the field: w is not loaded, please reload"):
        client.search("growing", [[1, 2, 3]], anns_field="w", limit=5)
    params = client.prepare_index_params()
    params.add_index("w", index_type="FLAT", metric_type="L2")
    client.create_index("growing", params)
    client.insert("growing", [{"id": 2, "v": [2, 2], "w": [1, 2, 3]}, {"id": 3, "v": [3, 3], "w": None}])
    hits = client.search("growing", [[1, 2, 3]], anns_field="w", limit=5)[0]
    assert [h["id"] for h in hits] == [2]


def test_a_search_by_the_key_of_a_row_without_a_vector_finds_nothing(server):
    client = server.client()
    make_collection(client, "gaps")
    client.add_collection_field("gaps", "w", DataType.FLOAT_VECTOR, dim=3, nullable=True)
    params = client.prepare_index_params()
    params.add_index("w", index_type="FLAT", metric_type="L2")
    client.create_index("gaps", params)
    client.insert("gaps", [{"id": i, "v": [i, i], "w": [1, 2, i] if i % 2 else None} for i in range(1, 6)])
    try:
        found = client.search("gaps", ids=[2, 3, 4, 5], anns_field="w", limit=2)
    except TypeError:
        pytest.skip("this client cannot search by ids")
    nearest = [[h["id"] for h in hits] for hits in found]
    assert nearest[0] == nearest[2] == [] and nearest[1][0] == 3 and nearest[3] == [5, 3]
    assert [list(hits) for hits in client.search("gaps", ids=[4], anns_field="w", limit=2)] == [[]]


def test_properties_that_change_the_collection(server):
    client = server.client()
    make_collection(client, "plain")
    client.insert("plain", [{"id": 1, "v": [1, 1]}])
    client.alter_collection_properties("plain", {"dynamicfield.enabled": True})
    client.insert("plain", [{"id": 2, "v": [2, 2], "color": "red"}])
    assert client.query("plain", filter='color == "red"', output_fields=["color"])[0]["id"] == 2
    client.flush("plain")
    client.alter_collection_properties("plain", {"dynamicfield.enabled": False})
    client.alter_collection_properties("plain", {"dynamicfield.enabled": True})
    assert client.query("plain", filter='color == "red"') == []
    assert client.describe_collection("plain")["enable_dynamic_field"] is True


def until(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.1)
    return condition()


def test_rows_end_at_their_own_time(server):
    client = server.client()
    make_collection(client, "ending", ("end", DataType.TIMESTAMPTZ, {"nullable": True}), properties={"ttl_field": "end"})
    client.insert("ending", [
        {"id": 1, "v": [1, 1], "end": "2020-01-01T00:00:00Z"},
        {"id": 2, "v": [2, 2], "end": "2190-01-01T00:00:00Z"},
        {"id": 3, "v": [3, 3], "end": None},
    ])
    ids = lambda: [r["id"] for r in all_of(client, "ending")]
    assert ids() == [2, 3]
    assert [h["id"] for h in client.search("ending", [[1, 1]], limit=5)[0]] == [2, 3]
    assert client.query("ending", output_fields=["count(*)"])[0]["count(*)"] == 2
    client.flush("ending")
    assert ids() == [2, 3]
    client.compact("ending")
    assert until(lambda: client.get_collection_stats("ending")["row_count"] == 2)
    with pytest.raises(MilvusException, match="cannot be set at the same time"):
        client.alter_collection_properties("ending", {"collection.ttl.seconds": 5})
    client.drop_collection_properties("ending", ["ttl_field"])
    assert ids() == [2, 3]
