"""Who opens which page: signing in, forms that come from elsewhere, scopes on every button, other namespaces."""

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient
from sqlalchemy import update

from knowledge.jobs import JobStatus
from knowledge.keys import SYSTEM, Scope
from knowledge.settings import Settings
from knowledge.store import Store, facts, jobs, keys, now
from knowledge.store.tables import SessionRow
from service.dashboard.cookies import BROWSER, SESSION
from service.dashboard.paths import is_page
from service.dashboard.visit import Visits
from service.gate import access_of
from tests.dashboard.seed import House as Deployment
from tests.dashboard.seed import small
from tests.service.conftest import visitor
from tests.service.pages import ROOT, Browser, text_of, unsafe_forms
from tests.service.test_tenants import House, house  # noqa: F401 - a fixture

OPEN = {f"{ROOT}/sign-in", f"{ROOT}/sign-out", f"{ROOT}/static/{{name:path}}"}
"""Pages that ask for no key: where one signs in and out, and what the pages themselves load."""

QUERIES: dict[str, list[dict[str, Any]]] = {
    f"{ROOT}/facts": [{"namespace": "theirs"}, {"q": "Quillon"}, {"namespace": "theirs", "version": 1}],
    f"{ROOT}/jobs": [{"namespace": "theirs"}],
    f"{ROOT}/jobs/compare": [{"job": ["{job_id}", "{running_id}"]}],
    f"{ROOT}/overview/scores": [{"namespace": "theirs"}],
    f"{ROOT}/versions": [{"namespace": "theirs"}],
    f"{ROOT}/versions/{{namespace}}/diff": [{"old": 1, "new": 2}],
    f"{ROOT}/versions/{{namespace}}/rescored": [{"old": 1, "new": 2}],
    f"{ROOT}/ask": [{"namespace": "theirs"}, {"namespace": "theirs", "question": "Who keeps the ledger?", "who": "1"}],
    f"{ROOT}/ask/stream": [
        {"namespace": "theirs", "question": "Who keeps the ledger?", "who": who} for who in ("now", "base", "1")
    ],
    f"{ROOT}/settings/audit": [{"namespace": "theirs"}],
}
"""What a page is asked for beside its path; a page that needs something and is not here answers 422, and is seen."""

FORM = {
    "namespace": "theirs", "text": "Ada Quill hums.", "question": "Who?", "answer": "Ada", "direction": "forward",
    "name": "made", "scope": "read", "namespaces": "theirs", "url": "https://example.com/made", "secret": "x",
}  # fmt: skip


def pages(app: FastAPI) -> Iterator[tuple[str, APIRoute]]:
    for route in app.routes:
        if isinstance(route, APIRoute) and is_page(route.path):
            for method in route.methods:
                yield method, route


def addresses(route: APIRoute, objects: dict[str, str]) -> Iterator[tuple[str, dict[str, Any]]]:
    path = route.path.removeprefix(ROOT).replace("{name:path}", "icon.svg")
    for name, value in objects.items():
        path = path.replace(f"{{{name}}}", value)
    assert "{" not in path, f"{route.path}: say in `objects` what to ask for"
    for query in QUERIES.get(route.path, [{}]) if "GET" in route.methods else [{}]:
        filled = {
            key: [each.format(**objects) for each in value] if isinstance(value, list) else value
            for key, value in query.items()
        }
        yield path, filled


def objects_of(house: House) -> dict[str, str]:  # noqa: F811
    found = {name: value for name, value in house.theirs.objects.items() if " " not in name}
    found["running_id"] = house.theirs.objects["POST /jobs/{job_id}/cancel job_id"]
    return found


def leaks(house: House, browser: Browser) -> list[str]:  # noqa: F811
    """What a browser that is signed in for another namespace gets of theirs."""
    found, theirs, objects = [], house.theirs, objects_of(house)
    for method, route in pages(house.app):
        if route.path in OPEN:
            continue
        for path, query in addresses(route, objects):
            before = house.rows()
            page = browser.open(path, **query) if method == "GET" else browser.send(path, **FORM)
            said = f"{path} {query} {FORM}"
            names = [mark for mark in theirs.marks if mark in page.text and mark not in said]
            if names:
                found.append(f"{method} {route.path} tells {names}")
            if house.rows() != before:
                found.append(f"{method} {route.path} changes what is theirs")
            if "{" in route.path and page.status_code not in (403, 404):
                found.append(f"{method} {route.path} answers {page.status_code}")
    return found


