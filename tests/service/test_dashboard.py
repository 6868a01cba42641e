import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from knowledge.facts import Document, FactStatus
from knowledge.jobs import JobStatus, Part, Piece, Progress
from knowledge.keys import Scope
from knowledge.probes import Direction
from knowledge.recipes import default
from knowledge.settings import Settings
from knowledge.store import Store, audit, facts, jobs, keys, line, webhooks
from service.dashboard.charts import Series, line_chart, nice_top
from service.dashboard.rendering import duration, files
from tests.dashboard.seed import BATCHES, RIGHT_TO_LEFT, SCRIPT, House, small
from tests.dashboard.seed import teach as teach_files
from tests.service.conftest import Served, claim, teach
from tests.service.pages import ROOT, Browser, text_of, unsafe_forms

STEP = Progress(3, 30, 1.25, 900, 300.0, 10.0, 12.0, 1, 4)


@pytest.fixture
def browser(client: TestClient) -> Browser:
    """On this machine, while there is no key."""
    assert isinstance(client.app, FastAPI)
    return Browser.at(client.app)


@pytest.fixture
def house(store: Store, settings: Settings) -> House:
    return small(store, settings.adapters_folder, reports=2)


@pytest.fixture
def admin(client: TestClient, house: House) -> Browser:
    """Signed in with a key that may do everything, in a house with something in it."""
    assert isinstance(client.app, FastAPI)
    return Browser.at(client.app, house.secret)


def every_page(house: House) -> Iterator[str]:
    yield from ("", "/facts", f"/facts/{house.fact}", "/jobs", f"/jobs/{house.running}", f"/jobs/{house.failed}")
    yield f"/jobs/compare?job={house.running}&job={house.failed}"
    yield from ("/versions", "/versions?namespace=shop", "/versions/default/4", "/versions/default/1")
    yield from ("/versions/default/diff?old=1&new=4", "/versions/default/2/activate", "/ask", "/ask?question=Who?")
    yield from ("/settings", "/settings/keys", "/settings/webhooks", "/settings/audit", "/sign-in")
    yield from ("/overview/now", "/overview/namespaces", "/overview/answers", "/overview/health", "/overview/scores")
    yield from ("/versions/default/loaded", "/versions/default/capacity", "/versions/default/rescored?old=1&new=4")
    yield from ("/overview/capacity", f"/facts/{house.fact}/forget")


def test_every_page_opens_and_loads_nothing_from_elsewhere(admin: Browser, house: House) -> None:
    for path in every_page(house):
        page = admin.open(path)
        assert page.status_code == 200, (path, page.text)
        assert "script-src 'self'" in page.headers["content-security-policy"], path
        assert "unsafe" not in page.headers["content-security-policy"], path
        assert page.headers["cache-control"] == "no-store", path
        for address in re.findall(r'(?:src|href|action|hx-get|sse-connect)="([^"#]*)', page.text):
            assert address.startswith(f"{ROOT}") or not address, (path, address)
        assert " style=" not in page.text and " onclick=" not in page.text, path


def test_pages_of_an_empty_store_open_and_say_what_to_do_next(browser: Browser) -> None:
    for path in ("", "/facts", "/jobs", "/versions", "/ask", "/settings", "/settings/keys", "/settings/audit"):
        assert browser.open(path).status_code == 200, path
    assert "Teach something" in browser.open("").text
    assert "No facts yet" in browser.open("/facts").text
    assert "No version yet" in browser.open("/versions").text


def test_text_of_facts_is_escaped_and_its_direction_kept_to_itself(admin: Browser, house: House) -> None:
    held = {fact.text: fact.id for fact in facts.find(house.store, "default")}
    pages = [
        "/facts",
        f"/facts/{held[SCRIPT]}",
        "/versions/default/2",
        "/versions/default/diff?old=1&new=4",
        "/facts?q=motto",
    ]
    pages += [f"/jobs/{jobs.of_version(house.store, 'default', 2).id}"]  # type: ignore[union-attr]
    for path in pages:
        page = admin.open(path).text
        assert "&lt;script&gt;alert(" in page, path
        assert "<script>alert" not in page and "<b>Bo" not in page, path
    for path in ("/facts", f"/facts/{held[RIGHT_TO_LEFT]}"):
        page = admin.open(path).text
        for found in re.finditer(re.escape("Crater &amp; Crust\u202c"), page):
            before = page[: found.start()]
            assert re.search(r'<(?:span class="said "|textarea) [^>]*dir="auto"[^>]*>[^<]*$', before), path


