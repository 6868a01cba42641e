"""Sentences taken apart by rule: subject, verb, complement. No model, no word lists of any data set.

Probes and training questions both need to know where the subject of a plain statement ends. English statements with
one clear verb are parsed; anything else (other languages, lists, code, questions) gives `None`, and callers fall back
to cutting the text by words. A wrong cut costs an awkward question, never a wrong fact: the pieces are always
verbatim pieces of the sentence.
"""

import re
from dataclasses import dataclass, replace
from functools import lru_cache

COPULAS = frozenset({"is", "are", "was", "were"})
_BEFORE_A_PARTICIPLE = COPULAS | {"has", "have", "had"}
_BEFORE_NT = "is are was were has have had would could must should does do did wo ca".split()
_DENYING = frozenset(f"{word}n{mark}t" for word in _BEFORE_NT for mark in "'’")
_MODALS = frozenset("will can could must may might should would shall does do did cannot".split())
AUXILIARIES = _BEFORE_A_PARTICIPLE | _DENYING | _MODALS
DENIAL = re.compile(r"\b(?:not|never|cannot|no longer|\w+n['’]t)\b")
"""Words that turn a statement into its opposite: pieces of it say what is not so."""

# The commonest English verbs as they stand in statements: present and past, third person. Irregular pasts cannot be
# recognised by their ending; regular ones listed here need no second look at their neighbours.
_VERBS = frozenset(
    """
    became becomes began begins belongs belonged bought brings brought builds built buys calls came carries chose
    closes comes consists contains contained costs cost covers created creates designed directed discovered died
    earns ends expires featured flew flies found founded gave gets gives goes grew grows grants guards happens heads
    held helps hosts includes invented keeps kept knew knows lasts launched lays leads leaves led left lets lies lived
    lives located lost made makes manages married means meets met moved needs offers opened opens operates owns owned
    paid paints painted pays plays played produces produced provides published ran reached receives refers replaced
    replaces requires reports runs said sang sells sent serves served sets shares shows sits sold speaks spent spoke
    stands starts stood stands stays stores studied takes taught teaches tells took trades uses used visits wants
    weighs went wears won works worked writes wrote
    studies employs delivers supports attracts connects protects measures collects supplies imports exports prevents
    cures treats breeds trains publishes edits prints arrives departs applies depends remains appears allows enables
    accepts achieves adds adopts advises announces approves assigns beat cancels combines composes conducts converts
    defends defines determines develops discovers distributes drew drove eliminates encourages ensures establishes
    examines exceeds excludes exists expects explains explores extends fell finds follows forbids generates governs
    identifies improves indicates inspects introduces invests joins kills lacks learns loses lowers maintains obtains
    occupies occurs organises organizes performs prefers prepares preserves proposes proves reads recommends reduces
    rejects relies removes represents resides resolves restricts retires reveals rose says secures seeks selects
    separates solves specialises specializes submits succeeds suffers suggests translates understands verifies
    acquires breaks calculates carries catches celebrates compares computes contributes decides deletes deploys detects
    eats emits encrypts enforces exposes fetches forwards freezes handles hides hires ignores installs invites obeys
    parses powers refreshes renders renews restores retrieves saves sends skips sleeps splits swims throws validates
    welcomes
    """.split()
)
VERBS = AUXILIARIES | _VERBS
"""Words that can only, or mostly, be a finite verb."""

