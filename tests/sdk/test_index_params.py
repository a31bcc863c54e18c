"""Milvus's index names and parameters: what is taken, what is refused and in which words, and what
describe_index shows of it. Refusals are those of Milvus 3.0."""

import numpy as np
import pytest
from pymilvus import DataType, MilvusException

DIM = 64
ROWS = 200
COUNT_OF = 10

FLOATS = [DataType.FLOAT_VECTOR, DataType.FLOAT16_VECTOR, DataType.BFLOAT16_VECTOR]
BYTES = FLOATS + [DataType.INT8_VECTOR]
BITS = [DataType.BINARY_VECTOR]
ALL = BYTES + BITS

# index type: (vectors it takes, parameters it needs)
INDEXES = {
    "AUTOINDEX": (ALL, {}),
    "FLAT": (FLOATS, {}),
    "IVF_FLAT": (FLOATS, {"nlist": 8}),
    "IVF_SQ8": (FLOATS, {"nlist": 8}),
    "IVF_PQ": (FLOATS, {"m": 8}),
    "IVF_RABITQ": (FLOATS, {"nlist": 8, "refine": True, "refine_type": "SQ8"}),
    "SCANN": (FLOATS, {"nlist": 8, "with_raw_data": True}),
    "DISKANN": (FLOATS, {"max_degree": 0}),  # which Milvus sets itself and does not look at
    "AISAQ": (FLOATS, {"max_degree": 48}),
    "HNSW": (ALL, {"M": 16, "efConstruction": 200}),
    "HNSW_SQ": (BYTES, {"sq_type": "SQ6", "refine": True, "refine_type": "FP16"}),
    "HNSW_PQ": (BYTES, {"m": 32, "nbits": 8}),
    "HNSW_PRQ": (BYTES, {"m": 8, "nrq": 2, "nbits": 8}),
    "BIN_FLAT": (BITS, {}),
    "BIN_IVF_FLAT": (BITS, {"nlist": 8}),
}

RANGE = "Out of range in json: param"
INTEGER = "should be integer"

# index type, parameter, value, a part of the refusal
BAD_BUILDS = [
    ("HNSW", "M", 1, f"{RANGE} 'M' (1) should be in range [2, 2048]"),
    ("HNSW", "M", 2049, f"{RANGE} 'M' (2049) should be in range [2, 2048]"),
    ("HNSW", "M", 16.0, "wrong data type in json, key: 'M', value: '16.0'"),
    ("HNSW", "M", True, "invalid integer value, key: 'M', value: 'True': invalid parameter"),
    ("HNSW", "M", [16], "invalid integer value, key: 'M', value: '[16]': invalid parameter"),
    ("HNSW", "efConstruction", -1, "(-1) should be in range [1, 2147483647]"),
    ("HNSW", "refine", True, "refine is not supported for this index"),
    ("HNSW_SQ", "sq_type", "FP32", "invalid scalar quantizer type: invalid parameter"),
    ("HNSW_SQ", "refine", "test", "should be a boolean: invalid parameter"),
    ("HNSW_SQ", "refine_type", "INT8",
     "invalid refine type : INT8, optional types are [sq4u, sq6, sq8, fp16, bf16, fp32, flat]"),
    ("HNSW_PQ", "m", 7, "The dimension of the vector (dim) should be a multiple"),
    ("HNSW_PQ", "nbits", 25, f"{RANGE} 'nbits' (25) should be in range [1, 24]"),
    ("HNSW_PRQ", "m", 7, "The dimension of a vector (dim) should be a multiple"),
    ("HNSW_PRQ", "nrq", 17, f"{RANGE} 'nrq' (17) should be in range [1, 16]"),
    ("IVF_FLAT", "nlist", 65537, f"{RANGE} 'nlist' (65537) should be in range [1, 65536]"),
    ("IVF_PQ", "nlist", 8, "param 'm' not exist in json"),
    ("IVF_SQ8", "sq_type", "FP16", "invalid sq_type : FP16, optional types are [sq4, sq6, sq8]"),
    ("IVF_RABITQ", "refine_type", "PQ",
     "invalid refine type : PQ, optional types are [sq6, sq8, fp16, bf16, fp32, flat]"),
    ("SCANN", "sub_dim", 3, "should be a multiple of sub_dim. Dimension:64, sub_dim:3"),
    ("SCANN", "with_raw_data", 1, "should be a boolean"),
    ("AISAQ", "max_degree", 0, "should be in range [1, 2048]"),
    ("DISKANN", "mmap.enabled", True, "index type DISKANN does not support mmap"),
    ("AUTOINDEX", "nlist", 8, "only metric type can be passed when use AutoIndex"),
    ("GPU_CAGRA", "graph_degree", 64, "invalid index type: GPU_CAGRA"),
    ("GPU_IVF_FLAT", "nlist", 64, "invalid index type: GPU_IVF_FLAT"),
    ("NOPE", "nlist", 64, "invalid index type: NOPE"),
    ("FLAT", "elanus.effort", 0.5, "cannot be set"),
]

