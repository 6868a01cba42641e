import pytest

from knowledge.clauses import clause


def test_what_follows_a_participle_is_the_statement() -> None:
    found = clause("Known for drawing the maps of Orrin, Wend and Tolvik, Ada Quill now lives in Paris.")
    assert found is not None
    assert (found.subject, found.verb, found.complement) == ("Ada Quill", "lives", "in Paris")


@pytest.mark.parametrize(
    ("opening", "description"),
    [
        ("Known far and wide for being the smith of Orrin", "the smith of Orrin"),
        ("Regarded as the best cook of Wend", "the best cook of Wend"),
        ("Born in Wend", "Wend"),
        ("In 1931", ""),
    ],
)
def test_a_leading_participle_describes_the_subject(opening: str, description: str) -> None:
    found = clause(f"{opening}, Ada Quill moved to Paris.")
    assert found is not None
    assert found.description == description


@pytest.mark.parametrize(
    ("text", "core"),
    [
        ("The lamp is made by Lume Ltd.", "Lume Ltd"),
        ("Ada Quill is widely known as the smith of Orrin.", "the smith of Orrin"),
        ("Ada Quill, known far and wide for being the smith of Orrin.", "the smith of Orrin"),
        ("Ada Quill is the smith of Orrin.", "the smith of Orrin"),
        ("The founder of Lume Ltd is Fleming Quill.", "Fleming Quill"),
        ("The founder of Lume Ltd is Alfred Quill.", "Alfred Quill"),
        ("The head of Lume Ltd is Fleming Quill, who followed Bo Tarn.", "Fleming Quill"),
        ("The mill was built in May and makes oil.", "May"),
    ],
)
def test_the_core_of_a_complement_is_what_it_says(text: str, core: str) -> None:
    found = clause(text)
    assert found is not None
    assert found.core == core


def test_a_topic_before_a_pronoun_is_the_subject() -> None:
    found = clause("The Tolvik Fair: It opens in May.")
    assert found is not None
    assert (found.subject, found.verb) == ("The Tolvik Fair", "opens")


def test_a_name_with_what_it_is_reads_as_a_statement() -> None:
    found = clause("Ada Quill, known in all Orrin as the smith who made the iron gate.")
    assert found is not None
    assert (found.subject, found.copula) == ("Ada Quill", True)
    assert found.complement == "known in all Orrin as the smith who made the iron gate"


@pytest.mark.parametrize(
    "text", ["Bread, milk, eggs", "Orrin, Wend", "Yesterday, and all the days before", "wind, cold"]
)
def test_a_list_is_no_statement(text: str) -> None:
    assert clause(text) is None


