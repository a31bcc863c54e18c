"""Sparse vectors: exact inner products over rows, files, filters and deletes."""

import numpy as np
import pytest
from pymilvus import AnnSearchRequest, DataType, MilvusException, RRFRanker

ROWS = 300


def vectors(rng, count):
    def one():
        positions = rng.choice(50, size=rng.integers(1, 8), replace=False)
        return {int(p): float(np.float32(rng.random())) for p in positions}

    return [one() for _ in range(count)]


def make(client, name, kind="SPARSE_INVERTED_INDEX", params=None, **field):
    schema = client.create_schema()
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("s", DataType.SPARSE_FLOAT_VECTOR, **field)
    schema.add_field("d", DataType.FLOAT_VECTOR, dim=2)
    schema.add_field("n", DataType.INT64)
    index = client.prepare_index_params()
    index.add_index("s", index_type=kind, metric_type="IP", params=params or {})
    index.add_index("d", index_type="FLAT", metric_type="L2")
    client.create_collection(name, schema=schema, index_params=index)


def dot(a, b):
    common = sorted(a.keys() & b.keys())
    return sum(np.float64(np.float32(a[p])) * np.float64(np.float32(b[p])) for p in common) if common else None


def expected(rows, query, limit, allowed=lambda row: True):
    scored = [(dot(r["s"], query), r["id"]) for r in rows if r["s"] is not None and allowed(r)]
    scored = [(np.float32(score), i) for score, i in scored if score is not None]
    return [i for _, i in sorted(scored, key=lambda s: (-s[0], s[1]))][:limit]


@pytest.mark.parametrize("kind", ["SPARSE_INVERTED_INDEX", "SPARSE_WAND", "AUTOINDEX"])
def test_exact_at_every_stage(client, name, kind):
    rng = np.random.default_rng(5)
    make(client, name, kind, nullable=True)
    rows = [{"id": i, "s": s, "d": [i, 0], "n": i % 3} for i, s in enumerate(vectors(rng, ROWS))]
    rows[7]["s"] = None
    rows[8]["s"] = {}
    client.insert(name, rows[:200])
    client.flush(name)
    client.insert(name, rows[200:])
    client.delete(name, ids=[0, 250])
    alive = [r for r in rows if r["id"] not in (0, 250)]
    for query in vectors(rng, 5):
        found = client.search(name, [query], anns_field="s", limit=10, output_fields=["s"])[0]
        assert [h["id"] for h in found] == expected(alive, query, 10)
        for hit in found:
            assert hit["entity"]["s"] == pytest.approx(rows[hit["id"]]["s"])
            assert hit["distance"] == pytest.approx(dot(rows[hit["id"]]["s"], query), rel=1e-6)
        found = client.search(name, [query], anns_field="s", limit=10, filter="n == 1")[0]
        assert [h["id"] for h in found] == expected(alive, query, 10, lambda r: r["n"] == 1)
        params = {"params": {"radius": 0.2, "range_filter": 0.5}}
        found = client.search(name, [query], anns_field="s", limit=100, search_params=params)[0]
        inside = lambda r: dot(r["s"], query) is not None and 0.2 < np.float32(dot(r["s"], query)) <= 0.5
        assert [h["id"] for h in found] == expected(alive, query, 100, inside)
    assert client.search(name, [{9_999: 1.0}], anns_field="s", limit=10)[0] == []
    assert client.search(name, [{}], anns_field="s", limit=10)[0] == []
    assert client.query(name, filter="s is null", output_fields=["s"]) == [{"id": 7, "s": None}]
    asked = [AnnSearchRequest([{1: 1.0}], "s", {}, 5), AnnSearchRequest([[3, 0]], "d", {}, 5)]
    both = {h["id"] for h in client.hybrid_search(name, asked, RRFRanker(), limit=10)[0]}
    assert both == set(expected(alive, {1: 1.0}, 5)) | {1, 2, 3, 4, 5}


def test_what_is_no_sparse_vector_is_refused(client, name):
    make(client, name)
    for vector in ({1: -1.0}, {1: float("nan")}):
        with pytest.raises(MilvusException):
            client.insert(name, [{"id": 1, "s": vector, "d": [0, 0], "n": 0}])
    with pytest.raises(MilvusException, match="vector type must be the same"):
        client.search(name, [[1.0, 2.0]], anns_field="s", limit=1)


@pytest.mark.parametrize(
    "metric, params, words",
    [
        ("L2", {}, "sparse vector index does not support metric type: L2|metric type not found or not supported"),
        ("IP", {"inverted_index_algo": "MAGIC"}, "algo MAGIC not found or not supported"),
        ("IP", {"drop_ratio_build": 1.0}, "drop_ratio_build|should be in range"),
        ("IP", {"quant_type": "u16"}, "quant_type for IP metric must be 'fp16' or 'fp32'"),
        ("IP", {"sindi_window_size": 10}, "sindi_window_size|should be in range"),
    ],
)
def test_parameters_of_the_index_are_checked(client, name, metric, params, words):
    make(client, name)
    client.release_collection(name)
    client.drop_index(name, "s")
    index = client.prepare_index_params()
    index.add_index("s", index_type="SPARSE_INVERTED_INDEX", metric_type=metric, params=params)
    with pytest.raises(MilvusException, match=words):
        client.create_index(name, index)


def test_an_index_says_what_it_is(client, name):
    make(client, name, params={"inverted_index_algo": "DAAT_WAND"})
    index = client.describe_index(name, "s")
    assert (index["index_type"], index["metric_type"]) == ("SPARSE_INVERTED_INDEX", "IP")
    assert (index["inverted_index_algo"], index["elanus.index"]) == ("DAAT_WAND", "exact sparse scan")