@pytest.mark.enable_socket  # an address is told from a name by asking the resolver, which sends nothing
def test_no_page_shows_or_changes_what_another_namespace_has(house: House) -> None:  # noqa: F811
    assert leaks(house, Browser.at(house.app, house.our_secret)) == []


@pytest.mark.enable_socket
def test_the_tenant_itself_is_served_by_every_page(house: House) -> None:  # noqa: F811
    browser, root = Browser.at(house.app, house.their_secret), Browser.at(house.app, house.root_secret)
    objects = objects_of(house)
    # A queued job leaves no place for a retry, and a key that is revoked opens nothing more.
    last = ("/cancel", "/retry", "/supersede", "/facts", "/forget", "/delete", "/revoke")
    for method, route in sorted(pages(house.app), key=lambda each: each[0] + route_rank(each[1].path, last)):
        if route.path in OPEN:
            continue
        access = access_of(route, method)
        who = root if access.everywhere else browser
        for path, query in addresses(
            route, {**objects, **({"job_id": objects["running_id"]} if "cancel" in route.path else {})}
        ):
            page = who.open(path, **query) if method == "GET" else who.send(path, **FORM)
            assert page.status_code < 400, (method, route.path, query, text_of(page))


def route_rank(path: str, last: tuple[str, ...]) -> str:
    """Sorts what leaves nothing to do for the others behind them."""
    return str(next((place for place, end in enumerate(last, start=1) if path.endswith(end)), 0))


def test_a_planted_page_that_forgets_the_namespace_is_caught(house: House) -> None:  # noqa: F811
    @house.app.get(f"{ROOT}/planted/{{fact_id}}")
    def look(fact_id: str, visit: Visits) -> str:
        return facts.get(visit.parts.store.seen_by(SYSTEM), fact_id).text

    @house.app.post(f"{ROOT}/planted/{{job_id}}")
    def end(job_id: str, visit: Visits) -> str:
        return jobs.cancel(visit.parts.store.seen_by(SYSTEM), objects_of(house)["running_id"]).status

    found = leaks(house, Browser.at(house.app, house.our_secret))
    planted = [leak.split(" [")[0] for leak in found if "planted" in leak]
    assert f"GET {ROOT}/planted/{{fact_id}} tells" in planted
    assert f"POST {ROOT}/planted/{{job_id}} changes what is theirs" in planted


def test_every_page_asks_to_sign_in_but_those_that_are_open(house: House) -> None:  # noqa: F811
    stranger = visitor(house.app)
    for method, route in pages(house.app):
        assert (access_of(route, method).scope is None) == (route.path in OPEN), route.path
        if route.path in OPEN:
            continue
        for path, query in addresses(route, objects_of(house)):
            before = house.rows()
            answered = stranger.request(method, f"{ROOT}{path}", params=query, follow_redirects=False)
            assert answered.status_code == 303 and "/sign-in" in answered.headers["location"], (method, path)
            assert ("next=" in answered.headers["location"]) == (method == "GET" and path != ""), (method, path)
            assert house.rows() == before


def test_every_form_that_did_not_come_from_our_page_is_refused(house: House) -> None:  # noqa: F811
    browser = Browser.at(house.app, house.root_secret)
    posts = [(method, route) for method, route in pages(house.app) if method != "GET"]
    assert len(posts) >= 12
    for token in ("", "0" * 64, Browser.at(house.app, house.root_secret).token):
        browser.token = token
        for _, route in posts:
            for path, _ in addresses(route, objects_of(house)):
                before = house.rows()
                page = browser.send(path, **FORM)
                assert page.status_code == 403 and "form-expired" in page.text, route.path
                assert house.rows() == before
    assert browser.open("").status_code == 200


