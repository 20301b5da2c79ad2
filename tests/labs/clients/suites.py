"""The suites of this laboratory: for each family of streams its clients, its scenarios, and what explains the rest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.labs.clients import chat_streams, explanations, messages_streams, scenarios
from tests.labs.clients.installation import CHAT_CLIENTS, CLIENTS, MESSAGES_CLIENTS

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.labs.clients.conversations import Tool
    from tests.labs.clients.explanations import Explanation
    from tests.labs.clients.installation import Client
    from tests.labs.clients.scenarios import Scenario
    from tests.support.upstream import Step


@dataclass(frozen=True)
class Suite:
    """What is run of one family.

    :ivar name: of the family; ``results``: of the file among the results.
    :ivar references: the perfect streams by name; ``rows``: name, defects and what is wrong, in the order of the table.
    """

    name: str
    results: str
    clients: tuple[Client, ...]
    scenarios: Callable[[Tool], list[Scenario]]
    references: Callable[[Tool], dict[str, list[tuple[Step, ...]]]]
    rows: Callable[[], list[tuple[str, str, str]]]
    explanations: tuple[Explanation, ...]


RESPONSES = Suite(
    "responses", "clients", CLIENTS, scenarios.scenarios, scenarios.references, scenarios.rows,
    explanations.EXPLANATIONS,
)  # fmt: skip
CHAT = Suite(
    "chat", "clients-chat", CHAT_CLIENTS, chat_streams.scenarios, chat_streams.references, chat_streams.rows,
    explanations.CHAT_EXPLANATIONS,
)  # fmt: skip
MESSAGES = Suite(
    "messages", "clients-messages", MESSAGES_CLIENTS, messages_streams.scenarios, messages_streams.references,
    messages_streams.rows, explanations.MESSAGES_EXPLANATIONS,
)  # fmt: skip
SUITES = {suite.name: suite for suite in (RESPONSES, CHAT, MESSAGES)}
