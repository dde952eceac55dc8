"""A comparison as JUnit XML: one test for each row."""

import xml.etree.ElementTree as ET

from kdbench.comparing.model import ComparedRow, Comparison
from kdbench.comparing.outputs.case import losses_in_text
from kdbench.comparing.outputs.phrases import row_line
from kdbench.comparing.verdict import Problem, fails, is_undecided
from kdbench.text import printable

_CLASS = "kdbench.regress"


def junit(comparison: Comparison) -> str:
    """JUnit XML.

    Rows that fail the gate are failures, undecided rows are skipped, and problems are errors.
    """
    cases = [_row_case(comparison, row) for row in comparison.rows]
    cases += [_problem_case(problem) for problem in comparison.problems]
    counts = {
        "failures": sum(case.find("failure") is not None for case in cases),
        "errors": sum(case.find("error") is not None for case in cases),
        "skipped": sum(case.find("skipped") is not None for case in cases),
    }
    name = printable(f"kdbench regress: {comparison.new} against {comparison.base}")
    attributes = {"tests": str(len(cases)), **{key: str(count) for key, count in counts.items()}}
    suites = ET.Element("testsuites")
    suite = ET.SubElement(suites, "testsuite", {"name": name, **attributes})
    if comparison.rows:
        title, _, scope = comparison.scope.sentence.partition(": ")
        properties = ET.SubElement(suite, "properties")
        ET.SubElement(properties, "property", {"name": title, "value": printable(scope)})
    suite.extend(cases)
    ET.indent(suites)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(suites, encoding="unicode")}\n'


def _row_case(comparison: Comparison, row: ComparedRow) -> ET.Element:
    case = _case(f"{row.name} {row.metric}")
    text = printable(row_line(comparison, row))
    lines = "\n".join([text, *map(printable, losses_in_text(row))])
    undecided = printable(f"not decided (passes): {row.shortfall}")
    if fails(row, comparison.rules):
        ET.SubElement(case, "failure", {"message": _failure(row)}).text = lines
    elif is_undecided(row):
        ET.SubElement(case, "skipped", {"message": undecided}).text = lines
    else:
        ET.SubElement(case, "system-out").text = text if row.verdict == "unchanged" else lines
    return case


def _failure(row: ComparedRow) -> str:
    """The verdict of a failing row; of one that failed because it is undecided, also why."""
    if row.verdict == "regressed" or not is_undecided(row):
        return row.verdict
    return printable(f"{row.verdict}; not decided (fails): {row.shortfall}")


def _problem_case(problem: Problem) -> ET.Element:
    case = _case(problem.task or "comparison")
    ET.SubElement(case, "error", {"message": printable(problem.text)})
    return case


def _case(name: str) -> ET.Element:
    return ET.Element("testcase", {"classname": _CLASS, "name": printable(name)})