def test_a_token_from_before_signing_in_holds_no_more(house: House) -> None:  # noqa: F811
    browser = Browser.at(house.app)
    browser.open("/sign-in")
    before = browser.token
    browser.send("/sign-in", secret=house.root_secret)
    assert browser.token != before
    browser.token = before
    assert browser.send("/sign-out").status_code == 403


SCOPED = {
    f"POST {ROOT}/facts": "write",
    f"POST {ROOT}/facts/{{fact_id}}/supersede": "write",
    f"POST {ROOT}/jobs/{{job_id}}/retry": "write",
    f"POST {ROOT}/versions/{{namespace}}/{{number}}/activate": "admin",
    f"GET {ROOT}/settings/keys": "admin",
    f"GET {ROOT}/settings/audit": "admin",
    f"GET {ROOT}/jobs": "read",
}


def test_every_page_refuses_a_key_without_its_scope(house: House) -> None:  # noqa: F811
    found = {f"{method} {route.path}": str(access_of(route, method).scope) for method, route in pages(house.app)}
    assert {operation: found[operation] for operation in SCOPED} == SCOPED
    for scope in (Scope.READ, Scope.WRITE):
        _, secret = keys.create(house.store, scope, [scope], namespaces=["theirs"])
        browser = Browser.at(house.app, secret)
        for method, route in pages(house.app):
            wanted = access_of(route, method).scope
            if wanted in (None, scope):
                continue
            for path, query in addresses(route, objects_of(house)):
                before = house.rows()
                page = browser.open(path, **query) if method == "GET" else browser.send(path, **FORM)
                assert page.status_code == 403 and "lacks the scope" in text_of(page), (method, route.path, scope)
                assert house.rows() == before


@pytest.fixture
def deployment(store: Store, settings: Settings) -> Deployment:
    return small(store, settings.adapters_folder, reports=2)


def test_who_may_only_look_sees_no_button_that_would_refuse_them(client: TestClient, deployment: Deployment) -> None:
    _, secret = keys.create(deployment.store, "reader", [Scope.READ])
    assert isinstance(client.app, FastAPI)
    reader, admin = Browser.at(client.app, secret), Browser.at(client.app, deployment.secret)
    paths = ("", "/facts", f"/facts/{deployment.fact}", f"/jobs/{deployment.running}", f"/jobs/{deployment.failed}")
    for path in (*paths, "/versions", "/versions/default/2", "/settings"):
        leads, _ = unsafe_forms(reader.open(path))
        assert set(leads) == {f"{ROOT}/sign-out"}, path
        page = reader.open(path).text
        assert not re.search(r'href="[^"]*(/activate|/settings/keys|#teach)"', page), path
    assert any("/retry" in lead for lead in unsafe_forms(admin.open(""))[0])
    assert "/activate" in admin.open("/versions").text


def test_signing_in_needs_a_key_that_holds(client: TestClient, deployment: Deployment) -> None:
    assert isinstance(client.app, FastAPI)
    browser = Browser.at(client.app)
    assert browser.open("/facts").url.path == f"{ROOT}/sign-in"
    refused = browser.send("/sign-in", secret="engrain_" + "x" * 43)
    assert refused.status_code == 401 and "This key does not hold" in text_of(refused)
    opened = browser.send("/sign-in", secret=f" {deployment.secret} ", next=f"{ROOT}/facts")
    assert opened.url.path == f"{ROOT}/facts" and "Mirelle, at the desk" in text_of(opened)
    assert deployment.secret not in opened.text


def test_the_session_cookie_is_for_pages_alone_and_for_no_script(client: TestClient, deployment: Deployment) -> None:
    assert isinstance(client.app, FastAPI)
    browser = Browser.at(client.app)
    browser.open("/sign-in")
    answered = browser.client.post(
        f"{ROOT}/sign-in", data={"form_token": browser.token, "secret": deployment.secret}, follow_redirects=False
    )
    cookies = {each.split("=")[0]: each for each in answered.headers.get_list("set-cookie")}
    for name in (SESSION, BROWSER):
        for word in ("HttpOnly", "SameSite=strict", f"Path={ROOT}"):
            assert word in cookies[name], name
        assert "Secure" not in cookies[name]
    assert deployment.secret not in str(cookies)
    session = browser.client.cookies[SESSION]
    assert client.get("/facts", headers={"Cookie": f"{SESSION}={session}"}).status_code == 401
    assert client.get(f"{ROOT}/facts", headers={"Authorization": f"Bearer {deployment.secret}"}).url.path.endswith(
        "sign-in"
    )
    behind_tls = browser.client.post(
        f"{ROOT}/sign-out",
        data={"form_token": browser.open("").text and browser.token},
        headers={"X-Forwarded-Proto": "https"},
    )
    assert behind_tls.status_code == 200


