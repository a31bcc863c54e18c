"""Vectors of every type: what goes in comes out, and every metric agrees with numpy."""

import time

import ml_dtypes
import numpy as np
import pytest
from conftest import shared_data
from pymilvus import AnnSearchRequest, DataType, MilvusException, RRFRanker, WeightedRanker

DIM = 16
ROWS = 200
DENSE = ["L2", "IP", "COSINE"]
BITS = ["HAMMING", "JACCARD", "SUBSTRUCTURE", "SUPERSTRUCTURE"]


def real_random(dtype):
    return lambda rng, n: rng.standard_normal((n, DIM)).astype(dtype)


def bytes_random(rng, n):
    return rng.integers(-128, 128, (n, DIM)).astype(np.int8)


def bits_random(rng, n):
    """Bits of each row as a row of bytes; rows of all densities, so that some contain others."""
    set_bits = rng.random((n, DIM)) < rng.random((n, 1))
    return np.packbits(set_bits, axis=1, bitorder="little")


KINDS = {
    "float": (DataType.FLOAT_VECTOR, real_random(np.float32), DENSE),
    "float16": (DataType.FLOAT16_VECTOR, real_random(np.float16), DENSE),
    "bfloat16": (DataType.BFLOAT16_VECTOR, real_random(ml_dtypes.bfloat16), DENSE),
    "int8": (DataType.INT8_VECTOR, bytes_random, DENSE),
    "binary": (DataType.BINARY_VECTOR, bits_random, BITS),
}
PAIRS = [(kind, metric) for kind, (_, _, metrics) in KINDS.items() for metric in metrics]


def given(kind, row):
    """A vector as a client gives it."""
    return row.tobytes() if kind == "binary" else row


def raw(value):
    """The bytes of a vector in an answer, whatever form the client gives it."""
    if isinstance(value, (bytes, bytearray)):
        return bytes(value)
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], (bytes, bytearray)):
        return bytes(value[0])
    return np.asarray(value, dtype=getattr(value, "dtype", np.float32)).tobytes()


def scores(metric, query, rows):
    """The score of each row; infinite where the metric has no answer."""
    if metric in BITS:
        q, x = np.unpackbits(query).astype(bool), np.unpackbits(rows, axis=1).astype(bool)
        both, either = (x & q).sum(1), (x | q).sum(1)
        return {
            "HAMMING": lambda: (x ^ q).sum(1).astype(np.float64),
            "JACCARD": lambda: np.where(either == 0, 1.0, 1 - both / np.maximum(either, 1)),
            "SUBSTRUCTURE": lambda: np.where(both == q.sum(), 0.0, np.inf),
            "SUPERSTRUCTURE": lambda: np.where(both == x.sum(1), 0.0, np.inf),
        }[metric]()
    q, x = query.astype(np.float64), rows.astype(np.float64)
    if metric == "L2":
        return ((x - q) ** 2).sum(1)
    if metric == "IP":
        return x @ q
    return x @ q / np.linalg.norm(x, axis=1) / np.linalg.norm(q)


def nearest(metric, query, ids, rows, k):
    """Ids and scores of the best k, equal scores by id."""
    found = scores(metric, query, rows)
    sign = -1 if metric in ("IP", "COSINE") else 1
    order = sorted((i for i in range(len(ids)) if np.isfinite(found[i])),
                   key=lambda i: (sign * np.float32(found[i]), ids[i]))[:k]
    return [ids[i] for i in order], [found[i] for i in order]


def create(client, name, kind, metric, nullable=False, index=None):
    schema = client.create_schema(auto_id=False)
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("v", KINDS[kind][0], dim=DIM, **({"nullable": True} if nullable else {}))
    schema.add_field("n", DataType.INT64)
    params = client.prepare_index_params()
    # Milvus has no FLAT for bytes.
    flat = {"binary": "BIN_FLAT", "int8": "AUTOINDEX"}.get(kind, "FLAT")
    params.add_index("v", index_type=index or flat, metric_type=metric)
    client.create_collection(name, schema=schema, index_params=params, consistency_level="Strong")


def rows_of(kind, ids, x):
    return [{"id": int(i), "v": given(kind, row), "n": int(i) % 10} for i, row in zip(ids, x)]


