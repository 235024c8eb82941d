"""The judge of list-append transactions over several keys, after Kingsbury and Alvaro, "Elle" (VLDB 2020).

It demands strict serializability and says which weaker models are ruled out, and which are left.
Sound: every anomaly is looked up again in the history by an auditor that imports no inference. Complete as
far as it is known who appended what: where every element of a key is appended once, a history without an
anomaly has a serial order, which is replayed and is the witness. Where elements were appended more than once
and no anomaly is found, all orders are searched, within limits; then it is `unknown`.
"""

from __future__ import annotations

from checker.transactions.judge import TransactionFinding, judge, without_real_time

__all__ = ["TransactionFinding", "judge", "without_real_time"]
