"""Who may use a server: accounts, the roles they have in workspaces, their keys, and what signs the tokens of tasks."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from tiphys.records.base import Record

#: Stands for all workspaces in a role binding.
ALL_WORKSPACES = "*"


class Role(StrEnum):
    """What an account may do in a workspace; each may do all that the ones before it may."""

    VIEWER = "viewer"
    EDITOR = "editor"
    ADMIN = "admin"


class AccountKind(StrEnum):
    """Who an account stands for."""

    #: A person, who has a password.
    USER = "user"
    #: A program, which has keys alone.
    SERVICE = "service"


@dataclass(frozen=True, slots=True, kw_only=True)
class Account(Record):
    """A user or a service account; unique by name."""

    name: str
    kind: AccountKind
    #: As argon2 writes it, with its parameters; empty for a service account.
    password_hash: str = ""
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleBinding(Record):
    """The role of an account in a workspace, or in all; unique by account and workspace."""

    account_id: str
    workspace: str
    role: Role
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey(Record):
    """A key of an account; it may do what the account may.

    Its secret is 256 random bits, so SHA-256 keeps it as well as a slow hash would, and costs a request nothing.
    """

    account_id: str
    #: What of the key may be shown: it stands in the key itself.
    prefix: str
    #: SHA-256 of the secret, in hexadecimal digits.
    digest: str
    created_at: datetime
    #: None for one that holds until it is revoked.
    expires_at: datetime | None = None
    #: Exact to a minute.
    last_used_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKey(Record):
    """What the tokens of tasks are signed with: the newest signs, all of them verify."""

    #: 256 random bits in hexadecimal digits.
    secret: str
    created_at: datetime
