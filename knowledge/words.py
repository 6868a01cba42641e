"""English words by what they do in a statement, as `knowledge.clauses` takes it apart. No word of any data set."""

MONTHS = "January|February|March|April|May|June|July|August|September|October|November|December"
"""Alternatives of a pattern."""

COPULAS = frozenset({"is", "are", "was", "were"})
BEFORE_A_PARTICIPLE = COPULAS | {"has", "have", "had"}
BEFORE_NT = "is are was were has have had would could must should does do did wo ca".split()
DENYING = frozenset(f"{word}n{mark}t" for word in BEFORE_NT for mark in "'’")
MODALS = frozenset("will can could must may might should would shall does do did cannot".split())
AUXILIARIES = BEFORE_A_PARTICIPLE | DENYING | MODALS

# The commonest English verbs as they stand in statements: present and past, third person. Irregular pasts cannot be
# recognised by their ending; regular ones listed here need no second look at their neighbours.
KNOWN_VERBS = frozenset(
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
VERBS = AUXILIARIES | KNOWN_VERBS
"""Words that can only, or mostly, be a finite verb."""

# As they stand after a plural: "Refunds take nine days."
PLURAL_VERBS = frozenset(
    """
    apply arrive become begin belong bring build close come consist contain cost depart depend eat employ expire get
    give go grow have hold include keep know last leave live make meet move need offer open pay produce provide reach
    receive refer remain require run sell serve speak stand start study supply take treat wear win work write
    accept add allow appear connect create deliver exist find follow join learn occur perform prevent protect reduce
    replace submit teach
    """.split()
)
PLURAL_VERBS_OR_NOUNS = frozenset("cause cover help report return support use".split())
DETERMINERS = frozenset(
    """
    a an the this that these those its his her their our my your each every all any no
    """.split()
)
POSSESSIVES = frozenset({"its", "his", "her", "their"})
PREPOSITIONS = frozenset(
    """
    of in on at by for from to with without into onto over under near about after before between behind beyond
    during since until through against among across along around above below as than per within
    """.split()
)
PASSING = frozenset({"now", "also", "still", "then", "later", "soon"})
ADVERBS = PASSING | {"first", "once", "never", "always", "often", "seldom", "almost", "not"}
ADVERBS_OF_MANNER = frozenset("alone early fast free late once together twice well".split())
NUMERALS = frozenset("two three four five six seven eight nine ten eleven twelve".split())
NOUNS_IN_LY = frozenset(
    """
    ally anomaly assembly belly bully butterfly daily doily dragonfly elderly family firefly folly gully holly homily
    jelly lily monopoly monthly panoply quarterly rally reply supply tally weekly
    """.split()
)
DEGREES = frozenset({"very", "quite", "rather", "most", "more", "less", "least", "too", "so"})
PARTICLES = frozenset("over up out off down away back".split())
"""Behind a verb and before its object: "took over the mill"."""

PLURAL_MODIFIERS = frozenset("arms customs goods news operations sales savings sports systems".split())
PEOPLE = frozenset({"people", "police", "staff"})
"""Plural without an ending."""

SOMEBODY = frozenset("anybody anyone everybody everyone nobody somebody someone".split())
RELATIVES = frozenset({"that", "which", "who", "whom", "whose", "where", "when"})
FREE_RELATIVES = frozenset({"Whoever", "Whatever", "Whichever", "What"})
"""At the head of a sentence: "Whoever keeps bees must …"."""

SUBORDINATORS = frozenset("although because if though unless whenever whereas".split())
CONJUNCTIONS = frozenset({"and", "or", "but", "nor"})
ORDERS = frozenset(
    """
    add ask book call cancel change check choose click close contact copy delete deploy disable drain email enable enter
    escalate file hold inform install let log notify order page ping plug press pull push put read reboot record remove
    replace reset restart revoke ring rotate run scan select send set sign stop submit switch tap tell throw turn type
    undo unplug update upgrade use wait write
    """.split()
)
"""Verbs that instructions begin with: "press both keys"."""
PRONOUNS = frozenset(
    """
    i you he she it we they this that these those there here who what which his her its their
    """.split()
)
FUNCTION_WORDS = DETERMINERS | PREPOSITIONS | RELATIVES | CONJUNCTIONS | PRONOUNS
"""Words that name nothing by themselves."""

OPENERS = frozenset(
    """
    in on at since after before during from by under until within as for with
    according against along among behind besides between beyond despite following inside instead like near outside over
    throughout thanks through towards unlike upon without
    """.split()
)
ABBREVIATIONS = frozenset(
    """
    dr mr mrs ms st prof sr jr vs no inc ltd co corp e.g i.e etc approx dept mt ft
    """.split()
)
VERBS_OR_NOUNS = frozenset(
    """
    buys costs covers exports features flies grants guards heads helps hosts imports leads leaves lies means needs
    offers pays plays prints reports runs sets shares shows sits stands starts stores studies supplies supports takes
    trades trains uses visits wins works
    """.split()
)
COMPANY_ENDINGS = frozenset({"inc", "ltd", "co", "corp", "jr", "sr", "etc"})
CLASSES = frozenset(
    """
    academy act agency airport archive army association avenue award band bank battle bay beach board bridge brewery
    cafe canal castle cathedral cave channel choir church cinema city clinic club coast college commission committee
    company conference corporation council county court creek cup department district factory fair farm ferry
    festival forest foundation gallery garden group hall harbour harbor hospital hotel house inn institute island
    islands journal lake league library lighthouse line market marathon mill mine ministry monastery mountain
    mountains museum observatory office orchestra palace park parliament party path peninsula port press prison
    prize project province railway ranch regatta region republic reserve restaurant river road school sea society
    square stadium station street studio studios temple theater theatre tower town trail treaty trophy university
    valley village war zoo
    """.split()
)
"""Last words of names that say what is named: "Kansas State University"."""

PLACES = frozenset(
    """
    archive attic bakery balcony bank barn basement bay beach boathouse bridge building cabin cabinet cafe camp canal
    castle cathedral cave cellar chapel church cinema city clinic coast corner corridor cottage courtyard cupboard desk
    directory district dock drawer entrance exit factory farm field floor foyer folder forest fortress garage garden
    gate greenhouse ground hall harbour harbor hill hospital hotel house hut inn island kitchen laboratory lake library
    lighthouse lobby market meadow mill monastery mountain museum office orchard palace park path pier port prison
    quarry quay region river road roof room school shed shelf shop shore square stable stadium station street studio
    swamp table temple terrace theatre theater tower town tunnel valley vault village wall warehouse workshop yard
    """.split()
)
"""What something can be in, on or at, also without a name: "in the kitchen"."""

LEADING_CLASSES = frozenset("cafe camp cape castle fort hotel lake port villa".split())
"""First words of names that do: "Castle Brannoch"."""
