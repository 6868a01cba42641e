from inference.relevance import Index


def test_a_score_is_a_share_between_nothing_and_all() -> None:
    index = Index(["Marlowe Quist dives.", "Nobody dives.", "Marlowe sings."])
    assert index.scores("Marlowe Quist")[0] == 1.0
    assert 0 < index.scores("Marlowe Quist")[2] < 1
    assert 1 not in index.scores("Marlowe Quist")


def test_a_question_that_says_nothing_or_has_no_texts_scores_nothing() -> None:
    assert Index(["Marlowe"]).scores("the of") == {}
    assert Index([]).scores("Marlowe") == {}


def test_a_rare_word_counts_more_than_a_common_one() -> None:
    index = Index(["The lamp is red.", "The lamp is blue.", "The lamp is old."])
    scores = index.scores("Which lamp is blue?")
    assert scores[1] > scores[0] == scores[2]


def test_one_ordinary_word_of_several_says_little() -> None:
    index = Index(["The fare is 8 crowns a month.", "Brallo is a stew.", "The month of Tarn is a festival of May."])
    assert index.scores("How many months are in a year?")[0] == index.scores("How many months are in a year?")[2] < 0.3
    assert index.scores("What kind of food is brallo?")[1] > 0.3  # a name, though it has no capital
    assert index.scores("Which month has the festival?")[2] == 1.0
    assert index.scores("Which month?")[2] == 1.0  # all that is asked