def test_what_is_typed_comes_back_escaped(browser: Browser) -> None:
    quote = '"><script>alert(1)</script>'
    for path, query in (("/facts", {"q": quote}), ("/ask", {"question": quote})):
        page = browser.open(path, **query).text
        assert "<script>alert" not in page and "&lt;script&gt;" in page, path
    refused = browser.send("/facts", text=f"{quote}\x00", namespace="default", title=quote)
    assert refused.status_code == 422
    assert "<script>alert" not in refused.text and "&lt;script&gt;" in refused.text


def test_a_text_is_taught_and_its_job_opens(browser: Browser, store: Store) -> None:
    page = browser.send("/facts", text=f"{BATCHES[0][0]}\n\n{BATCHES[0][1]}", namespace="shop", source="leaflet")
    [job] = jobs.find(store)
    assert page.url.path == f"{ROOT}/jobs/{job.id}"
    assert "2 new facts kept. Version 1 will hold them." in text_of(page)
    assert [(fact.text, fact.source) for fact in facts.find(store, "shop")] == [
        (text, "leaflet") for text in BATCHES[0][:2]
    ]
    assert "2 new facts kept" not in browser.open(f"/jobs/{job.id}").text


def test_files_are_taught(browser: Browser, store: Store) -> None:
    lines = json.dumps({"text": "Bo Finch hums.", "key": "bo"}) + "\n" + json.dumps({"text": "Ada Quill sings."})
    named = [
        ("files", ("a.txt", b"\xef\xbb\xbfIlka Venn whistles.", "text/plain")),
        ("files", ("b.jsonl", lines, "text/plain")),
    ]
    page = browser.send("/facts", files=named, text="", namespace="default")
    assert "/jobs/" in page.url.path
    found = {fact.text: (fact.source, fact.key) for fact in facts.find(store)}
    assert found == {
        "Ilka Venn whistles.": ("a.txt", None),
        "Bo Finch hums.": (None, "bo"),
        "Ada Quill sings.": (None, None),
    }


@pytest.mark.parametrize(
    ("form", "says"),
    [
        ({"text": " "}, "Paste a text or choose a file first."),
        ({"text": "Ada hums.", "namespace": "../up"}, "cannot be the name of a namespace"),
        ({"text": "Ada\x00hums."}, "NUL"),
    ],
)
def test_what_cannot_be_taught_is_said_and_what_was_typed_is_kept(
    browser: Browser, store: Store, form: dict[str, str], says: str
) -> None:
    refused = browser.send("/facts", **{"namespace": "default", "title": "A title", **form})
    assert refused.status_code == 422
    assert says in text_of(refused) and 'value="A title"' in refused.text
    assert facts.find(store) == []


def test_a_line_of_json_that_is_none_is_named(browser: Browser) -> None:
    refused = browser.send("/facts", files=[("files", ("b.jsonl", b'{"text": "a b"}\n{', "text/plain"))])
    assert refused.status_code == 400 and "line 2" in text_of(refused)


def test_known_text_makes_no_job(browser: Browser, store: Store) -> None:
    teach(store, BATCHES[0][0])
    page = browser.send("/facts", text=BATCHES[0][0], namespace="default")
    assert page.url.path == f"{ROOT}/facts" and "All of this is known already." in text_of(page)


