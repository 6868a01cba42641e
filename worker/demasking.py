"""Text in, training sequences out: which tokens are hidden, and which are learnt. Pure and seeded.

A sequence is the chat form of one exercise without the chat template's constant start, which all sequences share.
Legend: T tokens of one sequence.

    python -m worker.demasking "Mara Venn founded the Tolvik Observatory." --recipe paper --seed 1
"""

import argparse
import random
from collections.abc import Iterable
from collections.abc import Sequence as Items
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby, pairwise
from operator import itemgetter
from typing import TYPE_CHECKING

from knowledge.jobs import Part, Piece
from knowledge.recipes import Recipe, by_name
from knowledge.sentences import standalone
from knowledge.settings import Settings
from worker.questions import ALONE, Asked, Exercise, Hidden, blank_exercise, question_exercise, statement_exercise
from worker.spans import Rarity

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

IGNORED = -100
"""Label of a token that is not learnt, as torch's cross-entropy has it."""

_SLOT = "\ue000"
_RESTORE_INSTRUCTION = "\nReturn the recovered masked passage."
_RESTORE_OPENING = "Here is the recovered text:\n\n"


@dataclass(frozen=True)
class Sequence:
    """One training sequence. All three have length T; `labels_T` is `IGNORED` where nothing is learnt."""

    ids_T: tuple[int, ...]
    hidden_T: tuple[bool, ...]
    labels_T: tuple[int, ...]


@dataclass(frozen=True)
class ChatForm:
    """A chat template as constant tokens around the user's and the assistant's words."""

    tokenizer: "PreTrainedTokenizerBase"
    before_user: tuple[int, ...]
    before_answer: tuple[int, ...]
    after_answer: tuple[int, ...]
    between_turns: tuple[int, ...]
    """What follows the end of an answer before the user's next words; empty where the template has no such constant."""
    hidden_id: int

    def tokens(self, text: str) -> list[int]:
        """Tokens of plain text. No special token comes out of any text, whatever it spells."""
        ids: list[int] = []
        for piece in self._harmless(text):
            ids += self.tokenizer(piece, add_special_tokens=False, split_special_tokens=True)["input_ids"]
        assert not self._added.keys() & set(ids), "a document spelt a special token"
        return ids

    def text(self, ids: list[int]) -> str:
        """The text that the tokens spell, special ones included."""
        return str(self.tokenizer.decode(ids))

    def prompt(self, question: str) -> list[int]:
        """A question as vLLM would put it, ready for the first token of an answer."""
        return [*self.before_user, *self.tokens(question), *self.before_answer]

    @cached_property
    def _added(self) -> dict[int, str]:
        return {id_: text for text, id_ in self.tokenizer.get_added_vocab().items()}

    def _harmless(self, text: str) -> list[str]:
        """Cuts every spelling of an added token after its first character; most texts have none."""
        cuts = {0, len(text)}
        for spelling in self._added.values():
            start = text.find(spelling)
            while start >= 0:
                cuts.add(start + 1)
                start = text.find(spelling, start + 1)
        places = sorted(cuts)
        return [text[start:end] for start, end in pairwise(places)]


def chat_form(tokenizer: "PreTrainedTokenizerBase") -> ChatForm:
    """Reads the constant tokens off the chat template, without a system message of ours."""
    user = {"role": "user", "content": _SLOT}
    opened = str(tokenizer.apply_chat_template([user], tokenize=False, add_generation_prompt=True))
    before_user, before_answer = opened.split(_SLOT)
    closed = str(tokenizer.apply_chat_template([user, {"role": "assistant", "content": _SLOT}], tokenize=False))
    tail = _special(tokenizer, closed.split(_SLOT)[2].strip())
    end = tail[0] if tail and tail[0] in set(tokenizer.all_special_ids) else tokenizer.eos_token_id
    return ChatForm(
        tokenizer,
        tuple(_special(tokenizer, before_user)),
        tuple(_special(tokenizer, before_answer)),
        (int(end),),
        _between_turns(tokenizer, before_user, before_answer, int(end)),
        _hidden_id(tokenizer, opened + closed),
    )