def check(client, name, kind, metric, ids, x, queries):
    """Searches, filtered or not, and every stored vector."""
    for filter, keep in [("", np.ones(len(ids), bool)), ("n < 3", np.array(ids) % 10 < 3)]:
        found = client.search(name, data=[given(kind, q) for q in queries], limit=10, filter=filter,
                              search_params={"metric_type": metric})
        for q, hits in zip(queries, found):
            kept = [int(i) for i, k in zip(ids, keep) if k]
            want_ids, want = nearest(metric, q, kept, x[keep], 10)
            assert np.allclose([h["distance"] for h in hits], want, rtol=1e-5, atol=1e-6)
            assert [h["id"] for h in hits] == want_ids
    stored = client.query(name, filter="id >= 0", output_fields=["v"], limit=1000)
    assert {r["id"]: raw(r["v"]) for r in stored} == {int(i): r.tobytes() for i, r in zip(ids, x)}


@pytest.mark.parametrize("kind,metric", PAIRS)
def test_every_metric_at_every_stage(client, name, kind, metric):
    create(client, name, kind, metric)
    rng = np.random.default_rng(3)
    make = KINDS[kind][1]
    x, queries = make(rng, ROWS), make(rng, 4)
    ids = list(range(ROWS))
    client.insert(name, rows_of(kind, ids[:120], x[:120]))
    client.flush(name)
    client.insert(name, rows_of(kind, ids[120:], x[120:]))
    check(client, name, kind, metric, ids, x, queries)

    newer = make(rng, 20)
    client.upsert(name, rows_of(kind, ids[50:70], newer))
    x[50:70] = newer
    client.delete(name, ids=ids[::9])
    left = [i for i in ids if i % 9]
    check(client, name, kind, metric, left, x[left], queries)

    client.flush(name)
    job = client.compact(name)
    while client.get_compaction_state(job) != "Completed":
        time.sleep(0.02)
    check(client, name, kind, metric, left, x[left], queries)


def test_vectors_survive_a_kill_and_a_restart(make_server):
    server = make_server()
    rng = np.random.default_rng(4)
    data = {kind: (make(rng, 60), make(rng, 3)) for kind, (_, make, _) in KINDS.items()}
    client = server.client()
    for kind, (x, _) in data.items():
        create(client, kind, kind, KINDS[kind][2][0])
        client.insert(kind, rows_of(kind, range(40), x[:40]))
        client.flush(kind)
        client.insert(kind, rows_of(kind, range(40, 60), x[40:]))
    server.kill()
    client = server.start().client()
    for kind, (x, queries) in data.items():
        check(client, kind, kind, KINDS[kind][2][0], list(range(60)), x, queries)


@pytest.mark.parametrize("kind", KINDS)
def test_one_vector_comes_back_as_it_is(client, name, kind):
    create(client, name, kind, KINDS[kind][2][0])
    x = KINDS[kind][1](np.random.default_rng(5), 5)
    client.insert(name, rows_of(kind, range(5), x))
    assert raw(client.get(name, ids=[3])[0]["v"]) == x[3].tobytes()
    hit = client.search(name, data=[given(kind, x[2])], limit=5, output_fields=["v"])[0]
    for h in hit:
        assert raw(h["entity"]["v"]) == x[h["id"]].tobytes()
    told = {f["name"]: f for f in client.describe_collection(name)["fields"]}["v"]
    assert told["type"] == KINDS[kind][0] and int(told["params"]["dim"]) == DIM
    # A partial update leaves the vector as it is.
    client.upsert(name, [{"id": 3, "n": 77}], partial_update=True)
    row = client.get(name, ids=[3])[0]
    assert row["n"] == 77 and raw(row["v"]) == x[3].tobytes()


@pytest.mark.parametrize("kind", KINDS)
def test_a_vector_may_be_null(client, name, kind):
    create(client, name, kind, KINDS[kind][2][0], nullable=True)
    x = KINDS[kind][1](np.random.default_rng(6), 8)
    rows = rows_of(kind, range(8), x)
    rows[2]["v"] = rows[5]["v"] = None
    client.insert(name, rows)
    for _ in range(2):
        stored = {r["id"]: r["v"] for r in client.query(name, filter="id >= 0", output_fields=["v"])}
        assert stored[2] is None and stored[5] is None
        assert all(raw(stored[i]) == x[i].tobytes() for i in (0, 1, 3, 4, 6, 7))
        found = client.search(name, data=[given(kind, x[2])], limit=10)[0]
        assert {2, 5}.isdisjoint(h["id"] for h in found) and len(found) == 6
        client.flush(name)


