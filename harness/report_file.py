"""Draws `report.html`, which decides nothing: that it cannot be drawn hides no verdict."""

from __future__ import annotations

from pathlib import Path

from harness.console import tell
from harness.errors import EXIT_HARNESS


def render_report(folder: Path) -> tuple[Path | None, int]:
    """Path of the report, or None and exit code 4 with the reason on stderr. It hides no verdict."""
    import reports

    try:
        return reports.render(folder), 0
    except OSError as error:
        tell(f"traitor: cannot write the report: {error.filename or folder}: {error.strerror}")
    except Exception as error:
        tell(f"traitor: the report failed with {type(error).__name__}: {error}")
    return None, EXIT_HARNESS
