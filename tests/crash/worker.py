"""One client process of the crash test: it owns some keys and knows what was acknowledged of them.

Keys belong to one worker, which sends one request at a time. So its own memory says exactly what must be there: every
acknowledged write, and of the request that was under way at a crash all or nothing.
"""

import logging
import random
import time
from collections import Counter
from functools import partial

import grpc
import numpy as np
from pymilvus import MilvusClient
from pymilvus.exceptions import MilvusException

DIM = 16
KEYS = 2_500
FIELDS = ["key", "worker", "version", "tag", "payload"]
STRONG = {"consistency_level": "Strong"}
# No retries: a request that was cut off is left as it is, so that the check can tell whether it is whole.
ONCE = {"retry_times": 0}


def vector(number, version):
    """The vector of one version of a row; no two are alike."""
    x = np.arange(1, DIM + 1) * 0.6180339887 * (number % 100_003 + 1) + version * np.sqrt(np.arange(2, DIM + 2))
    return (x % 1.0).astype(np.float32)


# A connection of one's own, so that one that was cut does not make the next wait.
ALONE = {"grpc.use_local_subchannel_pool": 1, "grpc.initial_reconnect_backoff_ms": 50}
# pymilvus's own code, which no server sends.
CONNECT_FAILED = 2
ERRORS = (MilvusException, grpc.RpcError)


def is_cut(error):
    """Whether the connection went away, so that nobody knows what became of the request."""
    return isinstance(error, grpc.RpcError) or not isinstance(error.code, int) or error.code == CONNECT_FAILED


