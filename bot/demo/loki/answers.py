"""The bodies of Loki's answers."""

from typing import Any

from bot.demo.loki.units import number_text, seconds_number
from bot.demo.loki.vectors import Labels, Matrix

JSON = "application/json; charset=UTF-8"
JSON_SMALL = "application/json; charset=utf-8"  # format_query spells it so
JSON_BARE = "application/json"
TEXT = "text/plain; charset=utf-8"

# The time Loki puts on a bare number, whatever time was asked about.
_SCALAR_TIME = 5777024850173


def streams(rows: list[dict[str, Any]], flags: list[str]) -> dict[str, Any]:
    """The answer to a log query; `flags` are the encoding flags to echo."""
    echoed = {"encodingFlags": flags} if flags else {}
    lines = sum(len(row["values"]) for row in rows)
    return _success({"resultType": "streams", **echoed, "result": rows, "stats": query_stats(lines)})


def matrix(found: Matrix) -> dict[str, Any]:
    """The answer to a metric query over a range."""
    rows = [
        {
            "metric": dict(labels),
            "values": [[seconds_number(time_ns), number_text(value)] for time_ns, value in found[labels].items()],
        }
        for labels in sorted(found)
    ]
    return _success({"resultType": "matrix", "result": rows, "stats": query_stats(0)})


def vector(found: Matrix, order: list[Labels]) -> dict[str, Any]:
    """The answer to a metric query at one time, the series in this order."""
    rows = [
        {"metric": dict(labels), "value": [seconds_number(time_ns), number_text(value)]}
        for labels in order
        for time_ns, value in found[labels].items()
    ]
    return _success({"resultType": "vector", "result": rows, "stats": query_stats(0)})


def scalar(value: float) -> dict[str, Any]:
    """The answer to an instant query that is a bare number."""
    result = [_SCALAR_TIME, number_text(value)]
    return _success({"resultType": "scalar", "result": result, "stats": query_stats(0)})


def volume_vector(rows: list[tuple[dict[str, str], int]], time_ns: int) -> dict[str, Any]:
    """The answer of index/volume."""
    result = [{"metric": labels, "value": [seconds_number(time_ns), str(size)]} for labels, size in rows]
    return _success({"resultType": "vector", "result": result, "stats": query_stats(0)})


def volume_matrix(rows: list[tuple[dict[str, str], list[tuple[int, int]]]]) -> dict[str, Any]:
    """The answer of index/volume_range; each row is labels and (time in ns, bytes)."""
    result = [
        {"metric": labels, "values": [[seconds_number(time_ns), str(size)] for time_ns, size in points]}
        for labels, points in rows
    ]
    return _success({"resultType": "matrix", "result": result, "stats": query_stats(0)})


def names(found: list[str]) -> dict[str, Any]:
    """The answer of labels and label values; without `data` when there are none."""
    return _success(found) if found else {"status": "success"}


def listing(found: list[Any]) -> dict[str, Any]:
    """The answer of series and patterns."""
    return _success(found)


def _success(data: Any) -> dict[str, Any]:
    return {"status": "success", "data": data}


def query_stats(returned: int) -> dict[str, Any]:
    """The statistics every query answer carries; all zero here but for the number of entries returned."""
    store = _store_stats()
    return {
        "summary": {
            "bytesProcessedPerSecond": 0,
            "linesProcessedPerSecond": 0,
            "totalBytesProcessed": 0,
            "totalLinesProcessed": 0,
            "execTime": 0,
            "queueTime": 0,
            "subqueries": 0,
            "totalEntriesReturned": returned,
            "splits": 0,
            "shards": 0,
            "totalPostFilterLines": 0,
            "totalStructuredMetadataBytesProcessed": 0,
        },
        "querier": {"store": store, "querierExecTime": 0},
        "ingester": {
            "totalReached": 0,
            "totalChunksMatched": 0,
            "totalBatches": 0,
            "totalLinesSent": 0,
            "store": store,
            "recvWaitTime": 0,
        },
        "cache": {name: dict.fromkeys(_CACHE_KEYS, 0) for name in _CACHES},
        "index": dict.fromkeys(_INDEX_KEYS, 0) | {"usedBloomFilters": False},
    }


def _store_stats() -> dict[str, Any]:
    return {
        "totalChunksRef": 0,
        "totalChunksDownloaded": 0,
        "chunksDownloadTime": 0,
        "queryReferencedStructuredMetadata": False,
        "queryUsedV2Engine": False,
        "chunk": dict.fromkeys(_CHUNK_KEYS, 0),
        "chunkRefsFetchTime": 0,
        "congestionControlLatency": 0,
        "pipelineWrapperFilteredLines": 0,
        "dataobj": dict.fromkeys(_OBJECT_KEYS, 0),
    }


_CACHES = (
    "chunk",
    "index",
    "result",
    "statsResult",
    "volumeResult",
    "seriesResult",
    "labelResult",
    "instantMetricResult",
)
_CACHE_KEYS = (
    "entriesFound",
    "entriesRequested",
    "entriesStored",
    "bytesReceived",
    "bytesSent",
    "requests",
    "downloadTime",
    "queryLengthServed",
)
_INDEX_KEYS = (
    "totalChunks",
    "postFilterChunks",
    "shardsDuration",
    "usedBloomFilters",
    "totalStreams",
    "chunkRefsLookupTime",
    "bloomFilterTime",
)
_CHUNK_KEYS = (
    "headChunkBytes",
    "headChunkLines",
    "decompressedBytes",
    "decompressedLines",
    "compressedBytes",
    "totalDuplicates",
    "postFilterLines",
    "headChunkStructuredMetadataBytes",
    "decompressedStructuredMetadataBytes",
)
_OBJECT_KEYS = (
    "prePredicateDecompressedRows",
    "prePredicateDecompressedBytes",
    "prePredicateDecompressedStructuredMetadataBytes",
    "postPredicateRows",
    "postPredicateDecompressedBytes",
    "postPredicateStructuredMetadataBytes",
    "postFilterRows",
    "pagesScanned",
    "pagesDownloaded",
    "pagesDownloadedBytes",
    "pageBatches",
    "totalRowsAvailable",
    "totalPageDownloadTime",
)
