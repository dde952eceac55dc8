"""A comparison as terminal text, Markdown, JUnit XML and JSON; equal comparisons, equal bytes."""
