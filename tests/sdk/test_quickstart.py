"""What a user of pymilvus does first, unmodified. Runs with pymilvus 3.0 and 2.6."""

import asyncio
import random

import numpy as np
import pytest
from pymilvus import (
    AnnSearchRequest,
    AsyncMilvusClient,
    Collection,
    DataType,
    MilvusClient,
    MilvusException,
    RRFRanker,
    WeightedRanker,
    connections,
)

DIM = 8


def vectors(n, dim=DIM, seed=1):
    return np.random.default_rng(seed).standard_normal((n, dim)).astype(np.float32)


def score(metric, a, b):
    a, b = a.astype(np.float64), b.astype(np.float64)
    if metric == "L2":
        return float(((a - b) ** 2).sum())
    if metric == "IP":
        return float(a @ b)
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def count(client, name, filter="", **more):
    return client.query(name, filter=filter, output_fields=["count(*)"], **more)[0]["count(*)"]


def ids(rows, key="id"):
    return [row[key] for row in rows]


def plain_schema(client, dynamic=False, auto_id=False, key=DataType.INT64):
    schema = client.create_schema(auto_id=auto_id, enable_dynamic_field=dynamic)
    more = {"max_length": 64} if key == DataType.VARCHAR else {}
    schema.add_field("id", key, is_primary=True, **more)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=DIM)
    return schema


def create(client, name, schema, metric="COSINE", index="AUTOINDEX", fields=("vector",), **more):
    params = client.prepare_index_params()
    for field in fields:
        params.add_index(field_name=field, index_type=index, metric_type=metric, params=more)
    client.create_collection(
        name, schema=schema, index_params=params, consistency_level="Strong"
    )


# ── the first page of the documentation ─────────────────────────────────────────────────────────


def test_dimension_is_enough(client, name):
    client.create_collection(collection_name=name, dimension=DIM)
    assert client.has_collection(name)
    assert name in client.list_collections()
    x = vectors(20)
    colors = ["red", "green", "blue", "grey"]
    data = [{"id": i, "vector": x[i].tolist(), "color": colors[i % 4], "n": i} for i in range(20)]
    res = client.insert(collection_name=name, data=data)
    assert res["insert_count"] == 20 and list(res["ids"]) == list(range(20))

    hits = client.search(name, data=[x[3].tolist()], limit=3, output_fields=["color"],
                         consistency_level="Strong")
    assert len(hits) == 1 and len(hits[0]) == 3
    assert hits[0][0]["id"] == 3 and abs(hits[0][0]["distance"] - 1.0) < 1e-5
    assert hits[0][0]["entity"]["color"] == "grey"
    assert hits[0][0]["distance"] >= hits[0][1]["distance"] >= hits[0][2]["distance"]

    hits = client.search(name, data=[x[3].tolist()], filter='color == "red" and n > 4', limit=10)
    assert sorted(ids(hits[0])) == [8, 12, 16]

    rows = client.query(name, filter='color like "gr%" and n < 4', output_fields=["color", "n"])
    assert sorted((r["id"], r["color"], r["n"]) for r in rows) == [(1, "green", 1), (3, "grey", 3)]

    rows = client.get(name, ids=[2, 5, 99])
    assert sorted(ids(rows)) == [2, 5]
    assert np.allclose(rows[0]["vector"], x[rows[0]["id"]])

    assert client.delete(name, ids=[0, 1])["delete_count"] == 2
    assert client.delete(name, filter='color == "blue"')["delete_count"] == 5
    assert count(client, name) == 13
    client.drop_collection(name)
    assert not client.has_collection(name)
    client.drop_collection(name)  # once more is no error


@pytest.mark.parametrize("metric", ["L2", "IP", "COSINE"])
@pytest.mark.parametrize("index", ["FLAT", "IVF_FLAT", "HNSW", "AUTOINDEX"])
def test_scores_are_exact(client, name, metric, index):
    more = {"IVF_FLAT": {"nlist": 16}, "HNSW": {"M": 8, "efConstruction": 64}}.get(index, {})
    create(client, name, plain_schema(client), metric, index, **more)
    x, q = vectors(300), vectors(5, seed=2)
    client.insert(name, [{"id": i, "vector": x[i]} for i in range(300)])
    found = client.search(name, data=[v.tolist() for v in q], limit=10,
                          search_params={"metric_type": metric})
    for v, hits in zip(q, found):
        truth = sorted(((score(metric, v, x[i]), i) for i in range(300)), reverse=metric != "L2")
        assert ids(hits) == [i for _, i in truth[:10]]
        assert np.allclose([h["distance"] for h in hits], [s for s, _ in truth[:10]], rtol=1e-4, atol=1e-5)


