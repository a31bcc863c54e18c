"""A server for the tests: the built binary on a free loopback port, over a folder of its own."""

import itertools
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from pymilvus import DataType, MilvusClient

ROOT = Path(__file__).resolve().parents[2]


def binary():
    """The program under test: ELANUS_BIN, or what cargo built for development."""
    named = os.environ.get("ELANUS_BIN")
    if named:
        return Path(named)
    target = os.environ.get("CARGO_TARGET_DIR", ROOT / "target")
    return Path(target) / "debug" / "elanus"


def shared_data():
    """The folder of the larger data sets, or None: beside the repository, or in ELANUS_SHARED."""
    for folder in (os.environ.get("ELANUS_SHARED"), ROOT.parent / "shared"):
        if folder and (Path(folder) / "data").is_dir():
            return Path(folder) / "data"
    return None


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def elanus(*arguments, env=None, stdin=None, timeout=300):
    """Runs a command of the binary to its end."""
    return subprocess.run(
        [str(binary()), *map(str, arguments)],
        input=stdin,
        stdin=None if stdin is not None else subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        env={**os.environ, **(env or {})},
    )


class Server:
    """One server process; it can be stopped, killed and started again over the same folder."""

    def __init__(self, data, log, env=None, **login):
        self.data = data
        self.log = Path(log)
        self.env = {**os.environ, "RUST_BACKTRACE": "1", **(env or {})}
        self.process = None
        self.port = free_port()
        self.clients = []
        self.login = login

    @property
    def uri(self):
        return f"http://127.0.0.1:{self.port}"

    def spawn(self):
        """Starts the process and does not wait for it."""
        out = open(self.log, "ab")
        command = [str(binary()), "serve", "--data", str(self.data), "--listen", f"127.0.0.1:{self.port}"]
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=self.env
        )
        out.close()
        return self

    def start(self, timeout=60):
        """Starts the process and waits until it answers."""
        self.spawn()
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise RuntimeError(f"the server ended with {self.process.returncode}:\n{self.tail()}")
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                self.client().get_server_version()
                return self
            except Exception:
                time.sleep(0.02)
        raise RuntimeError(f"the server does not answer:\n{self.tail()}")

    def client(self, **options):
        options = {**self.login, **options}
        client = MilvusClient(self.uri, timeout=options.pop("timeout", 30), **options)
        self.clients.append(client)
        return client

    def forget_clients(self):
        for client in self.clients:
            try:
                client.close()
            except Exception:
                pass
        self.clients = []

    def kill(self):
        """kill -9."""
        self.process.kill()
        self.process.wait()
        self.forget_clients()

    def stop(self, timeout=60):
        """SIGTERM; the exit code."""
        self.forget_clients()
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout)

    def running(self):
        return self.process is not None and self.process.poll() is None

    def tail(self, lines=40):
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])

    def panics(self):
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return [line for line in text.splitlines() if "panicked at" in line]


@pytest.fixture(scope="session", autouse=True)
def need_binary():
    if not binary().is_file():
        pytest.exit(f"no binary at {binary()}: run `cargo build --workspace` first", returncode=1)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """One server for all tests of a file; each takes collection names of its own."""
    folder = tmp_path_factory.mktemp("server")
    server = Server(folder / "data", folder / "log").start()
    yield server
    panics = server.panics()
    if server.running():
        assert server.stop() == 0, server.tail()
    assert not panics, panics


@pytest.fixture
def make_server(tmp_path):
    """Makes servers of a test's own: make_server(env={…}, data=…, token="user:password")."""
    made = []

    def make(env=None, data=None, start=True, **login):
        number = len(made)
        server = Server(data or tmp_path / f"data{number}", tmp_path / f"log{number}", env, **login)
        made.append(server)
        return server.start() if start else server

    yield make
    for server in made:
        if server.running():
            server.kill()
        assert not server.panics(), server.panics()


@pytest.fixture
def client(server):
    client = server.client()
    yield client


_numbers = itertools.count()


@pytest.fixture
def name(request):
    """A collection name that no other test uses."""
    base = "".join(c if c.isalnum() else "_" for c in request.node.name)[:80]
    return f"{base}_{next(_numbers)}"


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A failed test shows the end of its server's log."""
    report = (yield).get_result()
    server = item.funcargs.get("server") if hasattr(item, "funcargs") else None
    if report.failed and isinstance(server, Server):
        report.sections.append(("server log", server.tail(25)))


def make_collection(client, name, *fields, properties=None, dynamic=False):
    """A loaded collection with a key, a vector of two dimensions and the fields (name, type, options)."""
    schema = client.create_schema(enable_dynamic_field=dynamic)
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("v", DataType.FLOAT_VECTOR, dim=2)
    for field, kind, options in fields:
        schema.add_field(field, kind, **options)
    index = client.prepare_index_params()
    index.add_index("v", index_type="AUTOINDEX", metric_type="L2")
    client.create_collection(
        name, schema=schema, index_params=index, consistency_level="Strong", properties=properties
    )


def eventually(check, timeout=60, interval=0.05):
    """Calls `check` until it gives something true; that value."""
    end = time.monotonic() + timeout
    while True:
        value = check()
        if value or time.monotonic() > end:
            assert value, "it did not happen in time"
            return value
        time.sleep(interval)


sys.path.insert(0, str(Path(__file__).parent))