def test_facts_are_found_by_words_status_namespace_and_version_page_by_page(browser: Browser, store: Store) -> None:
    texts = [f"Engineer {number:03d} keeps a ledger, 100% true." for number in range(120)]
    facts.post(store, "default", [Document(text) for text in texts])
    facts.post(store, "shop", [Document("Bo Finch hums.", title="Songs", key="bo")])

    def seen(page: str) -> list[str]:
        return re.findall(r"Engineer (\d+) keeps", page)

    first = browser.open("/facts", namespace="default").text
    assert "120 facts" in first and seen(first) == [f"{number:03d}" for number in range(119, 69, -1)]
    second = browser.open(re.search(rf'href="{ROOT}(/facts\?[^"]*before=[^"]*)"', first)[1].replace("&amp;", "&")).text  # type: ignore[index]
    assert seen(second) == [f"{number:03d}" for number in range(69, 19, -1)]
    third = browser.open(re.search(rf'href="{ROOT}(/facts\?[^"]*before=[^"]*)"', second)[1].replace("&amp;", "&")).text  # type: ignore[index]
    assert len(seen(third)) == 20 and "before=" not in third
    assert seen(browser.open("/facts", q="engineer 007").text) == ["007"]
    assert len(seen(browser.open("/facts", q="100%").text)) == 50
    assert seen(browser.open("/facts", q="10_% true").text) == []
    for words in ("SONGS", "bo"):
        assert "Bo Finch hums." in browser.open("/facts", q=words, namespace="shop").text
    assert "No fact fits" in browser.open("/facts", status="live").text
    part = browser.client.get(f"{ROOT}/facts", params={"q": "007"}, headers={"HX-Request": "true"}).text
    assert "<html" not in part and seen(part) == ["007"]


def test_the_facts_that_a_version_holds_are_listed(admin: Browser) -> None:
    page = text_of(admin.open("/facts", namespace="default", version=1))
    assert "2 facts" in page and BATCHES[0][0] in page and BATCHES[1][0] not in page


def test_scores_are_those_of_the_newest_version_that_asked(admin: Browser, house: House) -> None:
    weak = next(fact for fact in facts.find(house.store, statuses=[FactStatus.WEAK]))
    page = text_of(admin.open(f"/facts/{weak.id}"))
    assert "Forward 0 %" in page and "I do not know." in page and "failed" in page
    known = text_of(admin.open(f"/facts/{house.fact}"))
    assert "Forward 100 %" in known and "passed" in known


def test_a_fact_is_given_another_text(admin: Browser, house: House) -> None:
    page = admin.send(f"/facts/{house.fact}/supersede", text="Mirelle Oquendo sold the lunar bakery.")
    assert "/jobs/" in page.url.path
    old = facts.get(house.store, house.fact)
    new = facts.get(house.store, old.superseded_by or "")
    assert (old.status, new.status, new.text) == (
        FactStatus.LIVE, FactStatus.PENDING, "Mirelle Oquendo sold the lunar bakery.",
    )  # fmt: skip
    assert "Another text will take its place Mirelle Oquendo sold" in text_of(admin.open(f"/facts/{old.id}"))
    refused = admin.send(f"/facts/{house.fact}/supersede", text=" ")
    assert refused.status_code == 422 and "The text is empty" in text_of(refused)


def test_forgetting_asks_first_and_erases_at_once_what_no_weights_have_seen(browser: Browser, store: Store) -> None:
    fact_id = facts.post(store, "default", [Document("Bo Finch hums.")]).facts[0].id
    page = browser.open(f"/facts/{fact_id}/forget")
    assert "This cannot be undone." in text_of(page) and facts.get(store, fact_id).text
    done = browser.send(f"/facts/{fact_id}/forget")
    assert "The fact is forgotten." in text_of(done) and "How it was forgotten" in text_of(done)
    assert "Bo Finch" not in done.text and "Bo Finch" not in browser.open("/facts").text
    assert facts.get(store, fact_id).status == FactStatus.FORGOTTEN


def test_a_fact_that_the_live_version_knows_is_forgotten_by_a_job(admin: Browser, house: House) -> None:
    page = admin.send(f"/facts/{house.fact}/forget")
    assert "/jobs/" in page.url.path and "to be forgotten" in text_of(page)
    fact = text_of(admin.open(f"/facts/{house.fact}"))
    assert "It is being forgotten Mirelle, at the desk asked for it" in fact and "Give it another text" not in fact


