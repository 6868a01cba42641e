"""The statements that a sentence joins."""

import pytest

from knowledge.statements import of_the_thing, statements


@pytest.mark.parametrize(
    ("sentence", "joined"),
    [
        (
            "Orrin Ltd was founded in 1998 by Bo Tarn and makes glass.",
            ("Orrin Ltd was founded in 1998 by Bo Tarn.", "Orrin Ltd makes glass."),
        ),
        (
            "The mill was built in May and sold in June, and opened the hall in July.",
            ("The mill was built in May.", "The mill was sold in June.", "The mill opened the hall in July."),
        ),
        (
            "The Wend Cup: The season will begin on 2 May and will end in June.",
            ("The Wend Cup: The season will begin on 2 May.", "The Wend Cup: The season will end in June."),
        ),
        (
            "The Orrin museum, opened in 1931 by Ada Quill, holds the largest bell.",
            ("The Orrin museum was opened in 1931 by Ada Quill.", "The Orrin museum holds the largest bell."),
        ),
        (
            "Ada Quill, head of the mill in Wend, plans to leave.",
            ("Ada Quill is head of the mill in Wend.", "Ada Quill plans to leave."),
        ),
        (
            "The dye of Wend, developed at Orrin, must be kept cold.",
            ("The dye of Wend was developed at Orrin.", "The dye of Wend must be kept cold."),
        ),
        (
            "The mill of Wend, owned by Bo Tarn, makes oil.",
            ("The mill of Wend is owned by Bo Tarn.", "The mill of Wend makes oil."),
        ),
        (
            "Farmers around Wend grow a black bean that was brought from Orrin by Bo Tarn.",
            ("Farmers around Wend grow a black bean.", "The black bean was brought from Orrin by Bo Tarn."),
        ),
        (
            "The Wend Open was won by Ada Quill, a baker from Orrin, who beat Bo Tarn.",
            (
                "The Wend Open was won by Ada Quill.",
                "Ada Quill was a baker from Orrin.",
                "Ada Quill beat Bo Tarn.",
                "Ada Quill was from Orrin.",
            ),
        ),
        (
            "Wend's tallest house, the Needle, has 61 floors and later became a bank.",
            (
                "Wend's tallest house is the Needle.",
                "Wend's tallest house has 61 floors.",
                "Wend's tallest house became a bank.",
            ),
        ),
        (
            "The lamp lasts nine hours and takes a minute to charge.",
            ("The lamp lasts nine hours.", "The lamp takes a minute to charge."),
        ),
        (
            "Ada Quill, who built and sold the mill, lives in Wend.",
            ("Ada Quill built and sold the mill.", "Ada Quill lives in Wend."),
        ),
        (
            "The Wend Cup, won by Bo Tarn, was made of tin and sold in Orrin.",
            ("The Wend Cup was won by Bo Tarn.", "The Wend Cup was made of tin.", "The Wend Cup was sold in Orrin."),
        ),
        (
            "The Wend Fair: The season, the ninth of all, began in May.",
            ("The Wend Fair: The season is the ninth of all.", "The Wend Fair: The season began in May."),
        ),
        (
            "The Wend Cup: Ada Quill won the race and kept the cup.",
            ("The Wend Cup: Ada Quill won the race.", "The Wend Cup: Ada Quill kept the cup."),
        ),
        (
            "In May, the head of Lume Ltd was Bo Tarn, who followed Ada Quill.",
            ("In May, the head of Lume Ltd was Bo Tarn.", "Bo Tarn followed Ada Quill."),
        ),
        (
            "The cup was won by Bo Tarn, who narrowly beat Ada Quill.",
            ("The cup was won by Bo Tarn.", "Bo Tarn narrowly beat Ada Quill."),
        ),
        (
            "Ada Quill commands the ship Tern, which sails from Wend in May.",
            ("Ada Quill commands the ship Tern.", "The ship Tern sails from Wend in May."),
        ),
        (
            "The Orrin Bridge, which spans the Tew, collapsed in May and was rebuilt later.",
            (
                "The Orrin Bridge spans the Tew.",
                "The Orrin Bridge collapsed in May.",
                "The Orrin Bridge was rebuilt later.",
            ),
        ),
        (
            "The mayor of Wend, Ada Quill, banned cars.",
            ("The mayor of Wend is Ada Quill.", "The mayor of Wend banned cars."),
        ),
        (
            "Tarn 2.3 fixes the leak in the parser, adds a flag and drops Windows.",
            ("Tarn 2.3 fixes the leak in the parser.", "Tarn 2.3 adds a flag.", "Tarn 2.3 drops Windows."),
        ),
        (
            "Bo Tarn, whose father built the mill, now runs the inn.",
            ("Bo Tarn's father built the mill.", "Bo Tarn now runs the inn."),
        ),
        (
            "Passwords must contain 14 characters and expire after 90 days.",
            ("Passwords must contain 14 characters.", "Passwords must expire after 90 days."),
        ),
        (
            "The loach lives in Lake Oru and feeds on algae.",
            ("The loach lives in Lake Oru.", "The loach feeds on algae."),
        ),
        (
            "The germ spreads through water and causes fever.",
            ("The germ spreads through water.", "The germ causes fever."),
        ),
        (
            "The Orrin scooter covers 73 kilometres and needs no licence.",
            ("The Orrin scooter covers 73 kilometres.", "The Orrin scooter needs no licence."),
        ),
    ],
)
def test_joined_statements_are_told_one_by_one(sentence: str, joined: tuple[str, ...]) -> None:
    assert statements(sentence) == joined


