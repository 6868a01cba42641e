"""Sentences that say what for, or when: "To open the gate, ring twice.", "If it rains, tickets are refunded".

They are asked about as a whole, what is to be done or what holds then, and in which case. By rule.
"""

from dataclasses import dataclass

from knowledge.clauses import CASE, MANNER, ORDER, SURELY_A_CASE, clause, is_order, is_told, topic


@dataclass(frozen=True)
class Occasion:
    """`case` as it stands inside a sentence ("to open the gate", "if it rains"), and what is done or holds `then`.

    `topic` is what the sentence is about where it stands before it, as `standalone` writes it; else empty.
    """

    topic: str
    case: str
    then: str
    is_order: bool

    @property
    def aim(self) -> str:
        """What is to be reached, of "to open the gate" "open the gate"; empty where something else is the case."""
        return self.case.removeprefix("to ") if self.case.startswith("to ") else ""

    @property
    def act(self) -> str:
        """What is told to do, or not to do, without "please", "always" or "do not"."""
        return self.then[manner.end() :] if self.is_order and (manner := MANNER.match(self.then)) else self.then

    @property
    def forbids(self) -> bool:
        """Whether it is told not to do it."""
        manner = MANNER.match(self.then)
        return self.is_order and manner is not None and manner["not"] is not None

    @property
    def begun(self) -> str:
        """The sentence up to what follows, whichever came first: "The Orrin gate: To open it,"."""
        return f"{self.topic and f'{self.topic}: '}{self.case[0].upper()}{self.case[1:]},"


def occasion(sentence: str) -> Occasion | None:
    """The sentence as an occasion and what goes with it; None for all others."""
    body = sentence.strip().rstrip(".!。 ")
    led = topic(body)
    about, body = (led[1], body[led.end() :]) if led else ("", body)
    if (order := ORDER.fullmatch(body)) and clause(order["then"]) is None:
        return Occasion(about, order["case"], order["then"][0].lower() + order["then"][1:], is_order=True)
    found = CASE.fullmatch(body)
    if found is None:
        return None
    case, then = found["case"][0].lower() + found["case"][1:], found["then"]
    ordered = is_order(then)
    if is_told(case, then):
        return None
    return Occasion(about, case, then, ordered) if ordered or SURELY_A_CASE.match(case) else None
