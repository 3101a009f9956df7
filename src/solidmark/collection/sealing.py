"""Sealing: bytes that a passphrase opens. Scrypt makes the key, AES-GCM notices every changed bit.

A sealed file is one line of JSON, which says how the key is made, and the ciphertext.
"""

from __future__ import annotations

import json
import secrets
from typing import Any

from ..errors import DamagedFile, InvalidValue, NotApplicable

SCHEMA = "solidmark.sealed/1"
COST = {"n": 2**15, "r": 8, "p": 1}
"""Of scrypt: 32 MB and about a tenth of a second a guess."""


def seal(plain: bytes, passphrase: str) -> bytes:
    """The sealed bytes. Raises InvalidValue for an empty passphrase, NotApplicable without `cryptography`."""
    if not passphrase:
        raise InvalidValue("passphrase", "an empty one", "a secret text", "Give one that nobody guesses.")
    salt, nonce = secrets.token_bytes(16), secrets.token_bytes(12)
    head = {"schema": SCHEMA, "kdf": "scrypt", **COST, "salt": salt.hex(), "nonce": nonce.hex()}
    line = json.dumps(head, sort_keys=True).encode()
    return line + b"\n" + bytes(_cipher(passphrase, salt).encrypt(nonce, plain, line))


def unseal(sealed: bytes, passphrase: str, where: str) -> bytes:
    """The plain bytes. Raises InvalidValue for a wrong passphrase or an altered file: these cannot be told apart."""
    line, _, text = sealed.partition(b"\n")
    try:
        head = json.loads(line)
        salt, nonce = bytes.fromhex(head["salt"]), bytes.fromhex(head["nonce"])
        if {name: head[name] for name in COST} != COST or head["schema"] != SCHEMA:
            raise ValueError(f"schema {head['schema']}")
    except (ValueError, KeyError, TypeError) as cause:
        cure = "Take a backup, or a newer solidmark."
        raise DamagedFile(where, f"{cause}", f"a file of schema {SCHEMA}", cure) from cause
    cipher = _cipher(passphrase, salt)
    from cryptography.exceptions import InvalidTag

    try:
        return bytes(cipher.decrypt(nonce, text, line))
    except InvalidTag as cause:
        found = "a wrong passphrase, or a file that was altered"
        raise InvalidValue(where, found, "the passphrase that sealed it", "Try again, or take a backup.") from cause


def _cipher(passphrase: str, salt: bytes) -> Any:
    try:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
        from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
    except ImportError as cause:
        cure = "Run pip install 'solidmark[encrypt]'."
        raise NotApplicable("encryption", "no package cryptography", "one", cure) from cause
    return AESGCM(Scrypt(salt=salt, length=32, **COST).derive(passphrase.encode()))
