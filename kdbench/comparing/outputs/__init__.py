"""A comparison as text: terminal, Markdown, JUnit XML, JSON. Equal comparisons, equal bytes."""
