"""What tests do to the traces of a run folder, and the line of the verdict they look at."""

from __future__ import annotations

from checker.judge import judge_run


def line_of(run, tmp_path, name="promises"):
    return judge_run(run.write(tmp_path / "run")).line(name)


def find(run, replica, kind, seq):
    return next(line for line in run.traces[replica] if line["e"] == kind and line.get("seq") == seq)


def put(run, replica, before_seq, *lines):
    """Lines into a trace, ahead of what it says first about a number."""
    at = run.traces[replica].index(find(run, replica, "pre-prepare", before_seq))
    run.traces[replica][at:at] = [{"t_ns": 1000 * before_seq, **line} for line in lines]


def asked(view):
    return {"e": "view-change", "view": view, "reason": "request timeout", "failed_views": 0}


def entered(view):
    return {"e": "new-view", "view": view, "primary": view % 4, "min_s": 0, "max_s": 0}


def silent(bound, view=0):
    return {"e": "silent", "view": view, "answers": [], "needed": 3, "bound": bound}


def recovered(bound, view):
    return {"e": "recovered", "view": view, "bound": bound, "executed": 0}


def in_view(run, replica, view, from_seq, to_seq=1000):
    """It says that it voted in that view."""
    for line in run.traces[replica]:
        if "view" in line and from_seq <= line.get("seq", 0) <= to_seq:
            line["view"] = view


def start(run, replica, nth):
    return [line for line in run.traces[replica] if line["e"] == "started"][nth]
