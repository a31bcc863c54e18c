"""Other libraries over the same data, each in processes of its own, one thread.

    _rivals.py build NAME SET-FOLDER OUT-FOLDER     builds, saves, prints CPU seconds
    _rivals.py search NAME SET-FOLDER OUT-FOLDER    loads what was saved, prints a line for each setting

CPU seconds are the process's (`time.process_time`), all its threads. Memory is what the process that loads
and searches grew by. Each library gets all queries in one call where it can; where it cannot (zvec), its
own Python layer is in the figure.
"""

import argparse
import importlib
import json
import os
import shutil
import sys
import time
from pathlib import Path

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS"):
    os.environ[name] = "1"

import numpy as np

import _sets as sets

M, EF_CONSTRUCTION = 16, 200
EF = {10: [10, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768], 100: [100, 150, 200, 300, 400, 600, 800, 1200]}


def rss():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Hnswlib:
    """hnswlib, M 16, efConstruction 200."""

    module = "hnswlib"

    def build(self, data, x, out):
        import hnswlib

        index = hnswlib.Index(space="l2" if data.metric == "L2" else "ip", dim=data.dim)
        index.init_index(max_elements=len(x), M=M, ef_construction=EF_CONSTRUCTION, random_seed=1)
        index.set_num_threads(1)
        index.add_items(x, np.arange(len(x)), num_threads=1)
        return lambda: index.save_index(str(out / "index"))

    def load(self, data, out):
        import hnswlib

        self.index = hnswlib.Index(space="l2" if data.metric == "L2" else "ip", dim=data.dim)
        self.index.load_index(str(out / "index"))
        self.index.set_num_threads(1)

    def knobs(self, k):
        return [{"ef": ef} for ef in EF[k]]

    def search(self, y, k, ef):
        self.index.set_ef(ef)
        return self.index.knn_query(y, k=k, num_threads=1)[0]


class Faiss:
    """What faiss's ways have in common."""

    module = "faiss"

    def build(self, data, x, out):
        import faiss

        faiss.omp_set_num_threads(1)
        index = self.make(faiss, data, x, faiss.METRIC_L2 if data.metric == "L2" else faiss.METRIC_INNER_PRODUCT)
        if not index.is_trained:
            index.train(x)
        index.add(x)
        return lambda: faiss.write_index(index, str(out / "index"))

    def load(self, data, out):
        import faiss

        faiss.omp_set_num_threads(1)
        self.faiss, self.index = faiss, faiss.read_index(str(out / "index"))


class FaissHnsw(Faiss):
    """faiss HNSW16 over the original vectors, efConstruction 200."""

    def make(self, faiss, data, x, metric):
        index = faiss.IndexHNSWFlat(data.dim, M, metric)
        index.hnsw.efConstruction = EF_CONSTRUCTION
        return index

    knobs = Hnswlib.knobs

    def search(self, y, k, ef):
        return self.index.search(y, k, params=self.faiss.SearchParametersHNSW(efSearch=ef))[1]


class FaissPq4(Faiss):
    """faiss IVF, PQ4 FastScan of two dimensions a code, then exact re-ranking."""

    def __init__(self, lists, residual=""):
        self.lists, self.residual = lists, residual

    def make(self, faiss, data, x, metric):
        nlist = max(1, int(self.lists * len(x) ** 0.5))
        return faiss.index_factory(data.dim, f"IVF{nlist},PQ{data.dim // 2}x4fs{self.residual},RFlat", metric)

    def knobs(self, k):
        factors = [1, 2, 4, 8, 16, 32] if k == 10 else [1, 2, 4, 8]
        return [{"nprobe": p, "k_factor": f} for p in (1, 2, 4, 8, 16, 32, 64, 128, 256) for f in factors]

    def search(self, y, k, nprobe, k_factor):
        lists = self.faiss.IVFSearchParameters(nprobe=nprobe)
        params = self.faiss.IndexRefineSearchParameters(k_factor=k_factor, base_index_params=lists)
        return self.index.search(y, k, params=params)[1]


class Usearch:
    """usearch HNSW in single precision, connectivity 16, expansion at build 200."""

    module = "usearch.index"

    def build(self, data, x, out):
        from usearch.index import Index

        index = Index(ndim=data.dim, metric="l2sq" if data.metric == "L2" else "ip", dtype="f32",
                      connectivity=M, expansion_add=EF_CONSTRUCTION)
        index.add(np.arange(len(x)), x, threads=1)
        return lambda: index.save(str(out / "index"))

    def load(self, data, out):
        from usearch.index import Index

        self.index = Index.restore(str(out / "index"), view=False)

    knobs = Hnswlib.knobs

    def search(self, y, k, ef):
        self.index.expansion_search = ef
        found = self.index.search(y, k, threads=1)
        return np.asarray(found.keys).astype(np.int64).reshape(len(y), -1)


