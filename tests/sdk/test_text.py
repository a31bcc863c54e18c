"""Texts: matching words and phrases, search by BM25, analyzers."""

import math
from collections import Counter

import pytest
from pymilvus import AnnSearchRequest, DataType, Function, FunctionType, MilvusClient, RRFRanker
from pymilvus.exceptions import MilvusException

TEXTS = [
    "The quick brown fox jumps over the lazy dog",
    "A fox is quick; a fox is red",
    "machine learning with vectors",
    "learning machines to learn",
    None,
    "vectors, vectors and more vectors for the fox",
]


def text_schema(**text):
    schema = MilvusClient.create_schema(auto_id=False)
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("lang", DataType.VARCHAR, max_length=8, nullable=True)
    schema.add_field("text", DataType.VARCHAR, max_length=200, enable_analyzer=True, nullable=True, **text)
    schema.add_field("sparse", DataType.SPARSE_FLOAT_VECTOR)
    schema.add_field("v", DataType.FLOAT_VECTOR, dim=2)
    schema.add_function(Function(
        name="bm25", function_type=FunctionType.BM25, input_field_names=["text"], output_field_names=["sparse"]
    ))
    return schema


def make(client, name, schema, **bm25):
    params = client.prepare_index_params()
    params.add_index("sparse", index_type="SPARSE_INVERTED_INDEX", metric_type="BM25", params=bm25)
    params.add_index("v", index_type="FLAT", metric_type="L2")
    client.create_collection(name, schema=schema, index_params=params, consistency_level="Strong")


@pytest.fixture(scope="module")
def shelf(server):
    client = server.client()
    make(client, "shelf", text_schema(enable_match=True), bm25_k1=1.5, bm25_b=0.5)
    data = [{"id": i, "text": text, "v": [i, i], "lang": None} for i, text in enumerate(TEXTS)]
    client.insert("shelf", data[:3])
    client.flush("shelf")
    client.insert("shelf", data[3:])
    return client


def words(text):
    return "".join(c if c.isalnum() else " " for c in text.lower()).split()


def scores(texts, query, k1=1.5, b=0.5):
    """BM25 by its formula: {place: score} of the texts with one of the words."""
    rows = {i: Counter(words(t)) for i, t in enumerate(texts) if t is not None}
    mean = sum(sum(row.values()) for row in rows.values()) / len(rows)
    found = {}
    for i, row in rows.items():
        for word in words(query):
            if word in row:
                with_it = sum(word in r for r in rows.values())
                idf = math.log(1 + (len(rows) - with_it + 0.5) / (with_it + 0.5))
                held = k1 * (1 - b + b * sum(row.values()) / mean)
                found[i] = found.get(i, 0) + idf * row[word] * (k1 + 1) / (row[word] + held)
    return found


def ids(rows):
    return sorted(row["id"] for row in rows)


@pytest.mark.parametrize(
    "call, found",
    [
        ("text_match(text, 'FOX')", [0, 1, 5]),
        ("TEXT_MATCH(text, 'quick vectors')", [0, 1, 2, 5]),
        ("text_match(text, 'quick vectors fox', minimum_should_match=2)", [0, 1, 5]),
        ("text_match(text, '...')", []),
        ("not text_match(text, 'fox')", [2, 3]),
        ("phrase_match(text, 'quick fox')", []),
        ("phrase_match(text, 'quick fox', 1)", [0, 1]),
        ("phrase_match(text, 'brown fox') and id < 5", [0]),
    ],
)
def test_words_and_phrases_are_matched(shelf, call, found):
    assert ids(shelf.query("shelf", filter=call)) == found


@pytest.mark.parametrize("query", ["fox", "quick learning fox", "vectors vectors"])
def test_search_by_text_scores_by_bm25(shelf, query):
    wanted = scores(TEXTS, query)
    hits = shelf.search("shelf", [query], anns_field="sparse", limit=10, output_fields=["text"])[0]
    assert [h["id"] for h in hits] == sorted(wanted, key=lambda i: (-wanted[i], i))
    for hit in hits:
        assert math.isclose(hit["distance"], wanted[hit["id"]], rel_tol=1e-5)
        assert hit["entity"]["text"] == TEXTS[hit["id"]]


def test_search_by_text_with_filters_and_other_searches(shelf):
    hits = shelf.search("shelf", ["fox"], anns_field="sparse", filter="id > 0", limit=10)[0]
    assert ids(hits) == [1, 5]
    assert shelf.search("shelf", ["absent"], anns_field="sparse", limit=10)[0] == []
    parts = [
        AnnSearchRequest(["fox"], "sparse", {}, limit=3),
        AnnSearchRequest([[5, 5]], "v", {}, limit=3),
    ]
    hits = shelf.hybrid_search("shelf", parts, RRFRanker(), limit=3)[0]
    assert hits[0]["id"] == 5


def test_search_by_the_text_of_a_row(shelf):
    by_id = shelf.search("shelf", ids=[1, 4], anns_field="sparse", limit=10)
    by_text = shelf.search("shelf", [TEXTS[1], ""], anns_field="sparse", limit=10)
    assert [[h["id"] for h in hits] for hits in by_id] == [[h["id"] for h in hits] for hits in by_text]
    assert by_id[0][0]["id"] == 1 and by_id[1] == []


