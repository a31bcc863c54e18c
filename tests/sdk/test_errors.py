"""Bad input: a clear error with Milvus's code each time, nothing lost, and the server goes on.

The codes are Milvus's; where its versions differ among themselves, several are allowed.
"""

import struct

import grpc
import pytest
from conftest import elanus
from pymilvus import DataType, MilvusException
from pymilvus.grpc_gen import common_pb2, milvus_pb2, milvus_pb2_grpc, schema_pb2

DIM = 4
NAN, INF = float("nan"), float("inf")
# "Invalid parameter" and "missing parameter", or "unexpected" where Milvus never gave it a code.
INVALID = (1100, 1101, 65535)


@pytest.fixture(scope="module")
def there(server):
    """The collection `there`: id, vector, n, name (10 bytes), tags (3 elements), small, 3 rows."""
    client = server.client()
    schema = client.create_schema(enable_dynamic_field=False)
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=DIM)
    schema.add_field("n", DataType.INT64)
    schema.add_field("name", DataType.VARCHAR, max_length=10)
    schema.add_field("tags", DataType.ARRAY, element_type=DataType.INT64, max_capacity=3)
    schema.add_field("small", DataType.INT8, nullable=True)
    schema.add_field("doc", DataType.JSON, nullable=True)
    params = client.prepare_index_params()
    params.add_index("vector", index_type="AUTOINDEX", metric_type="L2")
    client.create_collection("there", schema=schema, index_params=params, consistency_level="Strong")
    client.insert("there", [row(id=i) for i in range(3)])
    client.create_collection("resting", dimension=DIM)
    client.release_collection("resting")
    client.create_database("full")
    server.client(db_name="full").create_collection("inside", dimension=DIM)
    client.create_alias("there", "nickname")
    return client


def row(**more):
    return {"id": 9, "vector": [1.0, 2.0, 3.0, 4.0], "n": 1, "name": "x", "tags": [1], **more}


def schema_of(client, *fields):
    schema = client.create_schema()
    for name, kind, more in fields:
        schema.add_field(name, kind, **more)
    return schema


KEY = ("id", DataType.INT64, {"is_primary": True})
VECTOR = ("vector", DataType.FLOAT_VECTOR, {"dim": DIM})
Q = [[1.0, 2.0, 3.0, 4.0]]


def make(c, *fields, **more):
    c.create_collection("new", schema=schema_of(c, *fields), **more)


def index(c, **params):
    p = c.prepare_index_params()
    p.add_index("vector", **params)
    c.create_index("resting", p)


