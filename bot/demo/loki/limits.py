"""The limits a server enforces; the defaults are those of Loki 3.7.6."""

from dataclasses import dataclass

from bot.demo.loki.units import HOUR_NS


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Sizes in bytes, times in ns. None for the last two means no limit."""

    max_entries: int = 5000
    max_series: int = 500
    max_steps: int = 11_000
    max_query_length_ns: int = (30 * 24 + 1) * HOUR_NS
    max_line_bytes: int = 262_144
    max_label_names: int = 15
    max_label_name_length: int = 1024
    max_label_value_length: int = 2048
    creation_grace_ns: int = HOUR_NS // 6
    out_of_order_ns: int = HOUR_NS
    max_sample_age_ns: int | None = None
    max_query_bytes: int | None = None