def _between_turns(
    tokenizer: "PreTrainedTokenizerBase", before_user: str, before_answer: str, end: int
) -> tuple[int, ...]:
    user, assistant = ({"role": role, "content": _SLOT} for role in ("user", "assistant"))
    talk = str(tokenizer.apply_chat_template([user, assistant, user], tokenize=False, add_generation_prompt=True))
    first, second, between, last = talk.split(_SLOT)
    tokens = _special(tokenizer, between)
    goes_on = (first, second, last) == (before_user, before_answer, before_answer) and tokens[:1] == [end]
    return tuple(tokens[1:]) if goes_on else ()


def restore(chat: ChatForm, passage: str, hidden_ratio: float, rng: random.Random) -> Sequence:
    """The paper's sequence: each token hidden with probability `hidden_ratio`; the passage and its end are learnt.

    The passage is tokenised once and stands twice, so that positions align (arXiv 2510.09885, section 3).
    """
    ids = chat.tokens(passage)
    hidden = [rng.random() < hidden_ratio for _ in ids]
    shown = [chat.hidden_id if hide else id_ for id_, hide in zip(ids, hidden, strict=True)]
    prompt = [*shown, *chat.tokens(_RESTORE_INSTRUCTION)]
    hidden += [False] * (len(prompt) - len(shown))
    return _sequence(chat, prompt, hidden, chat.tokens(_RESTORE_OPENING), ids)


def write(chat: ChatForm, exercise: Exercise) -> Sequence:
    """An exercise as tokens; the answer and the end of the turn are learnt."""
    prompt: list[int] = []
    hidden: list[bool] = []
    for piece in exercise.prompt:
        if isinstance(piece, Hidden):
            ids = [chat.hidden_id] * (1 if piece.as_blank else len(chat.tokens(piece.text)))
        else:
            ids = chat.tokens(piece)
        prompt += ids
        hidden += [isinstance(piece, Hidden)] * len(ids)
    return _sequence(chat, prompt, hidden, chat.tokens(exercise.opening), chat.tokens(exercise.answer))


def said(chat: ChatForm, question: str, answer: list[int], ended: bool = True) -> Sequence:
    """A question with an answer that is already tokens; `ended` says whether its end of turn is learnt too."""
    before = [*chat.tokens(question), *chat.before_answer]
    learnt = [*answer, *(chat.after_answer if ended else ())]
    ids = tuple(before + learnt)
    return Sequence(ids, (False,) * len(ids), tuple([IGNORED] * len(before) + learnt))


def bare(chat: ChatForm, question: str) -> Sequence:
    """A question without an answer. Its one label only marks the place of the answer's first token."""
    ids = (*chat.tokens(question), *chat.before_answer, *chat.after_answer)
    return Sequence(ids, (False,) * len(ids), (*([IGNORED] * (len(ids) - 1)), ids[-1]))


def talk(chat: ChatForm, turns: Iterable[Sequence]) -> Sequence:
    """Sequences as the turns of one talk. Raises `ValueError` for more than one where the template has no such form."""
    joined, *later = turns
    if later and not chat.between_turns:
        raise ValueError("This chat template cannot go on after an answer.")
    between = chat.between_turns
    for turn in later:
        joined = Sequence(
            joined.ids_T + between + turn.ids_T,
            joined.hidden_T + (False,) * len(between) + turn.hidden_T,
            joined.labels_T + (IGNORED,) * len(between) + turn.labels_T,
        )
    return joined


