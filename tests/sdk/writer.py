"""Writes to a server until it is killed, and says what was acknowledged.

`writer.py URI insert|upsert BASE DIM` prints a line before each request and one after its
acknowledgement: `sending|acknowledged FIRST COUNT VERSION .`
"""

import sys

from pymilvus import MilvusClient

uri, kind, base, dim = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
client = MilvusClient(uri, timeout=10)
batch, number = 100, 0
while True:
    if kind == "insert":
        first, version = base + number * batch, 0
    else:  # goes over the same 2,000 keys again and again
        first, version = base + number * batch % 2000, number // 20
    rows = [
        {"id": i, "vector": [float(i % 97), float(version)] + [0.5] * (dim - 2), "version": version}
        for i in range(first, first + batch)
    ]
    print("sending", first, batch, version, ".", flush=True)
    getattr(client, kind)("t", rows)
    print("acknowledged", first, batch, version, ".", flush=True)
    number += 1
