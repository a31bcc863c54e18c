"""Struct arrays: what goes in comes out, filters ask single elements, searches find elements and arrays."""

import numpy as np
import pytest
from pymilvus import DataType, MilvusException
from pymilvus.client.embedding_list import EmbeddingList

DIM = 4
COLORS = ["Red", "Green", "Blue"]


def struct_schema(client):
    parts = client.create_struct_field_schema()
    parts.add_field("vec", DataType.FLOAT_VECTOR, dim=DIM)
    parts.add_field("half", DataType.FLOAT16_VECTOR, dim=DIM)
    parts.add_field("bits", DataType.BINARY_VECTOR, dim=16)
    parts.add_field("size", DataType.INT64)
    parts.add_field("color", DataType.VARCHAR, max_length=20)
    return parts


def collection(client, name, nullable=True):
    schema = client.create_schema()
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("v", DataType.FLOAT_VECTOR, dim=DIM)
    schema.add_field(
        "parts",
        DataType.ARRAY,
        element_type=DataType.STRUCT,
        struct_schema=struct_schema(client),
        max_capacity=4,
        nullable=nullable,
    )
    client.create_collection(name, schema=schema)


def part(rng, row, at):
    vector = rng.standard_normal(DIM).astype(np.float32)
    return {
        "vec": vector.tolist(),
        "half": vector.astype(np.float16),
        "bits": rng.integers(0, 256, 2).astype(np.uint8).tobytes(),
        "size": row * 10 + at,
        "color": COLORS[(row + at) % 3],
    }


def make_rows(start, count):
    """Every seventh row is null, others have from none to four parts."""
    rng = np.random.default_rng(7 + start)
    rows = []
    for row in range(start, start + count):
        parts = None if row % 7 == 6 else [part(rng, row, at) for at in range(row % 5)]
        rows.append({"id": row, "v": rng.standard_normal(DIM).tolist(), "parts": parts})
    return rows


def plain(parts):
    """Parts with vectors as lists and bits as bytes, however the client gives them."""
    if parts is None:
        return None
    bits = lambda value: value if isinstance(value, bytes) else value[0]
    return [
        {
            **p,
            "vec": [float(x) for x in p["vec"]],
            "half": [float(x) for x in p["half"]],
            "bits": bits(p["bits"]),
        }
        for p in parts
    ]


def indexed(client, name, **metrics):
    params = client.prepare_index_params()
    params.add_index("v", index_type="FLAT", metric_type="L2")
    for sub in ("vec", "half", "bits"):
        metric = metrics.get(sub, "MAX_SIM_HAMMING" if sub == "bits" else "MAX_SIM_COSINE")
        params.add_index(f"parts[{sub}]", index_type="AUTOINDEX", metric_type=metric)
    client.create_index(name, params)
    client.load_collection(name)


def test_parts_survive_flush_compaction_and_restart(make_server):
    server = make_server()
    client = server.client()
    collection(client, "kept")
    rows = make_rows(0, 40)
    client.insert("kept", rows[:20])
    client.flush("kept")
    client.insert("kept", rows[20:])
    client.flush("kept")
    # A part of a row cannot be changed, only all of them.
    rows[3]["parts"] = make_rows(4, 1)[0]["parts"]
    client.upsert("kept", [rows[3]])
    client.delete("kept", ids=[5])
    del rows[5]

    def check(client):
        found = client.query("kept", filter="id >= 0", output_fields=["id", "parts"])
        assert [(r["id"], plain(r["parts"])) for r in found] == [
            (r["id"], plain(r["parts"])) for r in rows
        ]

    check(client)
    client.compact("kept")
    client.flush("kept")
    check(client)
    before = client.describe_collection("kept")["fields"]
    server.stop()
    server.start()
    client = server.client()
    check(client)
    assert client.describe_collection("kept")["fields"] == before
    assert client.get("kept", ids=[1], output_fields=["parts[size]"])[0]["parts"] == [{"size": 10}]


def test_described_as_created(client):
    collection(client, "described")
    field = client.describe_collection("described")["fields"][2]
    assert (field["name"], field["type"], field["element_type"]) == (
        "parts",
        DataType.ARRAY,
        DataType.STRUCT,
    )
    assert (field["params"]["max_capacity"], field["nullable"]) == (4, True)
    subs = [(s["name"], s["type"], s.get("params", {})) for s in field["struct_fields"]]
    assert subs == [
        ("vec", DataType.FLOAT_VECTOR, {"dim": DIM}),
        ("half", DataType.FLOAT16_VECTOR, {"dim": DIM}),
        ("bits", DataType.BINARY_VECTOR, {"dim": 16}),
        ("size", DataType.INT64, {}),
        ("color", DataType.VARCHAR, {"max_length": 20}),
    ]