# name: (what the client does, Milvus's codes, a part of the text in lower case)
CALLS = {
    # rows
    "vector too long": (lambda c: c.insert("there", [row(vector=[1.0] * 5)]), INVALID, "dim"),
    "vector too short": (lambda c: c.upsert("there", [row(vector=[1.0] * 3)]), INVALID, "dim"),
    "vectors of two lengths": (
        lambda c: c.insert("there", [row(), row(id=10, vector=[1.0] * 3)]), INVALID, "dim"),
    "NaN in a vector": (
        lambda c: c.insert("there", [row(vector=[1.0, NAN, 0.0, 0.0])]), INVALID, "not a number or infinity"),
    "infinity in a vector": (
        lambda c: c.insert("there", [row(vector=[1.0, -INF, 0.0, 0.0])]), INVALID, "not a number or infinity"),
    "string too long": (lambda c: c.insert("there", [row(name="x" * 11)]), (1100,), "exceeds max length"),
    "string too long in bytes": (
        lambda c: c.insert("there", [row(name="日本日本")]), (1100,), "exceeds max length"),
    "array too long": (lambda c: c.insert("there", [row(tags=[1, 2, 3, 4])]), (1100,), "max capacity"),
    "int8 out of range": (lambda c: c.insert("there", [row(small=300)]), INVALID, "out of range"),
    "insert into no collection": (lambda c: c.insert("nowhere", [row()]), (100,), "nowhere"),
    "insert into no partition": (
        lambda c: c.insert("there", [row()], partition_name="nowhere"), (200,), "partition not found"),
    # searches
    "query vector too long": (lambda c: c.search("there", [[1.0] * 5]), INVALID, "dim"),
    "NaN in the query": (lambda c: c.search("there", [[NAN] * 4]), INVALID, "not a number or infinity"),
    "limit too high": (lambda c: c.search("there", Q, limit=16385), INVALID, "16384"),
    "offset too high": (lambda c: c.search("there", Q, limit=10, offset=16380), INVALID, "16384"),
    "huge query limit": (lambda c: c.query("there", filter="n > 0", limit=100_000), INVALID, "16384"),
    "negative offset": (lambda c: c.query("there", filter="n > 0", limit=1, offset=-1), INVALID, "offset"),
    "other metric": (
        lambda c: c.search("there", Q, search_params={"metric_type": "IP"}), INVALID, "metric type not match"),
    "unknown metric": (
        lambda c: c.search("there", Q, search_params={"metric_type": "FOO"}), INVALID, "metric type"),
    "search in no field": (lambda c: c.search("there", Q, anns_field="nope"), INVALID + (1700,), "nope"),
    "search in a scalar field": (lambda c: c.search("there", Q, anns_field="n"), INVALID, "vector"),
    "unknown output field": (
        lambda c: c.search("there", Q, output_fields=["nope"]), INVALID + (1700,), "field nope not exist"),
    "unknown output field of a query": (
        lambda c: c.query("there", filter="n > 0", output_fields=["nope"]), INVALID + (1700,),
        "field nope not exist"),
    "search in no collection": (lambda c: c.search("nowhere", Q), (100,), "nowhere"),
    "search in no partition": (
        lambda c: c.search("there", Q, partition_names=["nowhere"]), (200, *INVALID), "not found"),
    "search before load": (lambda c: c.search("resting", Q), (101,), "collection not loaded"),
    "query before load": (lambda c: c.query("resting", filter="id > 0"), (101,), "collection not loaded"),
    "count with a limit": (
        lambda c: c.query("there", output_fields=["count(*)"], limit=2), INVALID, "count"),
    "query without filter and limit": (lambda c: c.query("there", filter=""), INVALID, "limit"),
    "radius on the wrong side": (
        lambda c: c.search("there", Q, search_params={"params": {"radius": 1.0, "range_filter": 5.0}}),
        INVALID, "range_filter"),
    # filters
    "broken filter": (lambda c: c.query("there", filter="n >"), INVALID, "cannot parse expression"),
    "broken filter in a search": (
        lambda c: c.search("there", Q, filter="n ==== 3"), INVALID, "cannot parse expression"),
    "open string": (lambda c: c.query("there", filter='name == "x'), INVALID, "cannot parse expression"),
    "unknown field in a filter": (lambda c: c.query("there", filter="nope > 1"), INVALID, "nope not exist"),
    "number against string": (lambda c: c.query("there", filter='n > "a"'), INVALID, "expression"),
    "string against number": (lambda c: c.query("there", filter="name == 3"), INVALID, "expression"),
    "a number as condition": (lambda c: c.query("there", filter="n + 1"), INVALID, "expression"),
    "a list of two types": (lambda c: c.query("there", filter='n in [1, "a"]'), INVALID, "expression"),
    "like on a number": (lambda c: c.query("there", filter='n like "a%"'), INVALID, "like"),
    "unknown function": (lambda c: c.query("there", filter="frobnicate(n)"), INVALID, "frobnicate"),
    "array function on a number": (
        lambda c: c.query("there", filter="array_contains(n, 1)"), INVALID, "array"),
    "no value for a template": (lambda c: c.query("there", filter="n == {x}"), INVALID, "expression"),
    "broken filter in a delete": (lambda c: c.delete("there", filter="n >"), INVALID, "expr"),
    # names
    "no such collection": (lambda c: c.describe_collection("nowhere"), (100,), "nowhere"),
    "name begins with a digit": (
        lambda c: c.create_collection("1abc", dimension=DIM), INVALID, "invalid collection name"),
    "name with a space": (
        lambda c: c.create_collection("a b", dimension=DIM), INVALID, "invalid collection name"),
    "name too long": (
        lambda c: c.create_collection("a" * 256, dimension=DIM), INVALID, "collection name"),
    "taken with another schema": (
        lambda c: c.create_collection("there", dimension=DIM), INVALID + (1,), "duplicate collection"),
    "field name with a dash": (
        lambda c: make(c, KEY, VECTOR, ("a-b", DataType.INT64, {})), INVALID + (1701,), "field name"),
    "two fields of one name": (
        lambda c: make(c, KEY, VECTOR, ("id", DataType.INT64, {})), INVALID, "duplicate"),
    "rename to a taken name": (lambda c: c.rename_collection("there", "resting"), INVALID, "resting"),
    "rename of nothing": (lambda c: c.rename_collection("nowhere", "new"), (100,), "nowhere"),
    "no such database": (lambda c: c.use_database("nowhere"), (800,), "database not found"),
    "database twice": (lambda c: c.create_database("full"), INVALID + (802,), "already exist"),
    "database not empty": (lambda c: c.drop_database("full"), INVALID, "not empty"),
    "default database dropped": (lambda c: c.drop_database("default"), INVALID, "default"),
    "bad database name": (lambda c: c.create_database("a-b"), INVALID + (802,), "database name"),
    "no such alias": (lambda c: c.describe_alias("nobody"), (1600,), "alias not found"),
    "alias of nothing": (lambda c: c.create_alias("nowhere", "new"), (100,), "nowhere"),
    "alias of another": (lambda c: c.create_alias("resting", "nickname"), (1602,), "nickname"),
    "alias like a collection": (lambda c: c.create_alias("there", "resting"), (1601,), "resting"),
    "alter an alias that is not": (lambda c: c.alter_alias("there", "nobody"), (1600,), "nobody"),
    "dropped by an alias": (lambda c: c.drop_collection("nickname"), INVALID + (1601,), "alias"),
    # schemas
    "dimension too high": (
        lambda c: make(c, KEY, ("v", DataType.FLOAT_VECTOR, {"dim": 40_000})), INVALID, "dimension"),
    "string without length": (
        lambda c: make(c, KEY, VECTOR, ("s", DataType.VARCHAR, {})), INVALID, "max_length"),
    "string length too high": (
        lambda c: make(c, KEY, VECTOR, ("s", DataType.VARCHAR, {"max_length": 70_000})), INVALID, "65535"),
    "array without capacity": (
        lambda c: make(c, KEY, VECTOR, ("a", DataType.ARRAY, {"element_type": DataType.INT64})),
        INVALID, "max_capacity"),
    "too many fields": (
        lambda c: make(c, KEY, VECTOR, *[(f"f{i}", DataType.INT64, {}) for i in range(64)]),
        INVALID, "64"),
    "no vector": (lambda c: make(c, KEY, ("n", DataType.INT64, {})), INVALID, "vector"),
    "too many shards": (lambda c: make(c, KEY, VECTOR, num_shards=99), INVALID, "16"),
    # partitions, indexes, load
    "bad partition name": (lambda c: c.create_partition("there", "a b"), INVALID, "partition name"),
    "default partition dropped": (
        lambda c: c.drop_partition("resting", "_default"), INVALID, "default partition"),
    "load of no collection": (lambda c: c.load_collection("nowhere"), (100,), "nowhere"),
    "load of no partition": (lambda c: c.load_partitions("there", ["nope"]), (200,), "nope"),
    "index on no field": (lambda c: c.create_index("there", wrong_field(c)), INVALID + (1700,), "nope"),
    "unknown index type": (
        lambda c: index(c, index_type="NOPE", metric_type="L2", index_name="other"), INVALID, "nope"),
    "unknown metric of an index": (
        lambda c: index(c, index_type="FLAT", metric_type="NOPE", index_name="other"), INVALID, "nope"),
    "index dropped while loaded": (
        lambda c: c.drop_index("there", c.list_indexes("there")[0]), INVALID, "loaded"),
}