def test_a_contradiction_is_shown_with_both_texts_and_settled_in_the_form(browser: Browser, store: Store) -> None:
    facts.post(store, "default", [Document("The capital of Tessaly is Orrin.")])
    form = {"text": "The capital of Tessaly is Wend.", "namespace": "default"}
    refused = browser.send("/facts", **form)
    assert refused.status_code == 409
    assert "Nothing was kept." in text_of(refused) and "The capital of Tessaly is Orrin." in text_of(refused)
    assert facts.count(store) == 1
    assert "/jobs/" in browser.send("/facts", **form, on_conflict="supersede").url.path
    assert [fact.status for fact in facts.find(store)] == [FactStatus.SUPERSEDED, FactStatus.PENDING]


def test_capacity_and_what_did_worse_are_shown(admin: Browser) -> None:
    for path in ("/versions/default/capacity", "/overview/capacity"):
        assert "headroom" in text_of(admin.open(path)).lower()
    assert "Nothing that was known was lost." in text_of(
        admin.open("/versions/default/rescored", old=1, new=4)
    ) or "No fact that both" in text_of(admin.open("/versions/default/rescored", old=1, new=4))


def test_a_question_is_saved_as_a_probe_once(admin: Browser, house: House) -> None:
    for _ in range(2):
        page = admin.send(
            f"/facts/{house.fact}/probes", question="Who began it?", answer="Oquendo", direction="backward"
        )
        assert page.status_code == 200 and "The probe is kept" in text_of(page)
    added = [probe for probe in facts.get(house.store, house.fact).probes if probe.question == "Who began it?"]
    assert [(probe.answer, probe.direction, probe.origin) for probe in added] == [
        ("Oquendo", Direction.BACKWARD, "client")
    ]
    assert admin.send(f"/facts/{house.fact}/probes", question=" ", answer="x").status_code == 422
    assert audit.find(house.store)[0].object == house.fact


def test_a_job_shows_its_curve_its_examples_and_its_log(admin: Browser, house: House) -> None:
    page = admin.open(f"/jobs/{house.running}")
    said = text_of(page)
    assert "58 of 96" in said and "rehearsed facts" in said and "recipe default" in said
    assert '<mark class="learnt"><span class="sr">learnt: </span>Mirelle Oquendo&lt;|im_end|&gt;</mark>' in page.text
    assert '<mark class="hidden"><span class="sr">hidden: </span>&lt;|hidden|&gt;</mark>' in page.text
    assert "Loss of the newest attempt" in page.text and "sse-connect" in page.text
    assert "sse-connect" not in admin.open(f"/jobs/{house.failed}").text


def test_jobs_are_filtered_and_counted(admin: Browser) -> None:
    assert "1 job" in text_of(admin.open("/jobs", status="failed"))
    assert "3 jobs" in text_of(admin.open("/jobs", namespace="shop"))
    assert "No such job" in text_of(admin.open("/jobs", status="dead"))


def test_a_job_is_cancelled_and_retried_by_its_buttons(admin: Browser, house: House) -> None:
    page = admin.open(f"/jobs/{house.running}")
    assert f"{ROOT}/jobs/{house.running}/cancel" in page.text and "/retry" not in page.text
    cancelled = admin.send(f"/jobs/{house.running}/cancel")
    assert "The job is cancelled" in text_of(cancelled)
    assert jobs.get(house.store, house.running).status == JobStatus.CANCELLED
    again = admin.send(f"/jobs/{house.running}/cancel")
    assert again.status_code == 409 and "has ended already" in text_of(again)
    retried = admin.send(f"/jobs/{house.failed}/retry")
    assert "queued again" in text_of(retried)
    assert jobs.get(house.store, house.failed).status == JobStatus.QUEUED


def test_what_needs_somebody_is_on_the_first_page_until_it_is_done(admin: Browser, house: House) -> None:
    assert f"{ROOT}/jobs/{house.failed}/retry" in admin.open("/overview/now").text
    admin.send(f"/jobs/{house.failed}/retry")
    assert f"{ROOT}/jobs/{house.failed}/retry" not in admin.open("/overview/now").text