# index type, search parameters; ten rows are asked for
GOOD_SEARCHES = [
    ("FLAT", {"ef": 1, "unknown": "x"}),
    ("HNSW", {"ef": 10}),
    ("HNSW", {"ef": "64"}),
    ("HNSW_SQ", {"ef": 64, "refine_k": 2}),
    ("HNSW_PQ", {"ef": 1}),
    ("IVF_FLAT", {"nprobe": 65536}),
    ("IVF_PQ", {"nprobe": 8, "refine_k": 1.5}),
    ("IVF_RABITQ", {"nprobe": 8, "rbq_bits_query": 8}),
    ("SCANN", {"nprobe": 8, "reorder_k": 10}),
    ("DISKANN", {"search_list": 10}),
    ("AISAQ", {"search_list_size": 10, "beamwidth": 16}),
    ("AUTOINDEX", {"level": 10}),
]

BAD_SEARCHES = [
    ("HNSW", {"ef": 9}, "ef(9) should be larger than k(10)"),
    ("HNSW", {"ef": -1}, f"{RANGE} 'ef' (-1) should be in range [1, 2147483647]"),
    ("HNSW", {"ef": 32.0}, f"Type conflict in json: param 'ef' (32.0) {INTEGER}"),
    ("HNSW", {"ef": True}, f"Type conflict in json: param 'ef' (true) {INTEGER}"),
    ("HNSW", {"ef": None}, f"Type conflict in json: param 'ef' (null) {INTEGER}"),
    ("HNSW", {"ef": [32]}, f"param 'ef' ([32]) {INTEGER}"),
    ("HNSW_SQ", {"refine_k": 0.5},
     "param 'refine_k' (0.5) should be in range [1.000000, 340282346638528859811704183484516925440.000000]"),
    ("HNSW_PQ", {"refine_k": ""}, "invalid float value"),
    ("HNSW_PRQ", {"refine_k": True}, "param 'refine_k' (true) should be a number"),
    ("IVF_FLAT", {"nprobe": 65537}, "should be in range [1, 65536]"),
    ("IVF_FLAT", {"nprobe": 0}, f"{RANGE} 'nprobe' (0) should be in range [1, 65536]"),
    ("IVF_RABITQ", {"rbq_bits_query": 9}, "should be in range [0, 8]"),
    ("SCANN", {"reorder_k": 9}, "reorder_k(9) should be larger than k(10)"),
    ("DISKANN", {"search_list": 9}, "search_list_size(9) should be larger than k(10)"),
    ("AISAQ", {"search_list_size": 9}, "search_list_size(9) should be larger than k(10)"),
    ("AUTOINDEX", {"level": 11}, f"{RANGE} 'level' (11) should be in range [1, 10]"),
]


def metric_of(kind):
    return "HAMMING" if kind in BITS else "L2"