class Worker:
    """Writes to a collection, and checks what is in it."""

    def __init__(self, number, collection, text_keys, seed):
        self.number, self.collection, self.text_keys = number, collection, text_keys
        self.random = random.Random(f"{seed} {number}")
        self.rows = {}  # acknowledged: key number → version
        self.gone = {}  # acknowledged as deleted: key number → the version that was
        self.under_way = None  # key number → version or None (deleted), while nobody knows
        self.version = 0
        self.done = Counter()
        self.refused = Counter()
        self.faults = []
        self.client = None

    # ── rows ────────────────────────────────────────────────────────────────────────────────────

    def key(self, number):
        return f"w{self.number}-{number:06}" if self.text_keys else self.number * 1_000_000 + number

    def key_number(self, key):
        return int(key.rsplit("-", 1)[1]) if self.text_keys else key - self.number * 1_000_000

    def seed_of(self, number):
        return self.number * KEYS + number

    def row(self, number, version):
        return {
            "key": self.key(number), "worker": self.number, "version": version,
            "tag": (number * 7 + version) % 16, "payload": f"{number}/{version}/" + "x" * (version % 50),
            "vector": vector(self.seed_of(number), version),
        }

    @property
    def mine(self):
        return f"worker == {self.number}"

    def fault(self, kind, text):
        self.faults.append((kind, f"worker {self.number} of {self.collection}: {text}"))

    # ── work ────────────────────────────────────────────────────────────────────────────────────

    def work(self, uri, strict, seconds=None):
        """Sends requests until the server is gone or the time is over."""
        end = None if seconds is None else time.monotonic() + seconds
        choices = [(self.insert, 30), (self.upsert, 25), (self.delete_keys, 12), (self.delete_where, 8),
                   (self.search, 14), (self.count, 7), (self.get, 10), (self.flush, 2), (self.compact, 1)]
        kinds, weights = zip(*choices)
        if not self.connect(uri):
            return
        try:
            while end is None or time.monotonic() < end:
                action = self.random.choices(kinds, weights)[0]
                try:
                    action()
                    self.done[action.__name__] += 1
                except ERRORS as error:
                    if is_cut(error):
                        return
                    self.refused[error.code] += 1
                    # 8: the server asks to come again later.
                    if strict and error.code != 8:
                        self.fault("refused", f"{action.__name__}: {error}")
                    if self.under_way is not None:
                        self.settle(self.read())
                    time.sleep(0.05)
        except ERRORS as error:
            if not is_cut(error):
                self.fault("refused", f"{error}")
        finally:
            self.disconnect()

    def connect(self, uri, patience=0):
        """Whether there is a server."""
        end = time.monotonic() + patience
        while True:
            try:
                self.client = MilvusClient(uri, timeout=10, dedicated=True, grpc_options=ALONE)
                return True
            except ERRORS:
                if time.monotonic() > end:
                    return False
            time.sleep(0.02)

    def disconnect(self):
        if self.client is not None:
            try:
                self.client.close()
            except Exception:
                pass
            self.client = None

    def write(self, change, send):
        """Sends a change; it counts only when it was acknowledged."""
        self.under_way = change
        send()
        self.settled(change)

    def settled(self, change):
        for number, version in change.items():
            if version is None:
                if number in self.rows:
                    self.gone[number] = self.rows.pop(number)
            else:
                self.rows[number] = version
                self.gone.pop(number, None)
        self.under_way = None

    def put(self, numbers, send):
        self.version += 1
        rows = [self.row(n, self.version) for n in numbers]
        self.write(dict.fromkeys(numbers, self.version), lambda: send(self.collection, rows, **ONCE))

    def insert(self):
        free = [n for n in self.random.sample(range(KEYS), 200) if n not in self.rows]
        if free:
            self.put(free[: self.random.choice([1, 5, 60, 150])], self.client.insert)

    def upsert(self):
        self.put(self.random.sample(range(KEYS), self.random.choice([1, 3, 40, 120])), self.client.upsert)

    def delete_keys(self):
        numbers = self.random.sample(range(KEYS), self.random.choice([1, 10, 60]))
        ids = [self.key(n) for n in numbers]
        self.write(dict.fromkeys(numbers), lambda: self.client.delete(self.collection, ids=ids, **ONCE))

    def delete_where(self):
        tag, first = self.random.randrange(16), self.random.randrange(KEYS)
        low, high = self.key(first), self.key(min(KEYS - 1, first + self.random.choice([20, 400])))
        quote = '"' if self.text_keys else ""
        text = f"{self.mine} and tag == {tag} and key >= {quote}{low}{quote} and key <= {quote}{high}{quote}"
        hit = [n for n, v in self.rows.items() if (n * 7 + v) % 16 == tag and low <= self.key(n) <= high]
        self.write(dict.fromkeys(hit), lambda: self.client.delete(self.collection, filter=text, **ONCE))

    def flush(self):
        self.client.flush(self.collection, **ONCE)

    def compact(self):
        self.client.compact(self.collection, **ONCE)

    # ── reads under way: a worker sees its own writes exactly ───────────────────────────────────

    def get(self):
        numbers = self.random.sample(range(KEYS), 30)
        got = self.client.query(self.collection, ids=[self.key(n) for n in numbers],
                                output_fields=FIELDS, **STRONG, **ONCE)
        self.compare(got, {n: self.rows[n] for n in numbers if n in self.rows})

    def count(self):
        got = self.client.query(self.collection, filter=self.mine, output_fields=["count(*)"], **STRONG, **ONCE)
        if got[0]["count(*)"] != len(self.rows):
            self.fault("wrong", f"count(*) is {got[0]['count(*)']}, not {len(self.rows)}")

    def search(self, filtered=None):
        if not self.rows:
            return
        number = self.random.choice(list(self.rows))
        # Without a filter the row itself is nearest all the same, whatever others write.
        filtered = self.random.random() < 0.5 if filtered is None else filtered
        hits = self.client.search(
            self.collection, [vector(self.seed_of(number), self.rows[number])], limit=3,
            filter=self.mine if filtered else "", output_fields=["version"], **STRONG, **ONCE)[0]
        found = [(hit["key"], hit["version"]) for hit in hits]
        if (self.key(number), self.rows[number]) not in found[:1]:
            self.fault("wrong", f"a search for {self.key(number)} version {self.rows[number]} found {found}")

    def search_gone(self):
        number = self.random.choice(list(self.gone))
        hits = self.client.search(self.collection, [vector(self.seed_of(number), self.gone[number])], limit=5,
                                  filter=self.mine, **STRONG, **ONCE)[0]
        if any(hit["key"] == self.key(number) for hit in hits) and number not in self.rows:
            self.fault("revived", f"a search found {self.key(number)}, which is deleted")

    # ── the check ───────────────────────────────────────────────────────────────────────────────

    def check(self, uri):
        """After a restart: everything of mine is as it was acknowledged; the number of my rows."""
        try:
            self.connect(uri, patience=20)
            self.settle(self.read())
            self.count()
            for filtered in (True, False) * 4:
                self.search(filtered)
            for _ in range(min(6, len(self.gone))):
                self.search_gone()
        except Exception as error:
            self.fault("refused", f"the check: {error}")
        finally:
            self.disconnect()
        return len(self.rows)

    def read(self):
        return self.client.query(self.collection, filter=self.mine, limit=16_000, output_fields=[*FIELDS, "vector"],
                                 **STRONG, **ONCE)

    def settle(self, got):
        """Finds out what became of the request that was cut off, then compares."""
        if self.under_way is not None:
            there = {self.key_number(r["key"]): r["version"] for r in got}
            change, self.under_way = self.under_way, None
            before = {n: self.rows.get(n) for n in change}
            now = {n: there.get(n) for n in change}
            if now == change:
                self.settled(change)
            elif now != before:
                some = sum(now[n] == change[n] for n in change)
                self.fault("torn", f"{some} of {len(change)} rows of a request that was cut off are there")
                self.settled(now)
        self.compare(got, self.rows)

    def compare(self, got, expected):
        found = {}
        for row in got:
            number = self.key_number(row["key"])
            if number in found:
                self.fault("doubled", f"{row['key']} is there twice")
            found[number] = row["version"]
            right = self.row(number, row["version"])
            for field in FIELDS:
                if row[field] != right[field]:
                    self.fault("wrong", f"{row['key']}: {field} is {row[field]!r}, not {right[field]!r}")
            if "vector" in row and not np.array_equal(np.float32(row["vector"]), right["vector"]):
                self.fault("wrong", f"{row['key']}: its vector is not that of version {row['version']}")
        for number, version in expected.items():
            if found.get(number) != version:
                self.fault("lost", f"{self.key(number)}: version {version} was acknowledged, there is {found.get(number)}")
        for number in found.keys() - expected.keys():
            self.fault("revived", f"{self.key(number)} version {found[number]} is there, but not by any acknowledged write")