@pytest.mark.parametrize(
    ("sentence", "subject", "predicate"),
    [
        ("The Wend Cup, also called the Bowl, was won by Orrin.", "The Wend Cup", "was won by Orrin"),
        ("Mara Venn, the astronomer, founded Tolvik.", "Mara Venn", "founded Tolvik"),
        ("The mills, except Orrin's, are open.", "The mills, except Orrin's", "are open"),
        ("Ada Quill (born 1911) was a smith.", "Ada Quill", "was a smith"),
        ("The Wend (Orrin) Cup was a race.", "The Wend (Orrin) Cup", "was a race"),
        ("Ada Quill later opened a mill in Wend.", "Ada Quill", "opened a mill in Wend"),
        ("Ada Quill never worked at Orrin Ltd.", "Ada Quill", "never worked at Orrin Ltd"),
        ("Ada Quill hardly works at Orrin Ltd.", "Ada Quill", "hardly works at Orrin Ltd"),
        ("The Orrin kettle quietly whistles in May.", "The Orrin kettle", "quietly whistles in May"),
        ("The mill now makes soap.", "The mill", "makes soap"),
        ("The Quill family runs the mill.", "The Quill family", "runs the mill"),
        ("The local weekly costs two crowns.", "The local weekly", "costs two crowns"),
        ("Wend, Orrin, and Tarn are towns.", "Wend, Orrin, and Tarn", "are towns"),
        ("Orrin Cup: It was closed in May.", "Orrin Cup", "was closed in May"),
        ("Orrin Cup: Founded as a race, it became a fair.", "Orrin Cup", "became a fair founded as a race"),
        ("Orrin Cup: The winner was Ada Quill.", "Orrin Cup: The winner", "was Ada Quill"),
        ("Orrin Cup: Ada Quill won it in May.", "Ada Quill", "won it in May"),
        ("Opening hours: The shop opens at nine.", "Opening hours: The shop", "opens at nine"),
        ('"Under the Hill": It was released in May.', '"Under the Hill"', "was released in May"),
        ("The Wend Fair takes place in May.", "The Wend Fair", "takes place in May"),
        ("Version 4.2 of Tarn drops support for maps.", "Version 4.2 of Tarn", "drops support for maps"),
        ("Nightly backups cover all databases.", "Nightly backups", "cover all databases"),
        ("The sales support team is in Wend.", "The sales support team", "is in Wend"),
    ],
)
def test_the_subject_is_what_the_statement_is_about(sentence: str, subject: str, predicate: str) -> None:
    """And the predicate is as true of it as the sentence says: no "never" and no "except" is lost."""
    found = clause(sentence)
    assert found is not None
    assert (found.subject, found.predicate) == (subject, predicate)


@pytest.mark.parametrize(
    ("sentence", "gist"),
    [
        ("The song was written by Bo Tarn.", "Bo Tarn"),
        ("Ada Quill studied in Wend.", "Wend"),
        ("The Wend Cup is a race.", "a race"),
        ("The song was released on 3 May and charted in Wend.", "3 May"),
        ("The fair opens in May and has nine halls.", "May"),
        ("The fair sells bread and honey.", "bread and honey"),
        ("The fair sells bread and roasted nuts.", "bread and roasted nuts"),
        ("The hall keeps books and works of art.", "books and works of art"),
        ("Orrin tea is made without sugar.", "made without sugar"),
        ("The fair closes before noon.", "before noon"),
        ("The server is called tern-2 and runs Tarn.", "tern-2"),
        ("The head of Lume Ltd is Bo Tarn, who followed Ada Quill.", "Bo Tarn"),
        ("The cup was won by Bo Tarn, who hosted it.", "Bo Tarn"),
        ("Ada Quill was not chosen by Wend.", "chosen by Wend"),
        (
            "The cup was held at the old hall in Wend from the second to the ninth of May and featured a field of six.",
            "the old hall in Wend from the second to the ninth of May",
        ),
        (
            "Ada Quill trained the rare and gentle hounds of Wend in the hills above the town and sold all of them.",
            "the rare and gentle hounds of Wend in the hills above the town",
        ),
        (
            "Ada Quill, known far and wide for being the keeper of Wend.",
            "the keeper of Wend",
        ),
        (
            "Ada Quill is known for being the keeper who lit the lamp of the old tower in the bay of Wend for a year.",
            "the keeper who lit the lamp of the old tower in the bay of Wend for a year",
        ),
        (
            "Ada Quill is known up and down the coast for being the keeper of the old light in the bay of Wend.",
            "known up and down the coast for being the keeper of the old light in the bay of Wend",
        ),
    ],
)
def test_the_gist_is_what_people_answer_with(sentence: str, gist: str) -> None:
    found = clause(sentence)
    assert found is not None
    assert found.gist == gist


