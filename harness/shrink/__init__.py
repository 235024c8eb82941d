"""``traitor shrink RUN``: the smallest plan that still fails the same way.

``ddmin`` minimises a list; ``moves``, ``timing`` and ``simpler`` turn a plan into smaller ones; ``trials``
runs candidates in parallel and takes the first of them, in written order, that fails as RUN did; ``search``
goes through the moves until none helps. Every step that was accepted was run and failed the same way. The
same RUN gives the same result, whatever the number of cores, as long as no budget ends the search.
"""
