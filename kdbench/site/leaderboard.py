"""The page Leaderboard."""

from kdbench.site.html import render
from kdbench.site.page import Page
from kdbench.site.source import SiteSource


def leaderboard_page(source: SiteSource) -> Page:
    """Make the page Leaderboard."""
    return Page(
        "leaderboard",
        "Leaderboard",
        render("leaderboard.html.j2", source=source),
        ("leaderboard.js",),
    )