def test_describe_gives_back_the_schema(client, name):
    schema = client.create_schema(auto_id=False, enable_dynamic_field=True, description="about it")
    schema.add_field("key", DataType.VARCHAR, is_primary=True, max_length=77)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=DIM, description="what it means")
    schema.add_field("price", DataType.DOUBLE, nullable=True)
    schema.add_field("stock", DataType.INT64, default_value=7)
    schema.add_field("tags", DataType.ARRAY, element_type=DataType.VARCHAR, max_capacity=9, max_length=33)
    create(client, name, schema, metric="IP")
    told = client.describe_collection(name)
    assert told["collection_name"] == name and told["description"] == "about it"
    assert told["enable_dynamic_field"] is True and told["auto_id"] is False
    fields = {f["name"]: f for f in told["fields"]}
    assert list(fields) == ["key", "vector", "price", "stock", "tags"]
    assert [f["field_id"] for f in told["fields"]] == [100, 101, 102, 103, 104]
    assert fields["key"]["is_primary"] and int(fields["key"]["params"]["max_length"]) == 77
    assert int(fields["vector"]["params"]["dim"]) == DIM
    assert fields["vector"]["description"] == "what it means"
    assert fields["price"]["nullable"] is True
    assert fields["tags"]["element_type"] == DataType.VARCHAR
    assert int(fields["tags"]["params"]["max_capacity"]) == 9
    index = client.describe_index(name, client.list_indexes(name)[0])
    assert index["metric_type"] == "IP" and index["field_name"] == "vector"
    assert client.get_load_state(name)["state"].name == "Loaded"


# ── writing ─────────────────────────────────────────────────────────────────────────────────────


def test_upsert_replaces_the_whole_row(client, name):
    create(client, name, plain_schema(client, dynamic=True))
    x = vectors(10)
    client.insert(name, [{"id": i, "vector": x[i], "a": i, "b": "old"} for i in range(10)])
    res = client.upsert(name, [{"id": i, "vector": x[i % 10] * 2, "a": -i} for i in (3, 4, 20)])
    assert res["upsert_count"] == 3
    assert count(client, name) == 11
    row = client.get(name, ids=[3])[0]
    assert row["a"] == -3 and "b" not in row and np.allclose(row["vector"], x[3] * 2)
    assert sorted(ids(client.query(name, filter="a < 0"))) == [3, 4, 20]
    assert count(client, name, 'b == "old"') == 8


def test_a_row_is_found_right_after_it_was_written(client, name):
    client.create_collection(name, dimension=DIM)  # with the default consistency level
    x = vectors(30)
    for i in range(30):
        client.insert(name, [{"id": i, "vector": x[i]}])
        hit = client.search(name, data=[x[i]], limit=1, consistency_level="Strong")[0][0]
        assert hit["id"] == i
    assert count(client, name, consistency_level="Session") == 30


def test_varchar_keys(client, name):
    create(client, name, plain_schema(client, key=DataType.VARCHAR))
    x = vectors(6)
    keys = ["a", "b c", 'quo"te', "ümläut", "日本", "z" * 64]
    assert list(client.insert(name, [{"id": k, "vector": v} for k, v in zip(keys, x)])["ids"]) == keys
    assert client.search(name, data=[x[3]], limit=1)[0][0]["id"] == "ümläut"
    assert sorted(ids(client.get(name, ids=["日本", "a", "nope"]))) == ["a", "日本"]
    assert ids(client.query(name, filter='id == "b c"')) == ["b c"]
    assert client.delete(name, ids=['quo"te'])["delete_count"] == 1
    assert count(client, name) == 5


