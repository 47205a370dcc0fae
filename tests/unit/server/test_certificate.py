"""The certificate that a server makes for itself."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography import x509

from tiphys.server import certificate
from tiphys.server.certificate import local_certificate


def test_it_is_for_this_machine_and_signed_by_an_authority_that_can_sign_no_other(tmp_path: Path) -> None:
    made = local_certificate(tmp_path / "tls")
    assert made.authority is not None
    server, authority = (x509.load_pem_x509_certificate(path.read_bytes()) for path in (made.chain, made.authority))
    server.verify_directly_issued_by(authority)
    names = server.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert "localhost" in names.get_values_for_type(x509.DNSName)
    assert [str(one) for one in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1", "::1"]
    assert sorted(path.name for path in (tmp_path / "tls").iterdir()) == ["authority.pem", "server.key", "server.pem"]


def test_it_is_made_anew_when_the_machine_has_another_name_or_a_file_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = local_certificate(tmp_path).chain.read_bytes()
    assert local_certificate(tmp_path).chain.read_bytes() == first
    monkeypatch.setattr(certificate.socket, "gethostname", lambda: "Other")
    second = local_certificate(tmp_path).chain.read_bytes()
    assert second != first
    (tmp_path / "server.key").unlink()
    assert local_certificate(tmp_path).chain.read_bytes() != second


def test_it_is_made_anew_before_it_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = local_certificate(tmp_path).chain.read_bytes()
    now = certificate.utc_now()
    monkeypatch.setattr(certificate, "utc_now", lambda: now + certificate._HOLDS - certificate._RENEWED_BEFORE_ITS_END)
    assert local_certificate(tmp_path).chain.read_bytes() != first
