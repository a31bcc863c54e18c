"""The program `ann` of this crate: an embedded store that follows a job, one thread, no server."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np

import _common as c

EFFORTS = [0.5, 0.7, 0.8, 0.85, 0.9, 0.93, 0.95, 0.97, 0.98, 0.99, 0.995, 0.999, 0.9995, 0.9999]
FEW = [0.5, 0.9, 0.99, 0.9999]  # for smoke runs
ONE_THREAD = {"read": {"search_threads": 1, "maintenance_threads": 1, "cache_bytes": 16 << 30}}


def program():
    named = os.environ.get("ELANUS_ANN")
    path = Path(named) if named else c.binary().parent / "ann"
    if not path.is_file():
        raise SystemExit(f"no program at {path}: `cargo xtask bench` builds it")
    return path


class Store:
    """An embedded store in a folder, over the files of a set. Each `run` is a process of its own."""

    def __init__(self, data, folder, columns=None, compaction=False, fresh=True):
        self.folder = Path(folder)
        if fresh:
            shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.job = {
            "store": str(self.folder / "store"), "dim": data.dim, "metric": data.metric,
            "base": str(data.base), "queries": str(data.query_file),
            "columns": {name: str(path) for name, path in (columns or {}).items()},
            "settings": {**ONE_THREAD, "compaction": {"enabled": compaction}},
        }

    def run(self, *steps):
        """Follows the steps; the lines that it printed, the opening first. Searches get their keys as `found`."""
        steps = [dict(step) for step in steps]
        for number, step in enumerate(steps):
            if step["do"] == "search":
                step["ids"] = str(self.folder / f"ids_{number}.i32")
        path = self.folder / "job.json"
        path.write_text(json.dumps({**self.job, "steps": steps}))
        ran = subprocess.run([str(program()), str(path)], stdout=subprocess.PIPE, text=True)
        lines = [json.loads(line) for line in ran.stdout.splitlines()]
        if ran.returncode:
            raise SystemExit(f"ann ended after {len(lines)} lines with {ran.returncode}")
        for line, step in zip(lines[1:], steps):
            if "ids" in step:
                line["found"] = np.fromfile(step["ids"], "<i4").reshape(-1, step["k"])
                line["qps"] = line["queries"] / max(line["cpu_seconds"], 0.001)
                os.remove(step["ids"])
        return lines

    def bytes(self, segment_ids):
        """Bytes on the disk of these segments: all of them, and the index with its newest codebooks. Segments
        that were merged away may lie beside them until garbage is collected; they do not count."""
        whole = index = 0
        for collection in (self.folder / "store" / "collections").iterdir():
            for segment in segment_ids:
                for path in (collection / "segments" / f"{segment:020}").iterdir():
                    whole += path.stat().st_size
                    index += path.stat().st_size if path.suffix == ".idx" and path.name != "pk.idx" else 0
            codebooks = sorted(p for p in (collection / "codebooks").glob("*") if p.is_file())
            index += codebooks[-1].stat().st_size if codebooks else 0
        return whole, index

    def remove(self):
        shutil.rmtree(self.folder, ignore_errors=True)


def insert(start, stop):
    return {"do": "insert", "from": int(start), "to": int(stop)}


def build(rows, segments=1):
    """Steps that bring rows into so many segments of equal size; one: flushed as settings say, then merged."""
    if segments == 1:
        return [insert(0, rows), {"do": "flush"}, {"do": "compact", "all": True}]
    cuts = [rows * i // segments for i in range(segments + 1)]
    return [step for a, b in zip(cuts, cuts[1:]) for step in (insert(a, b), {"do": "flush"})]


def search(effort=None, k=10, seconds=1.0, mode="batch", below=None, name=""):
    step = {"do": "search", "k": k, "seconds": seconds, "mode": mode, "name": name}
    if effort is not None:
        step["effort"] = effort
    if below:
        step["below"] = {"column": below[0], "value": int(below[1])}
    return step
