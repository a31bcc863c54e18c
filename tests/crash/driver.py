"""The server, its clients and the count of what went wrong."""

import multiprocessing
import shutil
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from pymilvus import DataType, MilvusClient

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "sdk"))
from conftest import Server, elanus  # noqa: E402
from worker import DIM, serve, writers  # noqa: E402

KINDS = ("lost", "doubled", "revived", "torn", "wrong", "refused", "ended")
# Small memtables, eager compaction and removal of files: a kill meets all of them at work.
BUSY = {
    "ELANUS_MEMTABLE_MAX_ROWS": "700",
    "ELANUS_COMPACTION_INTERVAL_MS": "20",
    "ELANUS_COMPACTION_MIN_TIER_BYTES": "60000",
    "ELANUS_GC_INTERVAL_MS": "50",
    "ELANUS_GC_GRACE_MS": "100",
}
# Nothing that a client asks for here takes longer.
PATIENCE = 120


class Client:
    """A worker process and the pipe to it."""

    def __init__(self, make):
        context = multiprocessing.get_context("spawn")
        self.pipe, far = context.Pipe()
        self.process = context.Process(target=serve, args=(make, far), daemon=True)
        self.process.start()
        far.close()

    def tell(self, *order):
        self.pipe.send(order)

    def hear(self):
        if not self.pipe.poll(PATIENCE):
            self.process.kill()
            raise SystemExit(f"a client heard nothing for {PATIENCE} s: a request hangs")
        return self.pipe.recv()


def waits(pid):
    """What the threads of a process wait for, as the kernel tells it."""
    seen = Counter()
    for task in Path(f"/proc/{pid}/task").glob("*"):
        try:
            seen[f"{(task / 'comm').read_text().strip()}: {(task / 'wchan').read_text().strip() or 'running'}"] += 1
        except OSError:
            pass
    return dict(seen)


class Driver:
    """One store under load; everything that is found wrong is counted and printed at once."""

    def __init__(self, folder, clients, seed, env=None):
        self.folder = Path(folder)
        self.server = Server(self.folder / "data", self.folder / "log", {**BUSY, **(env or {})})
        self.clients = [Client(make) for make in writers(clients, seed)]
        self.found = dict.fromkeys(KINDS, 0)
        self.done, self.refused = Counter(), Counter()
        self.starts = []

    def fault(self, kind, text):
        self.found[kind] += 1
        if self.found[kind] <= 20:
            print(f"{kind}: {text}", flush=True)

    def start(self):
        """Starts the server; the seconds until it answers."""
        begin = time.monotonic()
        try:
            self.server.start()
        except RuntimeError as error:
            raise SystemExit(f"the server does not start over {self.server.data}: {error}") from None
        self.starts.append(time.monotonic() - begin)

    def make(self):
        """Makes the collections that the workers write to."""
        client = MilvusClient(self.server.uri)
        for name, kind, index in (("ints", DataType.INT64, "HNSW"), ("texts", DataType.VARCHAR, "AUTOINDEX")):
            schema = client.create_schema()
            schema.add_field("key", kind, is_primary=True, max_length=64)
            schema.add_field("worker", DataType.INT64, is_partition_key=name == "texts")
            schema.add_field("version", DataType.INT64)
            schema.add_field("tag", DataType.INT64)
            schema.add_field("payload", DataType.VARCHAR, max_length=200)
            schema.add_field("vector", DataType.FLOAT_VECTOR, dim=DIM)
            indexes = client.prepare_index_params()
            indexes.add_index("vector", index_type=index, metric_type="L2")
            more = {"num_partitions": 3} if name == "texts" else {}
            client.create_collection(name, schema=schema, index_params=indexes, **more)
        client.close()

    def work(self, strict=True, seconds=None):
        for client in self.clients:
            client.tell("work", self.server.uri, strict, seconds)

    def hear(self):
        """Waits for all clients' answers, and counts what they report."""
        answers = []
        for client in self.clients:
            answer, done, refused, faults = client.hear()
            answers.append(answer)
            self.done.update(done)
            self.refused.update(refused)
            for kind, text in faults:
                self.fault(kind, text)
        return answers

    def check(self):
        """Everything that was acknowledged is there, once, and nothing else."""
        for client in self.clients:
            client.tell("check", self.server.uri)
        expected = sum(self.hear())
        client = MilvusClient(self.server.uri)
        there = sum(client.query(name, output_fields=["count(*)"], consistency_level="Strong")[0]["count(*)"]
                    for name in ("ints", "texts"))
        client.close()
        if there != expected:
            self.fault("doubled" if there > expected else "lost", f"count(*) is {there}, the rows are {expected}")
        return expected

    def verify(self):
        """`elanus verify` over the stopped store."""
        ran = elanus("verify", self.server.data)
        if ran.returncode != 0:
            self.fault("wrong", f"verify: {ran.stdout[-2000:]}{ran.stderr[-2000:]}")

    def stop(self):
        """SIGTERM: a clean end within a minute."""
        try:
            code = self.server.stop()
        except subprocess.TimeoutExpired:
            self.fault("ended", f"no end within a minute of SIGTERM; its threads wait in {waits(self.server.process.pid)}")
            self.server.kill()
            return
        if code != 0:
            self.fault("ended", f"exit code {code} after SIGTERM: {self.server.tail(5)}")

    def close(self):
        """Ends everything; true when nothing was wrong."""
        if self.server.running():
            self.server.kill()
        for client in self.clients:
            try:
                client.tell("end")
                client.process.join(5)
            except OSError:
                pass
            client.process.kill()
        for line in self.server.panics()[:5]:
            self.fault("wrong", f"the server panicked: {line}")
        well = not any(self.found.values())
        if well:
            shutil.rmtree(self.folder, ignore_errors=True)
        else:
            print(f"kept for a look: {self.folder}")
        return well