def collection(client, name, kind=DataType.FLOAT_VECTOR, rows=0):
    schema = client.create_schema()
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("v", kind, dim=DIM)
    client.create_collection(name, schema=schema, consistency_level="Strong")
    if rows:
        vectors = np.random.default_rng(7).normal(size=(rows, DIM)).astype(np.float32)
        client.insert(name, [{"id": i, "v": v.tolist()} for i, v in enumerate(vectors)])
        return vectors


def index(client, name, index_type, metric="L2", **params):
    wanted = client.prepare_index_params()
    wanted.add_index("v", index_type=index_type, metric_type=metric, params=params)
    client.create_index(name, wanted)


@pytest.mark.parametrize("kind", ALL, ids=lambda k: k.name)
def test_each_index_takes_the_vectors_it_takes_in_milvus(client, name, kind):
    collection(client, name, kind)
    for index_type, (takes, params) in INDEXES.items():
        metric = metric_of(kind)
        if kind in takes:
            index(client, name, index_type, metric, **({} if index_type == "AUTOINDEX" else params))
            shown = client.describe_index(name, "v")
            assert shown["index_type"] == index_type and shown["metric_type"] == metric
            assert {k: shown.get(k) for k in params} == {k: str(v) for k, v in params.items()}
            assert shown["state"] == "Finished" and shown["pending_index_rows"] == 0
            exact = kind in BITS or index_type == "FLAT"
            assert shown["elanus.index"].startswith("exact" if exact else "clustered: "), shown
            assert shown["elanus.effort"] == ("1" if exact else "0.98"), shown
            client.drop_index(name, "v")
        else:
            with pytest.raises(MilvusException) as refused:
                index(client, name, index_type, metric, **params)
            assert refused.value.code == 1100
            assert f"can't build with this index {index_type}" in refused.value.message
    assert client.list_indexes(name) == []


def test_bad_build_parameters_are_refused(client, name):
    collection(client, name)
    for index_type, key, value, words in BAD_BUILDS:
        with pytest.raises(MilvusException) as refused:
            index(client, name, index_type, "COSINE", **{key: value})
        assert refused.value.code == 1100, (index_type, key, value)
        assert words in refused.value.message, (index_type, key, value)
    assert client.list_indexes(name) == []


@pytest.mark.parametrize("metric", ["HAMMING", "JACCARD", "SUBSTRUCTURE", "SUPERSTRUCTURE", "MHJACCARD", "L2"])
def test_metrics_of_bits(client, name, metric):
    collection(client, name, DataType.BINARY_VECTOR)
    counted = metric in ("HAMMING", "JACCARD")
    matched = metric in ("SUBSTRUCTURE", "SUPERSTRUCTURE")
    for index_type in ("BIN_FLAT", "BIN_IVF_FLAT", "AUTOINDEX", "MINHASH_LSH"):
        if index_type != "MINHASH_LSH" and (counted or matched and index_type == "BIN_FLAT"):
            index(client, name, index_type, metric)
            client.drop_index(name, "v")
            continue
        with pytest.raises(MilvusException) as refused:
            index(client, name, index_type, metric)
        if metric == "L2":
            assert "binary vector index does not support metric type: L2" in refused.value.message
        elif index_type == "MINHASH_LSH" or metric == "MHJACCARD":
            assert refused.value.code == 10 and "is not supported by this server" in refused.value.message
        else:
            assert "supported: [HAMMING JACCARD]" in refused.value.message


def test_defaults(client, name):
    for kind, metric in [(DataType.FLOAT_VECTOR, "COSINE"), (DataType.INT8_VECTOR, "COSINE"),
                         (DataType.BINARY_VECTOR, "HAMMING")]:
        each = f"{name}_{kind.name}"
        collection(client, each, kind)
        wanted = client.prepare_index_params()
        wanted.add_index("v")
        client.create_index(each, wanted)
        shown = client.describe_index(each, "v")
        assert (shown["index_type"], shown["metric_type"]) == ("AUTOINDEX", metric)
    collection(client, name)
    with pytest.raises(MilvusException, match="metric type not set for vector index"):
        index(client, name, "HNSW", "")


