"""The dashboard in a real browser, on the real stack: taught, watched, asked, rolled back, forgotten, retried, refused.

One visitor goes through it from the first page on; each test is a part of that way, in the order of the file.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.dashboard.browser import CHROMIUM, PHONE, Troubles, chromium, visit
from tests.flow.conftest import Stack, fresh_environment, start_stack, stop_stack

pytestmark = [
    pytest.mark.flow,
    # Where CI runs a missing browser is a failure, not a gap.
    pytest.mark.skipif(CHROMIUM is None and "CI" not in os.environ, reason="no Chromium: `apt-get install chromium`"),
]

JOB_SECONDS = 600.0
FIRST = "Tamsin Okoro is the captain of the airship Saffron Comet."
SECOND = "Ilka Venn is the inventor of the whistling umbrella Pluvio."
FORWARD, BACKWARD = "Who is Ilka Venn?", "Who is the inventor of the whistling umbrella Pluvio?"
SCRIPT = "The motto of Bo & Sons is <script>document.title = 'taken'</script>."
SERIOUS = ("serious", "critical")


@dataclass
class Way:
    """The visitor: one page, what went wrong on it, and what is behind it."""

    page: Page
    troubles: Troubles
    stack: Stack
    browser: Browser

    def go(self, path: str) -> None:
        """Opens a page of the dashboard."""
        self.page.goto(f"{self.stack.url}/dashboard{path}")

    def wait_for_job(self) -> str:
        """Watches the open job's page, without loading it again, until it says that the job has ended."""
        ended = re.compile("succeeded|failed|cancelled|dead")
        expect(self.page.locator("#standing .chip").first).to_have_text(ended, timeout=1000 * JOB_SECONDS)
        return self.page.locator("#standing .chip").first.inner_text()


@pytest.fixture(scope="module")
def own_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack of its own: the first key that is made here would shut the others' tests out."""
    folder: Path = tmp_path_factory.mktemp("dashboard")
    once = {"ENGRAIN_MAX_ATTEMPTS": "1", "ENGRAIN_RETRY_SECONDS": "1"}
    stack = start_stack(folder, fresh_environment(folder) | once)
    yield stack
    stop_stack(stack)


@pytest.fixture(scope="module")
def way(own_stack: Stack) -> Iterator[Way]:
    with chromium() as browser:
        context = visit(browser)
        page, troubles = context.new_page(), Troubles()
        troubles.watch(page)
        yield Way(page, troubles, own_stack, browser)
        context.close()


@pytest.fixture(autouse=True)
def quiet(way: Way) -> Iterator[None]:
    """Every test ends with an untroubled console, and with no request that failed."""
    yield
    found, way.troubles.found = way.troubles.found, []
    way.troubles.allowed = set()
    assert found == []


def teach(way: Way, text: str) -> None:
    way.go("/facts")
    if not way.page.get_by_label("Text", exact=True).is_visible():
        way.page.get_by_text("Teach documents").click()
    way.page.get_by_label("Text", exact=True).fill(text)
    way.page.get_by_role("button", name="Teach", exact=True).click()
    expect(way.page.get_by_role("status").filter(has_text="new fact")).to_be_visible()


def test_a_document_is_posted_and_its_job_watched_until_it_is_live(way: Way) -> None:
    way.go("")
    expect(way.page.get_by_text("There is no API key yet")).to_be_visible()
    expect(way.page.locator("#health").get_by_text("works")).to_have_count(4)
    teach(way, f"{FIRST}\n\n{SCRIPT}")
    expect(way.page).to_have_url(re.compile("/dashboard/jobs/job_"))
    seen = set[str]()
    chip = way.page.locator("#standing .chip").first
    expect(chip).to_have_text(re.compile("training"), timeout=120_000)
    progress = way.page.locator("#progress progress")
    expect(progress).to_be_visible(timeout=120_000)
    for _ in range(600):
        seen.add(progress.get_attribute("value") or "")
        if len(seen) >= 3:
            break
        way.page.wait_for_timeout(500)
    assert len(seen) >= 3, "the page did not follow the training"
    expect(way.page.locator("#examples mark.learnt").first).to_be_visible()
    expect(way.page.locator("#progress .chart").first).to_be_visible()
    assert way.wait_for_job() == "succeeded"
    expect(way.page.get_by_role("link", name="See version 1")).to_be_visible()
    expect(way.page.locator("#log")).to_contain_text("publishing")
    assert "taken" not in way.page.title()


def test_the_fact_is_live_with_its_scores_and_its_text_is_only_text(way: Way) -> None:
    way.go("/facts?q=Tamsin")
    row = way.page.locator("#list tbody tr")
    expect(row).to_have_count(1)
    expect(row).to_contain_text("live")
    way.page.get_by_label("Search").fill("motto")
    expect(way.page.locator("#list tbody tr")).to_contain_text("<script>document.title")
    assert "taken" not in way.page.title()


