"""An incident on disk: what was found, without secrets, to look at again or to attach to a bug report."""

import json
from collections.abc import Sequence
from pathlib import Path

from bot.domain.codec import to_json
from bot.domain.evidence import Evidence
from bot.domain.report import Report
from bot.errors import ConfigError


def save_incident(directory: Path, report: Report, evidence: Sequence[Evidence]) -> None:
    """Writes `report.json` and `evidence.json`. Secrets were removed when the evidence was minted.

    Raises:
        ConfigError: the directory cannot be written to.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        _write(directory / "report.json", to_json(report))
        _write(directory / "evidence.json", to_json(tuple(evidence)))
    except OSError as error:
        raise ConfigError(
            "CFG-016", f"{directory} cannot be written to: {error}.", "Name another directory."
        ) from error


def _write(path: Path, data: object) -> None:
    path.write_text(json.dumps(data, indent=1, allow_nan=False) + "\n", encoding="utf-8")
