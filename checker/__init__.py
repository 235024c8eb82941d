"""The judge: reads what clients and replicas recorded and says whether it was right.

It imports nothing of the project's other packages and nothing outside the standard library, so that a
fault in the accused, or in the harness that watched them, cannot hide in code shared with the judge.

Doors: `checker.judge.judge_run`, `checker.judge.judge_history`, `checker.formats.traitor` (read and write
`history.jsonl`), and `python -m checker PATH`.
"""