def test_a_session_ends_by_signing_out_by_its_key_and_by_its_time(client: TestClient, deployment: Deployment) -> None:
    assert isinstance(client.app, FastAPI)
    store = deployment.store

    def is_in(browser: Browser) -> bool:
        return browser.open("/facts").url.path == f"{ROOT}/facts"

    one, two, three = (Browser.at(client.app, deployment.secret) for _ in range(3))
    session = one.client.cookies[SESSION]
    one.send("/sign-out")
    one.client.cookies.set(SESSION, session, domain="localhost.local", path=ROOT)
    assert not is_in(one) and is_in(two)
    with store.write() as opened:
        opened.execute(update(SessionRow).values(expires_at=now() - timedelta(seconds=1)))
    assert not is_in(two) and not is_in(three)
    fresh = Browser.at(client.app, deployment.secret)
    assert is_in(fresh)
    [key] = [key for key in keys.find(store) if key.name.startswith("Mirelle")]
    keys.revoke(store, key.id)
    assert not is_in(fresh)


@pytest.mark.parametrize(
    "there",
    ["https://evil.example", "//evil.example", f"{ROOT}//evil.example", "/facts", f"{ROOT}\\@evil.example", "x"],
)
def test_signing_in_leads_to_no_other_site(client: TestClient, deployment: Deployment, there: str) -> None:
    assert isinstance(client.app, FastAPI)
    browser = Browser.at(client.app)
    browser.open("/sign-in", next=there)
    answered = browser.client.post(
        f"{ROOT}/sign-in",
        data={"form_token": browser.token, "secret": deployment.secret, "next": there},
        follow_redirects=False,
    )
    assert answered.headers["location"] == ROOT


def test_without_a_key_this_machine_is_served_and_the_page_says_so(client: TestClient, store: Store) -> None:
    assert isinstance(client.app, FastAPI)
    browser = Browser.at(client.app)
    page = text_of(browser.open(""))
    assert "There is no API key yet" in page and "Whoever is on this machine" in page
    assert browser.send("/facts", text="Ada Quill hums.", namespace="default").status_code == 200
    elsewhere = TestClient(
        client.app, "http://engrain.example", client=("203.0.113.9", 5), raise_server_exceptions=False
    )
    refused = elsewhere.get(ROOT)
    assert refused.status_code == 403 and "There is no key yet" in text_of(refused)
    foreign = browser.client.post(f"{ROOT}/facts", data=FORM, headers={"Origin": "http://evil.example"})
    assert foreign.status_code == 403
    made = browser.send("/settings/keys", name="root", scope="admin")
    secret = re.search(r'id="secret">(engrain_[\w-]+)<', made.text)
    assert secret and "From now on everybody needs a key" in text_of(made)
    assert browser.open("/facts").url.path == f"{ROOT}/sign-in"
    browser.send("/sign-in", secret=secret[1])
    assert "root" in text_of(browser.open(""))
    assert "There is no API key yet" not in text_of(browser.open(""))


def test_a_job_of_a_key_with_write_alone_is_cancelled(client: TestClient, deployment: Deployment) -> None:
    _, secret = keys.create(deployment.store, "writer", [Scope.READ, Scope.WRITE], namespaces=["default"])
    assert isinstance(client.app, FastAPI)
    writer = Browser.at(client.app, secret)
    assert "shop" not in text_of(writer.open("")) and "shop" not in text_of(writer.open("/facts"))
    assert writer.open("/settings/keys").status_code == 403
    assert writer.send(f"/jobs/{deployment.failed}/retry").status_code == 404
    writer.send(f"/jobs/{deployment.running}/cancel")
    assert jobs.get(deployment.store, deployment.running).status == JobStatus.CANCELLED
