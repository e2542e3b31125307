"""Links of a page lead somewhere: to a file of the repository, and where they name a heading, to one that is there."""

import re
from pathlib import Path

import pytest

from tests.docs.pages import PAGES, ROOT, prose

LINK = re.compile(r"!?\[[^\]]*\]\(([^()\s]+)\)")
ELSEWHERE = re.compile(r"(?:https?|mailto):")
OURS = "https://github.com/open-vr1/open-vr1/blob/main/"
FORMS = sorted((ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml"))


def anchors(page: Path) -> set[str]:
    """What GitHub makes of the headings: small letters, no punctuation, dashes for spaces; a number for the second of a name."""
    found: list[str] = []
    for heading in re.findall(r"^#+ +(.+?) *$", prose(page.read_text()), re.MULTILINE):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        name = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
        count = sum(one == name or re.fullmatch(rf"{re.escape(name)}-\d+", one) is not None for one in found)
        found.append(f"{name}-{count}" if count else name)
    return set(found)


def link_problems(page: Path, text: str) -> list[str]:
    wrong = []
    for number, line in enumerate(prose(text).splitlines(), 1):
        for link in LINK.findall(re.sub(r"`[^`]*`", "", line)):
            if ELSEWHERE.match(link):
                continue
            path, _, anchor = link.partition("#")
            target = (page.parent / path) if path else page
            if not target.exists():
                wrong.append(f"{page}:{number}: {link}: there is no such file")
            elif anchor and anchor not in anchors(target):
                wrong.append(f"{page}:{number}: {link}: {target.name} has no such heading")
    return wrong


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_link_of_a_page_leads_somewhere(page):
    assert link_problems(ROOT / page, (ROOT / page).read_text()) == []


@pytest.mark.parametrize(
    ("link", "problem"),
    [
        ("[a](docs/plam.md)", "docs/plam.md: there is no such file"),
        ("![a](docs/ptst/plots/lenght.png)", "lenght.png: there is no such file"),
        ("[a](docs/plan.md#how-memory-is-guessed)", "plan.md has no such heading"),
        ("[a](#nowhere)", "README.md has no such heading"),
    ],
)
def test_a_planted_dead_link_is_found(link, problem):
    (found,) = link_problems(ROOT / "README.md", f"# Title\n\nSee {link}.\n")
    assert found.endswith(problem) and ":3: " in found


def test_headings_are_found_as_github_names_them():
    names = anchors(ROOT / "docs/publishing.md")
    assert {"nothing-is-lost-and-training-does-not-wait", "what-has-been-run-and-what-has-not"} <= names


def test_every_page_of_the_docs_is_in_their_index_and_the_index_in_the_readme():
    index = (ROOT / "docs/README.md").read_text()
    pages = {page.name for page in PAGES if page.parent.name == "docs"} - {"README.md"}
    assert pages == {link for link in LINK.findall(index) if "/" not in link}
    assert "(docs/README.md)" in (ROOT / "README.md").read_text()


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_the_pages_that_an_issue_form_links_are_there(form):
    links = re.findall(rf"{OURS}([\w./-]+)", form.read_text())
    assert all((ROOT / link).is_file() for link in links), links
