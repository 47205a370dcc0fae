"""S3, OSS and Google Cloud Storage, as drivers see them, on a real moto server.

Google's XML interface, which the driver's library speaks, is S3's but for the credentials: those are checked here.
"""

from __future__ import annotations

import base64
import json
import os
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest
import trustme
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

from tiphys._util.ids import new_id
from tiphys.errors import ArtifactError, ArtifactMissingError, SpecError
from tiphys.integrations.gcs.driver import GCSDriver
from tiphys.integrations.s3.bucket import open_bucket
from tiphys.integrations.s3.customer_key import object_key
from tiphys.integrations.s3.driver import S3Driver
from tiphys.integrations.s3.oss_driver import OSSDriver
from tiphys.plugins.artifact_drivers import ArtifactDrivers
from tiphys.ports.artifact_driver import ArtifactDriver
from tiphys.spec.artifacts import Artifact
from tiphys.testing.artifact_driver_contract import FolderDriverContract, no_secrets, read_tree, secrets_of, write_tree

KEYS = {"cred": {"access": "AKIA-mine ", "secret": "s3cr3t\n", "token": "t0ken"}}
NAMED = {
    "accessKeySecret": {"name": "cred", "key": "access"},
    "secretKeySecret": {"name": "cred", "key": "secret"},
}
#: Of S3; the signature is not looked at.
AUTHORIZATION = "AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0"


@dataclass
class Moto:
    """A server, what it was asked, and how often it is to fail."""

    port: int = 0
    #: (method, path, headers) of all requests.
    requests: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    failures: int = 0

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def client(self, service: str = "s3") -> Any:
        keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
        return boto3.client(service, endpoint_url=f"http://{self.host}", region_name="us-east-1", **keys)

    def new_bucket(self) -> str:
        name = f"bucket{new_id().replace('-', '')}"
        self.client().create_bucket(Bucket=name)
        return name

    def application(self, moto: Any) -> Any:
        def answer(environ: dict[str, Any], start_response: Any) -> Any:
            headers = {
                name[5:].lower().replace("_", "-"): value for name, value in environ.items() if name[:5] == "HTTP_"
            }
            self.requests.append((environ["REQUEST_METHOD"], environ["PATH_INFO"], headers))
            if self.failures:
                self.failures -= 1
                start_response("503 Service Unavailable", [("Content-Length", "0")])
                return []
            if environ.get("HTTP_AUTHORIZATION", "").startswith("Bearer"):
                environ["HTTP_AUTHORIZATION"] = AUTHORIZATION  # moto cannot read Google's
            return moto(environ, start_response)

        return answer


@contextmanager
def running(tls: ssl.SSLContext | None = None) -> Iterator[Moto]:
    found = Moto()
    server = make_server(
        "127.0.0.1",
        0,
        found.application(DomainDispatcherApplication(create_backend_app)),
        threaded=True,
        ssl_context=tls,
    )
    found.port = server.port
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield found
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def moto() -> Iterator[Moto]:
    with running() as found:
        yield found


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def moto_over_tls(authority: trustme.CA) -> Iterator[Moto]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with running(context) as found:
        yield found


@pytest.fixture
def bucket(moto: Moto) -> str:
    moto.failures = 0
    moto.requests.clear()
    return moto.new_bucket()