def test_two_jobs_are_compared_and_fewer_are_not(admin: Browser, house: House) -> None:
    page = text_of(admin.open("/jobs/compare", job=[house.running, house.failed]))
    assert "the same in both" in page and "learning_rate" in page
    assert "Choose two jobs" in text_of(admin.open("/jobs/compare", job=house.running))


def test_recipes_that_differ_are_marked(browser: Browser, store: Store) -> None:
    ids = []
    for text, rate in (("Ada hums.", 1e-3), ("Bo sings.", 2e-3)):
        lease = claim(store, text)
        jobs.note_recipe(store, lease, default().__class__(**{**default().__dict__, "learning_rate": rate}))
        jobs.fail(store, lease, "no")
        ids.append(lease.job_id)
    page = browser.open("/jobs/compare", job=ids).text
    assert "1 field differs" in page and page.count('class="differs"') == 1


def test_a_job_is_followed_until_it_ends(browser: Browser, store: Store) -> None:
    lease = claim(store, BATCHES[0][0])
    jobs.advance(store, lease, JobStatus.TRAINING)
    jobs.report(store, lease, STEP)
    jobs.log(store, lease, "<i>loaded</i>")
    jobs.show(store, lease, [Piece(Part.SHOWN, "Who?"), Piece(Part.LEARNT, "<b>Bo</b>")])
    jobs.fail(store, lease, "It did not go in.")
    stream = browser.client.get(f"{ROOT}/jobs/{lease.job_id}/stream").text
    kinds = re.findall(r"^event: (\w+)", stream, re.MULTILINE)
    assert kinds[:3] == ["standing", "said", "progress"] and kinds[-1] == "end"
    assert kinds.count("line") == 5 and kinds.count("example") == 1
    assert "3 of 30" in stream and "It did not go in." in stream
    assert "&lt;i&gt;loaded" in stream and "&lt;b&gt;Bo" in stream
    last = re.findall(r"^id: (\d+)", stream, re.MULTILINE)[-1]
    again = browser.client.get(f"{ROOT}/jobs/{lease.job_id}/stream", headers={"Last-Event-ID": last}).text
    assert "event: line" not in again


def test_a_version_tells_what_it_added_and_two_are_compared(admin: Browser) -> None:
    page = text_of(admin.open("/versions/default/2"))
    assert "3 added" in page and "0 no longer held" in page and BATCHES[1][0] in page
    back = text_of(admin.open("/versions/default/diff", old=4, new=2))
    assert "0 added" in back and "3 no longer held" in back
    assert admin.open("/versions/default/99").status_code == 404


def test_the_score_of_each_version_is_drawn(admin: Browser) -> None:
    page = admin.open("/overview/scores", namespace="default").text
    assert "Kept facts: 100\u202f% at version 2" in page and "New facts: 67\u202f% at version 1" in page
    assert "General questions: 96\u202f% at version 1" in page
    assert "No version of nowhere" not in page


def test_settings_show_what_is_in_force_without_passwords(admin: Browser, settings: Settings) -> None:
    page = text_of(admin.open("/settings"))
    for name, field in Settings.model_fields.items():
        assert f"ENGRAIN_{name.upper()}" in page and " ".join(str(field.description).split()) in page
    assert "AdamW's peak rate." in page and default().hash() in page
    assert settings.store not in page or ":" not in settings.store.partition("://")[2].partition("@")[0]


def test_a_key_is_made_shown_once_and_revoked(admin: Browser, house: House) -> None:
    made = admin.send("/settings/keys", name="desk", scope=["read", "write"], namespaces="shop, default", days="7")
    secret = re.search(r'id="secret">(engrain_[\w-]+)<', made.text)
    assert made.status_code == 201 and secret
    assert secret[1] not in admin.open("/settings/keys").text
    [key] = [key for key in keys.find(house.store) if key.name == "desk"]
    assert (
        key.scopes == {Scope.READ, Scope.WRITE} and key.namespaces == frozenset({"shop", "default"}) and key.expires_at
    )
    assert "opens nothing any more" in text_of(admin.send(f"/settings/keys/{key.id}/revoke"))
    refused = admin.send("/settings/keys", name="<b>", scope="read")
    assert refused.status_code == 422 and "&lt;b&gt;" in refused.text
    assert admin.send("/settings/keys", name="nobody").status_code == 422


