"""Screenshots of every screen, light and dark, wide and phone: `make dashboard-shots`."""

import argparse
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, ViewportSize

from knowledge.store import jobs
from tests.dashboard.browser import PHONE, WIDE, Troubles, chromium, sign_in, visit
from tests.dashboard.seed import House, small
from tests.dashboard.site import Site, serve

QUESTION = "Who%20is%20the%20founder%20of%20the%20lunar%20bakery%20Crater%20%26%20Crust%3F"
SETTLED_MILLISECONDS = 700
README = ("overview-wide-light", "job-running-wide-dark")


def screens(site: Site) -> dict[str, str]:
    """The address of each screen, by its name."""
    house = site.filled
    assert isinstance(house, House)
    fact = house.fact
    return {
        "ask": f"/ask?question={QUESTION}&who=now&who=2&who=base",
        "overview": "",
        "facts": "/facts",
        "facts-none": "/facts?q=unheard-of",
        "fact": f"/facts/{fact}",
        "jobs": "/jobs",
        "job-running": f"/jobs/{house.running}",
        "job-failed": f"/jobs/{house.failed}",
        "jobs-compare": f"/jobs/compare?job={house.running}&job={house.failed}",
        "versions": "/versions",
        "version": "/versions/default/4",
        "versions-diff": "/versions/default/diff?old=2&new=4",
        "versions-activate": "/versions/default/2/activate",
        "settings": "/settings",
        "settings-keys": "/settings/keys",
        "settings-webhooks": "/settings/webhooks",
        "settings-audit": "/settings/audit",
        "refusal": "/jobs/job_0",
    }


def shoot(page: Page, path: Path, size: ViewportSize) -> None:
    """Takes the picture when the page's parts have come, on a screen as high as the page."""
    page.wait_for_timeout(SETTLED_MILLISECONDS)
    height = page.evaluate("document.documentElement.scrollHeight")
    page.set_viewport_size({"width": size["width"], "height": max(size["height"], height)})
    page.screenshot(path=path)
    page.set_viewport_size(size)


def compress(picture: Path, to: Path) -> None:
    """With 128 colours a screen looks the same and takes a third."""
    with Image.open(picture) as opened:
        opened.convert("RGB").quantize(128).save(to, optimize=True)


def main() -> None:
    """Writes them into a folder."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--folder", type=Path, default=Path("engrain-data/dashboard-shots"))
    parser.add_argument("--only", nargs="*", help="names of screens")
    parser.add_argument("--readme", action="store_true", help="put those of the README into docs/, compressed")
    parser.add_argument("--looks", nargs="*", help="wide-light, wide-dark, phone-light, phone-dark")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    troubles = Troubles(allowed={"/jobs/job_0"})
    with tempfile.TemporaryDirectory() as name, serve(small, Path(name)) as site, chromium() as browser:
        assert isinstance(site.filled, House)
        for size_name, size in (("wide", WIDE), ("phone", PHONE)):
            for theme in ("light", "dark"):
                if arguments.looks and f"{size_name}-{theme}" not in arguments.looks:
                    continue
                context = visit(browser, size=size, dark=theme == "dark")
                page = context.new_page()
                troubles.watch(page)
                page.goto(f"{site.url}/dashboard/sign-in")
                if not arguments.only:
                    shoot(page, arguments.folder / f"sign-in-{size_name}-{theme}.png", size)
                sign_in(page, site.url, site.filled.secret)
                for screen, path in screens(site).items():
                    if not arguments.only or screen in arguments.only:
                        jobs.see_worker(site.store, "worker-1")
                        page.goto(f"{site.url}/dashboard{path}")
                        shoot(page, arguments.folder / f"{screen}-{size_name}-{theme}.png", size)
                context.close()
    for name in README if arguments.readme else ():
        compress(arguments.folder / f"{name}.png", Path("docs") / f"dashboard-{name}.png")
    for trouble in troubles.found:
        print(trouble)
    print(f"{len(list(arguments.folder.glob('*.png')))} pictures in {arguments.folder}, {len(troubles.found)} troubles")


if __name__ == "__main__":
    main()