@pytest.fixture(autouse=True)
def no_credentials_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("AWS_", "GOOGLE_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)


#: Encryption by a key of the customer.
CUSTOMERS = {"enableEncryption": True, "serverSideCustomerKeySecret": {"name": "cred", "key": "secret"}}


def s3_artifact(moto: Moto, bucket: str, key: str, /, **fields: Any) -> Artifact:
    place = {"endpoint": moto.host, "insecure": True, "bucket": bucket, "key": key, **NAMED, **fields}
    return Artifact.from_json({"name": "mine", "s3": {name: each for name, each in place.items() if each is not None}})


class TestS3(FolderDriverContract):
    @pytest.fixture
    def driver(self, moto: Moto, bucket: str) -> ArtifactDriver:
        self.moto, self.bucket = moto, bucket
        return S3Driver(secrets_of(KEYS))

    def artifact(self, key: str) -> Artifact:
        return s3_artifact(self.moto, self.bucket, key)


class TestOSS(FolderDriverContract):
    @pytest.fixture
    def driver(self, moto: Moto, bucket: str) -> ArtifactDriver:
        self.moto, self.bucket = moto, bucket
        return OSSDriver(secrets_of(KEYS))

    def artifact(self, key: str) -> Artifact:
        oss = {"endpoint": f"http://{self.moto.host}", "bucket": self.bucket, "key": key, **NAMED}
        return Artifact.from_json({"name": "mine", "oss": oss})

    def test_the_bucket_is_made(self, driver: ArtifactDriver, tmp_path: Path) -> None:
        artifact = self.artifact("file")
        assert artifact.oss is not None
        artifact.oss.bucket, artifact.oss.create_bucket_if_not_present = f"made-{new_id()}", True
        (tmp_path / "file").write_bytes(b"x")
        for _ in range(2):
            driver.save(tmp_path / "file", artifact)
        assert driver.list_keys(artifact) == ["file"]


def private_key() -> str:
    key = rsa.generate_private_key(65537, 2048)
    form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return key.private_bytes(*form).decode()


class TestGCS(FolderDriverContract):
    account = {"client_email": "me@example.com", "private_key_id": "1", "private_key": private_key()}

    @pytest.fixture
    def driver(self, moto: Moto, bucket: str) -> ArtifactDriver:
        self.moto, self.bucket = moto, bucket
        account = {**self.account, "gcs_base_url": f"http://{moto.host}"}
        return GCSDriver(secrets_of({"google": {"key": json.dumps(account)}}))

    def artifact(self, key: str) -> Artifact:
        secret = {"name": "google", "key": "key"}
        return Artifact.from_json(
            {"name": "mine", "gcs": {"bucket": self.bucket, "key": key, "serviceAccountKeySecret": secret}}
        )

    def test_requests_carry_the_accounts_token(self, driver: ArtifactDriver, tmp_path: Path) -> None:
        (tmp_path / "file").write_bytes(b"x")
        self.moto.requests.clear()
        driver.save(tmp_path / "file", self.artifact("file"))
        ((method, path, headers),) = self.moto.requests
        assert (method, path) == ("PUT", f"/{self.bucket}/file")
        kind, token = headers["authorization"].split()
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        assert (kind, claims["iss"]) == ("Bearer", "me@example.com")

    def test_what_is_no_key(self, bucket: str, tmp_path: Path) -> None:
        self.bucket = bucket
        with pytest.raises(SpecError, match=r"gcs\.serviceAccountKeySecret selects what is not a key"):
            GCSDriver(secrets_of({"google": {"key": "no JSON"}})).load(self.artifact("file"), tmp_path / "into")


@pytest.fixture
def driver() -> S3Driver:
    return S3Driver(secrets_of(KEYS))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(b"content")
    return path


def test_an_artifact_as_json(moto: Moto, bucket: str, file: Path, tmp_path: Path) -> None:
    drivers = ArtifactDrivers(secrets_of(KEYS), tmp_path / "repository")
    artifact = s3_artifact(moto, bucket, "a").to_json()
    assert drivers.save(file, artifact) == artifact
    drivers.fetch(artifact, file.with_name("into"))
    assert file.with_name("into").read_bytes() == b"content"


def test_marks_of_folders_are_no_files(moto: Moto, bucket: str, driver: S3Driver, tmp_path: Path) -> None:
    """As the console of S3 makes them: empty objects whose keys end with a slash."""
    client = moto.client()
    for key in ("tree/", "tree/sub/", "tree/sub/file", "tree/none/", "tree/empty"):
        client.put_object(Bucket=bucket, Key=key, Body=b"x" if key == "tree/sub/file" else b"")
    artifact = s3_artifact(moto, bucket, "tree")
    assert driver.list_keys(artifact) == ["tree/empty", "tree/sub/file"]
    driver.load(artifact, tmp_path / "into")
    assert read_tree(tmp_path / "into") == {"empty": b"", "sub/file": b"x"}


def test_more_objects_than_one_answer_holds(
    moto: Moto, bucket: str, driver: S3Driver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "10")
    files = {f"{number:02}": str(number).encode() for number in range(35)}
    artifact = s3_artifact(moto, bucket, "many")
    driver.save(write_tree(tmp_path / "mine", files), artifact)
    moto.requests.clear()
    assert driver.list_keys(artifact) == [f"many/{name}" for name in files]
    assert len(moto.requests) == 4
    driver.load(artifact, tmp_path / "into")
    assert read_tree(tmp_path / "into") == files
    driver.delete(artifact)
    assert not driver.is_folder(artifact)


def test_all_of_a_bucket_is_listed_but_not_deleted(moto: Moto, bucket: str, driver: S3Driver, file: Path) -> None:
    driver.save(file, s3_artifact(moto, bucket, "a"))
    everything = s3_artifact(moto, bucket, "")
    assert driver.list_keys(everything) == ["a"]
    assert driver.is_folder(everything)
    with pytest.raises(SpecError, match=r"'mine': s3\.key is missing"):
        driver.delete(everything)


def test_what_fails_for_a_while_is_tried_again(moto: Moto, bucket: str, driver: S3Driver, file: Path) -> None:
    for do in (
        lambda: driver.save(file, s3_artifact(moto, bucket, "a")),
        lambda: driver.load(s3_artifact(moto, bucket, "a"), file.with_name("again")),
    ):
        moto.failures = 2
        do()
        assert moto.failures == 0
    assert file.with_name("again").read_bytes() == b"content"


@pytest.mark.parametrize("key", ["file", "folder/"])
def test_no_such_bucket(moto: Moto, driver: S3Driver, file: Path, key: str) -> None:
    artifact = s3_artifact(moto, "no-such-bucket", key)
    for do in (
        lambda: driver.load(artifact, file.with_name("into")),
        lambda: driver.save(file, artifact),
        lambda: driver.delete(artifact),
        lambda: driver.list_keys(artifact),
        lambda: driver.is_folder(artifact),
    ):
        with pytest.raises(ArtifactError, match=r"(?s)'mine' at s3://no-such-bucket/.*NoSuchBucket") as caught:
            do()
        assert not isinstance(caught.value, ArtifactMissingError)
        assert "s3cr3t" not in str(caught.value)
        assert "RetryErrorImpl" not in str(caught.value)


@pytest.mark.parametrize(("region", "locking"), [("us-east-1", False), ("eu-west-1", True)])
def test_the_bucket_is_made(moto: Moto, driver: S3Driver, file: Path, region: str, locking: bool) -> None:
    name = f"made-{new_id()}"
    options = {"createBucketIfNotPresent": {"objectLocking": locking}, "region": region}
    encryption = {"enableEncryption": True}
    artifact = s3_artifact(moto, name, "file", **options, encryptionOptions=encryption)
    for _ in range(2):
        driver.save(file, artifact)
    client = moto.client()
    assert client.get_bucket_location(Bucket=name)["LocationConstraint"] == (None if region == "us-east-1" else region)
    (rule,) = client.get_bucket_encryption(Bucket=name)["ServerSideEncryptionConfiguration"]["Rules"]
    assert rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"
    if locking:
        configuration = client.get_object_lock_configuration(Bucket=name)["ObjectLockConfiguration"]
        assert configuration["ObjectLockEnabled"] == "Enabled"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, (None, None)),
        ({"enableEncryption": False, "kmsKeyId": "key-1", "kmsEncryptionContext": "{}"}, (None, None)),
        ({"enableEncryption": True}, ("AES256", None)),
        ({"enableEncryption": True, "kmsKeyId": "key-1"}, ("aws:kms", "key-1")),
    ],
)
def test_encryption(
    moto: Moto, bucket: str, driver: S3Driver, file: Path, options: dict[str, Any], expected: tuple[Any, Any]
) -> None:
    artifact = s3_artifact(moto, bucket, "file", encryptionOptions=options)
    moto.requests.clear()
    driver.save(file, artifact)
    ((_, _, headers),) = moto.requests
    prefix = "x-amz-server-side-encryption"
    assert (headers.get(prefix), headers.get(f"{prefix}-aws-kms-key-id")) == expected
    driver.load(artifact, file.with_name("into"))
    assert file.with_name("into").read_bytes() == b"content"


