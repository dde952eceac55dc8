"""The page Samples: every prompt with the responses of teacher and students."""

from kdbench.site.samples.page import samples_page

__all__ = ["samples_page"]
