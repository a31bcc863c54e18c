"""What the measurements share: servers, raw requests, CPU time, data."""

import json
import os
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
TICK = os.sysconf("SC_CLK_TCK")


def binary():
    named = os.environ.get("ELANUS_BIN")
    target = os.environ.get("CARGO_TARGET_DIR", ROOT / "target")
    path = Path(named) if named else Path(target) / "release" / "elanus"
    if not path.is_file():
        raise SystemExit(f"no binary at {path}: `cargo xtask bench` builds it")
    return path


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def vectors(n, dim, seed=1):
    """Clustered vectors of length one, rounded to half precision, as real embeddings are stored."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((256, dim), dtype=np.float32)
    out = np.empty((n, dim), np.float32)
    for start in range(0, n, 10_000):
        size = min(10_000, n - start)
        x = centres[rng.integers(0, 256, size)] + 0.7 * rng.standard_normal((size, dim), dtype=np.float32)
        x /= np.linalg.norm(x, axis=1, keepdims=True)
        out[start:start + size] = x.astype(np.float16)
    return out


# ── processes ───────────────────────────────────────────────────────────────────────────────────


def tree(pid):
    """A process and all that came from it."""
    children = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            except (OSError, IndexError):
                continue
            children.setdefault(parent, []).append(int(entry.name))
    found, todo = [], [pid]
    while todo:
        found.append(todo[-1])
        todo += children.get(todo.pop(), [])
    return found


def cpu_seconds(pid):
    """User and system time of a process, its descendants and those of them that have ended."""
    ticks = 0
    for each in tree(pid):
        try:
            ticks += sum(map(int, Path(f"/proc/{each}/stat").read_text().rsplit(")", 1)[1].split()[11:15]))
        except OSError:
            pass
    return ticks / TICK


def wait_quiet(pid, idle=0.0, timeout=300):
    """Waits until the process does hardly more than when it idles; the CPU rate at the end."""
    end = time.monotonic() + timeout
    calm = 0
    while True:
        before, start = cpu_seconds(pid), time.monotonic()
        time.sleep(0.5)
        rate = (cpu_seconds(pid) - before) / (time.monotonic() - start)
        calm = calm + 1 if rate < idle * 1.5 + 0.05 else 0
        if calm >= 4 or time.monotonic() > end:
            return rate


def disk_bytes(folder):
    """Bytes that the files take on the disk; a file with holes takes less than its length."""
    return sum(p.stat().st_blocks * 512 for p in Path(folder).rglob("*") if p.is_file())


class Elanus:
    """A server over a folder; `start` waits for the port only."""

    def __init__(self, folder=None, env=None):
        self.folder = Path(folder or tempfile.mkdtemp(prefix="elanus-bench-"))
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.env = {**os.environ, **(env or {})}
        self.process = None

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def spawn(self):
        with open(self.folder / "server.log", "ab") as log:
            self.process = subprocess.Popen(
                [str(binary()), "serve", "--data", str(self.folder / "data"), "--listen", self.address],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.env)
        return self

    def start(self):
        self.spawn()
        wait_port(self.port, self.process)
        return self

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)

    def tool(self, *arguments, env=None):
        ran = subprocess.run([str(binary()), *map(str, arguments)], capture_output=True, text=True,
                             env={**self.env, **(env or {})})
        if ran.returncode:
            raise SystemExit(f"elanus {' '.join(map(str, arguments))}: {ran.stderr}")
        return ran.stdout


def wait_port(port, process=None, timeout=120):
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        if process is not None and process.poll() is not None:
            raise SystemExit(f"the server ended with {process.returncode}")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.002)
    raise SystemExit("the server does not listen")


# ── raw requests: the client's own work stays out of the measurement ────────────────────────────


def stub(address):
    import grpc
    from pymilvus.grpc_gen import milvus_pb2_grpc

    options = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1),
               ("grpc.initial_reconnect_backoff_ms", 10), ("grpc.max_reconnect_backoff_ms", 50)]
    return milvus_pb2_grpc.MilvusServiceStub(grpc.insecure_channel(address, options=options))


def check(answer):
    status = answer.status if hasattr(answer, "status") else answer
    if status.code or status.error_code:
        raise SystemExit(f"the server says: {status.reason}")
    return answer


def insert_request(name, start, x):
    """One insert of rows with the keys from `start` on."""
    from pymilvus.grpc_gen import milvus_pb2, schema_pb2

    keys = schema_pb2.FieldData(type=5, field_name="id")
    keys.scalars.long_data.data.extend(range(start, start + len(x)))
    vecs = schema_pb2.FieldData(type=101, field_name="vector")
    vecs.vectors.dim = x.shape[1]
    vecs.vectors.float_vector.data.extend(x.ravel().tolist())
    return milvus_pb2.InsertRequest(
        collection_name=name, fields_data=[keys, vecs], num_rows=len(x), hash_keys=[1] * len(x))


def search_request(name, vector, k=1):
    from pymilvus.grpc_gen import common_pb2, milvus_pb2

    value = common_pb2.PlaceholderValue(tag="$0", type=101, values=[np.asarray(vector, "<f4").tobytes()])
    group = common_pb2.PlaceholderGroup(placeholders=[value]).SerializeToString()
    pairs = {"topk": str(k), "anns_field": "vector", "params": "{}", "metric_type": "L2"}
    return milvus_pb2.SearchRequest(
        collection_name=name, dsl_type=1, placeholder_group=group, nq=1, guarantee_timestamp=0,
        search_params=[common_pb2.KeyValuePair(key=k, value=v) for k, v in pairs.items()])


def create(client, name, dim, index=True):
    from pymilvus import DataType

    schema = client.create_schema(enable_dynamic_field=False)
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=dim)
    params = None
    if index:
        params = client.prepare_index_params()
        params.add_index("vector", index_type="FLAT", metric_type="L2")
    client.create_collection(name, schema=schema, index_params=params, consistency_level="Strong")


def compact(client, name):
    job = client.compact(name)
    while client.get_compaction_state(job) != "Completed":
        time.sleep(0.1)


def show(headings, rows):
    """A table for people; the same figures as JSON lines for programs on standard error."""
    cells = [headings] + [[f"{c:,.3g}" if isinstance(c, float) and c < 100 else
                           f"{c:,.0f}" if isinstance(c, (int, float)) else str(c) for c in row] for row in rows]
    widths = [max(len(r[i]) for r in cells) for i in range(len(headings))]
    for number, row in enumerate(cells):
        print("  ".join(c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths))))
        if number == 0:
            print("  ".join("─" * w for w in widths))


def out():
    """Where figures and pictures go: ELANUS_BENCH_OUT, or a folder beside the build."""
    folder = Path(os.environ.get("ELANUS_BENCH_OUT") or binary().parents[1] / "bench-out")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def save(name, figures):
    """Keeps the figures, for whoever compares runs."""
    (out() / f"{name}.json").write_text(json.dumps(figures, indent=1))