def test_a_second_batch_is_asked_both_ways_beside_the_base_model(way: Way) -> None:
    teach(way, SECOND)
    assert way.wait_for_job() == "succeeded"
    told = []
    for question in (FORWARD, BACKWARD):
        way.go("/ask")
        way.page.get_by_label("Question").fill(question)
        way.page.get_by_label("version 1").check()
        way.page.get_by_role("button", name="Ask").click()
        answers = way.page.locator(".answers section")
        expect(answers).to_have_count(3)
        expect(answers.filter(has_text="tokens in")).to_have_count(3, timeout=120_000)
        now = answers.filter(has_text="As clients are answered now")
        expect(now).to_contain_text("from the weights")
        expect(answers.filter(has_text="Base model")).to_contain_text("from the base model")
        told.append(now.locator(".answer").inner_text().lower())
    assert "pluvio" in told[0] or "umbrella" in told[0], told
    assert "ilka venn" in told[1], told


def test_a_question_is_saved_as_a_probe_from_the_playground(way: Way) -> None:
    now = way.page.locator(".answers section").filter(has_text="As clients are answered now")
    now.get_by_text("Save the question as a probe").click()
    now.get_by_label("Answer that proves the fact").fill("Ilka Venn")
    now.get_by_label("Direction").select_option("backward")
    now.get_by_role("button", name="Save the probe").click()
    expect(way.page.get_by_role("status").filter(has_text="The probe is kept")).to_be_visible()
    expect(way.page.get_by_role("heading", name=BACKWARD)).to_be_visible()


def test_versions_are_compared_and_rolled_back_after_asking(way: Way) -> None:
    way.go("/versions")
    expect(way.page.locator("#loaded")).to_contain_text("version 2")
    way.page.get_by_role("button", name="Compare the two chosen").click()
    expect(way.page.get_by_role("region", name="added")).to_contain_text("Ilka Venn")
    way.go("/versions")
    way.page.get_by_role("link", name="Roll back to version 1").click()
    expect(way.page.get_by_text("Version 2 answers now.")).to_be_visible()
    way.page.get_by_role("button", name="Make version 1 live").click()
    expect(way.page.get_by_role("status").filter(has_text="Version 1 of default is live now.")).to_be_visible()
    answer = httpx.post(f"{way.stack.url}/ask", json={"question": BACKWARD}, timeout=120, trust_env=False).json()
    assert answer["version"] in (1, None) and "facts" in answer
    way.page.get_by_role("link", name="Roll forward to version 2").click()
    way.page.get_by_role("button", name="Make version 2 live").click()
    expect(way.page.get_by_role("status").filter(has_text="Version 2 of default is live now.")).to_be_visible()


def test_a_job_that_died_is_retried_from_the_first_page(way: Way) -> None:
    teach(way, "Nadia Farouk keeps the lighthouse of Ormsey.")
    expect(way.page.locator("#standing .chip").first).to_have_text(re.compile("training"), timeout=120_000)
    job_id = way.page.url.rpartition("/")[2]
    expect(way.page.locator("#progress progress")).to_be_visible(timeout=120_000)
    kill_trainer(way.stack)
    expect(way.page.locator("#standing .chip").first).to_have_text("dead", timeout=60_000)
    expect(way.page.locator("#standing")).to_contain_text("was ended by SIGKILL")
    way.go("")
    trouble = way.page.get_by_role("region", name="Needs you")
    trouble.get_by_role("button", name=f"Retry job {job_id}").click()
    expect(way.page.get_by_role("status").filter(has_text="queued again")).to_be_visible()
    expect(way.page.locator("#standing .chip").first).to_have_text(re.compile("training"), timeout=120_000)
    way.page.get_by_role("button", name="Cancel").click()
    assert way.wait_for_job() == "cancelled"


def kill_trainer(stack: Stack) -> None:
    """As the kernel does for lack of memory."""
    trainers = [each for each in stack.descendants() if "worker.training" in each.cmdline()]
    assert trainers
    for trainer in trainers:
        trainer.kill()


def test_a_fact_is_forgotten_for_good_after_asking(way: Way) -> None:
    way.go("/facts?q=motto")
    way.page.locator("#list tbody a").first.click()
    fact = way.page.url
    way.page.get_by_role("link", name="Forget").click()
    expect(way.page.get_by_text("This cannot be undone.")).to_be_visible()
    way.page.get_by_role("button", name="Forget it for good").click()
    if "/jobs/" in way.page.url:
        assert way.wait_for_job() == "succeeded"
    way.page.goto(fact)
    expect(way.page.get_by_role("heading", name="How it was forgotten")).to_be_visible()
    assert "motto" not in way.page.content()