@pytest.mark.parametrize("kind", ["float16", "bfloat16"])
def test_wide_floats_are_rounded_to_narrow_fields(client, name, kind):
    create(client, name, kind, "L2")
    x = np.random.default_rng(7).standard_normal((6, DIM)).astype(np.float32)
    narrow = x.astype(np.float16 if kind == "float16" else ml_dtypes.bfloat16)
    client.insert(name, rows_of(kind, range(6), narrow))
    found = client.search(name, data=[x[4].tolist()], limit=3)[0]
    assert found[0]["id"] == 4 and found[0]["distance"] == 0.0
    large = [1e38 if kind == "float16" else 3.4e38] * DIM
    with pytest.raises(MilvusException, match="nan or infinity"):
        client.search(name, data=[large], limit=3)


def test_ids_may_stand_for_query_vectors(client, name):
    for kind in KINDS:
        metric = KINDS[kind][2][0]
        create(client, f"{name}_{kind}", kind, metric)
        x = KINDS[kind][1](np.random.default_rng(8), 30)
        client.insert(f"{name}_{kind}", rows_of(kind, range(30), x))
        try:
            found = client.search(f"{name}_{kind}", ids=[7, 3], limit=5)
        except TypeError:
            pytest.skip("this client cannot search by ids")
        for i, hits in zip([7, 3], found):
            assert [h["id"] for h in hits] == nearest(metric, x[i], list(range(30)), x, 5)[0]


def test_ranges(client, name):
    create(client, name, "binary", "HAMMING")
    rng = np.random.default_rng(9)
    x, q = bits_random(rng, 100), bits_random(rng, 1)[0]
    client.insert(name, rows_of("binary", range(100), x))
    found = client.search(name, data=[q.tobytes()], limit=100, search_params={
        "metric_type": "HAMMING", "params": {"radius": 9, "range_filter": 4}})[0]
    truth = scores("HAMMING", q, x)
    assert sorted(h["id"] for h in found) == [i for i in range(100) if 4 <= truth[i] < 9]


def test_kinds_go_together_in_a_hybrid_search(client, name):
    schema = client.create_schema(auto_id=False)
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("h", DataType.FLOAT16_VECTOR, dim=DIM)
    schema.add_field("x", DataType.BINARY_VECTOR, dim=DIM)
    params = client.prepare_index_params()
    params.add_index("h", index_type="FLAT", metric_type="L2")
    params.add_index("x", index_type="BIN_FLAT", metric_type="HAMMING")
    client.create_collection(name, schema=schema, index_params=params, consistency_level="Strong")
    rng = np.random.default_rng(10)
    h, x = KINDS["float16"][1](rng, 80), bits_random(rng, 80)
    client.insert(name, [{"id": i, "h": h[i], "x": x[i].tobytes()} for i in range(80)])
    asked = [("h", "L2", h[5], h[5]), ("x", "HAMMING", x[9].tobytes(), x[9])]
    requests = [AnnSearchRequest([q], field, {"metric_type": metric}, 20)
                for field, metric, q, _ in asked]
    places = {}
    for (_, metric, _, q), rows in zip(asked, (h, x)):
        for rank, i in enumerate(nearest(metric, q, list(range(80)), rows, 20)[0]):
            places[i] = places.get(i, 0) + 1 / (60 + rank + 1)
    found = client.hybrid_search(name, requests, RRFRanker(), limit=10)[0]
    best = sorted(places, key=lambda i: (-np.float32(places[i]), i))[:10]
    assert np.allclose([f["distance"] for f in found], [places[i] for i in best], rtol=1e-5)
    found = client.hybrid_search(name, requests, WeightedRanker(0.5, 0.5, norm_score=True), limit=1)
    assert found[0][0]["id"] in (5, 9)


@pytest.mark.parametrize("kind", KINDS)
def test_an_iterator_gives_every_row_once(client, name, kind):
    metric = KINDS[kind][2][0]
    create(client, name, kind, metric)
    rng = np.random.default_rng(11)
    x, q = KINDS[kind][1](rng, 90), KINDS[kind][1](rng, 1)[0]
    client.insert(name, rows_of(kind, range(90), x))
    pages = client.search_iterator(name, data=[given(kind, q)], batch_size=20,
                                   search_params={"metric_type": metric})
    seen = []
    while page := pages.next():
        seen += [h["id"] for h in page]
    pages.close()
    truth = scores(metric, q, x)
    assert sorted(seen) == list(range(90))
    assert [np.float32(truth[i]) for i in seen] == sorted(np.float32(t) for t in truth)