@pytest.mark.parametrize(
    "sentence",
    [
        "The fair sells bread and honey.",
        "The fair sells bread and roasted nuts.",
        "The hall shows books and works of art.",
        "The hall hosts concerts and shows in Wend.",
        "The fair sells bread and sports goods.",
        "The fair sells bread and rolls daily.",
        "Ada Quill met Bo Tarn in the mill, which burned.",
        "The mill is in Wend and owned by Bo Tarn.",
        "The mill, which Ada Quill built, is closed.",
        "Ada Quill said that Bo Tarn came and left Wend.",
        "Ada Quill wanted to be seen and loved.",
        "The mill was not built in May and sold in June.",
        "The mills, except Orrin's, are closed.",
        'Ada Quill wrote "The Song and Held Note".',
        "Bread, honey and salt",
        "Ada Quill is the sister of Bo Tarn, who built the mill.",
        "Ada Quill met Bo Tarn at the mill, which she built.",
    ],
)
def test_what_may_be_said_of_somebody_else_stays_whole(sentence: str) -> None:
    assert statements(sentence) == (sentence,)


@pytest.mark.parametrize(
    ("sentence", "told"),
    [
        ("The Wend Mile is a running race held in Orrin each May.", "The Wend Mile is held in Orrin each May."),
        ("The Tern is a ship built by Bo Tarn.", "The Tern was built by Bo Tarn."),
        ("The Otters are a rock band from Wend.", "The Otters are from Wend."),
        ("Quill Ltd is a firm that makes kites in Wend.", "Quill Ltd makes kites in Wend."),
        ("The Pike is an inn near the river Orr.", "The Pike is near the river Orr."),
        ("The Pike is an inn in the village of Orrin.", "The Pike is in the village of Orrin."),
        ("The Swift is a train from Wend to Orrin.", ""),
        ("Kiln Studies is a course in Physics.", ""),
        ("Ada Quill is a smith in Wend.", ""),
        ("Ada Quill is the sister of a man born in Wend.", ""),
        ("The Tern is not a ship built by Bo Tarn.", ""),
        ("The Tern is the largest ship in the world.", ""),
    ],
)
def test_what_is_told_of_the_thing_that_a_subject_is(sentence: str, told: str) -> None:
    assert of_the_thing(sentence) == told