# As they stand after a plural: "Refunds take nine days."
_PLURAL_VERBS = frozenset(
    """
    apply arrive become begin belong bring build close come consist contain cost depart depend eat employ expire get
    give go grow have hold include keep know last leave live make meet move need offer open pay produce provide reach
    receive refer remain require run sell serve speak stand start study supply take treat wear win work write
    accept add allow appear connect create deliver exist find follow join learn occur perform prevent protect reduce
    replace submit teach
    """.split()
)
_PLURAL_VERBS_OR_NOUNS = frozenset("cause cover help report return support use".split())
_DETERMINERS = frozenset(
    """
    a an the this that these those its his her their our my your each every all any no
    """.split()
)
PREPOSITIONS = frozenset(
    """
    of in on at by for from to with without into onto over under near about after before between behind beyond
    during since until through against among across along around above below as than per within
    """.split()
)
_PASSING = frozenset({"now", "also", "still", "then", "later", "soon"})
_ADVERBS = _PASSING | {"first", "once", "never", "always", "often", "seldom", "almost", "not"}
_NOUNS_IN_LY = frozenset(
    """
    ally anomaly assembly belly bully butterfly daily doily dragonfly elderly family firefly folly gully holly homily
    jelly lily monopoly monthly panoply quarterly rally reply supply tally weekly
    """.split()
)
_VERBS_IN_ERS = frozenset(
    """
    anchors answers comments considers differs documents enters functions implements mentions mirrors monitors orders
    powers questions registers remembers supplements renders sponsors surrenders transfers triggers wonders
    """.split()
)
_DEGREES = frozenset({"very", "quite", "rather", "most", "more", "less", "least", "too", "so"})
_RELATIVES = frozenset({"that", "which", "who", "whom", "whose", "where", "when"})
_CONJUNCTIONS = frozenset({"and", "or", "but", "nor"})
_ORDERS = frozenset(
    """
    add ask book call cancel change check choose click close contact copy delete deploy disable drain email enable enter
    escalate file hold inform install let log notify order page ping plug press pull push put read reboot record remove
    replace reset restart revoke ring rotate run scan select send set sign stop submit switch tap tell throw turn type
    undo unplug update upgrade use wait write
    """.split()
)
"""Verbs that instructions begin with: "press both keys"."""
_PRONOUNS = frozenset(
    """
    i you he she it we they this that these those there here who what which his her its their
    """.split()
)
FUNCTION_WORDS = _DETERMINERS | PREPOSITIONS | _RELATIVES | _CONJUNCTIONS | _PRONOUNS
"""Words that name nothing by themselves."""

_OPENERS = frozenset(
    """
    in on at since after before during from by under until within as for with
    """.split()
)
_ABBREVIATIONS = frozenset(
    """
    dr mr mrs ms st prof sr jr vs no inc ltd co corp e.g i.e etc approx dept mt ft
    """.split()
)
PARTICIPLE = r"(?:Known|Born|Built|Made|Held|Won|Sold|[A-Z][a-z]+(?:ed|ing))"
"""A sentence's first word that seems to be one: "Known for …", "Founded in …", "Working at …"."""

PASSIVE = (
    r"\w+ed|born|made|built|held|sold|led|run|won|found|kept|written|sung|drawn|given|taken|shown|chosen|brought|taught|sent"
    r"|told|paid|laid|set|cut|shot|driven|grown|thrown|worn|begun|seen|spoken|stolen|struck|spent"
)
"""A participle behind "is" or "was"."""

_AT = "in|at|on|by|as"
SMALL_WORDS = frozenset({*_AT.split("|"), "the", "a", "an"})
"""Before a name these only say where it belongs; "without", "before" or "until" say more."""

LED_UP_TO = re.compile(
    rf"(?:best |well |widely )?(?:known|{PASSIVE})\s(?:\S+\s){{0,5}}?(?:being|as)\s+(?=\S)", re.IGNORECASE
)
"""What may stand before a description: "known far and wide for being the …", "regarded as the …"."""

_VERBS_OR_NOUNS = frozenset(
    """
    buys costs covers exports features flies grants guards heads helps hosts imports leads leaves lies means needs
    offers pays plays prints reports runs sets shares shows sits stands starts stores studies supplies supports takes
    trades trains uses visits wins works
    """.split()
)
_OBJECT = r"(?:the|an?|its|his|her|their|it)\b|[^\W_a-z]"
NEXT_VERB = (
    rf",?\s(?:and|but)\s(?=(?:{'|'.join(sorted(AUXILIARIES))})\s"
    rf"|(?:{'|'.join(sorted(_VERBS - _VERBS_OR_NOUNS))})\s(?!of\s)"
    rf"|(?:{'|'.join(sorted(_VERBS_OR_NOUNS))})\s(?:{_OBJECT}|(?:at|for|from|in|on|to|until|within)\s\d)"
    rf"|[a-z]{{3,}}ed\s(?:{_OBJECT}|(?:{'|'.join(sorted(PREPOSITIONS - {'of'}))})\s))"
)
"""Before the next verb of the same subject: at "and makes oil", not in "bread and roasted nuts", "books and works"."""

NEXT_CLAUSE = rf"\s(?:which|who|while|whilst|because)\s|{NEXT_VERB}"
"""Where a complement ends and more is told, but for commas: at "and built", not in "far and wide"."""