@pytest.mark.parametrize("key", [DataType.INT64, DataType.VARCHAR])
def test_auto_ids(client, name, key):
    create(client, name, plain_schema(client, auto_id=True, key=key))
    x = vectors(50)
    given = list(client.insert(name, [{"vector": v} for v in x])["ids"])
    given += list(client.insert(name, [{"vector": v} for v in x])["ids"])
    assert len(set(given)) == 100
    assert all(isinstance(i, int if key == DataType.INT64 else str) for i in given)
    assert count(client, name) == 100
    assert client.search(name, data=[x[7]], limit=2)[0][0]["id"] in (given[7], given[57])
    assert len(client.get(name, ids=given[:3])) == 3


def test_null_and_default_values(client, name):
    schema = plain_schema(client)
    schema.add_field("city", DataType.VARCHAR, max_length=20, nullable=True)
    schema.add_field("n", DataType.INT64, nullable=True)
    schema.add_field("stock", DataType.INT64, default_value=7)
    schema.add_field("label", DataType.VARCHAR, max_length=20, default_value="none", nullable=True)
    create(client, name, schema)
    x = vectors(4)
    client.insert(name, [
        {"id": 0, "vector": x[0], "city": "Rome", "n": 1, "stock": 5, "label": "a"},
        {"id": 1, "vector": x[1], "city": None, "n": None},
        {"id": 2, "vector": x[2], "n": 2, "stock": 0},
        {"id": 3, "vector": x[3], "city": "Oslo"},
    ])
    rows = {r["id"]: r for r in client.query(name, filter="id >= 0", output_fields=["*"])}
    assert [rows[i]["city"] for i in range(4)] == ["Rome", None, None, "Oslo"]
    assert [rows[i]["n"] for i in range(4)] == [1, None, 2, None]
    assert [rows[i]["stock"] for i in range(4)] == [5, 7, 0, 7]
    assert [rows[i]["label"] for i in range(4)] == ["a", "none", "none", "none"]
    for filter, wanted in [
        ("city is null", [1, 2]),
        ("city is not null", [0, 3]),
        ("n is null and city is not null", [3]),
        ("n > 0", [0, 2]),
        ("not (n > 1)", [0]),
        ('city == "Rome" or n == 2', [0, 2]),
        ("stock == 7", [1, 3]),
    ]:
        assert sorted(ids(client.query(name, filter=filter))) == wanted, filter
    hits = client.search(name, data=[x[1]], limit=4, output_fields=["city", "n"])[0]
    assert hits[0]["id"] == 1 and hits[0]["entity"]["city"] is None and hits[0]["entity"]["n"] is None


def test_every_scalar_type_comes_back_as_it_was(client, name):
    schema = plain_schema(client)
    types = {"b": DataType.BOOL, "i8": DataType.INT8, "i16": DataType.INT16, "i32": DataType.INT32,
             "i64": DataType.INT64, "f": DataType.FLOAT, "d": DataType.DOUBLE}
    for field, kind in types.items():
        schema.add_field(field, kind)
    schema.add_field("s", DataType.VARCHAR, max_length=100)
    schema.add_field("j", DataType.JSON)
    schema.add_field("ai", DataType.ARRAY, element_type=DataType.INT64, max_capacity=5)
    schema.add_field("ab", DataType.ARRAY, element_type=DataType.BOOL, max_capacity=5)
    schema.add_field("af", DataType.ARRAY, element_type=DataType.FLOAT, max_capacity=5)
    schema.add_field("as_", DataType.ARRAY, element_type=DataType.VARCHAR, max_capacity=5, max_length=10)
    create(client, name, schema)
    row = {
        "id": -(2**63), "vector": vectors(1)[0].tolist(), "b": True, "i8": -128, "i16": 32767,
        "i32": -(2**31), "i64": 2**63 - 1, "f": 0.5, "d": 0.1, "s": "naïve 🎈",
        "j": {"a": [1, 2.5, "x", None, True], "big": 2**53 + 1, "deep": {"er": {}}},
        "ai": [1, -(2**62), 3], "ab": [True, False], "af": [0.25], "as_": ["", "é"],
    }
    other = {**row, "id": 2**63 - 1, "ai": [], "ab": [], "af": [], "as_": [], "j": [1], "b": False}
    client.insert(name, [row, other])
    for wanted in (row, other):
        got = client.query(name, filter=f"id == {wanted['id']}", output_fields=["*"])
        assert len(got) == 1
        for field, value in wanted.items():
            same = np.allclose(got[0][field], value) if field == "vector" else got[0][field] == value
            assert same, (field, got[0][field], value)


