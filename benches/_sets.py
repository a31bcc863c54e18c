"""Data sets of the vector measurements as raw files: rows, queries, exact answers.

Real sets come from the shared data folder (`ELANUS_SHARED`, or `shared` beside the repository) with
their own exact answers; generated ones from its `gen.py`, always with the same parameters. Prepared
files are kept beside the build and made again when they are missing.
"""

import importlib.util
import json
import os
import shutil
from pathlib import Path

import numpy as np

import _common as c

# name: (rows, dim, seed) of gen.py's default model: three levels of clusters, drift, 1 % near-duplicates, cosine.
GENERATED = {"gen1m128": (1_000_000, 128, 1), "gen200k768": (200_000, 768, 1)}
REAL = {"glove100": "COSINE", "pkgtext384": "COSINE", "sift128": "L2"}
NAMES = [*REAL, *GENERATED]
QUERIES = 1_000
TRUTH = 100


def shared():
    """The folder of the data sets."""
    for folder in (os.environ.get("ELANUS_SHARED"), c.ROOT.parent / "shared"):
        if folder and (Path(folder) / "data").is_dir():
            return Path(folder) / "data"
    raise SystemExit("no data sets: set ELANUS_SHARED to the folder that holds data/")


def cache():
    """Where prepared data and built indexes lie."""
    folder = c.binary().parents[1] / "bench-data"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def generator(rows, dim, seed):
    """gen.py's model."""
    spec = importlib.util.spec_from_file_location("gen", shared() / "gen.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Gen(n=rows, dim=dim, seed=seed)


class Set:
    """Rows, queries and exact answers in a folder. Cosine sets are of length one, so that inner product,
    cosine and L2 order alike."""

    def __init__(self, folder):
        self.folder = Path(folder)
        facts = json.loads((self.folder / "set.json").read_text())
        self.name, self.metric, self.dim, self.rows = (facts[k] for k in ("name", "metric", "dim", "rows"))
        self.base, self.query_file = self.folder / "base.f32", self.folder / "queries.f32"

    def x(self):
        return np.fromfile(self.base, "<f4").reshape(-1, self.dim)

    def y(self):
        return np.fromfile(self.query_file, "<f4").reshape(-1, self.dim)

    def truth(self):
        """Rows of the exact nearest neighbours, [queries, at least 100]."""
        return np.fromfile(self.folder / "truth.i32", "<i4").reshape(len(self.y()), -1)


def unit(x):
    """Rows scaled to length one; a zero row stays."""
    length = np.linalg.norm(x, axis=1, keepdims=True)
    return x / np.where(length > 0, length, 1)


def scores(metric, x, y):
    """Nearness of each query to each row, large is near, up to a constant for each query."""
    s = y @ x.T
    if metric == "L2":
        s *= 2
        s -= np.einsum("ij,ij->i", x, x)
    return s


def exact(metric, x, y, k, keep=None):
    """The exact nearest rows [queries, k] by blocks, best first; only rows with `keep`; -1 where there are fewer."""
    rows = np.arange(len(x)) if keep is None else np.flatnonzero(keep)
    best, ids = np.empty((len(y), 0), np.float32), np.empty((len(y), 0), np.int64)
    for start in range(0, len(rows), 20_000):
        part = rows[start:start + 20_000]
        s = scores(metric, x[part], y)
        at = top(s, k)
        best = np.concatenate([best, np.take_along_axis(s, at, 1)], axis=1)
        ids = np.concatenate([ids, part[at]], axis=1)
        at = top(best, k)
        best, ids = np.take_along_axis(best, at, 1), np.take_along_axis(ids, at, 1)
    order = np.argsort(-best, axis=1, kind="stable")
    found = np.full((len(y), k), -1, np.int64)
    found[:, :order.shape[1]] = np.take_along_axis(ids, order, 1)
    return found


def top(s, k):
    """Places of the k largest values of each line, in no order; all of them where there are fewer."""
    n = s.shape[1]
    return np.argpartition(s, n - k, axis=1)[:, n - k:] if n > k else np.tile(np.arange(n), (len(s), 1))


def write(folder, name, metric, x, y, truth):
    """Keeps a set; the description comes last, so that a half written one is made again."""
    folder.mkdir(parents=True, exist_ok=True)
    np.ascontiguousarray(x, "<f4").tofile(folder / "base.f32")
    np.ascontiguousarray(y, "<f4").tofile(folder / "queries.f32")
    np.ascontiguousarray(truth, "<i4").tofile(folder / "truth.i32")
    facts = {"name": name, "metric": metric, "dim": x.shape[1], "rows": len(x)}
    (folder / "set.json").write_text(json.dumps(facts))
    return Set(folder)


def real(name):
    """A set of the shared folder: metric, rows, queries, its own exact answers."""
    import pyarrow.parquet as pq

    docs, queries = (pq.read_table(shared() / name / f"{part}.parquet") for part in ("docs", "queries"))
    vectors = [t["vector"].combine_chunks().flatten().to_numpy(zero_copy_only=False).astype(np.float32)
               .reshape(t.num_rows, -1) for t in (docs, queries)]
    place = {key: row for row, key in enumerate(docs["id"].to_pylist())}
    truth = np.array([[place[key] for key in line] for line in queries["gt_ids"].to_pylist()])
    if REAL[name] == "COSINE":
        vectors = [unit(v) for v in vectors]
    return REAL[name], *vectors, truth


def made(name):
    """A generated set; its exact answers are computed here."""
    rows, dim, seed = GENERATED[name]
    gen = generator(rows, dim, seed)
    x = np.empty((rows, dim), np.float32)
    at = 0
    for block in range(gen.blocks()):
        part = gen.block(block)["vector"]
        x[at:at + len(part)] = part
        at += len(part)
    y = gen.queries(QUERIES).astype(np.float32)
    return "COSINE", unit(x), unit(y), None


def prepare(name, quick=False, rows=None):
    """A set by its name. `quick` takes few rows and queries; `rows` the first so many."""
    if name not in NAMES:
        raise SystemExit(f"no such set: {name}; there are {', '.join(NAMES)}")
    most = 5_000 if quick else rows
    folder = cache() / (name + (f"-{most}" if most else ""))
    if (folder / "set.json").is_file():
        return Set(folder)
    shutil.rmtree(folder, ignore_errors=True)
    if most and name in GENERATED:
        gen = generator(most, *GENERATED[name][1:])
        x = np.concatenate([gen.block(b)["vector"] for b in range(gen.blocks())]).astype(np.float32)
        metric, x, y, truth = "COSINE", unit(x), unit(gen.queries(QUERIES).astype(np.float32)), None
    else:
        metric, x, y, truth = real(name) if name in REAL else made(name)
    if most and most < len(x):
        x, truth = x[:most], None
    y = y[:100] if quick else y
    if truth is None:
        truth = exact(metric, x, y, TRUTH)
    return write(folder, name, metric, x, y, truth)


def recall(data, found, truth, k, x=None, y=None):
    """Share of the k nearest that were found. Rows as near as the k-th nearest count, whichever of them was
    found; one that is named twice counts once. `truth` may hold -1 where fewer rows may be answered."""
    x, y = (data.x() if x is None else x), (data.y() if y is None else y)
    found, truth = np.asarray(found, np.int64)[:, :k], np.asarray(truth, np.int64)[:, :k]
    hit = wanted = 0
    for q, (mine, right) in enumerate(zip(found, truth)):
        right = right[right >= 0]
        mine = np.unique(mine[mine >= 0])
        wanted += len(right)
        inside = np.isin(mine, right)
        count = int(inside.sum())
        others = mine[~inside]
        if len(others) and len(right) and count < len(right):
            bound = near(data.metric, x[right], y[q]).min()
            score = near(data.metric, x[others], y[q])
            count += int((score >= bound - 1e-6 * max(1.0, abs(bound))).sum())
        hit += min(count, len(right))
    return hit / max(wanted, 1)


def near(metric, rows, query):
    """Nearness in double precision, large is near."""
    rows, query = rows.astype(np.float64), query.astype(np.float64)
    return -((rows - query) ** 2).sum(1) if metric == "L2" else rows @ query


def derive(data, name, order):
    """A set of some rows of another in another order, with the same queries and its own exact answers."""
    x, y = data.x()[order], data.y()
    return write(cache() / f"{data.folder.name}-{name}", data.name, data.metric, x, y, exact(data.metric, x, y, TRUTH))