@pytest.mark.parametrize("flushed", [True, False])
def test_filters_ask_elements(client, flushed):
    name = f"filtered_{flushed}"
    collection(client, name)
    rows = make_rows(0, 60)
    client.insert(name, rows)
    if flushed:
        client.flush(name)
    there = [r for r in rows if r["parts"] is not None]

    def ids(text):
        return [r["id"] for r in client.query(name, filter=text, output_fields=["id"])]

    def want(test):
        return [r["id"] for r in there if test(r["parts"])]

    def want_all(test):
        """Functions that match elements take null for no elements, as Milvus does."""
        return [r["id"] for r in rows if test(r["parts"] or [])]

    def count(parts):
        return sum(p["color"] == "Red" and p["size"] > 100 for p in parts)

    red = "parts, $[color] == 'Red' && $[size] > 100"
    assert ids(f"match_any({red})") == want_all(lambda ps: count(ps) > 0)
    assert ids(f"MATCH_ALL({red})") == want_all(lambda ps: count(ps) == len(ps))
    for n in (0, 1, 2):
        if n > 0:
            assert ids(f"match_least({red}, threshold={n})") == want_all(lambda ps: count(ps) >= n)
        assert ids(f"match_most({red}, threshold={n})") == want_all(lambda ps: count(ps) <= n)
        assert ids(f"match_exact({red}, threshold={n})") == want_all(lambda ps: count(ps) == n)
    assert ids("array_contains(parts[color], 'Blue')") == want(
        lambda ps: any(p["color"] == "Blue" for p in ps)
    )
    assert ids("array_length(parts[size]) == 3") == want(lambda ps: len(ps) == 3)
    assert ids("parts[1][size] >= 300") == want(lambda ps: len(ps) > 1 and ps[1]["size"] >= 300)
    assert ids("parts is null") == [r["id"] for r in rows if r["parts"] is None]
    assert ids(f"not match_any({red})") == want_all(lambda ps: count(ps) == 0)
    # Three-valued: neither the filter nor its negation is true of null.
    assert ids("not array_contains(parts[color], 'Blue')") == want(
        lambda ps: all(p["color"] != "Blue" for p in ps)
    )

    pairs = [(r["id"], at) for r in there for at, p in enumerate(r["parts"]) if p["size"] % 2 == 1]
    found = client.query(name, filter="element_filter(parts, $[size] % 2 == 1)", output_fields=["id"])
    assert [(r["id"], r["offset"]) for r in found] == pairs
    page = client.query(
        name,
        filter="id >= 0 and element_filter(parts, $[size] % 2 == 1)",
        output_fields=["id"],
        offset=5,
        limit=9,
    )
    assert [(r["id"], r["offset"]) for r in page] == pairs[5:14]


@pytest.mark.parametrize("metric", ["COSINE", "IP", "L2"])
def test_the_nearest_elements(client, metric):
    name = f"elements_{metric}"
    collection(client, name)
    rows = make_rows(0, 80)
    client.insert(name, rows[:50])
    client.flush(name)
    client.insert(name, rows[50:])
    indexed(client, name, vec=metric)
    query = np.random.default_rng(1).standard_normal(DIM)

    def score(vector):
        x = np.asarray(vector, np.float64)
        if metric == "L2":
            return ((x - query) ** 2).sum()
        product = x @ query
        return product if metric == "IP" else product / np.linalg.norm(x) / np.linalg.norm(query)

    def nearest(keep):
        scored = [
            (score(p["vec"]), r["id"], at)
            for r in rows
            for at, p in enumerate(r["parts"] or [])
            if keep(r, p)
        ]
        return sorted(scored, key=lambda s: s[0] if metric == "L2" else -s[0])[:10]

    def check(want, **options):
        hits = client.search(
            name, data=[query.tolist()], anns_field="parts[vec]", limit=10, **options
        )[0]
        assert [(h["id"], h["offset"]) for h in hits] == [(id, at) for _, id, at in want]
        assert np.allclose([h["distance"] for h in hits], [s for s, _, _ in want], rtol=1e-4)

    check(nearest(lambda r, p: True))
    check(
        nearest(lambda r, p: r["id"] > 9 and p["color"] == "Red"),
        filter="id > 9 && element_filter(parts, $[color] == 'Red')",
    )
    grouped = client.search(
        name, data=[query.tolist()], anns_field="parts[vec]", limit=5, group_by_field="id"
    )[0]
    assert len({h["id"] for h in grouped}) == len(grouped) == 5


