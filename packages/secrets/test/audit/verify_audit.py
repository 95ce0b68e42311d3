"""Verifies what an auditor is given, from the documents alone: RFC 6962, C2SP signed-note and tlog-checkpoint, and
docs/guides/audit-log.md for the rows. Nothing of Keywright is used.

    verify_audit.py export VERIFIER_KEY < export.jsonl
    verify_audit.py proof VERIFIER_KEY < proof.json
"""

import base64
import hashlib
import json
import struct
import sys

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


def sha256(data):
    return hashlib.sha256(data).digest()


def field(value):
    if value is None:
        return b"\xff\xff\xff\xff"
    data = value if isinstance(value, bytes) else str(value).encode()
    return struct.pack(">I", len(data)) + data


def decode(text):
    return None if text is None else base64.b64decode(text, validate=True)


def leaf_hash(row):
    payload, salt, payload_hash = (decode(row[name]) for name in ("payload", "salt", "payloadHash"))
    if payload is not None and sha256(salt + payload) != payload_hash:
        raise ValueError("payload of leaf %d" % row["leaf"])
    facts = [row["tenantId"], row["id"], row["at"], row["actor"], row["action"], row["outcome"], row["context"]]
    facts += [payload_hash, row["secretId"], row["secretName"], row["version"], decode(row["mac"])]
    return sha256(b"\x00" + b"".join(field(fact) for fact in facts))


def tree_hash(nodes):
    """Root of perfect subtrees, given as (size, hash), largest first."""
    if not nodes:
        return sha256(b"")
    root = nodes[-1][1]
    for _, left in reversed(nodes[:-1]):
        root = sha256(b"\x01" + left + root)
    return root


def append(nodes, leaf):
    nodes.append((1, leaf))
    while len(nodes) > 1 and nodes[-1][0] == nodes[-2][0]:
        (size, right), (_, left) = nodes.pop(), nodes.pop()
        nodes.append((2 * size, sha256(b"\x01" + left + right)))


def open_checkpoint(note, verifier_key):
    name, key_id, key = verifier_key.split("+", 2)
    key = base64.b64decode(key, validate=True)
    assert key[0] == 1 and len(key) == 33
    assert sha256(name.encode() + b"\n" + key)[:4].hex() == key_id
    text, signatures = note.rsplit("\n\n", 1)
    text += "\n"
    for line in signatures.rstrip("\n").split("\n"):
        dash, signer, signature = line.split(" ")
        signed = base64.b64decode(signature, validate=True)
        if dash == "\u2014" and signer == name and signed[:4].hex() == key_id:
            Ed25519PublicKey.from_public_bytes(key[1:]).verify(signed[4:], text.encode())
            origin, size, root = text.rstrip("\n").split("\n")
            assert origin == name
            return int(size), base64.b64decode(root, validate=True)
    raise ValueError("no signature by this key")


def verify_export(lines, verifier_key):
    header = json.loads(next(lines))
    assert header["format"] == "keywright-audit-export/1"
    since = header["since"]
    sizes = [1 << bit for bit in reversed(range(since.bit_length())) if since >> bit & 1]
    nodes = list(zip(sizes, (decode(one) for one in header["frontier"]), strict=True))
    size = since
    for line in lines:
        row = json.loads(line)
        if "checkpoint" in row:
            assert open_checkpoint(row["checkpoint"], verifier_key) == (size, tree_hash(nodes)), "root"
            assert next(lines, None) is None
            return {"since": since, "size": size, "root": base64.b64encode(tree_hash(nodes)).decode()}
        assert row["leaf"] == size, "order"
        append(nodes, leaf_hash(row))
        size += 1
    raise ValueError("no checkpoint")


def verify_proof(proof, verifier_key):
    size, root = open_checkpoint(proof["checkpoint"], verifier_key)
    index, path = proof["row"]["leaf"], [decode(one) for one in proof["path"]]

    def climb(start, end, depth):
        """RFC 6962, section 2.1.1, read from the root down."""
        if end - start == 1:
            assert depth == 0
            return leaf_hash(proof["row"])
        k = 1
        while k * 2 < end - start:
            k *= 2
        if index < start + k:
            return sha256(b"\x01" + climb(start, start + k, depth - 1) + path[depth - 1])
        return sha256(b"\x01" + path[depth - 1] + climb(start + k, end, depth - 1))

    assert climb(0, size, len(path)) == root, "path"
    return {"leaf": index, "size": size, "root": base64.b64encode(root).decode()}


def main():
    what, verifier_key = sys.argv[1:]
    try:
        if what == "export":
            found = verify_export(iter(sys.stdin), verifier_key)
        else:
            found = verify_proof(json.load(sys.stdin), verifier_key)
    except Exception as error:  # whatever is wrong with the input is the answer
        found = {"error": "%s: %s" % (type(error).__name__, error)}
    print(json.dumps(found))


main()