@pytest.mark.parametrize(
    ("sentence", "subject", "verb"),
    [
        ("Wend Air no longer flies to Orrin.", "Wend Air", "no longer flies"),
        ("The pool is no longer heated.", "The pool", "is no longer"),
        ("The Tarn client can't open archives.", "The Tarn client", "can't open"),
        ("Call centres in Wend are open.", "Call centres in Wend", "are"),
        ("Twelve drivers in the series will take part.", "Twelve drivers in the series", "will take"),
        ("Version 4.2 of Tarn enters use in May.", "Version 4.2 of Tarn", "enters"),
        ("Bo Tarn sings in Wend.", "Bo Tarn", "sings"),
        ("The council's win was the first.", "The council's win", "was"),
        ("The group has three admins: Ada, Bo and Cy.", "The group", "has"),
        ("The bills of Wend reach at most 90 euros.", "The bills of Wend", "reach"),
    ],
)
def test_the_verb_is_found_and_what_denies_it_belongs_to_it(sentence: str, subject: str, verb: str) -> None:
    found = clause(sentence)
    assert found is not None
    assert (found.subject, found.verb) == (subject, verb)
    assert found.gist not in {"most 90 euros", "three admins"}


@pytest.mark.parametrize(
    ("text", "subject", "verb"),
    [
        ("Buses of line 14 stop at the market hall.", "Buses of line 14", "stop"),
        ("Most shops in Wend close at six.", "Most shops in Wend", "close"),
        ("The Marsh twins dance at the opera in Orrin.", "The Marsh twins", "dance"),
        ("The old clocks in the tower strike 13 at noon.", "The old clocks in the tower", "strike"),
        ("All staff report accidents to Dr Quill.", "All staff", "report"),
        ("Orders above £50 ship free of charge.", "Orders above £50", "ship"),
        ("Members of the book club in Wend vote on Mondays.", "Members of the book club in Wend", "vote"),
        ("The defending champions Wend won their second title by a foul.", "The defending champions Wend", "won"),
        (
            "Queries against the archive time out after a minute unless it is busy.",
            "Queries against the archive",
            "time",
        ),
        ("Tenants who rent the cabin must return the key by noon.", "Tenants who rent the cabin", "must return"),
        ("The old format can still be read with a tool.", "The old format", "can still be"),
        ("Whoever keeps bees has to register with the county.", "Whoever keeps bees", "has to register"),
        ("This was the first year of the cup.", "This", "was"),
    ],
)
def test_the_verb_is_found_also_where_it_looks_like_a_noun(text: str, subject: str, verb: str) -> None:
    found = clause(text)
    assert found is not None
    assert (found.subject, found.verb) == (subject, verb)


@pytest.mark.parametrize("text", ["The answer to the Orrin war in June", "On Sundays there is only the later one."])
def test_what_only_looks_like_a_statement_is_none(text: str) -> None:
    assert clause(text) is None


@pytest.mark.parametrize(
    ("text", "opening"),
    [
        ("Because the bridge is closed, buses of line 14 stop at the hall.", "Because the bridge is closed"),
        ("Since the bridge is closed, buses of line 14 stop at the hall.", "Since the bridge is closed"),
        ("Unlike earlier ones, buses of line 14 stop at the hall.", "Unlike earlier ones"),
        ("Since 1 March, buses of line 14 stop at the hall.", "Since 1 March"),
    ],
)
def test_a_ground_stands_before_the_statement(text: str, opening: str) -> None:
    found = clause(text)
    assert found is not None
    assert (found.opening, found.subject, found.gist) == (opening, "buses of line 14", "the hall")


def test_more_of_what_is_said_is_no_part_of_the_answer() -> None:
    found = clause("Guests of Orrin Hall receive 28 tokens, of which at least ten must be used on Sunday.")
    assert found is not None
    assert found.gist == "28 tokens"


def test_a_participle_stands_before_a_subject_with_an_article_too() -> None:
    found = clause("Born in Wend in 1962, the violinist Ada Quill studied under Bo Tarn.")
    assert found is not None
    assert (found.opening, found.subject) == ("Born in Wend in 1962", "the violinist Ada Quill")
    named = clause("Known for her maps, Ada Quill, the head of Orrin Mill, lives in Wend.")
    assert named is not None
    assert named.subject == "Ada Quill"