class Names(Worker):
    """Creates and drops collections, partitions and aliases; it owns all names that begin with its own."""

    def __init__(self, number, seed):
        super().__init__(number, None, False, seed)
        self.names, self.unknown, self.next = {}, None, 0

    def work(self, uri, strict, seconds=None):
        end = None if seconds is None else time.monotonic() + seconds
        if not self.connect(uri):
            return
        try:
            while end is None or time.monotonic() < end:
                if self.unsure():
                    return  # until the next check
                action = self.random.choice([self.create, self.create, self.drop, self.fill])
                action()
                self.done[action.__name__] += 1
        except ERRORS as error:
            if not is_cut(error):
                self.refused[error.code] += 1
                if strict and error.code != 8:
                    self.fault("refused", f"names: {error}")
        finally:
            self.disconnect()

    def unsure(self):
        return self.unknown is not None or any(isinstance(rows, tuple) for rows in self.names.values())

    def create(self):
        if len(self.names) >= 6:
            return self.drop()
        self.next += 1
        name = f"made_{self.number}_{self.next}"
        self.unknown = name
        self.client.create_collection(name, dimension=4, **ONCE)
        self.names[name], self.unknown = 0, None

    def drop(self):
        if self.names:
            name = self.random.choice(sorted(self.names))
            self.unknown, _ = name, self.names.pop(name)
            self.client.drop_collection(name, **ONCE)
            self.unknown = None

    def fill(self):
        if self.names:
            name = self.random.choice(sorted(self.names))
            rows = [{"id": i, "vector": [i, 1, 2, 3]} for i in range(self.names[name] + 1)]
            self.names[name] = (len(rows), self.names[name])  # it may be either until it is acknowledged
            self.client.insert(name, rows, **ONCE)
            self.names[name] = len(rows)

    def settle_name(self, there):
        """Creating a collection is several requests: what is there of one that was cut off goes."""
        if self.unknown in there:
            there.discard(self.unknown)
            try:
                self.client.drop_collection(self.unknown, **ONCE)
            except ERRORS:
                return  # the disk may be full
        self.unknown = None

    def check(self, uri):
        try:
            self.connect(uri, patience=20)
            there = {n for n in self.client.list_collections() if n.startswith(f"made_{self.number}_")}
            self.settle_name(there)
            for name in self.names.keys() - there:
                self.fault("lost", f"collection {name}")
            for name in there - self.names.keys():
                self.fault("revived", f"collection {name}")
            for name in sorted(there & self.names.keys()):
                if not self.client.get_load_state(name)["state"].name == "Loaded":
                    self.fault("wrong", f"collection {name} is not loaded")
                count = self.client.query(name, output_fields=["count(*)"], **STRONG)[0]["count(*)"]
                either = self.names[name] if isinstance(self.names[name], tuple) else (self.names[name],)
                if count not in either:
                    self.fault("lost" if count < max(either) else "revived", f"{name} has {count} rows, not {either}")
                self.names[name] = count
        except Exception as error:
            self.fault("refused", f"the check of names: {error}")
        finally:
            self.disconnect()
        return 0


def serve(make, pipe):
    """Obeys the driver: `work`, `check`, `end`."""
    logging.disable(logging.CRITICAL)  # pymilvus tells of every connection that is cut
    worker = make()
    while True:
        order, *arguments = pipe.recv()
        if order == "end":
            return
        answer = getattr(worker, order)(*arguments)
        faults, worker.faults = worker.faults, []
        pipe.send((answer, worker.done, worker.refused, faults))
        worker.done, worker.refused = Counter(), Counter()


def writers(count, seed):
    """What makes the workers: pairs over two collections, and one for names."""
    made = [partial(Worker, n, "texts" if n % 2 else "ints", bool(n % 2), seed) for n in range(count)]
    return [*made, partial(Names, count, seed)]