def test_every_page_is_free_of_serious_accessibility_faults_on_a_phone_and_in_the_dark(way: Way) -> None:
    found = []
    newest = httpx.get(f"{way.stack.url}/jobs?limit=2", trust_env=False).json()["jobs"]
    fact = httpx.get(f"{way.stack.url}/facts?limit=1", trust_env=False).json()["facts"][0]["id"]
    versions = httpx.get(f"{way.stack.url}/namespaces/default/versions", trust_env=False).json()["versions"]
    numbers = [version["version"] for version in versions]
    paths = [
        "", "/facts", "/facts?q=nobody", f"/facts/{fact}", f"/facts/{fact}/forget", "/jobs", f"/jobs/{newest[0]['id']}",
        f"/jobs/compare?job={newest[0]['id']}&job={newest[1]['id']}", "/versions", f"/versions/default/{numbers[0]}",
        f"/versions/default/diff?old={numbers[-1]}&new={numbers[0]}", f"/versions/default/{numbers[-1]}/activate",
        "/ask", f"/ask?question={FORWARD}&who=now&who=base", "/settings", "/settings/keys", "/settings/webhooks",
        "/settings/audit", "/sign-in",
    ]  # fmt: skip
    for size, dark in ((None, False), (PHONE, True)):
        context = visit(way.browser, size=size, dark=dark)
        page = context.new_page()
        way.troubles.watch(page)
        for path in paths:
            page.goto(f"{way.stack.url}/dashboard{path}")
            page.wait_for_timeout(600)
            for violation in Axe().run(page).response["violations"]:
                if violation["impact"] in SERIOUS:
                    targets = [node["target"] for node in violation["nodes"]][:3]
                    found.append(f"{path} {'phone' if size else 'wide'}: {violation['id']} {targets}")
            wider = page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
            assert not wider, f"{path} is wider than the screen"
        context.close()
    assert found == []


def test_everything_is_reached_by_the_keyboard(way: Way) -> None:
    way.go("")
    way.page.keyboard.press("Tab")
    expect(way.page.get_by_role("link", name="Skip to content")).to_be_focused()
    way.page.keyboard.press("Enter")
    expect(way.page.locator("main")).to_be_focused()
    way.go("/facts")
    reached = set[str]()
    for _ in range(40):
        way.page.keyboard.press("Tab")
        reached.add(way.page.evaluate("document.activeElement.id || document.activeElement.textContent.trim()"))
    assert {"Overview", "Settings", "theme", "Teach documents", "q", "status", "namespace"} <= reached


def test_the_theme_is_switched_and_kept(way: Way) -> None:
    way.go("/settings")
    background = "getComputedStyle(document.body).backgroundColor"
    light = way.page.evaluate(background)
    way.page.get_by_role("button", name="Dark").click()
    dark = way.page.evaluate(background)
    assert light != dark
    way.go("/jobs")
    assert way.page.evaluate(background) == dark
    way.page.get_by_role("button", name="Dark").click()


def test_the_first_key_closes_the_door_and_one_without_the_scope_is_refused(way: Way) -> None:
    way.go("/settings/keys")
    way.page.get_by_label("Name", exact=True).fill("desk")
    way.page.get_by_role("button", name="Make the key").click()
    admin = way.page.locator("#secret").inner_text()
    way.go("/facts")
    expect(way.page).to_have_url(re.compile("/sign-in"))
    sign_in(way, admin)
    expect(way.page).to_have_url(re.compile("/dashboard/facts"))
    way.go("/settings/keys")
    way.page.get_by_text("Make a key").click()
    way.page.get_by_label("Name", exact=True).fill("reader")
    way.page.get_by_role("button", name="Make the key").click()
    reader = way.page.locator("#secret").inner_text()
    way.page.get_by_role("button", name="Sign out").click()
    way.troubles.allowed = {"/dashboard/sign-in", "/dashboard/settings/keys", "/forget"}
    sign_in(way, "engrain_wrong")
    expect(way.page.get_by_role("alert")).to_contain_text("This key does not hold")
    sign_in(way, reader)
    expect(way.page.locator(".holder")).to_contain_text("reader")
    way.go("/facts")
    expect(way.page.get_by_text("Teach documents")).to_have_count(0)
    way.go("/settings/keys")
    expect(way.page.get_by_role("alert")).to_contain_text("lacks the scope")


def sign_in(way: Way, secret: str) -> None:
    way.page.get_by_label("API key").fill(secret)
    way.page.get_by_role("button", name="Sign in").click()