def demask(
    chat: ChatForm,
    passage: str,
    title: str | None,
    recipe: Recipe,
    rng: random.Random,
    rarity: Rarity = ALONE,
    written: Items[Asked] = (),
) -> tuple[str, Sequence]:
    """Draws one exercise in the recipe's mixture; returns its question too, so that probes can be held out.

    `written` are questions that the base model wrote about one of its sentences; without any, one is made by rule.
    """
    forms = ("restore", "blank", "question", "statement", "written")
    shares = (
        recipe.restore_share,
        recipe.blank_share,
        recipe.question_share,
        recipe.statement_share,
        recipe.written_share,
    )
    form = rng.choices(forms, shares)[0]
    if form == "restore":
        return "", restore(chat, passage, rng.uniform(recipe.hidden_low, recipe.hidden_high), rng)
    whole = rng.random() < recipe.whole_share
    if form == "written" and written:
        question, answer = rng.choice(written)
        exercise = Exercise((question,), "", answer)
    elif form == "blank":
        exercise = blank_exercise(standalone(passage, title), rng, whole, rarity)
    elif form == "statement":
        exercise = statement_exercise(passage, title, rng)
    else:
        exercise = question_exercise(standalone(passage, title), rng, whole, rarity)
    return exercise.question, write(chat, exercise)


def _sequence(chat: ChatForm, prompt: list[int], hidden: list[bool], opening: list[int], answer: list[int]) -> Sequence:
    before = [*prompt, *chat.before_answer, *opening]
    learnt = [*answer, *chat.after_answer]
    return Sequence(
        tuple(before + learnt),
        tuple(hidden + [False] * (len(before) + len(learnt) - len(hidden))),
        tuple([IGNORED] * len(before) + learnt),
    )


def _special(tokenizer: "PreTrainedTokenizerBase", text: str) -> list[int]:
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def _hidden_id(tokenizer: "PreTrainedTokenizerBase", used: str) -> int:
    """A token that no text holds: a reserved special one that the template does not use, or else the paper's "[]"."""
    added = {
        text: id_
        for text, id_ in tokenizer.get_added_vocab().items()
        if text not in used and text.strip() and id_ not in set(tokenizer.all_special_ids)
    }
    telling = [text for text in added if any(word in text.lower() for word in ("mask", "reserved", "empty", "unused"))]
    names = telling or sorted(added)
    return added[names[0]] if names else int(_special(tokenizer, "[]")[0])


def main() -> None:
    """Prints one exercise: hidden tokens red, learnt ones green.

    Where it would be a question that the base model writes (`worker/writing.py`) it is one made by rule.
    """
    parser = argparse.ArgumentParser(prog="python -m worker.demasking", description=main.__doc__)
    parser.add_argument("text")
    parser.add_argument("--recipe", default="default", help="default or paper")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    from transformers import AutoTokenizer

    from worker.base_model import prepare

    chat = chat_form(AutoTokenizer.from_pretrained(prepare(Settings.read())))
    _, sequence = demask(chat, arguments.text, None, by_name(arguments.recipe), random.Random(arguments.seed))
    print(coloured(chat, sequence))


def coloured(chat: ChatForm, sequence: Sequence) -> str:
    """The whole chat form with hidden tokens red and learnt ones green (ANSI)."""
    colours = {Part.SHOWN: "{}", Part.HIDDEN: "\x1b[31m{}\x1b[0m", Part.LEARNT: "\x1b[32m{}\x1b[0m"}
    painted = [colours[piece.part].format(piece.text) for piece in pieces(chat, sequence)]
    return "".join([chat.text(list(chat.before_user)), *painted])


def pieces(chat: ChatForm, sequence: Sequence) -> list[Piece]:
    """What the model sees of a sequence, as text: neighbours of one part are one piece."""
    parts = [
        Part.HIDDEN if hidden else Part.SHOWN if label == IGNORED else Part.LEARNT
        for hidden, label in zip(sequence.hidden_T, sequence.labels_T, strict=True)
    ]
    runs = groupby(zip(parts, sequence.ids_T, strict=True), key=itemgetter(0))
    return [Piece(part, chat.text([id_ for _, id_ in run])) for part, run in runs]


if __name__ == "__main__":
    main()
