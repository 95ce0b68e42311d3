"""Envelope v1 and v2 (all suites; object form with type `json`, text form with type `text`, bytes form with type
`bytes`), one JSON request per line on stdin, one JSON answer per line on stdout. Written from the specification page
alone; shares no code with the package. For interoperability tests, not for production.
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
from nacl import bindings

LABEL = b"keywright/2"
MAGIC = b"\x4b\x57\x02"  # "KW", version 2
CODES = {"A256GCM": 1, "XC20P": 2, "XS20P": 3}
NONCES = {"A256GCM": 12, "XC20P": 24, "XS20P": 24}
SALT, NONCE_V1, COMMITMENT, TAG = 16, 12, 32, 16


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


def b64url(data):
    return base64.urlsafe_b64encode(data).decode("ascii").rstrip("=")


def unb64url(text):
    require(re.fullmatch("[A-Za-z0-9_-]*", text))
    data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    require(b64url(data) == text)
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


def associated_data(suite, kid, kind, context):
    require(isinstance(context, dict) and all(isinstance(value, str) for value in context.values()))
    # Encoding is strict: a lone surrogate in a context string raises.
    pairs = sorted((key.encode("utf-8"), value.encode("utf-8")) for key, value in context.items())
    return pae(LABEL, suite.encode("ascii"), kid_bytes(kid), kind, *(part for pair in pairs for part in pair))


def derive(suite, key, kid, salt, ad):
    """HKDF-SHA-512 to 64 bytes, which is one block of output: message key and commitment."""
    # XSalsa20-Poly1305 has no associated data: they go into the derivation of its key.
    bound = [hashlib.sha512(ad).digest()] if suite == "XS20P" else []
    info = pae(LABEL, suite.encode("ascii"), kid_bytes(kid), *bound)
    prk = hmac.new(salt, key, hashlib.sha512).digest()
    okm = hmac.new(prk, info + b"\x01", hashlib.sha512).digest()
    return okm[:32], okm[32:]


def aead_seal(suite, key, nonce, plaintext, ad):
    if suite == "A256GCM":
        return AESGCM(key).encrypt(nonce, plaintext, ad)
    if suite == "XC20P":
        return bindings.crypto_aead_xchacha20poly1305_ietf_encrypt(plaintext, ad, nonce, key)
    return bindings.crypto_secretbox(plaintext, nonce, key)


def aead_open(suite, key, nonce, sealed, ad):
    if suite == "A256GCM":
        return AESGCM(key).decrypt(nonce, sealed, ad)
    if suite == "XC20P":
        return bindings.crypto_aead_xchacha20poly1305_ietf_decrypt(sealed, ad, nonce, key)
    return bindings.crypto_secretbox_open(sealed, nonce, key)


def seal(suite, key, kid, kind, context, plaintext):
    salt, nonce = os.urandom(SALT), os.urandom(NONCES[suite])
    ad = associated_data(suite, kid, kind, context)
    message_key, commitment = derive(suite, key, kid, salt, ad)
    return salt + nonce, commitment + aead_seal(suite, message_key, nonce, plaintext, ad)


def open_sealed(suite, key, kid, kind, context, iv, ct):
    require(suite in CODES and len(iv) == SALT + NONCES[suite] and len(ct) >= COMMITMENT + TAG)
    ad = associated_data(suite, kid, kind, context)
    message_key, commitment = derive(suite, key, kid, iv[:SALT], ad)
    require(hmac.compare_digest(commitment, ct[:COMMITMENT]))
    return aead_open(suite, message_key, iv[SALT:], ct[COMMITMENT:], ad)


def to_object(version, suite, kid, iv, ct):
    alg = {} if suite == "A256GCM" else {"alg": suite}
    return {"__enc": version, **alg, "kid": kid, "iv": b64(iv), "ct": b64(ct)}


def from_object(version, envelope):
    require(isinstance(envelope, dict) and set(envelope) - {"alg"} == {"__enc", "kid", "iv", "ct"})
    require(type(envelope["__enc"]) is int and envelope["__enc"] == version)
    suite = envelope.get("alg", "A256GCM")
    # The default suite is never named.
    require("alg" not in envelope or (version == 2 and suite in CODES and suite != "A256GCM"))
    kid_bytes(envelope["kid"])
    return suite, envelope["kid"], unb64(envelope["iv"]), unb64(envelope["ct"])


def encrypt_v1(key, kid, value):
    kid_bytes(kid)
    nonce = os.urandom(NONCE_V1)
    return to_object(1, "A256GCM", kid, nonce, AESGCM(key).encrypt(nonce, to_json(value), None))


def decrypt_v1(key, envelope):
    _, _, iv, ct = from_object(1, envelope)
    require(len(iv) == NONCE_V1 and len(ct) >= TAG)
    return from_json(AESGCM(key).decrypt(iv, ct, None))


def encrypt_v2(suite, key, kid, context, value):
    return to_object(2, suite, kid, *seal(suite, key, kid, b"json", context, to_json(value)))


def decrypt_v2(key, envelope, context):
    suite, kid, iv, ct = from_object(2, envelope)
    return from_json(open_sealed(suite, key, kid, b"json", context, iv, ct))


def encrypt_v2_text(suite, key, kid, context, text):
    iv, ct = seal(suite, key, kid, b"text", context, text.encode("utf-8"))
    return ".".join(["kw2", suite, kid, b64url(iv), b64url(ct)])


def split_v2_text(token):
    parts = token.split(".")
    require(len(parts) == 5 and parts[0] == "kw2")
    return parts[1], parts[2], unb64url(parts[3]), unb64url(parts[4])


def decrypt_v2_text(key, token, context):
    suite, kid, iv, ct = split_v2_text(token)
    return open_sealed(suite, key, kid, b"text", context, iv, ct).decode("utf-8")


def encrypt_v2_bytes(suite, key, kid, context, plaintext):
    iv, ct = seal(suite, key, kid, b"bytes", context, plaintext)
    return MAGIC + bytes([CODES[suite], len(kid)]) + kid_bytes(kid) + iv + ct


def split_v2_bytes(envelope):
    require(len(envelope) > len(MAGIC) + 1 and envelope.startswith(MAGIC))
    [suite] = [name for name, code in CODES.items() if code == envelope[len(MAGIC)]]
    kid_at = len(MAGIC) + 2
    iv_at = kid_at + envelope[len(MAGIC) + 1]
    ct_at = iv_at + SALT + NONCES[suite]
    return suite, envelope[kid_at:iv_at].decode("ascii"), envelope[iv_at:ct_at], envelope[ct_at:]


def decrypt_v2_bytes(key, envelope, context):
    suite, kid, iv, ct = split_v2_bytes(envelope)
    return open_sealed(suite, key, kid, b"bytes", context, iv, ct)


def encrypt(form, suite, key, kid, context, value):
    if form == "v1":
        return encrypt_v1(key, kid, value)
    if form == "v2":
        return encrypt_v2(suite, key, kid, context, value)
    if form == "v2-text":
        return encrypt_v2_text(suite, key, kid, context, value)
    return b64(encrypt_v2_bytes(suite, key, kid, context, unb64(value)))


def decrypt(form, key, envelope, context):
    if form == "v1":
        return envelope["kid"], decrypt_v1(key, envelope)
    if form == "v2":
        return envelope["kid"], decrypt_v2(key, envelope, context)
    if form == "v2-text":
        return split_v2_text(envelope)[1], decrypt_v2_text(key, envelope, context)
    return split_v2_bytes(unb64(envelope))[1], b64(decrypt_v2_bytes(key, unb64(envelope), context))


def answer(request):
    op, form, key = request["op"], request["form"], unb64(request["key"])
    require(op in ("encrypt", "decrypt") and form in ("v1", "v2", "v2-text", "v2-bytes") and len(key) == 32)
    context = request.get("context", {})
    if op == "encrypt":
        suite = request.get("suite", "A256GCM")
        return {"ok": True, "envelope": encrypt(form, suite, key, request["kid"], context, request["value"])}
    kid, value = decrypt(form, key, request["envelope"], context)
    # A request that names its key is a keyring of one: the envelope's kid has to be that name.
    require(request.get("kid", kid) == kid)
    return {"ok": True, "value": value}


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