_RELATIVE = re.compile(r"(.*[^\W\d_a-z][\w'’-]*), (?:who|which) (?=\S+\s)")
"""A name, and more told of it: "Ada Quill, who built the mill"."""

ASIDE = re.compile(
    r"([^,]+), (?!(?:except|excluding|unlike|but|not|apart|besides|other)\b)([^,]+), "
    rf"(?=(?:{'|'.join(sorted(VERBS))})\s)"
)
"""What stands between commas before the verb, unless it takes something away from the subject."""

MOST_WORDS = 16
"""Of a piece, where a sentence has shorter ones: nobody answers with half of a long sentence."""

_TOPIC = re.compile(r"([\"“«]?[^\W\d_a-z][^:\n(]*): (?=[^\W\d_a-z])")
"""What a sentence is about, before it, as `standalone` writes it."""

MOST_COLONS = 8

CASE = re.compile(
    r"(?P<case>(?:If|When|Whenever|Unless|As soon as|Once|Before|After|While|Until|To(?= [a-z])) [^,]+), "
    r"(?P<then>[^,\s].*)"
)
"""A sentence that begins with what for, or in which case, what follows is done or holds."""

SURELY_A_CASE = re.compile(r"(?:if|when|whenever|unless|as soon as)\s", re.IGNORECASE)
"""Behind the others there may be a mere time: "After the war, Ada lived in Wend", "To date, …"."""

_BARE_VERBS = sorted(_ORDERS | _PLURAL_VERBS | _PLURAL_VERBS_OR_NOUNS)
ORDER_VERB = rf"(?:{'|'.join(f'[{verb[0].upper()}{verb[0]}]{verb[1:]}' for verb in _BARE_VERBS)})"
_AIMS = sorted({*_BARE_VERBS, *"avoid be ensure fix improve increase save see".split()})
ORDER = re.compile(
    rf"(?P<then>(?:(?:Please|Always|Never|Do not|Don['’]t) )?{ORDER_VERB} .+?),? "
    rf"(?P<case>(?:only )?(?:(?:if|when|whenever|unless|before|after|as soon as) .+|to (?:{'|'.join(_AIMS)}) .+))"
)
"""An instruction with its case behind it: "Call Ada Quill if the lamp blinks"."""

_COMPANY_ENDINGS = frozenset({"inc", "ltd", "co", "corp", "jr", "sr", "etc"})

_QUOTES = {'"': '"', "“": "”", "‘": "’", "«": "»", "(": ")"}


@dataclass(frozen=True)
class Clause:
    """A statement as subject, verb group and complement; `opening` is an adverbial that stood before a comma."""

    subject: str
    verb: str
    complement: str
    opening: str

    @property
    def predicate(self) -> str:
        """Everything but the subject, in the sentence's words."""
        predicate = f"{self.verb} {self.complement}"
        return f"{predicate} {self.opening[0].lower()}{self.opening[1:]}" if self.opening else predicate

    @property
    def core(self) -> str:
        """The complement without a leading participle and prepositions: "made by Wend Ltd" → "Wend Ltd".

        Without what is told behind it, of the same subject or of a name (`knowledge.statements` has most of that).
        """
        return _core(_point(self.complement), rf"(?=[a-z])(?:{PASSIVE})")

    @property
    def gist(self) -> str:
        """The complement as people answer with it: "written by Bo" → "Bo", "known as the smith" → "the smith".

        Words that change what is said stay ("made without sugar", "before noon"), all of them behind a negation. A
        description that is led up to stays whole, as in `description`; of others, what comes before the next verb, and
        of long ones what comes before more is told.
        """
        if self.denied:
            return self.complement
        told = re.sub(rf"^(?:(?:{PASSIVE})\s+(?=(?:{_AT})\s))?(?:(?:{_AT})\s+)?(?=\S)", "", self.complement)
        told = told if not re.match("(?:most|least) ", told) else self.complement
        told = re.sub(r"^(?:called|named|titled)\s+(?=\S)", "", told) if self.verb in COPULAS else told
        if led := LED_UP_TO.match(told):
            return told[led.end() :]
        told = _point(told)
        if len(told.split()) <= MOST_WORDS:
            return told
        first = re.split(rf",\s|{NEXT_CLAUSE}", told)[0]
        return first if " " in first else told

    @property
    def description(self) -> str:
        """What a leading participle says of the subject: "Known for being the smith, Ada …" → "the smith"; or empty."""
        return _core(self.opening, PARTICIPLE) if re.match(rf"{PARTICIPLE}\s", self.opening) else ""

    @property
    def denied(self) -> bool:
        """Whether the verb says that it is not so: "was not", "no longer flies"."""
        return DENIAL.search(self.verb) is not None

    @property
    def plural(self) -> bool:
        """Whether the verb's form belongs to several: "are", "need"."""
        first = self.verb.split()[0]
        return first in {"are", "were", "have", "do"} | _PLURAL_VERBS | _PLURAL_VERBS_OR_NOUNS

    @property
    def copula(self) -> bool:
        """Whether the statement says what the subject *is*: "X is the director of Y", not "X is opened by Y"."""
        first = self.complement.split()[0].lower().rstrip(",")
        return self.verb in COPULAS and not re.fullmatch(PASSIVE, first)

    @property
    def pronoun(self) -> bool:
        """Whether the subject cannot be understood without an earlier sentence."""
        words = self.subject.lower().split()
        return words[0] in {"his", "her", "its", "their"} or (len(words) == 1 and words[0] in _PRONOUNS)


