"""Envelope v1 and v2 (A256GCM: object form with type `json`, bytes form with type `bytes`), one JSON request per line
on stdin, one JSON answer per line on stdout. Written from the specification page alone; shares no code with the
package. For interoperability tests, not for production.
"""

import base64
import hashlib
import hmac
import json
import os
import re
import struct
import sys

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

LABEL = b"keywright/2"
SUITE = b"A256GCM"
HEADER = b"\x4b\x57\x02\x01"  # "KW", version 2, suite 1 (A256GCM)
SALT, NONCE, COMMITMENT, TAG = 16, 12, 32, 16


class Refused(Exception):
    pass


def require(condition):
    if not condition:
        raise Refused


def b64(data):
    return base64.b64encode(data).decode("ascii")


def unb64(text):
    require(isinstance(text, str))
    data = base64.b64decode(text, validate=True)
    require(b64(data) == text)  # canonical: padded, no stray trailing bits
    return data


def to_json(value):
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    # As JSON.stringify does: a lone surrogate has no UTF-8, so it is escaped.
    return re.sub("[\ud800-\udfff]", lambda match: "\\u%04x" % ord(match[0]), text).encode("utf-8")


def from_json(data):
    return json.loads(data.decode("utf-8"), parse_constant=lambda _: require(False))


def kid_bytes(kid):
    require(isinstance(kid, str) and re.fullmatch("[A-Za-z0-9_-]{1,64}", kid))
    return kid.encode("ascii")


def pae(*parts):
    return struct.pack("<Q", len(parts)) + b"".join(struct.pack("<Q", len(part)) + part for part in parts)


def associated_data(kid, kind, context):
    require(isinstance(context, dict) and all(isinstance(value, str) for value in context.values()))
    # Encoding is strict: a lone surrogate in a context string raises.
    pairs = sorted((key.encode("utf-8"), value.encode("utf-8")) for key, value in context.items())
    return pae(LABEL, SUITE, kid_bytes(kid), kind, *(part for pair in pairs for part in pair))


def derive(key, kid, salt):
    """HKDF-SHA-512 to 64 bytes, which is one block of output: message key and commitment."""
    prk = hmac.new(salt, key, hashlib.sha512).digest()
    okm = hmac.new(prk, pae(LABEL, SUITE, kid_bytes(kid)) + b"\x01", hashlib.sha512).digest()
    return okm[:32], okm[32:]


def seal(key, kid, kind, context, plaintext):
    salt, nonce = os.urandom(SALT), os.urandom(NONCE)
    message_key, commitment = derive(key, kid, salt)
    sealed = AESGCM(message_key).encrypt(nonce, plaintext, associated_data(kid, kind, context))
    return salt + nonce, commitment + sealed


def open_sealed(key, kid, kind, context, iv, ct):
    require(len(iv) == SALT + NONCE and len(ct) >= COMMITMENT + TAG)
    message_key, commitment = derive(key, kid, iv[:SALT])
    require(hmac.compare_digest(commitment, ct[:COMMITMENT]))
    return AESGCM(message_key).decrypt(iv[SALT:], ct[COMMITMENT:], associated_data(kid, kind, context))


def to_object(version, kid, iv, ct):
    return {"__enc": version, "kid": kid, "iv": b64(iv), "ct": b64(ct)}


def from_object(version, envelope):
    require(isinstance(envelope, dict) and set(envelope) == {"__enc", "kid", "iv", "ct"})
    require(type(envelope["__enc"]) is int and envelope["__enc"] == version)
    kid_bytes(envelope["kid"])
    return envelope["kid"], unb64(envelope["iv"]), unb64(envelope["ct"])


def encrypt_v1(key, kid, value):
    kid_bytes(kid)
    nonce = os.urandom(NONCE)
    return to_object(1, kid, nonce, AESGCM(key).encrypt(nonce, to_json(value), None))


def decrypt_v1(key, envelope):
    _, iv, ct = from_object(1, envelope)
    require(len(iv) == NONCE and len(ct) >= TAG)
    return from_json(AESGCM(key).decrypt(iv, ct, None))


def encrypt_v2(key, kid, context, value):
    return to_object(2, kid, *seal(key, kid, b"json", context, to_json(value)))


def decrypt_v2(key, envelope, context):
    kid, iv, ct = from_object(2, envelope)
    return from_json(open_sealed(key, kid, b"json", context, iv, ct))


def encrypt_v2_bytes(key, kid, context, plaintext):
    iv, ct = seal(key, kid, b"bytes", context, plaintext)
    return HEADER + bytes([len(kid)]) + kid_bytes(kid) + iv + ct


def split_v2_bytes(envelope):
    require(len(envelope) > len(HEADER) and envelope.startswith(HEADER))
    iv_at = len(HEADER) + 1 + envelope[len(HEADER)]
    ct_at = iv_at + SALT + NONCE
    kid = envelope[len(HEADER) + 1 : iv_at].decode("ascii")
    return kid, envelope[iv_at:ct_at], envelope[ct_at:]


def decrypt_v2_bytes(key, envelope, context):
    kid, iv, ct = split_v2_bytes(envelope)
    return open_sealed(key, kid, b"bytes", context, iv, ct)


def answer(request):
    op, form, key = request["op"], request["form"], unb64(request["key"])
    require(op in ("encrypt", "decrypt") and form in ("v1", "v2", "v2-bytes") and len(key) == 32)
    if op == "encrypt":
        kid, value = request["kid"], request["value"]
        if form == "v1":
            return {"ok": True, "envelope": encrypt_v1(key, kid, value)}
        if form == "v2":
            return {"ok": True, "envelope": encrypt_v2(key, kid, request["context"], value)}
        return {"ok": True, "envelope": b64(encrypt_v2_bytes(key, kid, request["context"], unb64(value)))}
    envelope = unb64(request["envelope"]) if form == "v2-bytes" else request["envelope"]
    # A request that names its key is a keyring of one: the envelope's kid has to be that name.
    if "kid" in request:
        require((split_v2_bytes(envelope)[0] if form == "v2-bytes" else envelope["kid"]) == request["kid"])
    if form == "v1":
        return {"ok": True, "value": decrypt_v1(key, envelope)}
    if form == "v2":
        return {"ok": True, "value": decrypt_v2(key, envelope, request["context"])}
    return {"ok": True, "value": b64(decrypt_v2_bytes(key, envelope, request["context"]))}


def main():
    for line in sys.stdin.buffer:
        try:
            output = to_json(answer(from_json(line)))
        except Exception:  # every reason is the same answer
            output = to_json({"ok": False})
        sys.stdout.buffer.write(output + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
