"""The pages name everything that exists, lead where they say, and hold nothing that is only true on one machine."""

import json
import re
from importlib.metadata import entry_points

import pages
import pytest

from resit.api.app import create_app
from resit.cli import helptext
from resit.cli.main import make_app
from resit.domain import errors
from resit.domain.access import Scope
from resit.domain.status import Outcome, ResultStatus, RunStatus, SelectionKind, Verdict

DOCS = pages.ROOT / "docs"
ALL = pages.all_pages()
IDS = [str(page.relative_to(pages.ROOT)) for page in ALL]


def read(name):
    return (DOCS / name).read_text(encoding="utf-8")


def family(base):
    yield base
    for child in base.__subclasses__():
        yield from family(child)


class _Limits:
    max_body = 1
    content_url = ""


class _Services:
    settings = _Limits()
    url = ""


def test_every_command_is_in_its_reference():
    page = read("reference/cli.md")
    for words in helptext.commands(make_app()):
        assert f"## resit {' '.join(words)}\n" in page


def test_every_route_is_in_its_reference_and_no_other():
    paths = create_app(_Services()).openapi()["paths"]
    routes = {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods}
    listed = re.findall(r"^\| `([A-Z]+ /resit/\S+)` \|", read("reference/http-api.md"), re.MULTILINE)
    assert sorted(listed) == sorted(routes)


def test_every_scope_and_error_code_is_in_the_reference():
    page = read("reference/http-api.md")
    for scope in Scope:
        assert f"| `{scope}` |" in page
    for error in family(errors.ResitError):
        if error is not errors.ResitError:
            assert f"| `{error.code}` |" in page, error


def test_every_problem_code_is_in_the_reference():
    page = read("reference/http-api.md")
    sources = [path.read_text(encoding="utf-8") for path in (pages.ROOT / "src" / "resit").rglob("*.py")]
    found = {code for text in sources for code in re.findall(r'Problem\(code="(\w+)"', text)}
    found |= {code for text in sources for code in re.findall(r'WorkspaceError\(\s*"(\w+)"', text)}
    plugin = (pages.ROOT / "src" / "resit" / "plugin.py").read_text(encoding="utf-8")
    found |= set(re.findall(r'code = "(\w+)"', plugin))
    assert len(found) > 8
    for code in found:
        assert f"| `{code}` |" in page


@pytest.mark.parametrize("words", [Outcome, RunStatus, Verdict, ResultStatus, SelectionKind], ids=lambda w: w.__name__)
def test_every_word_is_in_the_reference(words):
    page = read("reference/http-api.md")
    for word in words:
        assert f"`{word}`" in page, word


@pytest.mark.parametrize("words", [Outcome, RunStatus, Verdict], ids=lambda w: w.__name__)
def test_every_word_is_in_the_glossary(words):
    page = read("glossary.md")
    for word in words:
        assert f"*{word.replace('_', ' ')}*" in page, word


def test_every_executor_has_its_chapter():
    page = read("reference/executors.md").lower()
    for point in entry_points(group="resit.executors"):
        if point.value.startswith("resit."):
            assert f"\n## {point.name}\n" in page


def test_every_page_is_reachable_from_the_index():
    seen, todo = set(), [DOCS / "index.md"]
    while todo:
        page = todo.pop()
        if page in seen:
            continue
        seen.add(page)
        targets = [link.partition("#")[0] for link in pages.links(page) if "://" not in link]
        todo += [(page.parent / target).resolve() for target in targets if target.endswith(".md")]
    assert [page for page in sorted(DOCS.rglob("*.md")) if page not in seen] == []


def anchors(page):
    """The anchors of headings, as GitHub makes them."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", ALL, ids=IDS)
def test_links_lead_somewhere(page):
    for link in pages.links(page):
        if "://" in link:
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), f"{link} leads nowhere"
        assert not anchor or anchor in anchors(target), f"{link}: no such heading"


@pytest.mark.parametrize("page", ALL, ids=IDS)
def test_blocks_say_what_they_are(page):
    for block in pages.blocks(page):
        assert block.language in pages.EXECUTED | pages.NOT_EXECUTED, f"line {block.line}: {block.language!r}"
        if block.language == "json":
            json.loads(block.text)


@pytest.mark.parametrize("page", ALL, ids=IDS)
def test_nothing_is_true_on_one_machine_only(page):
    text = page.read_text(encoding="utf-8")
    forbidden = [
        r"/home/\w",
        r"/Users/\w",
        r"/root\b",
        r"registry\.npmjs",
        r"pypi\.org",
        r"/opt/",
        r"\bTODO\b",
    ]
    for pattern in forbidden:
        assert not re.search(pattern, text), pattern
