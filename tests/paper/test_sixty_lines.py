"""A driver of sixty lines is enough to run the whole protocol: that is what sans-IO means here."""

from __future__ import annotations

from pathlib import Path

import sixty_lines

from pbft_node.core.cluster import Cluster
from pbft_node.core.operations import encode_fields


def test_a_cluster_under_sixty_lines_orders_checkpoints_and_changes_views() -> None:
    driver = sixty_lines.Driver(Cluster(cluster_id=b"sixty lines long", n=4, checkpoint_interval=4, window=8))
    for number in range(20):
        assert driver.call(b"put", b"k", b"%d" % number) == encode_fields(b"ok")
    assert driver.call(b"get", b"k") == encode_fields(b"ok", b"19")
    del driver.machines[0]
    assert driver.call(b"get", b"k") == encode_fields(b"ok", b"19")
    survivors = [driver.machines[index] for index in (1, 2, 3)]
    assert all(replica.view == 1 for replica in survivors)
    driver.start(0)
    for number in range(20):
        driver.call(b"put", b"j", b"%d" % number)
    assert driver.machines[0].view == 1, "the replica that came back learned the view"


def test_the_driver_is_as_short_as_it_says() -> None:
    source = Path(sixty_lines.__file__).read_text()
    body = source[source.index("class Driver") :]
    assert len([line for line in body.splitlines() if line.strip()]) <= 60
