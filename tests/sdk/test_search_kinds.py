"""Rerankers, grouping, ORDER BY, aggregates and iterators, against plain Python."""

import math
import random
from collections import defaultdict

import pymilvus
import pytest
from pymilvus import AnnSearchRequest, DataType, Function, FunctionType, MilvusClient, WeightedRanker
from pymilvus.exceptions import MilvusException

try:
    from pymilvus import FunctionScore
except ImportError:
    FunctionScore = None

new_client = pytest.mark.skipif(FunctionScore is None or pymilvus.__version__ < "3", reason="this client cannot ask it")

ROWS = 60
SEED = 20


def rows():
    dice = random.Random(SEED)
    return [
        {
            "id": i,
            "v": [dice.uniform(-1, 1) for _ in range(4)],
            "w": [dice.uniform(-1, 1) for _ in range(4)],
            "n": None if i % 10 == 9 else dice.randrange(0, 100),
            "kind": f"k{i % 5}",
            "doc": {"size": i % 7, "name": f"n{i % 3}"},
            "color": ["red", "green", "blue"][i % 3],
        }
        for i in range(ROWS)
    ]


@pytest.fixture(scope="module")
def shop(server):
    print("seed", SEED)
    client = server.client()
    schema = MilvusClient.create_schema(auto_id=False, enable_dynamic_field=True)
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("v", DataType.FLOAT_VECTOR, dim=4)
    schema.add_field("w", DataType.FLOAT_VECTOR, dim=4)
    schema.add_field("n", DataType.INT64, nullable=True)
    schema.add_field("kind", DataType.VARCHAR, max_length=16)
    schema.add_field("doc", DataType.JSON)
    params = client.prepare_index_params()
    params.add_index("v", index_type="FLAT", metric_type="L2")
    params.add_index("w", index_type="FLAT", metric_type="COSINE")
    client.create_collection("shop", schema=schema, index_params=params, consistency_level="Strong")
    data = rows()
    client.insert("shop", data[: ROWS // 2])
    client.flush("shop")
    client.insert("shop", data[ROWS // 2 :])
    return client, {row["id"]: row for row in data}


def l2(a, b):
    return sum((x - y) ** 2 for x, y in zip(a, b))


def function(**params):
    inputs = params.pop("inputs", [])
    return Function(
        name="r", function_type=FunctionType.RERANK, input_field_names=inputs, params=params
    )


QUERY = [0.1, 0.2, -0.3, 0.4]


def test_decay_shrinks_scores_of_far_values(shop):
    client, data = shop
    decay = function(
        inputs=["n"], reranker="decay", function="gauss", origin=50, scale=20, offset=5, decay=0.5
    )
    hits = client.search("shop", [QUERY], anns_field="v", limit=ROWS, ranker=decay)[0]

    def score(row):
        if row["n"] is None:
            return 0.0
        near = 1 - 2 * math.atan(l2(row["v"], QUERY)) / math.pi
        far = max(0, abs(row["n"] - 50) - 5)
        return near * math.exp(far**2 * math.log(0.5) / 20**2)

    wanted = sorted(data.values(), key=lambda row: (-score(row), row["id"]))
    assert [round(h["distance"], 4) for h in hits] == [round(score(r), 4) for r in wanted]
    assert len(hits) == ROWS


@pytest.mark.skipif(FunctionScore is None, reason="this client has no FunctionScore")
def test_boosts_change_only_their_rows(shop):
    client, data = shop
    red = function(reranker="boost", weight=0.5, filter='color == "red"')
    even = function(reranker="boost", weight=0.5, filter="id % 2 == 0")
    both = FunctionScore(functions=[red, even], params={"function_mode": "Multiply"})
    hits = client.search("shop", [QUERY], anns_field="v", limit=ROWS, ranker=both)[0]

    def score(row):
        weight = (0.5 if row["color"] == "red" else 1) * (0.5 if row["id"] % 2 == 0 else 1)
        return l2(row["v"], QUERY) * weight

    wanted = sorted(data.values(), key=score)
    assert [h["id"] for h in hits] == [row["id"] for row in wanted]
    drawn = FunctionScore(
        functions=[function(reranker="boost", weight=1, random_score={"seed": 7, "field": "id"})]
    )
    ask = lambda: [h["id"] for h in client.search("shop", [QUERY], anns_field="w", limit=9, ranker=drawn)[0]]
    assert ask() == ask()


@pytest.mark.parametrize(
    "params, words",
    [
        ({"reranker": "decay", "inputs": ["kind"], "function": "exp", "origin": 0, "scale": 1},
         "must be numeric, got VarChar"),
        ({"reranker": "decay", "inputs": ["n"], "function": "sine", "origin": 0, "scale": 1},
         "must be one of"),
        ({"reranker": "model", "inputs": ["kind"], "provider": "tei", "queries": ["x"]},
         "calls no model services"),
        ({"reranker": "other"}, "unsupported reranker other"),
    ],
)
def test_wrong_rerankers_are_refused(shop, params, words):
    client, _ = shop
    with pytest.raises(MilvusException, match=words):
        client.search("shop", [QUERY], anns_field="v", limit=3, ranker=function(**dict(params)))


@pytest.mark.parametrize(
    "field, value",
    [
        ("kind", lambda r: r["kind"]),
        ("color", lambda r: r["color"]),
        ("doc['name']", lambda r: r["doc"]["name"]),
    ],
)
def test_groups_by_fields_keys_and_paths(shop, field, value):
    client, data = shop
    hits = client.search(
        "shop", [QUERY], anns_field="v", limit=2, group_by_field=field, group_size=3,
        strict_group_size=True,
    )[0]
    groups = defaultdict(list)
    for row in sorted(data.values(), key=lambda r: l2(r["v"], QUERY)):
        groups[value(row)].append(row["id"])
    wanted = [i for group in list(groups.values())[:2] for i in group[:3]]
    assert [h["id"] for h in hits] == wanted


def test_hybrid_search_by_groups(shop):
    client, data = shop
    parts = [
        AnnSearchRequest([QUERY], "v", {"metric_type": "L2"}, limit=20),
        AnnSearchRequest([QUERY], "w", {"metric_type": "COSINE"}, limit=20),
    ]
    hits = client.hybrid_search(
        "shop", parts, WeightedRanker(0.5, 0.5), limit=5, group_by_field="kind", group_size=2,
        output_fields=["kind"],
    )[0]
    kinds = [h["entity"]["kind"] for h in hits]
    assert len(set(kinds)) == 5 and all(kinds.count(k) <= 2 for k in kinds)


def test_hybrid_search_in_a_time_zone(server):
    client = server.client()
    schema = MilvusClient.create_schema(auto_id=False)
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("v", DataType.FLOAT_VECTOR, dim=2)
    schema.add_field("at", DataType.TIMESTAMPTZ)
    params = client.prepare_index_params()
    params.add_index("v", index_type="FLAT", metric_type="L2")
    client.create_collection("zoned", schema=schema, index_params=params, consistency_level="Strong")
    client.insert("zoned", [
        {"id": 1, "v": [1, 0], "at": "2025-01-01T00:00:00Z"},
        {"id": 2, "v": [1, 1], "at": "2024-12-31T16:00:00Z"},
    ])
    part = AnnSearchRequest([[1, 0]], "v", {}, limit=2, expr="at == ISO '2025-01-01T00:00:00'")
    hits = client.hybrid_search(
        "zoned", [part], WeightedRanker(1.0), limit=2, output_fields=["at"], timezone="Asia/Shanghai"
    )[0]
    assert [(h["id"], h["entity"]["at"]) for h in hits] == [(2, "2025-01-01T00:00:00+08:00")]


@new_client
def test_search_and_query_in_an_order(shop):
    client, data = shop
    found = client.search("shop", [QUERY], anns_field="v", limit=12, output_fields=["kind"])[0]
    plain = [h["id"] for h in found]
    hits = client.search(
        "shop", [QUERY], anns_field="v", limit=12,
        order_by_fields=[{"field": "color", "order": "desc"}, {"field": "kind", "order": "asc"}],
    )[0]
    order = sorted(plain, key=lambda i: data[i]["kind"])
    order.sort(key=lambda i: data[i]["color"], reverse=True)
    assert [h["id"] for h in hits] == order
    got = client.query("shop", filter="", limit=20, offset=3, output_fields=["n"], order_by_fields=["n:desc:nulls_last"])
    ids = sorted(data, key=lambda i: (data[i]["n"] is None, -(data[i]["n"] or 0), i))
    assert [r["id"] for r in got] == ids[3:23]
    with pytest.raises(MilvusException, match="ORDER BY requires explicit limit"):
        client.query("shop", filter="id >= 0", order_by_fields=["n"])


@new_client
def test_functions_over_rows(shop):
    client, data = shop
    got = client.query(
        "shop", filter="id >= 5", group_by_fields=["kind"], order_by_fields=["kind:desc"], limit=4,
        output_fields=["kind", "count(*)", "sum(n)", "avg(n)", "min(n)", "max(n)", "count(n)"],
    )
    for row in got:
        values = [r["n"] for r in data.values() if r["id"] >= 5 and r["kind"] == row["kind"]]
        known = [v for v in values if v is not None]
        assert (row["count(*)"], row["count(n)"]) == (len(values), len(known))
        if known:
            assert (row["sum(n)"], row["min(n)"], row["max(n)"]) == (sum(known), min(known), max(known))
            assert math.isclose(row["avg(n)"], sum(known) / len(known))
    assert [r["kind"] for r in got] == ["k4", "k3", "k2", "k1"]
    assert client.query("shop", output_fields=["max(kind)"])[0]["max(kind)"] == "k4"
    with pytest.raises(MilvusException, match="does not support data type VarChar"):
        client.query("shop", output_fields=["sum(kind)"])


def drained(iterator):
    pages = []
    while page := iterator.next():
        pages.extend(page)
    iterator.close()
    return pages


def test_iterators_see_one_moment(server):
    client = server.client()
    client.create_collection("moving", dimension=4, consistency_level="Strong")
    dice = random.Random(SEED)
    row = lambda i: {"id": i, "vector": [dice.uniform(-1, 1) for _ in range(4)]}
    client.insert("moving", [row(i) for i in range(50)])
    query = client.query_iterator("moving", batch_size=7)
    search = client.search_iterator("moving", [[0.1, 0.2, 0.3, 0.4]], batch_size=7)
    first = [r["id"] for r in query.next()] + [h["id"] for h in search.next()]
    client.delete("moving", filter="id >= 10 and id < 40")
    client.upsert("moving", [row(i) for i in range(40, 60)])
    client.flush("moving")
    client.compact("moving")
    assert len(first) == 14
    assert sorted(first[:7] + [r["id"] for r in drained(query)]) == list(range(50))
    assert sorted(first[7:] + [h["id"] for h in drained(search)]) == list(range(50))
    assert client.query("moving", output_fields=["count(*)"])[0]["count(*)"] == 30


def test_an_iterator_whose_moment_is_gone_says_so(make_server):
    server = make_server(env={"ELANUS_READ_ITERATOR_IDLE_MS": "1"})
    client = server.client()
    client.create_collection("short", dimension=4, consistency_level="Strong")
    client.insert("short", [{"id": i, "vector": [i, 1, 1, 1]} for i in range(9)])
    iterator = client.query_iterator("short", batch_size=4)
    client.insert("short", [{"id": 99, "vector": [1, 1, 1, 1]}])
    with pytest.raises(MilvusException, match="the snapshot of this iterator .* is gone"):
        drained(iterator)