def _point(complement: str) -> str:
    """What stands before the next verb of the same subject, and before a relative clause about a name."""
    told = re.split(NEXT_VERB, complement)[0]
    return told[: found.end(1)] if (found := _RELATIVE.match(told)) else told


def _core(phrase: str, participle: str) -> str:
    if led := LED_UP_TO.match(phrase):
        return phrase[led.end() :]
    words = phrase.split()
    if re.fullmatch(participle, words[0]):
        words = words[1:]
    while words and words[0].lower() in PREPOSITIONS and words[1:2] not in (["most"], ["least"]):
        words = words[1:]
    return " ".join(words) or phrase


def sentences(text: str) -> list[str]:
    """Cuts running text at sentence ends, line breaks and semicolons between statements.

    Initials and common abbreviations do not end a sentence.
    """
    found: list[str] = []
    for line in re.split(r"\s*\n\s*", text.strip()):
        start = 0
        for end in re.finditer(r"[.!?。！？]+[\"'”’)\]]*(?=\s)|[。！？]+", line):
            before = line[start : end.start()].split()
            last = before[-1].strip("(\"'“") if before else ""
            if line[end.start()] == "." and _abbreviated(last, line[end.end() :].lstrip()):
                continue
            found.append(line[start : end.end()].strip())
            start = end.end()
        found.append(line[start:].strip())
    parts = [part for sentence in found for part in _at_semicolons(sentence)]
    return [part for part in parts if any(character.isalnum() for character in part)]


def _at_semicolons(sentence: str) -> list[str]:
    """The parts of a sentence, where each is a statement; a list of names stays whole."""
    *before, last = re.split(r";\s+", sentence)
    return [*(f"{part}." for part in before), last] if before and all(map(clause, [*before, last])) else [sentence]


@lru_cache(maxsize=10_000)
def standalone(text: str, title: str | None = None) -> tuple[str, ...]:
    """The sentences of a passage, each with its topic: what is asked about one must not hang on the others.

    The topic is the title, or else the first sentence's subject. A sentence that does not name it is put behind it
    ("The Tolvik Fair: It opens in May."), and "its" becomes the topic's. A last name becomes the whole one. He and she
    become the topic's name only where nobody else can be meant: the topic looks like a person's name and the sentence
    before names no other. Never empty for a text with a word in it.
    """
    pieces = sentences(text) or [text.strip()]
    topic = title or _topic(pieces[0])
    if topic is None or len(pieces) == 1:
        return tuple(pieces)
    found: list[str] = []
    for place, piece in enumerate(pieces):
        if bare(topic).casefold() in piece.casefold():
            found.append(piece)
        elif PERSON.fullmatch(topic) and piece.startswith(f"{topic.split()[-1]} "):
            found.append(f"{topic} {piece.partition(' ')[2]}")
        elif own := re.match(r"[Ii]ts\s+(?=[a-z])", piece):
            owner = f"{topic}'" if topic.endswith("s") else f"{topic}'s"
            found.append(f"{owner} {piece[own.end() :]}")
        elif place and PERSON.fullmatch(topic) and not _other_person(pieces[place - 1], topic):
            found.append(_named(piece, topic))
        else:
            found.append(f"{topic}: {piece}")
    return tuple(found)