@pytest.fixture
def over_tls(moto_over_tls: Moto, authority: trustme.CA) -> tuple[S3Driver, dict[str, Any]]:
    """A driver, and the fields of an artifact on a server of a private authority."""
    secrets = {**KEYS, "tls": {"ca": authority.cert_pem.bytes().decode()}}
    moto_over_tls.requests.clear()
    fields = {"insecure": None, "createBucketIfNotPresent": {}, "caSecret": {"name": "tls", "key": "ca"}}
    return S3Driver(secrets_of(secrets)), fields


def test_an_authority_of_ones_own(
    moto_over_tls: Moto, over_tls: tuple[S3Driver, dict[str, Any]], file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver, fields = over_tls
    bucket = f"bucket{new_id()}"
    driver.save(file, s3_artifact(moto_over_tls, bucket, "a", **fields))
    assert driver.list_keys(s3_artifact(moto_over_tls, bucket, "", **fields)) == ["a"]
    without = {"insecure": None, "createBucketIfNotPresent": {}}
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(ArtifactError, match=r"(?i)'mine' at .*certificate"):
        driver.save(file, s3_artifact(moto_over_tls, bucket, "a", **without))


def test_a_key_of_the_customer(moto_over_tls: Moto, over_tls: tuple[S3Driver, dict[str, Any]], tmp_path: Path) -> None:
    driver, fields = over_tls
    bucket = f"bucket{new_id()}"
    artifact = s3_artifact(moto_over_tls, bucket, "tree", **fields, encryptionOptions=CUSTOMERS)
    driver.save(write_tree(tmp_path / "mine", {"a": b"x", "b/c": b""}), artifact)
    driver.load(artifact, tmp_path / "into")
    assert read_tree(tmp_path / "into") == {"a": b"x", "b/c": b""}
    assert driver.list_keys(artifact) == ["tree/a", "tree/b/c"]
    prefix = "x-amz-server-side-encryption-customer-"
    asked = {
        (method, path, headers[f"{prefix}algorithm"], headers[f"{prefix}key"])
        for method, path, headers in moto_over_tls.requests
        if f"{prefix}key" in headers
    }
    keys = {
        name: base64.b64encode(object_key(KEYS["cred"]["secret"], bucket, name)).decode()
        for name in ("tree/a", "tree/b/c")
    }
    for method in ("PUT", "GET"):
        assert {(method, f"/{bucket}/{name}", "AES256", key) for name, key in keys.items()} <= asked
    assert {key for *_, key in asked} == set(keys.values()) | {
        base64.b64encode(object_key(KEYS["cred"]["secret"], bucket, "tree")).decode()
    }
    driver.delete(artifact)
    with pytest.raises(ArtifactMissingError):
        driver.load(artifact, tmp_path / "other")


def test_the_key_of_an_object() -> None:
    """Argon2id with one pass, 64 MiB and four lanes; the salt is the bucket's and the object's name."""
    key = "37cf1d28aa1a5017e2b7288df8c22d22fab8ae442f81a9a5a68444b35ec5321f"
    assert object_key("pw", "bucket", "key").hex() == key
    assert object_key("pw", "bucke", "tkey").hex() == key


def signed_with(moto: Moto) -> tuple[str, str | None]:
    """(access key id, session token) of the last request."""
    _, _, headers = moto.requests[-1]
    return headers["authorization"].partition("Credential=")[2].partition("/")[0], headers.get("x-amz-security-token")


def test_the_artifacts_keys_sign_whatever_the_environment_says(
    moto: Moto, bucket: str, driver: S3Driver, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, "of-the-environment")
    for name in ("AWS_ENDPOINT", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_SKIP_SIGNATURE", "true")
    driver.save(file, s3_artifact(moto, bucket, "a"))
    assert signed_with(moto) == ("AKIA-mine", None)
    token = {"name": "cred", "key": "token"}
    driver.save(file, s3_artifact(moto, bucket, "a", sessionTokenSecret=token))
    assert signed_with(moto) == ("AKIA-mine", "t0ken")


@pytest.mark.parametrize("region", ["eu-west-1", "us-east-1"])
def test_the_region_is_asked_for_at_aws(
    moto: Moto, driver: S3Driver, file: Path, monkeypatch: pytest.MonkeyPatch, region: str
) -> None:
    bucket = f"bucket{new_id()}"
    made = s3_artifact(moto, bucket, "a", region=region, createBucketIfNotPresent={})
    driver.save(file, made)
    monkeypatch.setattr("tiphys.integrations.s3.driver._AWS", moto.host)
    assert driver.list_keys(s3_artifact(moto, bucket, "a")) == ["a"]
    assert f"/{region}/s3/" in moto.requests[-1][2]["authorization"]
    with pytest.raises(ArtifactError, match="NoSuchBucket"):
        driver.list_keys(s3_artifact(moto, "no-such-bucket", "a"))


@pytest.mark.parametrize("fields", [{}, {"useSDKCreds": True}])
def test_without_keys_those_of_this_machine_are_used(
    moto: Moto, bucket: str, file: Path, monkeypatch: pytest.MonkeyPatch, fields: dict[str, Any]
) -> None:
    driver = S3Driver(no_secrets)
    artifact = s3_artifact(moto, bucket, "a", accessKeySecret=None, secretKeySecret=None, **fields)
    with pytest.raises(ArtifactError, match=r"(?s)no credentials for the bucket .*accessKeySecret"):
        driver.save(file, artifact)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "of-the-machine")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    driver.save(file, artifact)
    assert signed_with(moto) == ("of-the-machine", None)


def test_a_role_is_assumed(moto: Moto, bucket: str, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "of-the-machine")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", f"http://{moto.host}")
    role = "arn:aws:iam::123456789012:role/mine"
    artifact = s3_artifact(moto, bucket, "a", accessKeySecret=None, secretKeySecret=None, roleARN=role)
    S3Driver(no_secrets).save(file, artifact)
    access, token = signed_with(moto)
    assert access.startswith("ASIA")
    assert token


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"bucket": None}, "s3.bucket is missing"),
        ({"key": None}, "s3.key is missing"),
        ({"endpoint": "https://s3.example.com"}, "s3.endpoint"),
        ({"addressingStyle": "other"}, "s3.addressingStyle is 'other'"),
        ({"secretKeySecret": None}, "s3.secretKeySecret is missing"),
        ({"encryptionOptions": CUSTOMERS}, "s3.encryptionOptions.serverSideCustomerKeySecret would send the key"),
        (
            {"encryptionOptions": {**CUSTOMERS, "kmsKeyId": "k"}},
            "s3.encryptionOptions.serverSideCustomerKeySecret cannot be together with kmsKeyId",
        ),
        (
            {"encryptionOptions": {"enableEncryption": True, "kmsKeyId": "k", "kmsEncryptionContext": "{}"}},
            "s3.encryptionOptions.kmsEncryptionContext is not supported",
        ),
    ],
)
def test_what_cannot_be_honoured_is_named(
    moto: Moto, driver: S3Driver, file: Path, fields: dict[str, Any], named: str
) -> None:
    with pytest.raises(SpecError, match=f"'mine': {named}"):
        driver.save(file, s3_artifact(moto, "bucket", "file", **fields))


