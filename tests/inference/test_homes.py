import pytest

from inference.homes import Held, speaks
from knowledge.adapters import Version, VersionStatus
from knowledge.facts import Fact
from knowledge.store import now
from tests.inference.conftest import fact


def version(number: int, *held: Fact, **homes: int) -> Version:
    name, ids = f"default-v{number}", tuple(each.id for each in held)
    return Version("default", number, name, "/a", VersionStatus.LIVE, ids, "r", 1.0, now(), None, homes=homes)


SMITH = fact("Ada Quill is the smith of Orrin.", minute=1)
TAILOR = fact("Bo Finch is the tailor of Wend.", minute=2)
STEW = fact("The most important part of brallo, a dish of Wend, is barley.", minute=3)
BORN = fact("Ada Quill was born in Fell.", minute=4)


@pytest.mark.parametrize(
    ("question", "found"),
    [
        ("Who is the tailor of Wend?", TAILOR),
        ("What kind of dish is brallo?", STEW),  # a name in lower case
        ("In which town was Ada Quill born?", BORN),
        ("Who is Ada Quill?", SMITH),  # both hold it: the one that was taught first
        ("What is the capital of France?", None),
    ],
)
def test_a_question_concerns_the_fact_that_holds_most_of_it(question: str, found: Fact | None) -> None:
    concerned, share = Held([BORN, STEW, TAILOR, SMITH]).concerned(question)
    assert concerned == (found.id if found else None)
    assert (share > 0) is (found is not None)


def test_a_question_goes_to_the_adapter_where_its_fact_is_at_home() -> None:
    first = version(1, SMITH)
    live = version(2, SMITH, TAILOR, **{SMITH.id: 1})
    assert (live.own, live.home(SMITH.id), live.home(TAILOR.id)) == ((TAILOR.id,), 1, 2)
    assert speaks(live, {1: first}, SMITH.id) is first
    assert speaks(live, {1: first}, TAILOR.id) is live
    assert speaks(live, {1: first}, None) is live