# ── reading ─────────────────────────────────────────────────────────────────────────────────────


def test_output_vectors(client, name):
    create(client, name, plain_schema(client, dynamic=True))
    x = vectors(10)
    client.insert(name, [{"id": i, "vector": x[i], "tag": f"t{i}"} for i in range(10)])
    hit = client.search(name, data=[x[4]], limit=1, output_fields=["vector"])[0][0]
    assert np.allclose(hit["entity"]["vector"], x[4])
    hit = client.search(name, data=[x[4]], limit=1, output_fields=["*"])[0][0]
    assert np.allclose(hit["entity"]["vector"], x[4]) and hit["entity"]["tag"] == "t4"
    row = client.query(name, filter="id == 4", output_fields=["vector", "tag"])[0]
    assert np.allclose(row["vector"], x[4]) and row["tag"] == "t4"
    hit = client.search(name, data=[x[4]], limit=1)[0][0]
    assert not hit["entity"].get("vector")


FILTERS = [
    ("n == 7", lambda r: r["n"] == 7),
    ("n != 7", lambda r: r["n"] != 7),
    ("n < 3 or n >= 38", lambda r: r["n"] < 3 or r["n"] >= 38),
    ("3 < n <= 6", lambda r: 3 < r["n"] <= 6),
    ("n in [1, 5, 99]", lambda r: r["n"] in (1, 5, 99)),
    ("n not in [1, 5, 99]", lambda r: r["n"] not in (1, 5, 99)),
    ("n in []", lambda r: False),
    ("n % 5 == 2", lambda r: r["n"] % 5 == 2),
    ("n * 2 + 1 > 70", lambda r: r["n"] * 2 + 1 > 70),
    ("n - 10 < -5", lambda r: r["n"] - 10 < -5),
    ("price > 10.5", lambda r: r["price"] > 10.5),
    ("price / 2 <= 1", lambda r: r["price"] / 2 <= 1),
    ("n > 10 && price < 9 || word == 'w3'",
     lambda r: r["n"] > 10 and r["price"] < 9 or r["word"] == "w3"),
    ("not (n > 10)", lambda r: not r["n"] > 10),
    ("!(n > 10) AND NOT flag", lambda r: not r["n"] > 10 and not r["flag"]),
    ("flag == true", lambda r: r["flag"]),
    ("flag", lambda r: r["flag"]),
    ('word == "w12"', lambda r: r["word"] == "w12"),
    ('word like "w1%"', lambda r: r["word"].startswith("w1")),
    ('word like "%9"', lambda r: r["word"].endswith("9")),
    ('word like "%1%"', lambda r: "1" in r["word"]),
    ('word like "w_"', lambda r: len(r["word"]) == 2),
    ('word >= "w35" and word < "w4"', lambda r: "w35" <= r["word"] < "w4"),
    ('word in ["w1", "w2"]', lambda r: r["word"] in ("w1", "w2")),
    ("array_contains(tags, 3)", lambda r: 3 in r["tags"]),
    ("array_contains_all(tags, [1, 2])", lambda r: {1, 2} <= set(r["tags"])),
    ("array_contains_any(tags, [0, 4])", lambda r: bool({0, 4} & set(r["tags"]))),
    ("array_length(tags) == 2", lambda r: len(r["tags"]) == 2),
    ("tags[0] == 1", lambda r: len(r["tags"]) > 0 and r["tags"][0] == 1),
    ('meta["k"] == 3', lambda r: r["meta"].get("k") == 3),
    ('meta["k"] > 3 and meta["k"] < 6', lambda r: 3 < r["meta"].get("k", -1) < 6),
    ('meta["deep"]["er"] == "x1"', lambda r: r["meta"]["deep"]["er"] == "x1"),
    ('meta["list"][1] == 4', lambda r: r["meta"]["list"][1] == 4),
    ('meta["only"] == true', lambda r: r["meta"].get("only") is True),
    ('exists meta["only"]', lambda r: "only" in r["meta"]),
    ('not exists meta["only"]', lambda r: "only" not in r["meta"]),
    ('json_contains(meta["list"], 5)', lambda r: 5 in r["meta"]["list"]),
    ('json_contains_all(meta["list"], [1, 2])', lambda r: {1, 2} <= set(r["meta"]["list"])),
    ('json_contains_any(meta["list"], [0, 39])', lambda r: bool({0, 39} & set(r["meta"]["list"]))),
    ('meta["deep"]["er"] like "x2%"', lambda r: r["meta"]["deep"]["er"].startswith("x2")),
    ('meta["k"] in [1, 2]', lambda r: r["meta"].get("k") in (1, 2)),
    ("extra == 11", lambda r: r["extra"] == 11),
    ('$meta["extra"] < 3', lambda r: r["extra"] < 3),
    ('color == "red" and extra > 20', lambda r: r["color"] == "red" and r["extra"] > 20),
]