def wrong_field(c):
    p = c.prepare_index_params()
    p.add_index("nope", index_type="HNSW", metric_type="L2")
    return p


def intact(client):
    """The three rows are as they were, by search and by count."""
    counted = client.query("there", output_fields=["count(*)"])[0]["count(*)"]
    found = sorted(hit["id"] for hit in client.search("there", Q, limit=10)[0])
    if counted > 3:
        client.delete("there", filter="id > 2")  # the next test shall not fail for it, too
    assert counted == 3 and found == [0, 1, 2]


@pytest.mark.parametrize("what", CALLS)
def test_a_clear_error_and_nothing_lost(server, there, what):
    call, codes, text = CALLS[what]
    with pytest.raises(MilvusException) as error:
        call(server.client(timeout=10))
    assert text in error.value.message.lower(), error.value
    assert error.value.code in codes, error.value
    assert server.running()
    intact(there)


# ── requests that no pymilvus would send ────────────────────────────────────────────────────────


def scalars(kind, name, data_type, values, flags=None):
    array = getattr(schema_pb2, {"long_data": "LongArray", "string_data": "StringArray",
                                 "int_data": "IntArray", "json_data": "JSONArray"}[kind])(data=values)
    field = schema_pb2.FieldData(type=data_type, field_name=name)
    getattr(field.scalars, kind).CopyFrom(array)
    field.valid_data.extend(flags or [])
    return field


