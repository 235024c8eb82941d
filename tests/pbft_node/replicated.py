"""A service with its store, as a replica holds them, for the tests of services."""

from __future__ import annotations

from pbft_node.core.operations import decode_fields, encode_fields
from pbft_node.core.services import SERVICES, Service
from pbft_node.core.store import Store
from pbft_node.core.types import ClientId

CLIENT = ClientId(1000)


class Replicated:
    """One replica's."""

    def __init__(self, service: str | Service, store: Store | None = None) -> None:
        self.service: Service = SERVICES[service]() if isinstance(service, str) else service
        self.store = store or Store()

    def execute(self, operation: bytes) -> bytes:
        return self.service.execute(self.store, CLIENT, operation)

    def call(self, *fields: bytes | str | int) -> tuple[bytes, ...]:
        encoded = [field if isinstance(field, bytes) else str(field).encode() for field in fields]
        decoded = decode_fields(self.execute(encode_fields(*encoded)))
        assert decoded is not None
        return decoded

    def digest(self) -> bytes:
        return self.store.image().digest

    def restored(self) -> Replicated:
        """A new object on what a checkpoint carries: what was hidden in the old object is gone."""
        copy = Store(self.store.image())
        copy.time_ns = self.store.time_ns
        return Replicated(type(self.service)(), copy)