def test_what_does_not_fit_is_refused(client, name):
    schema = client.create_schema()
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("v", DataType.BINARY_VECTOR, dim=16)
    schema.fields[1]._type_params["dim"] = 12
    with pytest.raises(MilvusException, match="multiple of 8"):
        client.create_collection(name, schema=schema)
    create(client, name, "float16", "L2")
    with pytest.raises(MilvusException, match="nan or infinity"):
        client.insert(name, [{"id": 1, "v": np.full(DIM, np.nan, np.float16), "n": 1}])
    with pytest.raises(MilvusException, match="vector type must be the same"):
        client.search(name, data=[b"\x01\x02"], limit=1)
    with pytest.raises(MilvusException, match="dimension mismatch"):
        client.search(name, data=[np.zeros(DIM - 1, np.float16)], limit=1)
    for kind, metric in [("binary", "L2"), ("int8", "JACCARD")]:
        with pytest.raises(MilvusException, match="metric type"):
            create(client, f"{name}_{kind}", kind, metric)


# ── real data ───────────────────────────────────────────────────────────────────────────────────

need_data = pytest.mark.skipif(
    shared_data() is None,
    reason="the larger data sets are not here: put them in ../shared/data or set ELANUS_SHARED")


def parquet(path):
    pq = pytest.importorskip("pyarrow.parquet")
    return pq.read_table(shared_data() / path)


def load(client, name, kind, metric, dim, ids, vectors, index):
    schema = client.create_schema(auto_id=False)
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("v", KINDS[kind][0], dim=dim)
    params = client.prepare_index_params()
    params.add_index("v", index_type=index, metric_type=metric)
    client.create_collection(name, schema=schema, index_params=params, consistency_level="Strong")
    for start in range(0, len(vectors), 4000):
        part = vectors[start:start + 4000]
        client.insert(name, [{"id": i, "v": v} for i, v in zip(ids[start:start + 4000], part)])
    client.flush(name)


def same_scores(hits, truth, tolerance):
    assert np.allclose([h["distance"] for h in hits], truth, atol=tolerance)


@need_data
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("metric", ["JACCARD", "HAMMING"])
def test_fingerprints_of_molecules(client, name, metric):
    docs, queries = parquet("molfp2048/docs.parquet"), parquet("molfp2048/queries.parquet")
    load(client, name, "binary", metric, 2048, docs["id"].to_pylist(), docs["fp"].to_pylist(), "BIN_FLAT")
    column = "gt_jaccard_sim" if metric == "JACCARD" else "gt_hamming_dist"
    for at in range(0, len(queries), 50):
        hits = client.search(name, data=[queries["fp"][at].as_py()], limit=100)[0]
        truth = np.array(queries[column][at].as_py(), np.float64)
        same_scores(hits, 1 - truth if metric == "JACCARD" else truth, 1e-6)


@need_data
@pytest.mark.timeout(1800)
def test_descriptors_of_images(client, name):
    docs, queries = parquet("sift128/docs.parquet"), parquet("sift128/queries.parquet")

    def signed(table):
        flat = table["vector"].combine_chunks().flatten().to_numpy().reshape(len(table), -1)
        return (flat.astype(np.int16) - 128).astype(np.int8)

    # Milvus has no exact index for bytes: the share of true neighbours counts.
    ids = docs["id"].to_pylist()
    asked, rows = signed(queries), signed(docs)
    place = {i: at for at, i in enumerate(ids)}
    load(client, name, "int8", "L2", 128, ids, list(rows), "AUTOINDEX")
    found = 0
    sample = range(0, len(queries), 20)
    for at in sample:
        hits = client.search(name, data=[asked[at]], limit=100)[0]
        exact = scores("L2", asked[at], rows[[place[h["id"]] for h in hits]])
        assert [h["distance"] for h in hits] == list(exact)
        found += (exact <= queries["gt_l2sq"][at].as_py()[-1]).sum()
    assert found >= 0.97 * 100 * len(sample)