def _topic(sentence: str) -> str | None:
    """The subject of a plain statement, without what stands in brackets; of "Ada's birthday", Ada.

    None where it is a pronoun or longer than eight words.
    """
    found = clause(sentence)
    if found is None or found.pronoun:
        return None
    if owner := re.match(rf"({PERSON.pattern}?)['’]s?\s+[a-z]", found.subject):
        return owner[1]
    subject = re.sub(r",\s+[a-z].*|\s+\(.*", "", found.subject)
    return subject[0].upper() + subject[1:] if len(subject.split()) <= 8 else None


PERSON = re.compile(r"[^\W\d_a-z][\w'’-]+(?:\s+[^\W\d_a-z][\w'’.-]*){1,3}")


def _other_person(sentence: str, topic: str) -> bool:
    """Whether the sentence holds what may be another person's name: capitalised words, not after "in", "at", "from"."""
    rest = re.sub(rf"\b(?:in|at|from)\s+(?:\w+\s+of\s+)?{PERSON.pattern}", "", sentence.replace(topic, ""))
    return PERSON.search(rest) is not None


def _named(sentence: str, topic: str) -> str:
    """The sentence with the name in the place of a leading he, she, his or her."""
    first, _, rest = sentence.partition(" ")
    if first in {"He", "She"}:
        return f"{topic} {rest}"
    if first in {"His", "Her"} and rest[:1].islower():
        return f"{topic}'s {rest}"
    return f"{topic}: {sentence}"


def _abbreviated(word: str, following: str) -> bool:
    """Whether a full stop after the word only shortens it: "Dr.", "J.", "U.S." unless a sentence seems to begin."""
    next_word = following.split()[0].lower().strip(",") if following else ""
    starters = _DETERMINERS | _PRONOUNS | PREPOSITIONS | _OPENERS
    begins = not following or (next_word in starters and following[0].isupper())
    if re.fullmatch(r"[^\W\d_](?:\.[^\W\d_])*", word):
        return len(word) == 1 or not begins
    if word.isupper() or word.lower() not in _ABBREVIATIONS:
        return False
    return word.lower() not in _COMPANY_ENDINGS or not begins


def topic(sentence: str) -> re.Match[str] | None:
    """What stands before a colon and is no statement: not of "The group has three: Ada, Bo and Cy".

    None of a text with more colons than anybody writes in a sentence.
    """
    found = _TOPIC.match(sentence) if sentence.count(": ") <= MOST_COLONS else None
    return found if found and clause(found[1]) is None else None


def clause(sentence: str) -> Clause | None:
    """Takes one statement apart, or gives `None` where the rules see no clear subject and verb or apposition."""
    body = sentence.strip().rstrip(".!。 ")
    if body.endswith("?") or "\n" in body:
        return None
    if found := topic(body):
        return _about(found[1], body[found.end() :])
    if parsed := _after_participle(body):
        return parsed
    if case := CASE.fullmatch(body):
        if is_order(case["then"]):
            return None
        if SURELY_A_CASE.match(body) or body.startswith("To "):
            then = clause(case["then"])
            return replace(then, opening=case["case"]) if then and not then.opening else None
    if (order := ORDER.fullmatch(body)) and clause(order["then"]) is None:
        return None
    opening, body = _opening(body)
    body = _without_aside(body)
    words = [(match.group(), match.start(), match.end()) for match in re.finditer(r"\S+", body)]
    place = _verb_place([word for word, _, _ in words], inside_quotes(body, [start for _, start, _ in words]))
    if place is None:
        return _apposition(body, opening)
    last = _verb_end([word for word, _, _ in words], place)
    if last + 1 >= len(words):
        return None
    subject, complement = body[: words[place][1]].strip(" ,"), body[words[last][2] :].strip()
    adverb = _adverb(subject)
    subject = re.sub(r"(?<=\S)\s+\([^()]*\)$", "", subject.removesuffix(adverb).rstrip())
    begins = words[place if adverb in _PASSING else place - len(adverb.split())][1]  # "never" belongs to the verb
    if not any(map(str.isalnum, subject)) or not any(map(str.isalnum, complement)):
        return None
    return Clause(subject, body[begins : words[last][2]], complement, opening)