def floats(values, dim=DIM, name="vector"):
    field = schema_pb2.FieldData(type=DataType.FLOAT_VECTOR, field_name=name)
    field.vectors.dim = dim
    field.vectors.float_vector.data.extend(values)
    return field


def tags(n):
    field = schema_pb2.FieldData(type=DataType.ARRAY, field_name="tags")
    field.scalars.array_data.element_type = DataType.INT64
    for _ in range(n):
        field.scalars.array_data.data.add().long_data.data.append(1)
    return field


def columns(rows=1, **replaced):
    made = {
        "id": scalars("long_data", "id", DataType.INT64, range(100, 100 + rows)),
        "vector": floats([0.5] * DIM * rows),
        "n": scalars("long_data", "n", DataType.INT64, [1] * rows),
        "name": scalars("string_data", "name", DataType.VARCHAR, ["x"] * rows),
        "tags": tags(rows),
        **replaced,
    }
    return [field for field in made.values() if field is not None]


def insert(fields, rows=1):
    return "Insert", milvus_pb2.InsertRequest(
        collection_name="there", fields_data=fields, num_rows=rows, hash_keys=[1] * rows)


def search(group=None, params=None, nq=1, dsl=""):
    if group is None:
        value = common_pb2.PlaceholderValue(
            tag="$0", type=common_pb2.PlaceholderType.FloatVector, values=[struct.pack("<4f", 1, 2, 3, 4)])
        group = common_pb2.PlaceholderGroup(placeholders=[value]).SerializeToString()
    pairs = {"topk": "3", "anns_field": "vector", "metric_type": "L2", "params": "{}", **(params or {})}
    return "Search", milvus_pb2.SearchRequest(
        collection_name="there", dsl=dsl, dsl_type=common_pb2.DslType.BoolExprV1,
        placeholder_group=group, nq=nq,
        search_params=[common_pb2.KeyValuePair(key=k, value=v) for k, v in pairs.items()])


def group(*values, kind=common_pb2.PlaceholderType.FloatVector):
    value = common_pb2.PlaceholderValue(tag="$0", type=kind, values=values)
    return common_pb2.PlaceholderGroup(placeholders=[value]).SerializeToString()


def create(schema):
    return "CreateCollection", milvus_pb2.CreateCollectionRequest(collection_name="new", schema=schema)


def collection(*fields):
    return schema_pb2.CollectionSchema(name="new", fields=fields).SerializeToString()


def field(name, kind, **more):
    params = [common_pb2.KeyValuePair(key=k, value=str(v)) for k, v in more.pop("params", {}).items()]
    return schema_pb2.FieldSchema(name=name, data_type=kind, type_params=params, **more)


ID = field("id", DataType.INT64, is_primary_key=True)
V = field("v", DataType.FLOAT_VECTOR, params={"dim": DIM})

