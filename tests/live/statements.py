# SPDX-License-Identifier: Apache-2.0
"""The SQL of the tests: streams and batches that need nothing but Flink itself."""

from __future__ import annotations

CHECKPOINTED = """\
SET 'execution.checkpointing.interval' = '2s';
SET 'execution.checkpointing.externalized-checkpoint-retention' = 'RETAIN_ON_CANCELLATION';
"""
_SOURCE = """\
CREATE TABLE numbers (id INT, amount INT) WITH ('connector' = 'datagen', 'rows-per-second' = '5'{more});
"""
_SINK = "CREATE TABLE sums ({columns}) WITH ('connector' = 'blackhole');\n"


def stream(*, more: str = "") -> str:
    """An endless job without state."""
    return (
        _SOURCE.format(more=more)
        + _SINK.format(columns="id INT")
        + "INSERT INTO sums SELECT id FROM numbers;"
    )


def counting_stream(*, also: str = "") -> str:
    """An endless job with checkpoints, whose state is a sum for each of ten ids.

    :param also: one more aggregate, for instance ``MAX(amount)``: what was kept before does not fit any more.
    """
    columns = "id INT, total INT" + (", more INT" if also else "")
    aggregates = "SUM(amount)" + (f", {also}" if also else "")
    return (
        CHECKPOINTED
        + _SOURCE.format(more=", 'fields.id.min' = '0', 'fields.id.max' = '9'")
        + f"CREATE TABLE sums ({columns}, PRIMARY KEY (id) NOT ENFORCED) WITH ('connector' = 'blackhole');\n"
        + f"INSERT INTO sums SELECT id, {aggregates} FROM numbers GROUP BY id;"
    )


def batch(rows: int | str = 20) -> str:
    """A job that ends by itself.

    :param rows: how many it writes, or a ``${variable}``.
    """
    return stream(more=f", 'number-of-rows' = '{rows}'")


def failing() -> str:
    """A job that Flink accepts, and whose tasks fail: a text that is no number."""
    return (
        "CREATE TABLE words (word STRING) WITH ('connector' = 'datagen', 'rows-per-second' = '5');\n"
        + _SINK.format(columns="id INT")
        + "INSERT INTO sums SELECT CAST(word AS INT) FROM words;"
    )


SELECT_ONLY = "SELECT 1;"
UNKNOWN_TABLE = _SINK.format(columns="id INT") + "INSERT INTO sums SELECT id FROM nowhere;"
