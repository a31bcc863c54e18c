"""Milvus 2.3.5 from PyPI in a network namespace of its own, because it listens on all addresses."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import _common as c

PACKAGE = "milvus==2.3.5"


def program():
    """Milvus in a virtual environment: ELANUS_MILVUS_VENV, or one made here."""
    named = os.environ.get("ELANUS_MILVUS_VENV")
    folder = Path(named) if named else c.binary().parents[1] / "venv-milvus"
    path = folder / "bin" / "milvus-server"
    if not path.is_file():
        print(f"making an environment with {PACKAGE}")
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        subprocess.run([str(folder / "bin/python"), "-m", "pip", "install", "--quiet", PACKAGE], check=True)
    return path


def possible():
    """Whether it can run here; says why not."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        print("skipped: Milvus listens on all addresses, so it needs a network namespace (root and ip)")
        return False
    return True


class Milvus:
    """A running server: `with Milvus() as m`. Clients run as processes behind `m.prefix`."""

    address = "127.0.0.1:19530"

    def __enter__(self):
        path = program()
        self.namespace = f"elanus-bench-{os.getpid()}"
        self.folder = Path(tempfile.mkdtemp(prefix="milvus-bench-"))
        self.prefix = ["ip", "netns", "exec", self.namespace]
        self.process = None
        subprocess.run(["ip", "netns", "add", self.namespace], check=True)
        try:
            self.start(path)
        except BaseException:
            self.__exit__()
            raise
        return self

    def start(self, path):
        subprocess.run([*self.prefix, "ip", "link", "set", "lo", "up"], check=True)
        with open(self.folder / "server.log", "ab") as log:
            self.process = subprocess.Popen([*self.prefix, str(path), "--data", str(self.folder / "data")],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        ready = f"from pymilvus import MilvusClient as M; M('http://{self.address}', timeout=2).list_collections()"
        for _ in range(60):
            time.sleep(1)
            if subprocess.run([*self.prefix, sys.executable, "-c", ready], capture_output=True).returncode == 0:
                return
        raise SystemExit("Milvus does not answer")

    @property
    def pid(self):
        return self.process.pid

    @property
    def data(self):
        return self.folder / "data"

    def __exit__(self, *_):
        for pid in reversed(c.tree(self.pid) if self.process else []):
            try:
                os.kill(pid, signal.SIGKILL)  # it does not react to SIGTERM
            except ProcessLookupError:
                pass
        if self.process:
            self.process.wait()
        subprocess.run(["ip", "netns", "del", self.namespace])
        shutil.rmtree(self.folder, ignore_errors=True)
