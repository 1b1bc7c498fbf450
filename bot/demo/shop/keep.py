"""Values kept while they are used: the one used longest ago goes first."""

from collections import OrderedDict
from collections.abc import Callable
from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")


def kept(cache: OrderedDict[K, V], key: K, size: int, make: Callable[[], V]) -> V:
    """The cached value, made when missing; the one used longest ago goes when there are more than `size`."""
    if key in cache:
        cache.move_to_end(key)
        return cache[key]
    value = cache[key] = make()
    while len(cache) > size:
        cache.popitem(last=False)
    return value
