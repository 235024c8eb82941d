"""Reads a run folder and draws ``report.html``: one file, offline, safe against hostile values.

``render(run_folder)`` and ``render_history(history, verdict, counterexample, out)`` are all there is to call.
A report judges nothing and needs no cluster. The same files give the same bytes. What is missing is named.
"""

from reports.report import render, render_history

__all__ = ["render", "render_history"]
