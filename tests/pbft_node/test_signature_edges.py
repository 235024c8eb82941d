"""Signatures that implementations of Ed25519 are known to disagree about.

Replicas verify with libsodium, whoever judges offline with OpenSSL. Agreement needs that all replicas say
the same; accountability that whatever a replica took can be shown to others. So OpenSSL must take all that
libsodium takes. The other way round they differ where the *key* or R is a point of small order: only the
holder of the secret can make such a signature, so what it says is its own.
"""

from __future__ import annotations

import hashlib

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from pbft_node.keys import ClientRange, Directory, NodeKeys, PublicKeys, SecretKeys

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
MESSAGE = b"a promise"
SECRET = int.from_bytes(hashlib.sha512(b"secret").digest(), "little") % ORDER
NONCE = 777

Point = tuple[int, int]
IDENTITY: Point = (0, 1)


def add(a: Point, b: Point) -> Point:
    product = D * a[0] * b[0] * a[1] * b[1] % P
    x = (a[0] * b[1] + b[0] * a[1]) * pow(1 + product, -1, P) % P
    return x, (a[1] * b[1] + a[0] * b[0]) * pow(1 - product, -1, P) % P


def times(point: Point, factor: int) -> Point:
    result = IDENTITY
    while factor:
        if factor & 1:
            result = add(result, point)
        point = add(point, point)
        factor >>= 1
    return result


def even_x(y: int) -> int | None:
    """The even x of the point with this y, if there is one."""
    u, v = (y * y - 1) % P, (D * y * y + 1) % P
    x = u * pow(v, 3, P) * pow(u * pow(v, 7, P), (P - 5) // 8, P) % P
    if (v * x * x - u) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    if (v * x * x - u) % P:
        return None
    return P - x if x % 2 else x


def encode(point: Point) -> bytes:
    return (point[1] | (point[0] & 1) << 255).to_bytes(32, "little")


def small_order_points() -> list[Point]:
    """All eight, as multiples of one of order 8."""
    for y in range(2, 100):
        x = even_x(y)
        generator = IDENTITY if x is None else times((x, y), ORDER)
        if times(generator, 4) != IDENTITY:
            return [times(generator, i) for i in range(8)]
    raise AssertionError("no point of order 8")


BASE_Y = 4 * pow(5, -1, P) % P
BASE: Point = (even_x(BASE_Y) or 0, BASE_Y)
KEY = times(BASE, SECRET)
SMALL = small_order_points()


def made(r: bytes, key: bytes, nonce: int, secret: int, message: bytes = MESSAGE) -> bytes:
    """R and S = nonce + H(R, A, M) * secret."""
    challenge = int.from_bytes(hashlib.sha512(r + key + message).digest(), "little")
    return r + ((nonce + challenge * secret) % ORDER).to_bytes(32, "little")


def replica_takes(key: bytes, signature: bytes, message: bytes = MESSAGE) -> bool:
    exchange = SecretKeys(bytes(32), bytes(31) + b"\x01").public().exchange
    directory = Directory(b"c" * 16, (), [ClientRange(1000, 1000, PublicKeys(key, exchange))])
    return NodeKeys(directory, SecretKeys(bytes(32), bytes(32))).verify(1000, message, signature)


def openssl_takes(key: bytes, signature: bytes, message: bytes = MESSAGE) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except InvalidSignature:
        return False
    return True


def both_refuse(key: bytes, signature: bytes) -> bool:
    return not replica_takes(key, signature) and not openssl_takes(key, signature)


def test_an_ordinary_signature_is_taken_by_both() -> None:
    key = encode(KEY)
    signature = made(encode(times(BASE, NONCE)), key, NONCE, SECRET)
    assert replica_takes(key, signature)
    assert openssl_takes(key, signature)


@pytest.mark.parametrize("factor", [1, 2, 8, 14])
def test_s_that_is_not_reduced_is_refused_by_both(factor: int) -> None:
    """Else anyone could make a second signature out of one."""
    key = encode(KEY)
    signature = made(encode(times(BASE, NONCE)), key, NONCE, SECRET)
    s = int.from_bytes(signature[32:], "little") + factor * ORDER
    assert both_refuse(key, signature[:32] + s.to_bytes(32, "little"))


@pytest.mark.parametrize("index", range(1, 8))
def test_r_with_a_part_of_small_order_is_refused_by_both(index: int) -> None:
    """Verifiers that multiply by the cofactor would take it: replicas and judge would disagree."""
    key = encode(KEY)
    r = encode(add(times(BASE, NONCE), SMALL[index]))
    assert both_refuse(key, made(r, key, NONCE, SECRET))


@pytest.mark.parametrize("index", range(8))
def test_r_of_small_order_is_never_taken_by_a_replica(index: int) -> None:
    key = encode(KEY)
    signature = made(encode(SMALL[index]), key, 0, SECRET)
    assert not replica_takes(key, signature)
    assert openssl_takes(key, signature) == (index == 0), "R is the identity: its signer alone can make it"


def test_r_in_another_encoding_is_refused_by_both() -> None:
    key = encode(KEY)
    for r in (P + 1, 1 | 1 << 255, P):
        assert both_refuse(key, made(r.to_bytes(32, "little"), key, 0, SECRET))


@pytest.mark.parametrize("index", range(1, 8))
def test_keys_with_a_part_of_small_order_are_judged_alike(index: int) -> None:
    """Both compute without the cofactor: some signatures of such a key fit, and the same ones for both."""
    key = encode(add(KEY, SMALL[index]))
    answers = []
    for number in range(24):
        message = b"%d" % number
        signature = made(encode(times(BASE, NONCE)), key, NONCE, SECRET, message)
        answers.append(replica_takes(key, signature, message))
        assert openssl_takes(key, signature, message) == answers[-1]
    assert True in answers
    assert False in answers


@pytest.mark.parametrize("index", range(8))
def test_a_key_of_small_order_speaks_for_nobody(index: int) -> None:
    """Anyone could sign for it."""
    key = encode(SMALL[index])
    assert not replica_takes(key, made(encode(times(BASE, NONCE)), key, NONCE, 0))