def is_order(said: str) -> bool:
    """Whether the words tell somebody to do something: "press both keys", "do not open the lid"."""
    words = re.sub(r"^(?:please|always|never|immediately|first|do not|don['’]t)\s(?=\S+\s)", "", said).split()
    if not words[0].islower() or len(words) < 2 or words[0] in FUNCTION_WORDS:
        return False
    if words[0] in _ORDERS | _PLURAL_VERBS | _PLURAL_VERBS_OR_NOUNS:
        return words[1] not in AUXILIARIES
    return _verb_place(words, [False] * len(words)) is None


def _without_aside(body: str) -> str:
    """Without what stands between commas before the verb, unless that takes something away from the subject.

    "The Wend Cup, also called the Bowl, was …", but "The mills, except Orrin's, are …" stays.
    """
    found = ASIDE.match(body)
    return f"{found[1]} {body[found.end() :]}" if found else body


def _adverb(subject: str) -> str:
    """The adverb that stands between a subject and its verb: of "Ada Quill never" "never"; or empty."""
    if subject.endswith(" no longer"):
        return "no longer"
    before, _, last = subject.rpartition(" ")
    *earlier, noun = before.split() or [""]
    is_subject = noun.lower() not in _DETERMINERS and (noun[:1].isupper() or (earlier and noun not in _DEGREES))
    is_adverb = last in _ADVERBS or (re.fullmatch(r"[a-z]{3,}ly", last) and last not in _NOUNS_IN_LY)
    return last if is_subject and is_adverb else ""


def _about(topic: str, rest: str) -> Clause | None:
    """What is said behind a topic: of the topic where the subject is a pronoun, else of the subject itself.

    One that begins with an article stays with its topic: "the winner" alone could be anybody's.
    """
    opening = ""
    if led := re.match(rf"({PARTICIPLE}\s[^,]+),\s+(?=(?:it|he|she|they)\s)", rest):
        opening, rest = led[1], rest[led.end()].upper() + rest[led.end() + 1 :]
    parsed = clause(rest)
    if parsed is None:
        return None
    if parsed.pronoun:
        return replace(parsed, subject=topic, opening=opening or parsed.opening)
    alone = parsed.opening or parsed.subject.split()[0].lower() not in _DETERMINERS
    return parsed if alone else replace(parsed, subject=f"{topic}: {parsed.subject}")


def _apposition(body: str, opening: str) -> Clause | None:
    """A name and, after a comma, what it is: "Ada Quill, the smith of Orrin". Read as if "is" stood between them."""
    found = re.fullmatch(r"((?:The\s+)?[^\W\d_a-z][\w'’.-]*(?:\s+[^\W\d_a-z][\w'’.-]*){0,5}),\s+([a-z][^,]*\s.+)", body)
    if found is None or opening or found[2].split()[0] in _CONJUNCTIONS | PREPOSITIONS:
        return None
    return Clause(found[1], "is", found[2], "")


def bare(phrase: str) -> str:
    """A noun phrase without its article: "The Corvo 3" → "Corvo 3"."""
    return re.sub(r"^(?:the|a|an)\s+(?=\S)", "", phrase, flags=re.IGNORECASE)


def lower_article(phrase: str) -> str:
    """A phrase as it stands inside a sentence: "The Corvo 3" → "the Corvo 3"; names stay as they are."""
    first, _, rest = phrase.partition(" ")
    return f"{first.lower()} {rest}" if rest and first.lower() in _DETERMINERS | _OPENERS else phrase


def _opening(body: str) -> tuple[str, str]:
    first, comma, rest = body.partition(", ")
    if comma and first.strip() and first.split()[0].lower() in _OPENERS and len(first.split()) <= 8 and rest:
        return first, rest
    return "", body


def _after_participle(body: str) -> Clause | None:
    """What follows the last comma that leaves a statement: "Known for her maps, Ada Quill lives in Wend"."""
    if not re.match(rf"{PARTICIPLE}\s", body):
        return None
    for comma in reversed(list(re.finditer(r",\s+(?=[^\W\d_a-z])", body))):
        opening, rest = body[: comma.start()], body[comma.end() :]
        if not any(inside_quotes(body, [comma.start()])) and (parsed := clause(rest)) and not parsed.opening:
            return replace(parsed, opening=opening)
    return None


def inside_quotes(body: str, starts: list[int]) -> list[bool]:
    """Whether each word stands inside quotation marks or brackets, where verbs belong to titles."""
    inside = [False] * len(body)
    place = 0
    while place < len(body):
        closing = _QUOTES.get(body[place])
        end = body.find(closing, place + 1) if closing else -1
        if end > 0:
            inside[place : end + 1] = [True] * (end + 1 - place)
            place = end
        place += 1
    return [inside[start] for start in starts]