REQUESTS = {
    "a column is missing": insert(columns(n=None)),
    "a column is too short": insert(columns(2, n=scalars("long_data", "n", DataType.INT64, [1])), 2),
    "a column is too long": insert(columns(1, n=scalars("long_data", "n", DataType.INT64, [1, 2]))),
    "more rows said than sent": insert(columns(1), 5),
    "no rows": insert(columns(1), 0),
    "a column of another type": insert(columns(n=scalars("string_data", "n", DataType.VARCHAR, ["a"]))),
    "a column whose content is of another type": insert(
        columns(n=scalars("string_data", "n", DataType.INT64, ["a"]))),
    "a column that the schema does not have": insert(
        columns(extra=scalars("long_data", "extra", DataType.INT64, [1]))),
    "one column twice": insert(columns(again=scalars("long_data", "n", DataType.INT64, [1]))),
    "vector of the wrong dimension": insert(columns(vector=floats([0.5] * 5, dim=5))),
    "vector data that dim does not divide": insert(columns(vector=floats([0.5] * 6))),
    "dim of another number of rows": insert(columns(vector=floats([0.5] * 4, dim=2))),
    "a null where none may be": insert(columns(n=scalars("long_data", "n", DataType.INT64, [], [False]))),
    "flags and values that differ": insert(columns(2, small=scalars(
        "int_data", "small", DataType.INT8, [1], [True, True])), 2),
    "flags that are too few": insert(columns(2, small=scalars(
        "int_data", "small", DataType.INT8, [1], [True])), 2),
    "JSON that is none": insert(columns(doc=scalars("json_data", "doc", DataType.JSON, [b"{no"], [True]))),
    "JSON that is no UTF-8": insert(
        columns(doc=scalars("json_data", "doc", DataType.JSON, [b'"\xff"'], [True]))),
    "placeholders that are no message": search(group=b"\xff\xff\xff\xff\x01"),
    "no placeholders": search(group=b""),
    "no query vectors": search(group=group(), nq=0),
    "a cut query vector": search(group=group(b"\0" * 15)),
    "a query vector of another type": search(
        group=group(b"\0" * 8, kind=common_pb2.PlaceholderType.Float16Vector)),
    "top k of a word": search(params={"topk": "many"}),
    "top k below zero": search(params={"topk": "-3"}),
    "top k without end": search(params={"topk": "99999999999999999999"}),
    "params that are no JSON": search(params={"params": "{radius: }"}),
    "radius of a word": search(params={"params": '{"radius": "near"}'}),
    "filter with a zero byte": search(dsl="n > \0"),
    "delete without a filter": ("Delete", milvus_pb2.DeleteRequest(collection_name="there", expr="")),
    "schema that is no message": create(b"\xff\xff\xff\x01"),
    "empty schema": create(b""),
    "no key": create(collection(field("n", DataType.INT64), V)),
    "two keys": create(collection(ID, field("k", DataType.INT64, is_primary_key=True), V)),
    "key of floats": create(collection(field("id", DataType.FLOAT, is_primary_key=True), V)),
    "no dim": create(collection(ID, field("v", DataType.FLOAT_VECTOR))),
    "dim of a word": create(collection(ID, field("v", DataType.FLOAT_VECTOR, params={"dim": "x"}))),
    "dim of zero in the schema": create(collection(ID, field("v", DataType.FLOAT_VECTOR, params={"dim": 0}))),
    "a type that is none": create(collection(ID, V, schema_pb2.FieldSchema(name="x", data_type=0))),
    "a type of the future": create(collection(ID, V, schema_pb2.FieldSchema(name="x", data_type=999))),
    "default of another type": create(collection(ID, V, field(
        "n", DataType.INT64, default_value=schema_pb2.ValueField(string_data="x")))),
    "nullable key": create(collection(field("id", DataType.INT64, is_primary_key=True, nullable=True), V)),
    "empty name": ("DescribeCollection", milvus_pb2.DescribeCollectionRequest(collection_name="")),
    "query with a limit of a word": ("Query", milvus_pb2.QueryRequest(
        collection_name="there", expr="n > 0",
        query_params=[common_pb2.KeyValuePair(key="limit", value="few")])),
    "hybrid search of nothing": ("HybridSearch", milvus_pb2.HybridSearchRequest(collection_name="there")),
}


@pytest.mark.parametrize("what", REQUESTS)
def test_requests_that_no_client_sends(server, there, what):
    method, request = REQUESTS[what]
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        answer = getattr(milvus_pb2_grpc.MilvusServiceStub(channel), method)(request, timeout=10)
    status = answer.status if hasattr(answer, "status") else answer
    assert status.code != 0 and status.error_code != 0, "it was accepted"
    assert status.code not in (5,), f"an internal error: {status.reason}"
    assert len(status.reason) > 8 and "panick" not in status.reason
    intact(there)


@pytest.mark.parametrize("filter", [
    "(" * 5000 + "n > 0" + ")" * 5000,
    "not " * 5000 + "n > 0",
    " or ".join(f"n == {i}" for i in range(5000)),
    "n in [" + ", ".join(map(str, range(50_000))) + "]",
    "n > " + "-" * 5001 + "1",
], ids=["brackets", "nots", "ors", "list", "signs"])
def test_monstrous_filters_are_answered_or_refused(server, there, filter):
    try:
        server.client(timeout=60).query("there", filter=filter)
    except MilvusException as error:
        assert error.code in INVALID, error
    assert server.running()
    intact(there)