@pytest.fixture(scope="module")
def filtered(server):
    """A collection with 40 rows of all kinds; read only."""
    client = server.client()
    schema = plain_schema(client, dynamic=True)
    schema.add_field("n", DataType.INT64)
    schema.add_field("price", DataType.DOUBLE)
    schema.add_field("flag", DataType.BOOL)
    schema.add_field("word", DataType.VARCHAR, max_length=20)
    schema.add_field("tags", DataType.ARRAY, element_type=DataType.INT32, max_capacity=8)
    schema.add_field("meta", DataType.JSON)
    create(client, "filtered_rows", schema)
    x = vectors(40)
    rows = [
        {
            "id": i, "vector": x[i].tolist(), "n": i, "price": (i * 7 % 40) / 2, "flag": i % 3 == 0,
            "word": f"w{i}", "tags": list(range(i % 5)),
            "meta": {"deep": {"er": f"x{i}"}, "list": [i, i + 1, i + 2],
                     **({"k": i} if i % 2 else {}), **({"only": True} if i in (8, 9) else {})},
            "extra": i, "color": "red" if i % 4 == 0 else "blue",
        }
        for i in range(40)
    ]
    client.insert("filtered_rows", rows)
    return client, "filtered_rows", rows


@pytest.mark.parametrize("filter,means", FILTERS, ids=[f for f, _ in FILTERS])
def test_filters_mean_what_they_say(filtered, filter, means):
    client, name, rows = filtered
    wanted = [r["id"] for r in rows if means(r)]
    assert sorted(ids(client.query(name, filter=filter))) == wanted
    assert count(client, name, filter) == len(wanted)
    found = client.search(name, data=[rows[0]["vector"]], filter=filter, limit=40)[0]
    assert sorted(ids(found)) == wanted


def test_filter_templates(filtered):
    client, name, rows = filtered
    for filter, params, wanted in [
        ("n in {ns}", {"ns": [3, 4]}, [3, 4]),
        ("word == {w} and n > {least}", {"w": "w7", "least": 2}, [7]),
        ("price > {p} and flag == {f}", {"p": 18.9, "f": True},
         [r["id"] for r in rows if r["price"] > 18.9 and r["flag"]]),
    ]:
        got = client.query(name, filter=filter, filter_params=params)
        assert sorted(ids(got)) == wanted, filter
        got = client.search(name, data=[rows[0]["vector"]], filter=filter, filter_params=params, limit=40)
        assert sorted(ids(got[0])) == wanted, filter


def test_pages_and_batches(filtered):
    client, name, rows = filtered
    query = rows[5]["vector"]
    whole = ids(client.search(name, data=[query], limit=40)[0])
    pages = [ids(client.search(name, data=[query], limit=15, offset=o)[0]) for o in (0, 15, 30)]
    assert sum(pages, []) == whole
    many = client.search(name, data=[r["vector"] for r in rows], limit=1)
    assert [hits[0]["id"] for hits in many] == list(range(40))
    keys = [ids(client.query(name, filter="n >= 0", limit=15, offset=o)) for o in (0, 15, 30)]
    assert [len(k) for k in keys] == [15, 15, 10] and sorted(sum(keys, [])) == list(range(40))
    assert client.search(name, data=[query], filter="n > 1000", limit=5)[0] == []
    assert client.query(name, filter="n > 1000") == []


def test_range_search(client, name):
    create(client, name, plain_schema(client), metric="L2")
    x = np.zeros((50, DIM), np.float32)
    x[:, 0] = np.arange(50)
    client.insert(name, [{"id": i, "vector": x[i]} for i in range(50)])
    params = {"metric_type": "L2", "params": {"radius": 26.0, "range_filter": 4.0}}
    hits = client.search(name, data=[x[0]], limit=50, search_params=params)[0]
    assert ids(hits) == [2, 3, 4, 5]  # 4 <= distance < 26
    assert [h["distance"] for h in hits] == [4, 9, 16, 25]


