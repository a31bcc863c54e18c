"""Administration: resource groups and replicas of one node, metrics, segments, limits, deadlines, slow calls."""

import json
import threading

import grpc
import numpy as np
import pytest
from conftest import eventually, make_collection
from pymilvus import DataType, MilvusException
from pymilvus.client.types import ResourceGroupConfig
from pymilvus.grpc_gen import milvus_pb2, milvus_pb2_grpc, schema_pb2

pytestmark = pytest.mark.filterwarnings("ignore")
DIM = 8
FLUSHED = 4


def collection(client, name, rows=3):
    schema = client.create_schema()
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=DIM)
    schema.add_field("word", DataType.VARCHAR, max_length=20, mmap_enabled=True)
    params = client.prepare_index_params()
    params.add_index("vector", index_type="FLAT", metric_type="L2")
    client.create_collection(name, schema=schema, index_params=params, consistency_level="Strong")
    data = [{"id": i, "vector": [float(i)] * DIM, "word": f"w{i}"} for i in range(rows)]
    client.insert(name, data)


@pytest.fixture
def stub(server):
    with grpc.insecure_channel(server.uri.removeprefix("http://")) as channel:
        yield milvus_pb2_grpc.MilvusServiceStub(channel)


def refused(words, call, *arguments, **options):
    with pytest.raises(MilvusException) as error:
        call(*arguments, **options)
    assert words in str(error.value), error.value


def test_resource_groups_are_kept_and_told_truthfully(client, name):
    default = "__default_resource_group"
    group = f"g_{name}"[:40]
    client.create_resource_group(group)
    client.create_resource_group(group)
    assert {default, group} <= set(client.list_resource_groups())
    refused("resource group already exist", client.create_resource_group, group,
            config=ResourceGroupConfig(requests={"node_num": 1}, limits={"node_num": 1}))
    refused("resource group illegal config", client.update_resource_groups,
            {group: ResourceGroupConfig(requests={"node_num": 2}, limits={"node_num": 1})})
    client.update_resource_groups(
        {group: ResourceGroupConfig(requests={"node_num": 0}, limits={"node_num": 4})})
    told = client.describe_resource_group(group)
    assert told.config.limits.node_num == 4 and told.num_available_node == 0 and told.nodes == []
    told = client.describe_resource_group(default)
    assert told.num_available_node == 1 and len(told.nodes) == 1
    refused("limits node num is not 0", client.drop_resource_group, group)
    client.update_resource_groups(
        {group: ResourceGroupConfig(requests={"node_num": 0}, limits={"node_num": 0})})
    refused("resource group not found", client.describe_resource_group, group + "x")
    refused("not deletable", client.drop_resource_group, default)

    collection(client, name)
    refused("resource group node not enough", client.transfer_replica, default, group, name, 1)
    client.release_collection(name)
    refused("resource group node not enough", client.load_collection, name, _resource_groups=[group])
    refused("not found", client.load_collection, name, _resource_groups=["nowhere"])
    refused("resource", client.load_collection, name, replica_number=2)
    client.load_collection(name, _resource_groups=[default])
    [replica] = client.describe_replica(name)
    assert replica.resource_group == default and len(replica.group_nodes) == 1
    assert client.describe_resource_group(default).num_loaded_replica[name] == 1
    client.drop_resource_group(group)
    client.drop_resource_group(group)
    assert group not in client.list_resource_groups()


def test_segments_and_metrics_count_what_there_is(client, stub, name):
    collection(client, name)
    assert client.list_persistent_segments(name) == []
    client.flush(name)
    [segment] = client.list_persistent_segments(name)
    assert segment.num_rows == 3 and int(segment.state) == FLUSHED
    [loaded] = client.list_loaded_segments(name)
    assert (loaded.segment_id, loaded.num_rows) == (segment.segment_id, 3) and loaded.mem_size > 0
    client.release_collection(name)
    refused("collection not loaded", client.list_loaded_segments, name)

    ask = lambda text: stub.GetMetrics(milvus_pb2.GetMetricsRequest(request=text))
    told = json.loads(ask('{"metric_type": "system_info"}').response)
    [node] = told["nodes_info"]
    counts = node["infos"]["quota_metrics"]
    assert counts["segments"] >= 1 and counts["rows"] >= 3 and counts["collections"] >= 1
    assert ask('{"metric_type": "other"}').status.code == 1200
    assert ask("no json").status.code == 1100