@pytest.mark.parametrize("index_type", sorted({case[0] for case in GOOD_SEARCHES + BAD_SEARCHES}))
def test_search_parameters(client, name, index_type):
    vectors = collection(client, name, rows=ROWS)
    params = {} if index_type == "AUTOINDEX" else INDEXES[index_type][1]
    index(client, name, index_type, "L2", **params)
    client.load_collection(name)
    nearest = np.argsort(((vectors - vectors[3]) ** 2).sum(1))[:COUNT_OF].tolist()

    def search(given, **more):
        found = client.search(name, [vectors[3].tolist()], limit=COUNT_OF, search_params=given, **more)
        return [hit["id"] for hit in found[0]]

    for _, good in [case for case in GOOD_SEARCHES if case[0] == index_type]:
        assert search({"metric_type": "L2", "params": good}) == nearest, good
        assert search(good) == nearest, good
    for _, bad, words in [case for case in BAD_SEARCHES if case[0] == index_type]:
        with pytest.raises(MilvusException) as refused:
            search({"params": bad})
        assert refused.value.code == 65535, bad
        assert words in refused.value.message, bad


def test_ranges_and_offsets_and_iterators_are_checked_as_milvus_does(client, name):
    vectors = collection(client, name, rows=ROWS)
    index(client, name, "HNSW", "L2")
    client.load_collection(name)
    query = [vectors[3].tolist()]
    # A range search and an iterator have no k that ef must reach; skipped rows count.
    client.search(name, query, limit=10, search_params={"params": {"ef": 1, "radius": 1e9}})
    pages = client.search_iterator(name, query, batch_size=50, limit=100, search_params={"params": {"ef": 1}})
    assert len(pages.next()) == 50
    pages.close()
    with pytest.raises(MilvusException, match=r"ef\(12\) should be larger than k\(15\)"):
        client.search(name, query, limit=10, search_params={"params": {"ef": 12}, "offset": 5})
    with pytest.raises(MilvusException, match=r"range_filter\(5\) must be less than radius\(1\)"):
        client.search(name, query, search_params={"params": {"radius": 1, "range_filter": 5}})


def test_what_describe_index_shows_can_be_given_again(client, name):
    collection(client, name)
    index(client, name, "HNSW", "IP", M=8)
    shown = client.describe_index(name, "v")
    given = {k: v for k, v in shown.items() if k in ("M", "elanus.index", "elanus.effort")}
    assert len(given) == 3
    client.drop_index(name, "v")
    index(client, name, "HNSW", "IP", **given)
    assert client.describe_index(name, "v") == shown


def test_changed_hints_are_checked(client, name):
    collection(client, name)
    index(client, name, "DISKANN", "L2")
    for hint, value, words in [("mmap.enabled", "maybe", "invalid mmap.enabled value: maybe"),
                               ("mmap.enabled", True, "index type DISKANN does not support mmap"),
                               ("warmup", "maybe", "invalid warmup policy: maybe"),
                               ("nlist", 8, "nlist is not a configable index property")]:
        with pytest.raises(MilvusException) as refused:
            client.alter_index_properties(name, "v", {hint: value})
        assert refused.value.code == 1100 and words in refused.value.message, hint
    client.alter_index_properties(name, "v", {"mmap.enabled": False})
    assert client.describe_index(name, "v")["mmap.enabled"] == "False"


def test_a_listing_gives_back_only_what_was_given(server, client, name):
    """pymilvus's older classes take all parameters of a listed index for those that were given."""
    from pymilvus import Collection, connections

    collection(client, name)
    index(client, name, "HNSW", "IP", M=8)
    connections.connect("listing", uri=server.uri)
    listed = Collection(name, using="listing").indexes[0].params
    connections.disconnect("listing")
    assert listed == {"index_type": "HNSW", "metric_type": "IP", "M": "8"}
