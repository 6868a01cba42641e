"""Whom to ask, and what: a version's weights, the base model with a pending text, or the base model alone."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from inference.client import BASE, Manner, Message
from inference.quoting import plain, quoted
from knowledge.adapters import Version
from knowledge.facts import Fact

Source = Literal["weights", "pending", "base"]


@dataclass(frozen=True)
class Plan:
    """What goes to the model. `version` is None when the base model speaks; `fact_id` is the quoted pending fact.

    `home` is the version whose adapter answers for `version`: itself, or an earlier one (`inference/homes.py`). Below
    `least_lift` nats a token over the base model the answer is withheld (0: never).
    """

    namespace: str
    version: Version | None
    messages: tuple[Message, ...]
    manner: Manner
    home: Version | None = None
    fact_id: str | None = None
    least_lift: float = 0.0

    @property
    def model(self) -> str:
        """The name that the model servers know."""
        return self.home.adapter if self.home else BASE

    @property
    def source(self) -> Source:
        """What the answer comes from."""
        return "weights" if self.version else "pending" if self.fact_id else "base"

    @property
    def may_abstain(self) -> bool:
        """Whether the answer is known only when its lift is."""
        return self.version is not None and self.least_lift > 0


def plan(
    messages: Sequence[Message],
    version: Version | None,
    told: Fact | None = None,
    *,
    home: Version | None = None,
    manner: Manner,
    namespace: str = "default",
    with_lift: bool = False,
    least_lift: float = 0.0,
) -> Plan:
    """The plan for a conversation, whose contents become plain text to the model.

    A pending text wins over the weights: it is newer than any version. It is quoted in the last message, a user's.
    `home` is the version whose adapter is to answer for `version`, if not its own. `with_lift` measures how far the
    adapter lifted the answer above the base model, which costs passes of that model.
    """
    space = version.namespace if version else namespace
    said = tuple(Message(role=each["role"], content=plain(each["content"])) for each in messages)
    if told:
        text = f"{told.title}\n{told.text}" if told.title else told.text
        last = Message(role="user", content=quoted(text, messages[-1]["content"]))
        return Plan(space, None, (*said[:-1], last), manner, fact_id=told.id)
    if version and (with_lift or least_lift > 0):
        manner = replace(manner, tokens=True)
    return Plan(space, version, said, manner, home or version, least_lift=least_lift)