def test_a_database_can_be_closed_for_writing_and_reading(client, server, name):
    database = f"db_{name}"[:40]
    client.create_database(database)
    inside = server.client(db_name=database)
    collection(inside, "c")
    for key, call in [
        ("database.force.deny.writing", lambda: inside.delete("c", ids=[1])),
        ("database.force.deny.reading", lambda: inside.query("c", filter="id >= 0")),
        ("database.force.deny.ddl", lambda: inside.create_partition("c", "p")),
        ("database.force.deny.flush", lambda: inside.flush("c")),
    ]:
        client.alter_database_properties(database, {key: "true"})
        refused("access has been disabled by the administrator", call)
        client.drop_database_properties(database, [key])
    assert len(inside.query("c", filter="id >= 0")) == 3
    inside.create_partition("c", "p")
    inside.drop_collection("c")
    client.drop_database(database)


def test_parameters_of_a_field_change_and_go(client, name):
    collection(client, name)
    refused("if collection loaded", client.alter_collection_field, name, "word", {"mmap.enabled": False})
    client.release_collection(name)
    client.alter_collection_field(name, "word", {"max_length": 30, "mmap.enabled": False})
    word = lambda: next(f for f in client.describe_collection(name)["fields"] if f["name"] == "word")
    assert word()["params"]["max_length"] == 30 and "mmap" in str(word()["params"])
    refused("does not allow update in collection field param", client.alter_collection_field,
            name, "word", {"dim": 3})
    refused("can not modify the maxlength for non-string types", client.alter_collection_field,
            name, "vector", {"max_length": 3})
    refused("can not modify the maxcapacity for non-array types", client.alter_collection_field,
            name, "word", {"max_capacity": 3})
    client.alter_collection_field(name, "word", {"mmap_enabled": True})
    assert "mmap" in str(word()["params"])


def test_json_without_bytes_is_null(client, stub, name):
    """Some clients send nothing at all for a row without a value."""
    make_collection(client, name, ("doc", DataType.JSON, {}))
    ids = schema_pb2.ScalarField(long_data=schema_pb2.LongArray(data=[1, 2]))
    docs = schema_pb2.ScalarField(json_data=schema_pb2.JSONArray(data=[b"", b'{"a": 1}']))
    vectors = schema_pb2.VectorField(dim=2, float_vector=schema_pb2.FloatArray(data=[0] * 4))
    answer = stub.Insert(milvus_pb2.InsertRequest(collection_name=name, num_rows=2, fields_data=[
        schema_pb2.FieldData(field_name="id", type=DataType.INT64, scalars=ids),
        schema_pb2.FieldData(field_name="doc", type=DataType.JSON, scalars=docs),
        schema_pb2.FieldData(field_name="v", type=DataType.FLOAT_VECTOR, vectors=vectors),
    ]))
    assert answer.status.code == 0 and answer.insert_cnt == 2, answer.status
    rows = client.query(name, filter="id > 0", output_fields=["doc"])
    assert [row["doc"] for row in rows] == [None, {"a": 1}]


def test_properties_are_told_twice(client, stub, name):
    """Of a collection, and of its schema, where newer clients look."""
    make_collection(client, name, properties={"collection.ttl.seconds": "600"})
    told = stub.DescribeCollection(milvus_pb2.DescribeCollectionRequest(collection_name=name))
    pairs = lambda kvs: {kv.key: kv.value for kv in kvs}
    assert pairs(told.properties)["collection.ttl.seconds"] == "600"
    assert pairs(told.schema.properties) == pairs(told.properties)


@pytest.mark.parametrize("kind", ["Trie", "marisa-trie", "TRIE"])
def test_older_names_of_the_trie(client, name, kind):
    make_collection(client, name, ("word", DataType.VARCHAR, {"max_length": 10}))
    index = client.prepare_index_params()
    index.add_index("word", index_type=kind, index_name="words")
    client.create_index(name, index)
    assert client.describe_index(name, "words")["index_type"] == kind
    client.insert(name, [{"id": i, "v": [i, 0], "word": w} for i, w in enumerate(["tree", "trie", "try"])])
    found = client.query(name, filter='word like "tr%e"', output_fields=["word"])
    assert sorted(row["word"] for row in found) == ["tree", "trie"]