class Zvec:
    """zvec HNSW, M 16, efConstruction 200; one query a call, which is all it offers."""

    module = "zvec"

    def start(self):
        import zvec

        zvec.init(log_level=zvec.LogLevel.ERROR, query_threads=1, optimize_threads=1)
        self.zvec = zvec

    def build(self, data, x, out):
        self.start()
        z = self.zvec
        metric = z.MetricType.L2 if data.metric == "L2" else z.MetricType.IP
        params = z.HnswIndexParam(metric_type=metric, m=M, ef_construction=EF_CONSTRUCTION)
        field = z.VectorSchema("v", z.DataType.VECTOR_FP32, data.dim, params)
        index = z.create_and_open(str(out / "zvec"), z.CollectionSchema("bench", vectors=field))
        for start in range(0, len(x), 1000):
            part = x[start:start + 1000].tolist()
            for status in index.insert([z.Doc(id=str(start + i), vectors={"v": v}) for i, v in enumerate(part)]):
                if not status.ok():
                    raise SystemExit(f"zvec refused a row: {status}")
        index.optimize(z.OptimizeOption(concurrency=1))
        return index.flush

    def load(self, data, out):
        self.start()
        self.index = self.zvec.open(str(out / "zvec"))

    knobs = Hnswlib.knobs

    def search(self, y, k, ef):
        params = self.zvec.HnswQueryParam(ef=ef)
        ids = np.full((len(y), k), -1, np.int64)
        for row, vector in enumerate(y):
            found = self.index.query(self.zvec.Query("v", vector=vector, param=params), topk=k)
            ids[row, :len(found)] = [int(doc.id) for doc in found]
        return ids


class QdrantEdge:
    """Qdrant Edge HNSW, m 16, ef_construct 200, one segment; queries in one batch."""

    module = "qdrant_edge"

    def build(self, data, x, out):
        import qdrant_edge as q

        distance = q.Distance.Euclid if data.metric == "L2" else q.Distance.Dot
        hnsw = q.HnswIndexConfig(m=M, ef_construct=EF_CONSTRUCTION, full_scan_threshold=10, max_indexing_threads=1)
        tuning = q.EdgeOptimizersConfig(default_segment_number=1, indexing_threshold=1, max_segment_size=1 << 30)
        folder = out / "qdrant"
        folder.mkdir(parents=True)
        shard = q.EdgeShard.create(str(folder), q.EdgeConfig(
            vectors=q.EdgeVectorParams(size=data.dim, distance=distance), hnsw_config=hnsw, optimizers=tuning,
            max_search_threads=1))
        for start in range(0, len(x), 1000):
            part = x[start:start + 1000].tolist()
            shard.update(q.UpdateOperation.upsert_points([q.Point(start + i, v) for i, v in enumerate(part)]))
        shard.optimize()

        def finish():
            shard.flush()
            shard.close()
        return finish

    def load(self, data, out):
        import qdrant_edge as q

        self.q, self.shard = q, q.EdgeShard.load(str(out / "qdrant"))

    knobs = Hnswlib.knobs

    def search(self, y, k, ef):
        q = self.q
        params = q.SearchParams(hnsw_ef=ef)
        asked = [q.QueryRequest(limit=k, query=q.Query.Nearest(v), params=params) for v in y.tolist()]
        ids = np.full((len(y), k), -1, np.int64)
        for row, found in enumerate(self.shard.query_batch(q.QueryBatchRequest(asked))):
            ids[row, :len(found)] = [point.id for point in found]
        return ids


RIVALS = {
    "hnswlib": Hnswlib(),
    "faiss-hnsw": FaissHnsw(),
    "faiss-pq4": FaissPq4(4),
    "faiss-pq4-half-lists": FaissPq4(2),
    "faiss-pq4-residual": FaissPq4(4, "r"),
    "usearch": Usearch(),
    "zvec": Zvec(),
    "qdrant-edge": QdrantEdge(),
}


def build(rival, data, out):
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    x = data.x()
    importlib.import_module(rival.module)  # not a part of the build
    cpu, wall = time.process_time(), time.monotonic()
    save = rival.build(data, x, out)
    report = {"build_cpu_seconds": time.process_time() - cpu, "build_wall_seconds": time.monotonic() - wall}
    save()
    report["bytes"] = sum(p.stat().st_size for p in out.rglob("*") if p.is_file())
    print(json.dumps(report), flush=True)


def search(rival, data, out, ks, seconds, quick):
    y = data.y()
    importlib.import_module(rival.module)
    before = rss()
    rival.load(data, out)
    for k in ks:
        for number, knob in enumerate(rival.knobs(k)):
            if quick and number % 4:
                continue
            rival.search(y[:10], k, **knob)
            cpu, passes = time.process_time(), 0
            while passes == 0 or time.process_time() - cpu < seconds:
                ids = rival.search(y, k, **knob)
                passes += 1
            cpu = time.process_time() - cpu
            path = out / f"ids_{k}_{number}.i32"
            np.ascontiguousarray(ids, "<i4").tofile(path)
            print(json.dumps({"k": k, "knob": knob, "cpu_seconds": cpu, "queries": passes * len(y),
                              "qps": passes * len(y) / cpu, "ids": str(path)}), flush=True)
    print(json.dumps({"rss_growth_bytes": rss() - before}), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["build", "search"])
    parser.add_argument("name", choices=list(RIVALS))
    parser.add_argument("set")
    parser.add_argument("out")
    parser.add_argument("--k", type=int, nargs="+", default=[10])
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--quick", action="store_true")
    a = parser.parse_args()
    rival, data, out = RIVALS[a.name], sets.Set(a.set), Path(a.out)
    if a.what == "build":
        build(rival, data, out)
    else:
        search(rival, data, out, a.k, a.seconds, a.quick)
    sys.stdout.flush()


if __name__ == "__main__":
    main()
