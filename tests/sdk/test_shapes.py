"""Geometry and Text fields, and vectors that may be null."""

import ml_dtypes
import numpy as np
import pytest
from conftest import make_collection
from pymilvus import DataType, MilvusException

SQUARE = "POLYGON ((0 0, 10 0, 10 10, 0 10, 0 0))"
SHAPES = ["POINT (1 1)", "POINT (20 20)", SQUARE, "LINESTRING (-5 5, 5 5)", None, "POLYGON ((0 0, 2 2, 2 0, 0 2, 0 0))"]


def ids(client, name, filter, **more):
    return [r["id"] for r in client.query(name, filter=filter, output_fields=["id"], **more)]


@pytest.mark.parametrize("flushed", [False, True])
def test_shapes(client, name, flushed):
    make_collection(client, name, ("g", DataType.GEOMETRY, {"nullable": True}))
    client.insert(name, [{"id": i, "v": [i, 0], "g": g} for i, g in enumerate(SHAPES)])
    if flushed:
        client.flush(name)
    assert [r["g"] for r in client.query(name, filter="id >= 0", output_fields=["g"])] == SHAPES
    for text, expected in {
        f"ST_WITHIN(g, '{SQUARE}')": [0, 2],
        "st_contains(g, 'POINT (5 5)')": [2],
        f"st_intersects(g, '{SQUARE}')": [0, 2, 3],
        f"st_crosses(g, '{SQUARE}')": [3],
        f"st_equals(g, '{SQUARE}')": [2],
        "st_touches(g, 'POINT (0 5)')": [2],
        f"st_overlaps(g, 'POLYGON ((5 5, 15 5, 15 15, 5 5))')": [2],
        "st_isvalid(g)": [0, 1, 2, 3],
        "not st_isvalid(g)": [5],
        "ST_DWITHIN(g, 'POINT (1 1)', 10)": [0, 2, 5],
        "g is null": [4],
        f"st_within(g, '{SQUARE}') and id > 0": [2],
    }.items():
        assert ids(client, name, text) == expected, text
    assert ids(client, name, "st_within(g, {shape})", filter_params={"shape": SQUARE}) == [0, 2]
    found = client.search(name, [[0, 0]], limit=5, filter=f"st_within(g, '{SQUARE}')", output_fields=["g"])[0]
    assert [(h["id"], h["entity"]["g"]) for h in found] == [(0, SHAPES[0]), (2, SQUARE)]


def test_wrong_shapes(client, name):
    make_collection(client, name, ("g", DataType.GEOMETRY, {"default_value": "POINT (0 0)"}))
    client.insert(name, [{"id": 1, "v": [0, 0]}])
    assert client.query(name, filter="id == 1", output_fields=["g"])[0]["g"] == "POINT (0 0)"
    with pytest.raises(MilvusException, match="syntax error"):
        client.insert(name, [{"id": 2, "v": [0, 0], "g": "CIRCLE (1 1)"}])
    for text in (
        "st_within(id, 'POINT (1 1)')",
        "st_within(g)",
        "st_within(g, 'POINT (1')",
        "st_within(g, 'POINT (1 1)', 'POINT (1 1)')",
        "st_dwithin(g, 'POINT (1 1)', -1)",
        f"st_dwithin(g, '{SQUARE}', 1)",
        "st_near(g, 'POINT (1 1)')",
    ):
        with pytest.raises(MilvusException, match="cannot parse expression"):
            ids(client, name, text)


def test_an_index_of_shapes_says_what_it_is(client, name):
    make_collection(client, name, ("g", DataType.GEOMETRY, {}), ("n", DataType.INT64, {}))
    for field, kind, words in (
        ("g", "RTREE", None),
        ("g", "INVERTED", "INVERTED are not supported on Geometry field"),
        ("n", "RTREE", "RTREE index can only be built on geometry field"),
    ):
        index = client.prepare_index_params()
        index.add_index(field, index_type=kind)
        if words:
            with pytest.raises(MilvusException, match=words):
                client.create_index(name, index)
        else:
            client.create_index(name, index)
    assert client.describe_index(name, "g")["index_type"] == "RTREE"


def test_text_of_any_length(client, name):
    make_collection(client, name, ("t", DataType.TEXT if hasattr(DataType, "TEXT") else DataType(25), {"nullable": True}))
    long = "x" * 200_000
    client.insert(name, [{"id": 0, "v": [0, 0], "t": long}, {"id": 1, "v": [0, 0], "t": None}])
    client.flush(name)
    rows = client.query(name, filter="id >= 0", output_fields=["t"])
    assert [r["t"] for r in rows] == [long, None]


KINDS = [
    (DataType.FLOAT_VECTOR, {"dim": 2}, [1.0, 2.0], "L2"),
    (DataType.FLOAT16_VECTOR, {"dim": 2}, np.array([1, 2], np.float16), "L2"),
    (DataType.BFLOAT16_VECTOR, {"dim": 2}, np.array([1, 2], ml_dtypes.bfloat16), "L2"),
    (DataType.INT8_VECTOR, {"dim": 2}, np.array([1, 2], np.int8), "L2"),
    (DataType.BINARY_VECTOR, {"dim": 8}, b"\x07", "HAMMING"),
    (DataType.SPARSE_FLOAT_VECTOR, {}, {1: 1.0}, "IP"),
]


@pytest.mark.parametrize("kind, params, value, metric", KINDS, ids=[str(k[0].name) for k in KINDS])
def test_vectors_that_may_be_null(client, name, kind, params, value, metric):
    schema = client.create_schema()
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("x", kind, nullable=True, **params)
    index = client.prepare_index_params()
    index.add_index("x", index_type="AUTOINDEX", metric_type=metric)
    client.create_collection(name, schema=schema, index_params=index)
    client.insert(name, [{"id": 0, "x": None}, {"id": 1, "x": value}, {"id": 2, "x": None}, {"id": 3, "x": value}])
    client.insert(name, [{"id": 4}])
    for _ in range(2):
        assert [h["id"] for h in client.search(name, [value], limit=10)[0]] == [1, 3]
        rows = client.query(name, filter="id >= 0", output_fields=["x"])
        assert [r["x"] is None for r in rows] == [True, False, True, False, True]
        assert ids(client, name, "x is null") == [0, 2, 4]
        assert ids(client, name, "x is not null") == [1, 3]
        client.flush(name)
