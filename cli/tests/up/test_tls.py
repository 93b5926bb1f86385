"""The authority of this machine."""

import ssl
from pathlib import Path

from cryptography import x509
from odeon_cli.up.tls import make_certificate


def test_the_authority_is_kept_and_the_certificate_is_new(tmp_path: Path) -> None:
    home = tmp_path / "home"
    first = make_certificate(tmp_path / "one", ["127.0.0.1", "localhost"], authority_in=home)
    authority, certificate = first.authority.read_bytes(), first.certificate.read_bytes()

    second = make_certificate(tmp_path / "two", ["127.0.0.1"], authority_in=home)

    assert second.authority == first.authority
    assert second.authority.read_bytes() == authority
    assert second.certificate.read_bytes() != certificate


def test_the_certificate_names_every_host_and_verifies_against_the_authority(
    tmp_path: Path,
) -> None:
    files = make_certificate(tmp_path, ["127.0.0.2", "localhost"], authority_in=tmp_path)

    certificate = x509.load_pem_x509_certificate(files.certificate.read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    authority = x509.load_pem_x509_certificate(files.authority.read_bytes())
    certificate.verify_directly_issued_by(authority)
    assert names.get_values_for_type(x509.DNSName) == ["localhost"]
    assert [str(ip) for ip in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.2"]
    ssl.create_default_context().load_verify_locations(files.authority)


def test_keys_are_readable_for_their_owner_only(tmp_path: Path) -> None:
    files = make_certificate(tmp_path, ["localhost"], authority_in=tmp_path)

    assert files.key.stat().st_mode & 0o077 == 0
    assert (tmp_path / "ca.key").stat().st_mode & 0o077 == 0
