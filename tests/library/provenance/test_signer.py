"""Certificates and keys: one made for trials works; what cannot be used is refused with the reason."""

import os
import stat

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from ancestral.provenance.c2pa import load_signer
from ancestral.provenance.signer import SignerError, make_trial_chain
from tests.library.provenance.support import DAY, PEM, certificate, key_pem


def test_a_chain_for_trials_has_a_private_key_file_and_names_its_owner(tmp_path):
    paths = make_trial_chain(tmp_path / "keys", "Example & Söhne")
    assert sorted(os.listdir(tmp_path / "keys")) == ["cert.pem", "key.pem", "root.pem"]
    assert stat.S_IMODE(paths[1].stat().st_mode) == 0o600
    signer = load_signer(*paths)
    assert signer.name == "Example & Söhne"
    assert signer.chain.count("BEGIN CERTIFICATE") == 2
    assert "PRIVATE" not in repr(signer)
    with pytest.raises(FileExistsError, match=r"key\.pem exists"):
        make_trial_chain(tmp_path / "keys", "Another")
    assert load_signer(*paths) == signer


def test_a_key_may_be_in_the_older_format_of_openssl(tmp_path):
    cert, path = make_trial_chain(tmp_path, "Tester")
    key = serialization.load_pem_private_key(path.read_bytes(), None)
    path.write_bytes(
        key.private_bytes(PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption())
    )
    assert path.read_text().startswith("-----BEGIN EC PRIVATE KEY-----")
    assert load_signer(cert, path).name == "Tester"


def _refused(tmp_path, cert, key):
    paths = tmp_path / "cert.pem", tmp_path / "key.pem"
    for path, data in zip(paths, (cert, key), strict=True):
        if data is not None:
            path.write_bytes(data)
    with pytest.raises(SignerError) as caught:
        load_signer(*paths)
    assert str(paths[0 if caught.value.part == "cert" else 1]) in str(caught.value)
    return caught.value


P256 = ec.generate_private_key(ec.SECP256R1())
GOOD = certificate(P256), key_pem(P256)
KEYS = {
    "missing": (lambda: None, "cannot be read: No such file or directory"),
    "not PEM": (lambda: b"\x00key", "is not a private key in PEM"),
    "a certificate": (lambda: GOOD[0], "is not a private key in PEM"),
    "encrypted": (lambda: key_pem(P256, b"secret"), "is encrypted"),
    "RSA": (lambda: key_pem(rsa.generate_private_key(65537, 2048)), "is not a key on the curve P-256"),
    "P-384": (lambda: key_pem(ec.generate_private_key(ec.SECP384R1())), "is not a key on the curve P-256"),
    "of another": (lambda: key_pem(ec.generate_private_key(ec.SECP256R1())), "is not the key of the first certificate"),
}
CERTIFICATES = {
    "missing": (lambda: None, "cannot be read: No such file or directory"),
    "not PEM": (lambda: b"", "is not a chain of certificates in PEM"),
    "a key": (lambda: GOOD[1], "is not a chain of certificates in PEM"),
    "expired": (lambda: certificate(P256, -2 * DAY, -DAY), "expired on 20"),
    "not yet valid": (lambda: certificate(P256, DAY, 2 * DAY), "is not valid before 20"),
    "of another chain": (lambda: GOOD[0] * 2, "certificate 1 was not issued by the one after it"),
    "for servers": (lambda: certificate(P256, purpose=ExtendedKeyUsageOID.SERVER_AUTH), "is no certificate for C2PA"),
}


def test_a_chain_of_one_certificate_is_enough(tmp_path):
    for name, data in zip(("cert.pem", "key.pem"), GOOD, strict=True):
        (tmp_path / name).write_bytes(data)
    assert load_signer(tmp_path / "cert.pem", tmp_path / "key.pem").name == "Leaf"


@pytest.mark.parametrize("case", KEYS)
def test_a_key_that_cannot_be_used_is_refused_with_the_reason(case, tmp_path):
    make, reason = KEYS[case]
    error = _refused(tmp_path, GOOD[0], make())
    assert error.part == "key"
    assert reason in str(error)


@pytest.mark.parametrize("case", CERTIFICATES)
def test_a_certificate_that_cannot_be_used_is_refused_with_the_reason(case, tmp_path):
    make, reason = CERTIFICATES[case]
    error = _refused(tmp_path, make(), GOOD[1])
    assert error.part == "cert"
    assert reason in str(error)
