"""Parquet files to tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from distingo.datasets.table_headers import column_names
from distingo.datasets.table_values import cells_of
from distingo.datasets.tables import Table
from distingo.errors import DataError


def read_parquet(path: Path, data: bytes) -> Table:
    """Read a Parquet file.

    Args:
        path: The file.
        data: Its content.

    Returns:
        Its columns, without those of bytes and nested values, such as embedded images. Numbers of 16 and 32 bits are
        written as shortly as they are meant (0.1, not 0.10000000149).

    Raises:
        DataError: It is damaged, or two columns have one name.
    """
    import pyarrow
    from pyarrow import parquet, types

    try:
        content = parquet.read_table(pyarrow.BufferReader(data))
    except (pyarrow.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"{path}: is no readable Parquet file ({reason}); write it again") from error
    # Embedded images and other nested values are no labels.
    no_labels = (types.is_struct, types.is_map, types.is_binary, types.is_large_binary, types.is_fixed_size_binary)
    plain = [field.name for field in content.schema if not any(is_one(field.type) for is_one in no_labels)]
    columns = column_names(path, plain)
    cells = tuple(cells_of(_values(content.column(name))) for name in plain)
    return Table(path, "Parquet", "row", columns, cells, tuple(range(1, content.num_rows + 1)))


def _values(column: Any) -> list[Any]:
    import pyarrow
    from pyarrow import types

    kind = column.type
    if types.is_float16(kind) or types.is_float32(kind):
        import numpy as np

        single = np.float16 if types.is_float16(kind) else np.float32
        return [None if value is None else float(str(single(value))) for value in column.to_pylist()]
    if types.is_timestamp(kind) and kind.unit == "ns":  # Python's moments know microseconds
        column = column.cast(pyarrow.timestamp("us", kind.tz), safe=False)
    values: list[Any] = column.to_pylist()
    return values