@pytest.mark.parametrize(
    ("fields", "endpoint"),
    [
        ({}, "https://mine.s3.amazonaws.com"),
        ({"endpoint": "s3.amazonaws.com", "region": "eu-west-1"}, "https://mine.s3.eu-west-1.amazonaws.com"),
        ({"endpoint": "s3.eu-west-1.amazonaws.com", "addressingStyle": "path"}, "https://s3.eu-west-1.amazonaws.com"),
        ({"endpoint": "minio:9000", "insecure": True}, "http://minio:9000"),
        ({"endpoint": "minio:9000"}, "https://minio:9000"),
        ({"endpoint": "host", "addressingStyle": "virtual-hosted"}, "https://mine.host"),
        ({"bucket": "a.b", "endpoint": "s3.amazonaws.com"}, "https://s3.amazonaws.com"),
    ],
)
def test_endpoints(driver: S3Driver, fields: dict[str, Any], endpoint: str) -> None:
    artifact = Artifact.from_json({"s3": {"bucket": "mine", "key": "a", **NAMED, **fields}})
    store = open_bucket(driver._bucket(artifact))
    assert store.config["endpoint"] == endpoint
    assert store.config["virtual_hosted_style_request"] == str("//mine." in endpoint).lower()


@pytest.mark.parametrize(
    ("endpoint", "expected", "region"),
    [
        (
            "http://oss-cn-hangzhou-zmf.aliyuncs.com",
            "http://mine.s3.oss-cn-hangzhou-zmf.aliyuncs.com",
            "cn-hangzhou-zmf",
        ),
        ("oss-cn-beijing-internal.aliyuncs.com", "http://mine.s3.oss-cn-beijing-internal.aliyuncs.com", "cn-beijing"),
        ("https://s3.oss-cn-beijing.aliyuncs.com", "https://mine.s3.oss-cn-beijing.aliyuncs.com", "us-east-1"),
        ("https://own.example.com:8443", "https://own.example.com:8443", "us-east-1"),
    ],
)
def test_endpoints_of_oss(endpoint: str, expected: str, region: str) -> None:
    artifact = Artifact.from_json({"oss": {"bucket": "mine", "key": "a", "endpoint": endpoint, **NAMED}})
    store = open_bucket(OSSDriver(secrets_of(KEYS))._bucket(artifact))
    assert (store.config["endpoint"], store.config["region"]) == (expected, region)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"lifecycleRule": {"markDeletionAfterDays": 1}}, "oss.lifecycleRule is not supported"),
        ({"useSDKCreds": True}, "oss.useSDKCreds is not supported"),
        ({"accessKeySecret": None}, "oss.accessKeySecret is missing"),
        ({"endpoint": None}, "oss.endpoint is missing"),
    ],
)
def test_what_cannot_be_honoured_of_oss_is_named(file: Path, fields: dict[str, Any], named: str) -> None:
    oss = {"bucket": "mine", "key": "a", "endpoint": "http://127.0.0.1:9", **NAMED, **fields}
    with pytest.raises(SpecError, match=named):
        OSSDriver(secrets_of(KEYS)).save(file, Artifact.from_json({"oss": oss}))
