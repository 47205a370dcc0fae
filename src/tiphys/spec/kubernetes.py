"""Those of Kubernetes' own objects that something here looks into; the others are `Loose`."""

from __future__ import annotations

from tiphys.spec.base import AnyString, Loose, Spec


class ObjectMeta(Spec):
    """Name, labels and annotations of an object."""

    name: str | None = None
    generate_name: str | None = None
    namespace: str | None = None
    uid: str | None = None
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    creation_timestamp: str | None = None
    deletion_grace_period_seconds: int | None = None
    deletion_timestamp: str | None = None
    finalizers: list[str] | None = None
    generation: int | None = None
    managed_fields: list[Loose] | None = None
    owner_references: list[Loose] | None = None
    resource_version: str | None = None
    self_link: str | None = None


class LocalObjectReference(Spec):
    """Another object of the same namespace, by name."""

    name: str | None = None


class SecretKeySelector(Spec):
    """A key of a Secret."""

    name: str | None = None
    key: str | None = None
    optional: bool | None = None


class ConfigMapKeySelector(Spec):
    """A key of a ConfigMap."""

    name: str | None = None
    key: str | None = None
    optional: bool | None = None


class EnvVarSource(Spec):
    """Where an environment variable's value comes from."""

    config_map_key_ref: ConfigMapKeySelector | None = None
    field_ref: Loose | None = None
    file_key_ref: Loose | None = None
    resource_field_ref: Loose | None = None
    secret_key_ref: SecretKeySelector | None = None


class EnvVar(Spec):
    """An environment variable of a container."""

    name: str | None = None
    value: str | None = None
    value_from: EnvVarSource | None = None


class EnvFromSource(Spec):
    """All keys of a ConfigMap or Secret as environment variables."""

    config_map_ref: Loose | None = None
    prefix: str | None = None
    secret_ref: Loose | None = None


class VolumeMount(Spec):
    """Where a volume appears in a container."""

    name: str | None = None
    mount_path: str | None = None
    mount_propagation: str | None = None
    read_only: bool | None = None
    recursive_read_only: str | None = None
    sub_path: str | None = None
    sub_path_expr: str | None = None


class Volume(Spec):
    """A volume that containers may mount."""

    name: str | None = None
    aws_elastic_block_store: Loose | None = None
    azure_disk: Loose | None = None
    azure_file: Loose | None = None
    cephfs: Loose | None = None
    cinder: Loose | None = None
    config_map: Loose | None = None
    csi: Loose | None = None
    downward_api: Loose | None = None
    empty_dir: Loose | None = None
    ephemeral: Loose | None = None
    fc: Loose | None = None
    flex_volume: Loose | None = None
    flocker: Loose | None = None
    gce_persistent_disk: Loose | None = None
    git_repo: Loose | None = None
    glusterfs: Loose | None = None
    host_path: Loose | None = None
    image: Loose | None = None
    iscsi: Loose | None = None
    nfs: Loose | None = None
    persistent_volume_claim: Loose | None = None
    photon_persistent_disk: Loose | None = None
    portworx_volume: Loose | None = None
    projected: Loose | None = None
    quobyte: Loose | None = None
    rbd: Loose | None = None
    scale_io: Loose | None = None
    secret: Loose | None = None
    storageos: Loose | None = None
    vsphere_volume: Loose | None = None


class Container(Spec):
    """A Kubernetes container."""

    name: str | None = None
    image: str | None = None
    command: list[str] | None = None
    args: list[str] | None = None
    working_dir: str | None = None
    env: list[EnvVar] | None = None
    env_from: list[EnvFromSource] | None = None
    image_pull_policy: str | None = None
    lifecycle: Loose | None = None
    liveness_probe: Loose | None = None
    ports: list[Loose] | None = None
    readiness_probe: Loose | None = None
    resize_policy: list[Loose] | None = None
    resources: Loose | None = None
    restart_policy: str | None = None
    restart_policy_rules: list[Loose] | None = None
    security_context: Loose | None = None
    startup_probe: Loose | None = None
    stdin: bool | None = None
    stdin_once: bool | None = None
    termination_message_path: str | None = None
    termination_message_policy: str | None = None
    tty: bool | None = None
    volume_devices: list[Loose] | None = None
    volume_mounts: list[VolumeMount] | None = None


class ConfigMap(Spec):
    """Texts by key."""

    api_version: str | None = "v1"
    kind: str | None = "ConfigMap"
    metadata: ObjectMeta | None = None
    data: dict[str, AnyString] | None = None
    binary_data: dict[str, str] | None = None
    immutable: bool | None = None


class Secret(Spec):
    """Secret values by key: in base64 (`data`) or plain (`string_data`, which wins)."""

    api_version: str | None = "v1"
    kind: str | None = "Secret"
    metadata: ObjectMeta | None = None
    type: str | None = None
    data: dict[str, str] | None = None
    string_data: dict[str, str] | None = None
    immutable: bool | None = None


class PersistentVolumeClaim(Spec):
    """A request for a volume that outlives pods."""

    api_version: str | None = "v1"
    kind: str | None = "PersistentVolumeClaim"
    metadata: ObjectMeta | None = None
    spec: Loose | None = None
    status: Loose | None = None