def test_iterators(filtered):
    client, name, rows = filtered
    pages = client.query_iterator(name, batch_size=7, filter="n >= 0", output_fields=["n"])
    got = []
    while page := pages.next():
        assert len(page) <= 7
        got += ids(page)
    pages.close()
    assert got == list(range(40))
    query = rows[5]["vector"]
    pages = client.search_iterator(name, data=[query], batch_size=7, filter="n < 30", limit=25)
    got = []
    while page := pages.next():
        got += [hit["id"] for hit in page]
    pages.close()
    assert got == ids(client.search(name, data=[query], filter="n < 30", limit=25)[0])


def test_hybrid_search(client, name):
    schema = plain_schema(client)
    schema.add_field("other", DataType.FLOAT_VECTOR, dim=4)
    create(client, name, schema, fields=("vector", "other"))
    x, y = vectors(60), vectors(60, 4, seed=5)
    client.insert(name, [{"id": i, "vector": x[i], "other": y[i]} for i in range(60)])

    def requests():
        return [
            AnnSearchRequest([x[9].tolist()], "vector", {"metric_type": "COSINE"}, limit=20),
            AnnSearchRequest([y[9].tolist()], "other", {"metric_type": "COSINE"}, limit=20),
        ]

    hits = client.hybrid_search(name, requests(), RRFRanker(60), limit=5)[0]
    assert hits[0]["id"] == 9 and abs(hits[0]["distance"] - 2 / 61) < 1e-6 and len(hits) == 5
    hits = client.hybrid_search(name, requests(), WeightedRanker(0.7, 0.3), limit=5)[0]
    assert hits[0]["id"] == 9


# ── names: partitions, aliases, databases ───────────────────────────────────────────────────────


def test_partitions(client, name):
    create(client, name, plain_schema(client))
    client.create_partition(name, "a")
    client.create_partition(name, "b")
    assert sorted(client.list_partitions(name)) == ["_default", "a", "b"]
    assert client.has_partition(name, "a") and not client.has_partition(name, "c")
    x = vectors(30)
    rows = [{"id": i, "vector": x[i]} for i in range(30)]
    client.insert(name, rows[:10])
    client.insert(name, rows[10:20], partition_name="a")
    client.insert(name, rows[20:], partition_name="b")
    found = client.search(name, data=[x[0]], limit=30, partition_names=["a"])[0]
    assert sorted(ids(found)) == list(range(10, 20))
    found = client.query(name, filter="id >= 0", partition_names=["a", "b"])
    assert sorted(ids(found)) == list(range(10, 30))
    assert count(client, name) == 30
    assert count(client, name, partition_names=["b"]) == 10
    assert client.delete(name, filter="id < 12", partition_name="a")["delete_count"] == 2
    assert count(client, name) == 28
    client.release_partitions(name, ["b"])
    client.drop_partition(name, "b")
    assert sorted(client.list_partitions(name)) == ["_default", "a"]
    assert count(client, name) == 18


def test_a_dropped_collection_takes_its_aliases_along(client, name):
    alias = f"{name}_alias"
    client.create_collection(name, dimension=DIM)
    client.create_alias(name, alias)
    client.drop_collection(name)
    assert not client.has_collection(name)
    client.create_collection(alias, dimension=DIM)
    client.drop_collection(alias)


def test_aliases(client, name):
    for n in (1, 2):
        client.create_collection(f"{name}_{n}", dimension=DIM)
        client.insert(f"{name}_{n}", [{"id": n, "vector": vectors(1)[0]}])
    alias = f"{name}_alias"
    client.create_alias(f"{name}_1", alias)
    assert client.list_aliases(f"{name}_1")["aliases"] == [alias]
    assert client.describe_alias(alias)["collection_name"] == f"{name}_1"
    strong = {"consistency_level": "Strong"}
    assert ids(client.query(alias, filter="id > 0", **strong)) == [1]
    client.alter_alias(f"{name}_2", alias)
    assert ids(client.query(alias, filter="id > 0", **strong)) == [2]
    assert ids(client.search(alias, data=[vectors(1)[0]], limit=1, **strong)[0]) == [2]
    client.drop_alias(alias)
    with pytest.raises(MilvusException):
        client.query(alias, filter="id > 0")


