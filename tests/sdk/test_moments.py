"""Timestamptz fields: text in any zone comes in, one moment is kept, text or parts come out."""

import pytest
from pymilvus import DataType, MilvusClient, MilvusException


def make(client, name, properties=None, **field):
    schema = client.create_schema()
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("v", DataType.FLOAT_VECTOR, dim=2)
    schema.add_field("ts", DataType.TIMESTAMPTZ, **field)
    index = client.prepare_index_params()
    index.add_index("v", index_type="FLAT", metric_type="L2")
    index.add_index("ts", index_type="STL_SORT")
    client.create_collection(name, schema=schema, index_params=index, properties=properties or {})


def rows(*moments):
    return [{"id": i, "v": [i, 0], "ts": ts} for i, ts in enumerate(moments)]


def ids(client, name, filter, **more):
    return [r["id"] for r in client.query(name, filter=filter, output_fields=["id"], **more)]


def moments(client, name, **more):
    return [r["ts"] for r in client.query(name, filter="id >= 0", output_fields=["ts"], **more)]


FOUR = ("2025-01-01T00:00:00+08:00", "2025-01-31 12:00:00Z", None, "2024-12-31T16:00:00.25Z")


def test_one_moment_in_every_zone(client, name):
    make(client, name, nullable=True)
    client.insert(name, rows(*FOUR))
    utc = ["2024-12-31T16:00:00Z", "2025-01-31T12:00:00Z", None, "2024-12-31T16:00:00.25Z"]
    assert moments(client, name) == utc
    client.flush(name)
    assert moments(client, name) == utc
    shanghai = ["2025-01-01T00:00:00+08:00", "2025-01-31T20:00:00+08:00", None, "2025-01-01T00:00:00.25+08:00"]
    assert moments(client, name, timezone="Asia/Shanghai") == shanghai
    found = client.search(name, [[0, 0]], limit=1, output_fields=["ts"], timezone="Asia/Shanghai", time_fields="year, hour")
    assert found[0][0]["entity"]["ts"] == [2025, 0]
    for words in ("Mars/Olympus", "time_fields"):
        with pytest.raises(MilvusException, match="Time Zone|unsupported field"):
            more = {"time_fields": "era"} if words == "time_fields" else {"timezone": words}
            moments(client, name, **more)


@pytest.mark.parametrize("flushed", [False, True])
def test_filters(client, name, flushed):
    make(client, name, nullable=True)
    client.insert(name, rows(*FOUR))
    if flushed:
        client.flush(name)
    for text, expected in {
        "ts == ISO '2024-12-31T16:00:00Z'": [0],
        "ts != iso \"2024-12-31T16:00:00Z\"": [1, 3],
        "ISO '2025-01-01T00:00:00Z' > ts": [0, 3],
        "ts + INTERVAL 'P1M' > ISO '2025-02-01T00:00:00Z'": [1],
        "ts + INTERVAL 'P1D' <= ISO '2025-01-01T16:00:00Z'": [0],
        "ts - INTERVAL 'PT30M' < ISO '2024-12-31T15:30:00.1Z'": [0],
        "ISO '2024-12-31T00:00:00Z' <= ts < ISO '2025-01-01T00:00:00Z'": [0, 3],
        "ts is null": [2],
        "not (ts > ISO '2025-01-01T00:00:00Z')": [0, 3],
    }.items():
        assert ids(client, name, text) == expected, text
    assert ids(client, name, "ts == ISO '2025-01-01 00:00:00'", timezone="Asia/Shanghai") == [0]
    assert client.delete(name, filter="ts < ISO '2025-01-01T00:00:00Z'")["delete_count"] == 2
    for text, words in {
        "id > ISO '2025-01-01T00:00:00Z'": "timestamptz",
        "ts > ISO 'yesterday'": "invalid timestamp string: 'yesterday'",
        "ts + INTERVAL 'soon' > ISO '2025-01-01T00:00:00Z'": "invalid ISO 8601 duration: soon",
        "ts > '2025-01-01T00:00:00Z'": "cannot parse expression",
    }.items():
        with pytest.raises(MilvusException, match=words):
            ids(client, name, text)


def test_a_default_is_read_in_the_zone_of_the_collection(client, name):
    make(client, name, {"timezone": "Asia/Shanghai"}, default_value="2025-01-01T00:00:00")
    client.insert(name, [{"id": 0, "v": [0, 0]}, {"id": 1, "v": [1, 0], "ts": "2025-01-01T08:00:00"}])
    assert moments(client, name, timezone="UTC") == ["2024-12-31T16:00:00Z", "2025-01-01T00:00:00Z"]
    fields = {f["name"]: f for f in client.describe_collection(name)["fields"]}
    assert fields["ts"]["default_value"].string_data == "2025-01-01T00:00:00+08:00"
    client.add_collection_field(name, "more", DataType.TIMESTAMPTZ, nullable=True, default_value="2025-01-01T00:00:00Z")
    row = client.query(name, filter="id == 0", output_fields=["more"])[0]
    assert row["more"] == "2025-01-01T08:00:00+08:00"


def test_a_collection_takes_the_zone_of_its_database(server, name):
    client = MilvusClient(server.uri)
    client.create_database(name, properties={"timezone": "America/New_York"})
    client = MilvusClient(server.uri, db_name=name)
    make(client, name)
    assert client.describe_collection(name)["properties"]["timezone"] == "America/New_York"
    client.alter_database_properties(name, {"timezone": "Asia/Shanghai"})
    client.insert(name, rows("2025-07-01T00:00:00"))
    assert moments(client, name) == ["2025-07-01T00:00:00-04:00"]
    client.alter_collection_properties(name, {"timezone": "UTC"})
    assert moments(client, name) == ["2025-07-01T04:00:00Z"]
    with pytest.raises(MilvusException, match="unknown or invalid IANA Time Zone ID: Mars"):
        client.alter_collection_properties(name, {"timezone": "Mars"})


def test_what_is_no_moment_is_refused(client, name):
    make(client, name)
    for text in ("soon", "2025-02-29T00:00:00Z", "2025-01-01T00:00:00+24:00"):
        with pytest.raises(MilvusException, match="got invalid timestamptz string"):
            client.insert(name, rows(text))
    with pytest.raises(MilvusException, match="invalid timestamp string: 'x'. Does not match any known format"):
        make(client, name + "_x", default_value="x")
    assert client.query(name, output_fields=["count(*)"])[0]["count(*)"] == 0