def test_a_call_ends_at_its_deadline(client, stub, name):
    collection(client, name)
    rows = milvus_pb2.QueryRequest(collection_name=name, expr="id >= 0")
    assert len(stub.Query(rows, timeout=30).fields_data) >= 1
    rng = np.random.default_rng(8)
    client.insert(name, [{"id": 100 + i, "vector": v.tolist(), "word": "w"} for i, v in enumerate(rng.random((4_000, DIM)))])
    many = rng.random((4_000, DIM)).tolist()
    with pytest.raises((grpc.RpcError, MilvusException), match="(?i)deadline"):
        client.search(name, many, limit=100, timeout=0.005)
    assert len(stub.Query(rows, timeout=30).fields_data) >= 1


def test_a_search_that_nobody_waits_for_leaves_the_server_free(make_server, name):
    """Cancelled searches do not queue up: many of them are given up, and the server stops in order."""
    server = make_server(env={"ELANUS_READ_SEARCH_THREADS": "1"})
    client = server.client()
    collection(client, name, rows=0)
    rng = np.random.default_rng(7)
    data = [{"id": i, "vector": v.tolist(), "word": "w"} for i, v in enumerate(rng.random((4_000, DIM)))]
    client.insert(name, data)
    many = rng.random((1_000, DIM)).tolist()
    threads = [threading.Thread(target=give_up, args=(server, name, many)) for _ in range(4)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert len(client.search(name, [many[0]], limit=3)[0]) == 3

    def told():
        give_up(server, name, many)
        return [x for x in server.log.read_text().splitlines() if "deadline exceeded" in x]

    assert any(name in line and "deadline_ms" in line for line in eventually(told))
    assert server.stop() == 0


def give_up(server, name, vectors):
    client = server.client()
    try:
        client.search(name, vectors, limit=100, timeout=0.05)
    except (MilvusException, grpc.RpcError):
        pass


def test_slow_calls_are_told_of(make_server, name):
    server = make_server(env={"ELANUS_SERVER_SLOW_CALL_MS": "1"})
    client = server.client()
    collection(client, name)
    client.flush(name)
    told = eventually(lambda: [x for x in server.log.read_text().splitlines() if "slow call" in x])
    assert any(name in line and "elapsed_ms" in line for line in told), told
    client.query(name, filter="id >= 0")
    line = eventually(lambda: [x for x in server.log.read_text().splitlines()
                               if "slow call" in x and 'method="query"' in x])[0]
    assert "rows=3" in line and "queries=1" in line and "failed=false" in line, line
    quiet = make_server(env={"ELANUS_SERVER_SLOW_CALL_MS": "0"})
    collection(quiet.client(), name)
    quiet.client().flush(name)
    assert "slow call" not in quiet.log.read_text()


def test_limits_are_settings(make_server, name):
    server = make_server(env={
        "ELANUS_LIMITS_MAX_TOP_K": "10",
        "ELANUS_LIMITS_MAX_QUERIES": "2",
        "ELANUS_LIMITS_MAX_PARTITIONS": "2",
        "ELANUS_LIMITS_MAX_COLLECTIONS": "1",
        "ELANUS_LIMITS_MAX_RESOURCE_GROUPS": "2",
        "ELANUS_LIMITS_MAX_RESULT_BYTES": "800",
    })
    client = server.client()
    collection(client, name, rows=50)
    vector = [0.0] * DIM
    assert len(client.search(name, [vector], limit=10)[0]) == 10
    refused("11", client.search, name, [vector], limit=11)
    refused("nq", client.search, name, [vector] * 3, limit=1)
    client.create_partition(name, "p")
    refused("partition", client.create_partition, name, "q")
    refused("exceeded the limit number of collections", collection, client, name + "x")
    client.create_resource_group("one")
    refused("resource group num reach limit", client.create_resource_group, "two")
    words = client.query(name, filter="id < 5", output_fields=["word"])
    assert [row["word"] for row in words] == [f"w{i}" for i in range(5)]
    refused("maxOutputSize", client.query, name, filter="id >= 0", output_fields=["vector"])
    refused("maxOutputSize", client.search, name, [vector] * 2, limit=10, output_fields=["vector", "word"],
            filter="id >= 0", search_params={"params": {}})
