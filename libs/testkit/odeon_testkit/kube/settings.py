"""Keys, tokens and command lines of the control plane. Paths are relative to its directory."""

import json
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

HOST = "127.0.0.1"
CERTIFICATES = "certificates"
ADMIN_KUBECONFIG = "admin.kubeconfig"
AUDIT_LOG = "audit.jsonl"
TOKENS = {"admin": "odeon-test-admin", "system:kube-controller-manager": "odeon-test-controllers"}
"""By user. Each may do everything; the names tell them apart in the audit log."""
_CONTROLLERS_KUBECONFIG = "controllers.kubeconfig"
_TOKEN_FILE = "tokens.csv"
_SERVICE_ACCOUNT_KEY = "service-accounts.pem"
_AUDIT_POLICY_FILE = "audit-policy.json"
# Writes and who asked for them: what proves that a controller at rest writes nothing.
_AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "None", "verbs": ["get", "list", "watch"]}, {"level": "Metadata"}],
}


def write(directory: Path, url: str) -> None:
    """Write the files that the command lines name. The API server makes its own certificate."""
    rows = (f'{token},{user},{user},"system:masters"\n' for user, token in TOKENS.items())
    (directory / _TOKEN_FILE).write_text("".join(rows))
    (directory / _AUDIT_POLICY_FILE).write_text(json.dumps(_AUDIT_POLICY))
    key = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    (directory / _SERVICE_ACCOUNT_KEY).write_bytes(key)
    ca_file = directory / CERTIFICATES / "apiserver.crt"
    for name, user in (
        (ADMIN_KUBECONFIG, "admin"),
        (_CONTROLLERS_KUBECONFIG, "system:kube-controller-manager"),
    ):
        (directory / name).write_text(kubeconfig(url, ca_file, TOKENS[user]))


def kubeconfig(url: str, ca_file: Path, token: str) -> str:
    """A kubeconfig of one user, as JSON, which is YAML."""
    cluster = {"server": url, "certificate-authority": str(ca_file)}
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": cluster}],
            "users": [{"name": "test", "user": {"token": token}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
            "current-context": "test",
        }
    )


def etcd(url: str) -> list[str]:
    """One member that forgets on a power cut."""
    return [
        *("--data-dir=etcd", f"--listen-client-urls={url}", f"--advertise-client-urls={url}"),
        # Nobody joins: any port will do, and it may differ from what is advertised.
        f"--listen-peer-urls=http://{HOST}:0",
        *("--unsafe-no-fsync", "--log-level=warn"),
    ]


def api_server(port: int, etcd_url: str) -> list[str]:
    """With RBAC, service accounts and their tokens, and a log of writes."""
    key = _SERVICE_ACCOUNT_KEY
    return [
        *(f"--etcd-servers={etcd_url}", f"--bind-address={HOST}", f"--secure-port={port}"),
        *(f"--advertise-address={HOST}", "--service-cluster-ip-range=10.0.0.0/24"),
        # The address of the Service `kubernetes` may not be one of loopback.
        "--endpoint-reconciler-type=none",
        *(f"--cert-dir={CERTIFICATES}", f"--token-auth-file={_TOKEN_FILE}"),
        *("--authorization-mode=RBAC", "--allow-privileged=true", "--profiling=false"),
        *(f"--service-account-key-file={key}", f"--service-account-signing-key-file={key}"),
        "--service-account-issuer=https://kubernetes.default.svc",
        *(f"--audit-policy-file={_AUDIT_POLICY_FILE}", f"--audit-log-path={AUDIT_LOG}"),
    ]


def controller_manager() -> list[str]:
    """All controllers, without a lease and without the default limit of 20 requests a second."""
    config = _CONTROLLERS_KUBECONFIG
    return [
        *(f"--kubeconfig={config}", "--leader-elect=false", "--secure-port=0"),
        *("--kube-api-qps=500", "--kube-api-burst=1000"),
        f"--service-account-private-key-file={_SERVICE_ACCOUNT_KEY}",
        f"--root-ca-file={CERTIFICATES}/apiserver.crt",
    ]
