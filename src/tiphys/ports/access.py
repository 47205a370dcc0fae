"""Port: who may use a server: accounts, their roles and keys, and who is known by what a request brings."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

from tiphys.records.access import ALL_WORKSPACES, Account, ApiKey, Role, SigningKey


class PrincipalKind(StrEnum):
    """How somebody is known."""

    #: By a user's password or key.
    USER = "user"
    #: By a service account's key.
    SERVICE = "service"
    #: By the token of a run's task.
    RUN = "run"
    #: Not at all, as the server asks nobody.
    ANYONE = "anyone"


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Who asks, and what they may do. Two that are equal have the same rights."""

    name: str
    kind: PrincipalKind
    #: Role by workspace; `*` for all of them.
    roles: Mapping[str, Role] = field(default_factory=dict)


#: Who asks a server that demands nothing.
ANYONE = Principal(name="", kind=PrincipalKind.ANYONE, roles={ALL_WORKSPACES: Role.ADMIN})


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountRoles:
    """An account with its role by workspace."""

    account: Account
    roles: Mapping[str, Role]


@dataclass(frozen=True, slots=True, kw_only=True)
class NewKey:
    """A key that was just made, and the only time that its text is told."""

    key: ApiKey
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnedKey:
    """A key and the name of its account."""

    key: ApiKey
    account: str


class Accounts(ABC):
    """Accounts, their roles and keys, as an administrator sees them."""

    @abstractmethod
    def accounts(self) -> list[AccountRoles]:
        """All accounts, by name."""

    @abstractmethod
    def create_user(
        self, name: str, password: str, *, role: Role | None = None, workspace: str = ALL_WORKSPACES
    ) -> Account:
        """Create a user, with a role in a workspace or in all.

        Raises:
            UsageError: the name or the password will not do.
            AlreadyExistsError: there is an account of that name.
        """

    @abstractmethod
    def set_password(self, name: str, password: str) -> None:
        """Give a user another password."""

    @abstractmethod
    def delete_account(self, name: str) -> None:
        """Remove an account with its roles and keys."""

    @abstractmethod
    def grant(self, name: str, role: Role, *, workspace: str = ALL_WORKSPACES) -> None:
        """Give an account a role in a workspace or in all, instead of the one that it had there."""

    @abstractmethod
    def revoke(self, name: str, *, workspace: str = ALL_WORKSPACES) -> None:
        """Take an account's role in a workspace, or the one it has in all.

        Raises:
            NotFoundError: it has none there.
        """

    @abstractmethod
    def api_keys(self) -> list[OwnedKey]:
        """All keys, the oldest first."""

    @abstractmethod
    def create_key(
        self,
        account: str,
        *,
        role: Role | None = None,
        workspace: str = ALL_WORKSPACES,
        lifetime: timedelta | None = None,
    ) -> NewKey:
        """Create a key of an account; a service account is made if there is none of that name.

        Args:
            account: Its name.
            role: Of the service account that is made.
            workspace: Where it has the role.
            lifetime: How long the key holds; None until it is revoked.

        Raises:
            UsageError: the account is there and a role is given, or it is to be made and none is.
        """

    @abstractmethod
    def rotate_key(self, name: str, *, grace: timedelta) -> NewKey:
        """Create a key in the place of one that holds for `grace` yet; it holds as long as that one was made to.

        Args:
            name: The old key's prefix, or the name of an account that has one key alone.
            grace: Zero to revoke it at once.
        """

    @abstractmethod
    def revoke_key(self, name: str) -> ApiKey:
        """Remove a key, by its prefix or the name of an account that has one key alone."""


class Access(Accounts):
    """Who is known by what a request brings."""

    @abstractmethod
    def has_accounts(self) -> bool:
        """Whether there is any account."""

    @abstractmethod
    def by_password(self, name: str, password: str, *, address: str) -> Principal:
        """Who has this name and password.

        Raises:
            UnauthenticatedError: nobody.
            TooManyAttemptsError: too many tried that failed, for this name from this address, or from it at all.
        """

    @abstractmethod
    def by_key(self, text: str) -> Principal:
        """Who has this key.

        Raises:
            UnauthenticatedError: nobody, or it has expired.
        """

    @abstractmethod
    def by_run(self, uid: str, workspace: str) -> Principal:
        """The tasks of a run: editors in its workspace until it has ended.

        Raises:
            UnauthenticatedError: it has ended, or there is no such run in that workspace.
        """

    @abstractmethod
    def signing_key(self) -> SigningKey:
        """What tokens of tasks are signed with now; changed from time to time."""

    @abstractmethod
    def verifying_key(self, id: str) -> SigningKey | None:
        """What a token says that it was signed with; None if there is no such key any more."""
