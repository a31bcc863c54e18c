"""Makes wordnet5k.arrow, the data set inside the `elanus` binary, from the Parquet original.

    python3 convert.py .../wordnet5k.parquet [wordnet5k.arrow]

The result is an uncompressed Arrow IPC file of one batch, made as small as plain Arrow allows without
losing anything: vectors as 16-bit floats (they were rounded to half precision before), categories as
a dictionary, numbers in their narrowest type. `elanus demo` widens them again (tools/src/demo/data.rs).
"""

import sys

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

DIM = 384


def narrow(table: pa.Table) -> pa.Table:
    """The table in the types of the bundled file."""
    vectors = table["vector"].combine_chunks()
    wide = vectors.flatten()
    half = wide.cast(pa.float16())
    assert half.cast(pa.float32()).equals(wide), "vectors would lose precision"
    columns = {
        "id": table["id"].cast(pa.int32()),
        "word": table["word"],
        "gloss": table["gloss"],
        "category": pc.dictionary_encode(table["category"]).combine_chunks().cast(
            pa.dictionary(pa.int8(), pa.string())
        ),
        "synset_size": table["synset_size"].cast(pa.int16()),
        "length": table["length"].cast(pa.int16()),
        "vector": pa.FixedSizeListArray.from_arrays(half, DIM),
    }
    for name, column in columns.items():
        assert column.null_count == 0, f"{name} has nulls"
    return pa.table(columns).combine_chunks()


def main() -> None:
    source = sys.argv[1]
    target = sys.argv[2] if len(sys.argv) > 2 else "wordnet5k.arrow"
    table = narrow(pq.read_table(source))
    with pa.OSFile(target, "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    print(f"{target}: {table.num_rows} rows")


if __name__ == "__main__":
    main()