def test_bytes_that_are_no_request(server, there):
    """What does not parse is refused by the transport; the connection and the server live on."""
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        call = channel.unary_unary("/milvus.proto.milvus.MilvusService/Insert")
        for body in (b"\xff" * 50, b"\x0a\xff\xff\xff\xff\x0f", bytes(range(256))):
            with pytest.raises(grpc.RpcError):
                call(body, timeout=10)
        with pytest.raises(grpc.RpcError) as error:
            channel.unary_unary("/milvus.proto.milvus.MilvusService/Nope")(b"", timeout=10)
        assert error.value.code() == grpc.StatusCode.UNIMPLEMENTED
    intact(there)


def test_large_messages_pass(server, there):
    """More than gRPC's usual 4 MB in one request and in one answer."""
    client = server.client()
    client.create_collection("wide", dimension=2000)
    rows = [{"id": i, "vector": [float(i)] * 2000} for i in range(1500)]
    assert client.insert("wide", rows)["insert_count"] == 1500
    got = client.query("wide", filter="id >= 0", output_fields=["vector"], consistency_level="Strong")
    assert len(got) == 1500


def test_the_dead_are_not_counted_as_answers(server, there):
    """After all of the above the log has no panic in it."""
    assert not server.panics()


# ── SQL and the command line ────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A store with one small collection `t` and nobody serving it."""
    from conftest import Server

    folder = tmp_path_factory.mktemp("sql")
    server = Server(folder / "data", folder / "log").start()
    client = server.client()
    client.create_collection("t", dimension=DIM)
    client.insert("t", [{"id": i, "vector": [1.0, 2.0, 3.0, float(i)]} for i in range(5)])
    assert server.stop() == 0
    return folder / "data"


BROKEN_SQL = {
    "SELEC 1": "selec",
    "SELECT FROM WHERE": "",
    "SELECT * FROM nowhere": "nowhere",
    "SELECT nope FROM t": "nope",
    "SELECT * FROM other.t": "other",
    "SELECT id FROM t WHERE id > 'abc'": "",
    "SELECT l2_distance(vector, [1.0, 2.0]) FROM t": "dim",
    "SELECT l2_distance(vector, 'x') FROM t": "l2_distance",
    "SELECT id FROM t ORDER BY l2_distance(vector, [1.0]) LIMIT 2": "dim",
    "SELECT frobnicate(id) FROM t": "frobnicate",
    "SELECT id FROM t LIMIT -1": "",
    "DROP TABLE t": "",
    "SELECT 'open": "",
}


@pytest.mark.parametrize("statement", BROKEN_SQL)
def test_broken_sql(store, statement):
    ran = elanus("sql", "--data", store, "-c", statement)
    assert ran.returncode == 1, ran
    assert BROKEN_SQL[statement] in ran.stderr.lower() and ran.stderr.strip(), ran
    assert "panicked" not in ran.stderr
    good = elanus("sql", "--data", store, "--format", "csv", "-c", "SELECT count(*) AS n FROM t")
    assert good.returncode == 0 and good.stdout.split() == ["n", "5"], good


@pytest.mark.parametrize("arguments,text", [
    (["serve", "--listen", "nowhere"], "listen"),
    (["serve", "--data"], "data"),
    (["verify", "/nonexistent/store"], "nonexistent"),
    (["inspect", "/nonexistent/store"], "nonexistent"),
    (["sql", "--data", "/nonexistent/store", "-c", "select 1"], "nonexistent"),
    (["frobnicate"], "frobnicate"),
])
def test_wrong_commands(arguments, text):
    ran = elanus(*arguments)
    assert ran.returncode != 0 and text in ran.stderr.lower() and "panicked" not in ran.stderr


@pytest.mark.parametrize("setting,value,text", [
    ("ELANUS_MEMTABLE_MAX_ROWS", "0", "memtable.max_rows"),
    ("ELANUS_MEMTABLE_MAX_ROOWS", "5", "max_roows"),
    ("ELANUS_COMPACTION_FAN_IN", "lots", "fan_in"),
    ("ELANUS_LOG_DURABILITY", "maybe", "maybe"),
])
def test_bad_settings_are_refused_by_name(tmp_path, setting, value, text):
    ran = elanus("serve", "--data", tmp_path / "d", "--listen", "127.0.0.1:0",
                 env={setting: value}, timeout=20)
    assert ran.returncode != 0 and text in ran.stderr.lower() + ran.stdout.lower(), ran