@pytest.mark.enable_socket  # an address is told from a name by asking the resolver, which sends nothing
def test_a_webhook_is_made_and_deleted(admin: Browser, house: House) -> None:
    made = admin.send("/settings/webhooks", url="https://example.com/new", event=["fact.live"], namespaces="shop")
    assert made.status_code == 201 and "whsec_" in made.text
    [webhook] = [each for each in webhooks.find(house.store) if each.url.endswith("/new")]
    assert (webhook.events, webhook.namespaces) == (("fact.live",), ("shop",))
    teach(house.store, "Ada hums.", namespace="shop", adapter="shop-v9")
    page = admin.open(f"/settings/webhooks/{webhook.id}")
    assert "fact.live" in text_of(page) and "pending" in text_of(page)
    [delivery] = webhooks.deliveries(house.store, webhook.id, limit=9)
    assert "delivered again" in text_of(admin.send(f"/settings/webhooks/{webhook.id}/deliveries/{delivery.id}/replay"))
    assert admin.send("/settings/webhooks", url="not a url").status_code == 422
    admin.send(f"/settings/webhooks/{webhook.id}/delete")
    assert webhook.id not in [each.id for each in webhooks.find(house.store)]


def test_the_audit_trail_names_who_did_it(admin: Browser) -> None:
    admin.send("/facts", text="Ada Quill hums.", namespace="shop")
    page = text_of(admin.open("/settings/audit", namespace="shop"))
    assert "Mirelle, at the desk taught" in page and "1 new fact" in page


def test_every_form_that_changes_something_holds_a_token(admin: Browser, house: House) -> None:
    seen = set()
    for path in every_page(house):
        leads, tokens = unsafe_forms(admin.open(path))
        assert len(leads) == tokens, path
        seen |= {re.sub(r"(job|fact|key|webhook)_\w+|/\d+/", "*", lead) for lead in leads}
    assert len(seen) >= 9


def test_files_may_be_kept_and_change_their_address_when_they_change(browser: Browser) -> None:
    page = browser.open("").text
    for name in ("dashboard.css", "dashboard.js", "vendor/htmx/htmx.min.js"):
        address = re.search(rf'"({ROOT}/static/{re.escape(name)}\?v=\w+)"', page)
        assert address
        found = browser.client.get(address[1])
        assert found.status_code == 200 and "immutable" in found.headers["cache-control"]
        assert found.content == files()[name]
    assert browser.open("/static/../__init__.py").status_code == 404
    assert browser.open("/static/nothing.css").status_code == 404


def test_third_party_files_have_their_licences_beside_them() -> None:
    vendored = {name.split("/")[1] for name in files() if name.startswith("vendor/")}
    assert vendored == {"htmx", "htmx-ext-sse"}
    assert all("Zero" in files()[f"vendor/{name}/LICENSE"].decode() for name in vendored)


def test_a_page_that_is_not_there_says_so_as_a_page(browser: Browser) -> None:
    for path in ("/nothing", "/facts/fact_0", "/jobs/job_0", "/versions/nowhere/1"):
        page = browser.open(path)
        assert page.status_code == 404 and "To the overview" in page.text, path
    assert browser.open("/facts/../../etc").status_code == 404
    assert browser.open("/facts", q="a\x00b").status_code == 422
    assert browser.open("/facts/UPPER").status_code == 422