def test_databases(server, client, name):
    client.create_database(name)
    assert {"default", name} <= set(client.list_databases())
    assert client.describe_database(name)["name"] == name
    inside = server.client(db_name=name)
    inside.create_collection(name, dimension=DIM)
    inside.insert(name, [{"id": 1, "vector": vectors(1)[0]}])
    assert inside.list_collections() == [name]
    assert not client.has_collection(name)
    client.create_collection(name, dimension=DIM)
    assert count(client, name, consistency_level="Strong") == 0
    assert count(inside, name, consistency_level="Strong") == 1
    switching = MilvusClient(server.uri)
    switching.use_database(name)
    assert switching.list_collections() == [name]
    inside.drop_collection(name)
    client.drop_database(name)
    assert name not in client.list_databases()


# ── the collection as a whole ───────────────────────────────────────────────────────────────────


def test_load_and_release(client, name):
    create(client, name, plain_schema(client))
    x = vectors(5)
    client.insert(name, [{"id": i, "vector": x[i]} for i in range(5)])
    client.release_collection(name)
    assert client.get_load_state(name)["state"].name == "NotLoad"
    with pytest.raises(MilvusException) as error:
        client.search(name, data=[x[0]], limit=1)
    assert error.value.code == 101
    client.load_collection(name)
    assert len(client.search(name, data=[x[0]], limit=5)[0]) == 5


def test_index_by_index(client, name):
    client.create_collection(name, schema=plain_schema(client), consistency_level="Strong")
    assert client.list_indexes(name) == []
    params = client.prepare_index_params()
    params.add_index("vector", index_type="HNSW", index_name="mine", metric_type="L2",
                     params={"M": 8, "efConstruction": 64})
    client.create_index(name, params)
    assert client.list_indexes(name) == ["mine"]
    told = client.describe_index(name, "mine")
    assert told["index_type"] == "HNSW" and str(told["M"]) == "8"
    client.load_collection(name)
    client.insert(name, [{"id": 1, "vector": vectors(1)[0]}])
    assert len(client.search(name, data=[vectors(1)[0]], limit=1)[0]) == 1
    client.release_collection(name)
    client.drop_index(name, "mine")
    assert client.list_indexes(name) == []


def test_flush_and_compaction_change_nothing_to_see(client, name):
    create(client, name, plain_schema(client, dynamic=True))
    x = vectors(400)
    for start in range(0, 400, 100):
        client.insert(name, [{"id": i, "vector": x[i], "n": i} for i in range(start, start + 100)])
        client.flush(name)
    client.delete(name, filter="n % 4 == 0")
    before = client.search(name, data=list(x[:5]), limit=20, output_fields=["n"])
    client.flush(name)
    job = client.compact(name)
    for _ in range(600):
        if client.get_compaction_state(job) == "Completed":
            break
        asyncio.run(asyncio.sleep(0.05))
    else:
        pytest.fail("the compaction does not end")
    assert count(client, name) == 300
    after = client.search(name, data=list(x[:5]), limit=20, output_fields=["n"])
    assert [[(h["id"], h["entity"]["n"]) for h in hits] for hits in before] == [
        [(h["id"], h["entity"]["n"]) for h in hits] for hits in after]
    assert int(client.get_collection_stats(name)["row_count"]) >= 300


def test_rename_and_statistics(client, name):
    client.create_collection(name, dimension=DIM)
    client.insert(name, [{"id": i, "vector": v} for i, v in enumerate(vectors(12))])
    client.flush(name)
    assert int(client.get_collection_stats(name)["row_count"]) == 12
    client.rename_collection(name, name + "_new")
    assert not client.has_collection(name)
    assert count(client, name + "_new", consistency_level="Strong") == 12


