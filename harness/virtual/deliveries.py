"""Single datagrams whose fate a plan decides: ``virtual.deliveries`` of ``plan.json``, both ways."""

from __future__ import annotations

from collections.abc import Mapping

from harness.errors import UsageError
from harness.request import mapping, shown, whole
from harness.virtual.settings import CLIENTS, Delivery, host_name
from harness.virtual.words import MAX_DELAY_NS

MAX_COPIES = 8
MAX_DELIVERIES = 500_000


def read_deliveries(value: object, where: str, n: int) -> tuple[Delivery, ...]:
    """The exceptions of a plan. Raises UsageError."""
    if not isinstance(value, list) or len(value) > MAX_DELIVERIES:
        raise UsageError(f"{where} = {shown(value)}", f"It must be a list of at most {MAX_DELIVERIES}.")
    hosts = {host_name(host): host for host in (CLIENTS, *range(n))}
    seen: dict[tuple[int, int, int], int] = {}
    deliveries = []
    for place, entry in enumerate(value):
        delivery = _delivery(f"{where}[{place}]", entry, hosts)
        key = (delivery.source, delivery.target, delivery.nth)
        if key in seen:
            raise UsageError(
                f"{where}[{place}]: {where}[{seen[key]}] is about the same datagram", "Keep one of them."
            )
        seen[key] = place
        deliveries.append(delivery)
    return tuple(deliveries)


def _delivery(where: str, entry: object, hosts: Mapping[str, int]) -> Delivery:
    data = mapping(where, entry)
    if sorted(data) != ["delays_ns", "link", "nth"]:
        raise UsageError(
            f"{where} = {shown(entry)}", 'It must be like {"link": ["r0", "r1"], "nth": 17, "delays_ns": []}.'
        )
    link, delays = data["link"], data["delays_ns"]
    if (
        not isinstance(link, list)
        or len(link) != 2
        or any(not isinstance(host, str) or host not in hosts for host in link)
        or link[0] == link[1]
    ):
        raise UsageError(
            f"{where}.link = {shown(link)}", f"It must name two of: clients, r0 … r{len(hosts) - 2}."
        )
    if not isinstance(delays, list) or len(delays) > MAX_COPIES:
        raise UsageError(
            f"{where}.delays_ns = {shown(delays)}", f"It must be a list of at most {MAX_COPIES}."
        )
    return Delivery(
        hosts[link[0]],
        hosts[link[1]],
        whole(f"{where}.nth", data["nth"], 0, 2**53),
        tuple(whole(f"{where}.delays_ns[{i}]", delay, 0, MAX_DELAY_NS) for i, delay in enumerate(delays)),
    )


def delivery_data(delivery: Delivery) -> dict[str, object]:
    """As in ``plan.json``."""
    return {
        "link": [host_name(delivery.source), host_name(delivery.target)],
        "nth": delivery.nth,
        "delays_ns": list(delivery.delays_ns),
    }