@pytest.mark.parametrize("metric", ["MAX_SIM", "MAX_SIM_IP", "MAX_SIM_L2"])
def test_the_nearest_arrays(client, metric):
    name = f"arrays_{metric}"
    collection(client, name)
    rows = make_rows(0, 60)
    client.insert(name, rows)
    indexed(client, name, vec=metric)
    rng = np.random.default_rng(2)
    queries = rng.standard_normal((3, DIM)).astype(np.float32)
    array = EmbeddingList()
    for query in queries:
        array.add(query)

    def one(query, vector):
        query, vector = query.astype(np.float64), np.asarray(vector, np.float64)
        if metric == "MAX_SIM_L2":
            return ((query - vector) ** 2).sum()
        product = query @ vector
        if metric == "MAX_SIM_IP":
            return product
        return product / np.linalg.norm(query) / np.linalg.norm(vector)

    best = min if metric == "MAX_SIM_L2" else max
    want = [
        (sum(best(one(q, p["vec"]) for p in r["parts"]) for q in queries), r["id"])
        for r in rows
        if r["parts"]
    ]
    want.sort(key=lambda s: s[0] if metric == "MAX_SIM_L2" else -s[0])
    hits = client.search(name, data=[array], anns_field="parts[vec]", limit=8)[0]
    assert [h["id"] for h in hits] == [id for _, id in want[:8]]
    assert np.allclose([h["distance"] for h in hits], [s for s, _ in want[:8]], rtol=1e-4)
    assert all("offset" not in h for h in hits)


def test_struct_fields_come_and_go(client):
    schema = client.create_schema()
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("v", DataType.FLOAT_VECTOR, dim=DIM)
    client.create_collection("evolving", schema=schema)
    client.insert("evolving", [{"id": 1, "v": [0.5] * DIM}])
    parts = client.create_struct_field_schema()
    parts.add_field("size", DataType.INT64)
    client.add_collection_struct_field("evolving", "parts", parts, max_capacity=3, nullable=True)
    client.insert("evolving", [{"id": 2, "v": [0.5] * DIM, "parts": [{"size": 5}]}])
    found = client.query("evolving", filter="id > 0", output_fields=["parts"])
    assert [r["parts"] for r in found] == [None, [{"size": 5}]]
    client.drop_collection_field("evolving", "parts")
    assert len(client.describe_collection("evolving")["fields"]) == 2
    found = client.query("evolving", filter="id > 0", output_fields=["*"])
    assert all("parts" not in r for r in found)


def test_what_is_wrong_is_told(client):
    collection(client, "strict", nullable=False)
    five = make_rows(4, 1)
    five[0]["parts"] = five[0]["parts"] + five[0]["parts"]
    cases = [
        (lambda: client.insert("strict", five), "array length exceeds max capacity"),
        (lambda: client.query("strict", filter="parts[0][none] > 1"), "struct field not found"),
        (lambda: client.query("strict", filter="parts[size][0] > 1"), "invalid expression"),
        (lambda: client.query("strict", filter="array_length(parts[0][size]) > 1"), "mismatched input"),
        (lambda: client.query("strict", filter="$[size] > 1"), "element_filter"),
        (lambda: client.drop_collection_field("strict", "parts[size]"), "cannot drop sub-field"),
    ]
    indexed(client, "strict", vec="COSINE")
    array = EmbeddingList()
    array.add(np.ones(DIM, np.float16))
    search = lambda **options: client.search("strict", data=[array], anns_field="parts[half]", **options)
    cases += [
        (
            lambda: client.search(
                "strict",
                data=[[1.0] * DIM],
                anns_field="parts[vec]",
                search_params={"metric_type": "MAX_SIM_COSINE"},
            ),
            "metric type not match",
        ),
        (
            lambda: search(search_params={"params": {"radius": 0.1}}),
            "range search is not supported for multi-search-multi on embedding list fields",
        ),
        (
            lambda: search(filter="element_filter(parts, $[size] > 1)"),
            "element_filter is only supported for element-level search",
        ),
        (
            lambda: client.search(
                "strict", data=[[1.0] * DIM], anns_field="v", filter="element_filter(parts, $[size] > 1)"
            ),
            "element_filter is only supported for element-level search",
        ),
        (
            lambda: client.search("strict", ids=[1], anns_field="parts[vec]"),
            "array of vector is not supported for search by IDs",
        ),
    ]
    for call, words in cases:
        with pytest.raises(MilvusException, match=words):
            call()
