"""The pages of the site, in the order of its navigation.

A page is a module with a function from the results to a `Page`: HTML that is readable without
scripts, made by `html.render`, and the files in `static/` that add to it. `static/site.js` says
what scripts can use.
"""

from collections.abc import Callable

from kdbench.site.analyses import analyses_page
from kdbench.site.compare import compare_page
from kdbench.site.cost import cost_page
from kdbench.site.fidelity import fidelity_page
from kdbench.site.leaderboard import leaderboard_page
from kdbench.site.page import Page
from kdbench.site.run import run_page
from kdbench.site.samples import samples_page
from kdbench.site.source import SiteSource

PAGES: tuple[Callable[[SiteSource], Page | None], ...] = (
    leaderboard_page,
    compare_page,
    samples_page,
    fidelity_page,
    cost_page,
    analyses_page,
    run_page,
)


def make_pages(source: SiteSource) -> list[Page]:
    """Make all pages; those that return None have no place in this site."""
    pages = (make(source) for make in PAGES)
    return [page for page in pages if page is not None]
