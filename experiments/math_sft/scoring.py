"""Whether an answer to a problem is right: by its last line as it was taught, and by the last number that it names.

The rules for numbers are those of lm-evaluation-harness's task gsm8k: `strict` takes what follows the first "#### ",
`flexible` the last number of all; commas, dollar signs and a full stop at the end do not count. Answers to MATH are
compared by the content of their last box, spelt in one way.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

STARTS_ANEW = "Question:"
"""Where a model that was not taught to end its turn goes on to a question of its own; the harness stops there too."""

_MARKED = re.compile(r"#### (-?\$?\d[\d,.]*)")
_NUMBER = re.compile(r"-?\$?\d[\d,]*(?:\.\d+)?")
_BOX = re.compile(r"\\(?:boxed|fbox)(?![a-zA-Z])\s*")
_SPELLINGS = [
    (re.compile(pattern), written)
    for pattern, written in (
        (r",\\!|\{,\}", ""),
        (r"\\(?:left|right|displaystyle)(?![a-zA-Z])|\\[!,;: ]|~", ""),
        (r"\^\{?\\circ\}?|\\?[%$]", ""),
        (r"\\[dt]frac", r"\\frac"),
        (r"\s*\\(?:text|mbox)\{\s+[^{}]*\}\s*$", ""),
        (r"\\(?:text|mbox|textbf|mathrm)\{([^{}]*)\}", r"\1"),
        (r"\s+", ""),
        (r"\.$", ""),
        (r"^[a-zA-Z]=", ""),
        (r"\\frac(\w)", r"\\frac{\1}"),
        (r"(\\frac\{[^{}]*\})(\w)", r"\1{\2}"),
        (r"\\sqrt(\w)", r"\\sqrt{\1}"),
        (r"^(-?)(\d+)/(\d+)$", r"\1\\frac{\2}{\3}"),
        (r"(?<!\d)\.(\d)", r"0.\1"),
    )
]


@dataclass(frozen=True)
class Verdict:
    """Whether an answer is right, by the strict and by the flexible rule."""

    strict: bool
    flexible: bool


def judge(wanted: str, answer: str, is_formula: bool) -> Verdict:
    """Judges an answer to a problem whose final answer is `wanted`: a number, or a formula as MATH's.

    A formula is right strictly in a box alone, and flexibly as the last number of an answer without one, too.
    """
    answer = answer.split(STARTS_ANEW)[0]
    number = last_number(answer)
    if not is_formula:
        return Verdict(_same(marked_number(answer), wanted, plain), _same(number, wanted, plain))
    box = boxed(answer)
    return Verdict(_same(box, wanted, spelt), _same(number if box is None else box, wanted, spelt))


def marked_number(answer: str) -> str | None:
    """What follows the first "#### ", if that is a number."""
    found = _MARKED.search(answer)
    return found[1] if found else None


def last_number(answer: str) -> str | None:
    """The last number of a text."""
    found = _NUMBER.findall(answer)
    return found[-1] if found else None


def boxed(text: str) -> str | None:
    r"""Content of a text's last `\boxed{…}`, inner braces included; that of `\boxed 5` goes to its formula's end."""
    opened = list(_BOX.finditer(text))
    if not opened:
        return None
    rest = text[opened[-1].end() :]
    if not rest.startswith("{"):
        return rest.split("$")[0].strip() or None
    depth = 0
    for place, sign in enumerate(rest):
        depth += {"{": 1, "}": -1}.get(sign, 0)
        if depth == 0:
            return rest[1:place]
    return None


def plain(number: str) -> str:
    """A number without commas, dollar signs and a full stop behind it."""
    return number.replace(",", "").replace("$", "").removesuffix(".")


def spelt(formula: str) -> str:
    """A formula in one spelling: no spaces, sizes, units, degrees or percent signs; fractions and roots with braces."""
    for pattern, written in _SPELLINGS:
        formula = pattern.sub(written, formula)
    return formula


def _same(given: str | None, wanted: str, spelling: Callable[[str], str]) -> bool:
    return given is not None and spelling(given) == spelling(wanted)