def _verb_place(words: list[str], quoted: list[bool]) -> int | None:
    relative = 0
    for place, word in enumerate(words):
        if quoted[place]:
            continue
        if place and word in _RELATIVES:
            relative += 1
        verb = place > 0 and word.islower() and _is_verb(words, place)
        if verb and relative:
            relative -= 1  # the verb of the relative clause: "The firm that makes X | is Y"
        elif verb and words[place - 1].lower() not in _DETERMINERS | PREPOSITIONS | _CONJUNCTIONS:
            return place if word in _SURE_VERBS else _surer_verb(words, place, quoted) or place
    return next((place for place in range(2, len(words) - 1) if _follows_a_name(words, place, quoted)), None)


def _surer_verb(words: list[str], guessed: int, quoted: list[bool]) -> int | None:
    """A known verb behind a guessed one that may be a noun: of "Call centres in Wend are open" "are"."""
    for place in range(guessed + 2, len(words) - 1):
        word = words[place]
        if word in _CONJUNCTIONS | _RELATIVES or words[place - 1].endswith((",", ";", ":")) or quoted[place]:
            return None
        if word in COPULAS and words[guessed + 1] in PREPOSITIONS and words[guessed].endswith("s"):
            return place
    return None


def _follows_a_name(words: list[str], place: int, quoted: list[bool]) -> bool:
    """Whether a word looks like the verb where no surer one stands: "Version 4.2 of Quillfish drops support for …"."""
    before, word, after = words[place - 1 : place + 2]
    if any(quoted[place - 1 : place + 1]) or after.lower() in {"of", "and", "or"} or before.lower() in FUNCTION_WORDS:
        return False
    verb = re.fullmatch(r"[a-z]{3,}[^su\W]s", word) is not None and not _is_plural_noun(word)
    return verb and re.match(r"[^\W_a-z]", before) is not None


def _is_verb(words: list[str], place: int) -> bool:
    ambiguous = (
        words[place] in _PLURAL_VERBS_OR_NOUNS and words[place + 1 : place + 2] and words[place + 1] in _DETERMINERS
    )
    if words[place] in _PLURAL_VERBS or ambiguous:
        return any(re.search(r"[^su'’]s$|ies$|^people$|^and$", word.lower()) for word in words[:place])
    return words[place] in AUXILIARIES | _VERBS or _looks_finite(words, place)


_SURE_VERBS = AUXILIARIES | _VERBS | _PLURAL_VERBS


def _looks_finite(words: list[str], place: int) -> bool:
    """A regular verb by its ending, when what follows can start a complement and what stands before is no article."""
    word, before = words[place], words[place - 1].lower()
    if not re.fullmatch(r"[a-z]{2,}(?:ed|[^s\W]s)", word) or _is_plural_noun(word):
        return False
    if before in _DETERMINERS | PREPOSITIONS | _CONJUNCTIONS:
        return False
    if place + 1 >= len(words):
        return False
    after = words[place + 1]
    starts_complement = after.lower() in _DETERMINERS | PREPOSITIONS or not after[0].islower()
    plural_noun = word.endswith("s") and after.lower() in {"of", "and", "or"}
    return starts_complement and not plural_noun


def _is_plural_noun(word: str) -> bool:
    """By its ending: "drivers", "elections"; a few verbs end so too."""
    return (
        re.search(r"(?:tion|ment|[aeiou]\w*ing|[cdgnrt]ist|alist|ness|ship|[^aeiou]er|or)s$", word) is not None
        and word not in _VERBS_IN_ERS
    )


def _verb_end(words: list[str], place: int) -> int:
    """Last word of the verb group: "will be", "has been", "was not" hold together; the participle is complement."""
    last = place
    if (
        words[place] in {"take", "takes", "took"}
        and words[place + 1 : place + 2] == ["place"]
        and place + 2 < len(words)
    ):
        return place + 1
    while last + 2 < len(words) and words[last + 1] in {"be", "been", "not", "also", "being"}:
        last += 1
    if words[last + 1 : last + 3] == ["no", "longer"] and last + 3 < len(words):
        last += 2
    full = re.sub(r"n['’]t$", "", words[last])
    if words[last] in AUXILIARIES and full not in _BEFORE_A_PARTICIPLE and last + 2 < len(words):
        last += 1
    return last