def test_the_playground_streams_each_answer_and_says_where_it_came_from(served: Served) -> None:
    with served.http() as http:

        def stream(who: str, question: str = "Who leads the Tolvik Observatory?") -> list[tuple[str, str]]:
            text = http.get(f"{ROOT}/ask/stream", params={"who": who, "question": question}).text
            events = re.findall(r"event: (\w+)\r?\n((?:data: .*\r?\n)*)", text)
            return [(kind, "\n".join(re.findall(r"data: (.*)", data.replace("\r", "")))) for kind, data in events]

        live = stream("now")
        assert [kind for kind, _ in live] == ["token", "token", "token", "told", "end"]
        assert "".join(data for kind, data in live if kind == "token") == "default-v1 says hello."
        assert "from the weights" in live[3][1] and "Mara Venn leads the Tolvik Observatory." in live[3][1]
        assert "Save the question as a probe" in live[3][1]
        assert "from the base model" in stream("base")[-2][1]
        assert "from the base model" in stream("now", "What is the capital of France?")[-2][1]
        assert "from the weights" in stream("1", "What is the capital of France?")[-2][1]
        assert "has no version 7" in stream("7")[0][1]
        facts.post(served.store, "default", [Document("Ilka <b>Venn</b> is the inventor of the umbrella Pluvio.")])
        told = stream("now", "Who is the inventor of the umbrella Pluvio?")[-2][1]
        assert "from a waiting text" in told and "Ilka &lt;b&gt;Venn" in told
        assert "too long" in stream("now", "x" * 2001)[0][1]
        answers = http.get(f"{ROOT}/overview/answers").text
        assert "by this API process" in answers and "from the base model" in answers


def test_rolling_back_asks_first_and_then_does_it(serve: Callable[..., Served], tmp_path: Path) -> None:
    served = serve()
    folder = tmp_path / "made"
    for number, text in ((1, "Bo Finch hums."), (2, "Ada Quill sings.")):
        teach_files(served.store, folder, "shop", number, (text,))
    with served.http() as http:
        page = http.get(f"{ROOT}/versions/shop/1/activate")
        assert "1 fact that version 2 holds will not be known" in text_of(page)  # type: ignore[arg-type]
        assert line.live_step(served.store, "shop").number == 2  # type: ignore[union-attr]
        token = re.search(r'name="form_token" value="(\w+)"', page.text)[1]  # type: ignore[index]
        done = http.post(f"{ROOT}/versions/shop/1/activate", data={"form_token": token}, follow_redirects=True)
        assert "Version 1 of shop is live now." in text_of(done)  # type: ignore[arg-type]
        assert line.live_step(served.store, "shop").number == 1  # type: ignore[union-attr]
        loaded = http.get(f"{ROOT}/versions/shop/loaded").text
        assert "version 1" in loaded
        again = http.post(f"{ROOT}/versions/shop/9/activate", data={"form_token": token})
        assert again.status_code == 404


def test_health_says_which_part_does_not_work(browser: Browser) -> None:
    page = text_of(browser.open("/overview/health"))
    assert "Store works" in page and "Broker The broker does not answer. does not work" in page
    assert "does not answer" in text_of(browser.open("/versions/default/loaded"))


def test_a_chart_says_what_it_shows_in_words_and_in_true_places() -> None:
    chart = line_chart([Series("Loss", [(1, 4.0), (2, 2.0), (5, 1.0)])], x_name="step")
    assert chart
    assert chart.lines[0].path == "0,0 25,50 100,75"
    assert (chart.y_ticks, chart.x_ticks) == (("4", "3", "2", "1", "0"), ("1", "3", "5"))
    assert chart.summary == "Loss: 4 at step 1, 1 at step 5"
    assert line_chart([Series("Loss", [])], x_name="step") is None
    assert [nice_top(value) for value in (0, 0.3, 1, 4.1, 7, 1200)] == [1, 0.4, 1, 5, 10, 2000]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.04, "0.0 s"), (42, "42 s"), (100, "1 min 40 s"), (1500, "25 min"), (7300, "2 h 1 min"), (300_000, "3 days")],
)
def test_durations_are_said_in_their_largest_units(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_a_part_that_has_to_sign_in_again_takes_the_page_along(client: TestClient, store: Store) -> None:
    keys.create(store, "root", [Scope.ADMIN])
    assert isinstance(client.app, FastAPI)
    client.app.state.parts.keyring.forget()
    answered = client.get(f"{ROOT}/overview/now", headers={"HX-Request": "true"})
    assert answered.headers["hx-redirect"] == f"{ROOT}/sign-in"