def test_row_count_is_of_the_rows_kept(client, name):
    """Of unflushed rows the living ones, of flushed ones all until compaction leaves out the deleted."""
    def rows(partition=None):
        stats = client.get_partition_stats(name, partition) if partition else client.get_collection_stats(name)
        return int(stats["row_count"])

    client.create_collection(name, dimension=DIM)
    client.create_partition(name, "old")
    data = [{"id": i, "vector": v} for i, v in enumerate(vectors(10))]
    client.insert(name, data[:6])
    client.insert(name, data[6:], partition_name="old")
    client.upsert(name, data[:3])
    client.insert(name, data[5:6] * 4)
    client.delete(name, ids=[0, 9, 999])
    assert (rows(), rows("_default"), rows("old")) == (8, 5, 3)
    client.flush(name)
    assert (rows(), rows("_default"), rows("old")) == (8, 5, 3)
    client.delete(name, ids=[1])
    client.upsert(name, data[6:7], partition_name="old")
    assert (rows(), rows("_default"), rows("old")) == (9, 5, 4) and count(client, name) == 7


def test_a_field_added_later_is_null_before(client, name):
    create(client, name, plain_schema(client))
    x = vectors(4)
    client.insert(name, [{"id": i, "vector": x[i]} for i in (0, 1)])
    client.add_collection_field(name, "size", DataType.INT64, nullable=True)
    client.insert(name, [{"id": i, "vector": x[i], "size": i} for i in (2, 3)])
    rows = client.query(name, filter="id >= 0", output_fields=["size"])
    assert sorted((r["id"], r["size"]) for r in rows if r["size"] is not None) == [(2, 2), (3, 3)]
    assert sorted(ids(client.query(name, filter="size is null"))) == [0, 1]


def test_truncate(client, name):
    if not hasattr(client, "truncate_collection"):
        pytest.skip("this client cannot truncate")
    create(client, name, plain_schema(client))
    client.insert(name, [{"id": i, "vector": v} for i, v in enumerate(vectors(12))])
    client.truncate_collection(name)
    assert count(client, name) == 0
    client.insert(name, [{"id": 5, "vector": vectors(1)[0]}])
    assert count(client, name) == 1


@pytest.mark.parametrize("level", ["Strong", "Bounded", "Session", "Eventually"])
def test_consistency_levels(client, name, level):
    client.create_collection(name, dimension=DIM, consistency_level=level)
    x = vectors(10)
    client.insert(name, [{"id": i, "vector": x[i]} for i in range(10)])
    # Elanus applies a write before it acknowledges it, so even the weak levels see it.
    assert len(client.search(name, data=[x[0]], limit=10)[0]) == 10
    assert count(client, name) == 10


def test_async_client(server, name):
    async def story():
        client = AsyncMilvusClient(server.uri)
        await client.create_collection(name, dimension=DIM)
        x = vectors(40)
        await asyncio.gather(*[
            client.insert(name, [{"id": i, "vector": x[i], "n": i} for i in range(s, s + 10)])
            for s in range(0, 40, 10)])
        found = await asyncio.gather(*[
            client.search(name, data=[x[i]], limit=1, consistency_level="Strong") for i in range(40)])
        assert [hits[0][0]["id"] for hits in found] == list(range(40))
        rows = await client.query(name, filter="n >= 35", output_fields=["n"])
        assert sorted(r["n"] for r in rows) == [35, 36, 37, 38, 39]
        await client.upsert(name, [{"id": 0, "vector": x[0], "n": 100}])
        assert (await client.get(name, ids=[0]))[0]["n"] == 100
        assert (await client.delete(name, ids=[1, 2]))["delete_count"] == 2
        rows = await client.query(name, filter="", output_fields=["count(*)"])
        assert rows[0]["count(*)"] == 38
        await client.drop_collection(name)
        await client.close()

    asyncio.run(story())


def test_the_older_interface(server, client, name):
    create(client, name, plain_schema(client))
    alias = f"orm_{random.randrange(10**9)}"
    connections.connect(alias, uri=server.uri)
    try:
        collection = Collection(name, using=alias)
        x = vectors(25)
        collection.insert([list(range(25)), x.tolist()])
        collection.flush()
        assert collection.num_entities == 25
        collection.load()
        found = collection.search([x[6].tolist()], "vector", {"metric_type": "COSINE"}, limit=3)
        assert found[0][0].id == 6
        assert len(collection.query("id in [1, 2, 3]")) == 3
        assert collection.delete("id in [1, 2]").delete_count == 2
        assert collection.query("", output_fields=["count(*)"])[0]["count(*)"] == 23
    finally:
        connections.disconnect(alias)


def test_server_version(client):
    assert client.get_server_version()
