"""What signatures cost here: libsodium (what replicas use) beside OpenSSL, in turns, at our message sizes."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from statistics import median

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from nacl import bindings as sodium
from servers import ROOT

SIZES = (101, 250, 4200)
"""Bytes signed in a vote, a small request, a request of 4 KiB."""
SEED = bytes(range(32))
IMPORTS = ("nacl.bindings", "cryptography.hazmat.primitives.asymmetric.ed25519", "pbft_node.node")


def run(quick: bool) -> list[dict[str, object]]:
    """A row per size, and the time to import each library."""
    rounds, count = (3, 100) if quick else (15, 400)
    rows: list[dict[str, object]] = []
    for size in SIZES:
        functions = _functions(bytes(size))
        samples: dict[str, list[float]] = {name: [] for name in functions}
        for _ in range(rounds):
            for name, function in functions.items():
                samples[name].append(_microseconds(function, count))
        costs = {name: median(values) for name, values in samples.items()}
        row: dict[str, object] = {"bytes": size, **{name: round(cost, 1) for name, cost in costs.items()}}
        row["verify_ratio"] = round(costs["openssl_verify_us"] / costs["sodium_verify_us"], 2)
        rows.append(row)
    with tempfile.TemporaryDirectory(prefix="traitor-bench-") as bytecode:
        for module in IMPORTS:
            _import_ms(module, bytecode)
            took = median(_import_ms(module, bytecode) for _ in range(rounds))
            rows.append({"import": module, "ms": round(took, 1)})
    return rows


def sign_us() -> float:
    """A vote's, the least of many: how fast this processor is for us just now."""
    sign = _functions(bytes(SIZES[0]))["sodium_sign_us"]
    return min(_microseconds(sign, 200) for _ in range(20))


def _functions(message: bytes) -> dict[str, Callable[[], object]]:
    openssl = Ed25519PrivateKey.from_private_bytes(SEED)
    openssl_public = openssl.public_key()
    public, secret = sodium.crypto_sign_seed_keypair(SEED)
    signature = openssl.sign(message)
    assert sodium.crypto_sign(message, secret)[:64] == signature
    return {
        "sodium_sign_us": lambda: sodium.crypto_sign(message, secret)[:64],
        "openssl_sign_us": lambda: openssl.sign(message),
        "sodium_verify_us": lambda: sodium.crypto_sign_open(signature + message, public),
        "openssl_verify_us": lambda: openssl_public.verify(signature, message),
    }


def _microseconds(function: Callable[[], object], count: int) -> float:
    start = time.process_time_ns()
    for _ in range(count):
        function()
    return (time.process_time_ns() - start) / count / 1000


def _import_ms(module: str, bytecode: str) -> float:
    """Processor time, with compiled modules at hand as at any start but the first."""
    code = f"import time; s = time.process_time(); import {module}; print((time.process_time() - s) * 1000)"
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": bytecode, "PYTHONPATH": str(ROOT)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    return float(done.stdout)