def test_the_words_follow_the_rows(server):
    client = server.client()
    make(client, "moved", text_schema())
    client.insert("moved", [{"id": i, "text": "old word", "v": [i, i]} for i in range(3)])
    client.upsert("moved", [{"id": 1, "text": "new word", "v": [1, 1]}])
    client.upsert("moved", [{"id": 2, "v": [9, 9]}], partial_update=True)
    client.delete("moved", ids=[0])
    search = lambda word: ids(client.search("moved", [word], anns_field="sparse", limit=5)[0])
    assert (search("old"), search("new"), search("word")) == ([2], [1], [1, 2])
    client.flush("moved")
    assert (search("old"), search("new"), search("word")) == ([2], [1], [1, 2])
    told = client.describe_collection("moved")
    assert [(f["name"], f["input_field_names"]) for f in told["functions"]] == [("bm25", ["text"])]
    assert client.query("moved", filter="id == 1", output_fields=["*"])[0].keys() == {"id", "lang", "text", "v"}


def test_what_a_text_search_refuses(shelf):
    for call, wrong in [
        (lambda: shelf.search("shelf", [{1: 0.5}], anns_field="sparse", limit=1), "please provide varchar/text"),
        (lambda: shelf.query("shelf", filter="id >= 0", output_fields=["sparse"]), "not allowed to retrieve raw data"),
        (lambda: shelf.query("shelf", filter="text_match(lang, 'x')"), "does not enable match"),
        (lambda: shelf.query("shelf", filter="text_match(id, 'x')"), "on non-string is unsupported"),
        (lambda: shelf.query("shelf", filter="text_match(text, 'x', minimum_should_match=0)"), "should be >= 1"),
        (lambda: shelf.query("shelf", filter="phrase_match(text, 'x', -1)"), "not be a negative"),
        (lambda: make(shelf, "bad", text_schema(analyzer_params={"tokenizer": "nope"})), "unsupported tokenizer"),
        (lambda: make(shelf, "bad", text_schema(analyzer_params={"type": "thai"})), "not supported"),
    ]:
        with pytest.raises(MilvusException, match=wrong):
            call()


def test_analyzers_by_language(server):
    client = server.client()
    many = {
        "by_field": "lang",
        "analyzers": {"default": {"tokenizer": "whitespace"}, "en": {"type": "english"}},
        "alias": {"english": "en"},
    }
    make(client, "tongues", text_schema(multi_analyzer_params=many))
    client.insert("tongues", [
        {"id": 1, "text": "Running foxes", "lang": "english", "v": [1, 1]},
        {"id": 2, "text": "Running Foxes", "lang": "de", "v": [1, 1]},
    ])
    search = lambda word, name: ids(
        client.search("tongues", [word], anns_field="sparse", limit=5, search_params={"params": {"analyzer_name": name}})[0]
    )
    assert search("the fox runs", "en") == [1]
    assert (search("Foxes", "default"), search("foxes", "default")) == ([2], [])


def test_analyzers_are_run(server):
    client = server.client()
    if not hasattr(client, "run_analyzer"):
        pytest.skip("this client runs no analyzers")
    params = {"tokenizer": "standard", "filter": ["lowercase", {"type": "stop", "stop_words": ["_english_"]}]}
    got = client.run_analyzer(["The Fox, again", "a"], params, with_detail=True)
    assert [list(t["token"] for t in r.tokens) for r in got] == [["fox", "again"], []]
    assert got[0].tokens[0]["start_offset"] == 4 and got[0].tokens[1]["position"] == 2


@pytest.mark.parametrize("params, found", [
    ({"type": "chinese"}, "我|来到|北京|清华|华大|大学|清华大学|Ok"),
    ({"tokenizer": "jieba", "filter": ["cncharonly"]}, "我|来到|北京|清华|华大|大学|清华大学"),
    ({"tokenizer": {"type": "jieba", "mode": "exact", "hmm": False}}, "我|来到|北京|清华大学|。|Ok|!"),
    ({"tokenizer": "icu", "filter": ["removepunct", "lowercase"]}, "我来|到|北京|清华大学|。|ok"),
])
def test_words_of_chinese(server, params, found):
    assert "|".join(server.client().run_analyzer("我来到北京清华大学。Ok!", params).tokens) == found


@pytest.mark.parametrize("params", [{"type": "chinese"}, {"tokenizer": "jieba"}, {"tokenizer": "icu"}])
def test_a_search_of_chinese(server, name, params):
    client = server.client()
    make(client, name, text_schema(enable_match=True, analyzer_params=params))
    texts = ["我来到北京清华大学", "他在杭州研究数据库", "向量数据库 Elanus", "大学里有很多学生"]
    client.insert(name, [{"id": i, "text": t, "v": [i, i], "lang": None} for i, t in enumerate(texts)])
    for flushed in (False, True):
        if flushed:
            client.flush(name)
        assert ids(client.query(name, filter="text_match(text, '数据库')")) == [1, 2]
        hits = client.search(name, ["北京的大学"], anns_field="sparse", limit=4)[0]
        assert hits[0]["id"] == 0 and all(hit["distance"] > 0 for hit in hits)
        assert {hit["id"] for hit in hits} <= {0, 3}
