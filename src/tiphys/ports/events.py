"""Port: events of one workspace, those that came in and those that are posted to others."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tiphys.errors import ServiceError, TiphysError
from tiphys.records.events import EventState, EventSubscription, EventSummary, ReceivedEvent, RunNotice


class SignatureError(TiphysError):
    """A webhook's signature is missing, wrong, too old, or was used before."""

    code = "signature"
    http_status = 403


class QueueFullError(ServiceError):
    """So many events wait that no more are taken."""

    code = "queue_full"
    http_status = 503


@dataclass(frozen=True, slots=True, kw_only=True)
class NewEvent:
    """An event as it came in."""

    discriminator: str = ""
    payload: Any = None
    #: Headers that begin with `x-`, and attributes of CloudEvents as `ce-…`, each a list of texts.
    metadata: Mapping[str, Sequence[str]] = field(default_factory=dict)
    #: What its sender calls this delivery; empty if nothing tells it from others.
    delivery: str = ""
    #: The webhook client that signed it.
    sender: str = ""
    #: A signature that is good for one delivery only.
    signature: str = ""


@dataclass(frozen=True, slots=True)
class SubscriptionStatus:
    """A subscription, and how its posts get on."""

    subscription: EventSubscription
    waiting: int
    #: News that were given up.
    dead: int


class Events(ABC):
    """Events of one workspace."""

    @abstractmethod
    def in_namespace(self, namespace: str) -> Events:
        """The same for another workspace."""

    @abstractmethod
    def receive(self, event: NewEvent) -> ReceivedEvent | None:
        """Keep an event; its bindings are carried out later.

        Returns:
            It, or None if the same delivery came before.

        Raises:
            SignatureError: its signature was used before.
            QueueFullError: too many events wait.
        """

    @abstractmethod
    def find(
        self,
        *,
        states: Sequence[EventState] = (),
        limit: int | None = None,
        after: str | None = None,
        all_namespaces: bool = False,
        among: Collection[str] | None = None,
    ) -> list[EventSummary]:
        """Events that came in, newest first, without what they brought.

        Args:
            states: What has become of them; anything if there is none.
            limit: How many at most; None for all.
            after: The id of the last one of the page before.
            all_namespaces: Whether those of other workspaces are wanted, too.
            among: Of all workspaces, these alone; None for all that there are.
        """

    @abstractmethod
    def get(self, id: str) -> ReceivedEvent:
        """An event by its id, or the end of it.

        Raises:
            NotFoundError: there is none.
        """

    @abstractmethod
    def retry(self, id: str) -> ReceivedEvent:
        """Have a dead event carried out again, but for the bindings that submitted a workflow.

        Raises:
            ConflictError: it is not dead.
        """

    @abstractmethod
    def subscribe(
        self, name: str, url: str, *, types: Sequence[str] = (), secret: str = "", private: bool = False
    ) -> EventSubscription:
        """Have news of runs that begin from now on posted to a URL.

        Args:
            name: Its name.
            url: Where to.
            types: Beginnings of the types that are wanted; all if there is none.
            secret: Key of the signatures; made if it is empty.
            private: Whether the URL may be one of this machine or of a private network.

        Raises:
            UsageError: the URL is none, or may not be posted to.
            AlreadyExistsError: there is a subscription of that name.
        """

    @abstractmethod
    def subscriptions(self) -> list[SubscriptionStatus]:
        """All subscriptions, by name."""

    @abstractmethod
    def news(self, name: str, *, states: Sequence[EventState] = (), limit: int | None = None) -> list[RunNotice]:
        """News that wait for a subscription or were given up, oldest first: what was taken is removed.

        Raises:
            NotFoundError: there is no subscription of that name.
        """

    @abstractmethod
    def resend(self, name: str, ids: Sequence[str] = ()) -> int:
        """Have news that were given up posted again; returns how many.

        Args:
            name: The subscription's.
            ids: Which, by their ids or the ends of them; all if there is none.

        Raises:
            NotFoundError: there is no such subscription, or none of its dead news has such an id.
        """

    @abstractmethod
    def unsubscribe(self, name: str) -> None:
        """Remove a subscription, and the news that wait for it.

        Raises:
            NotFoundError: there is none of that name.
        """
