"""A comparison as JUnit XML: a test for each row."""

import xml.etree.ElementTree as ET

from kdbench.comparing.model import Comparison, Row
from kdbench.comparing.outputs.words import line
from kdbench.comparing.verdict import Problem, fails
from kdbench.text import printable

_CLASS = "kdbench.regress"


def junit(comparison: Comparison) -> str:
    """Failed rows are failures, inconclusive ones skipped, what cannot be compared is an error."""
    cases = [_row_case(comparison, row) for row in comparison.rows]
    cases += [_problem_case(problem) for problem in comparison.problems]
    counts = {
        "failures": sum(case.find("failure") is not None for case in cases),
        "errors": sum(case.find("error") is not None for case in cases),
        "skipped": sum(case.find("skipped") is not None for case in cases),
    }
    name = printable(f"kdbench regress: {comparison.new} against {comparison.base}")
    numbers = {"tests": str(len(cases)), **{key: str(count) for key, count in counts.items()}}
    suites = ET.Element("testsuites")
    suite = ET.SubElement(suites, "testsuite", {"name": name, **numbers})
    suite.extend(cases)
    ET.indent(suites)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(suites, encoding="unicode")}\n'


def _row_case(comparison: Comparison, row: Row) -> ET.Element:
    case = _case(f"{row.task} {row.metric}")
    said = printable(line(comparison, row))
    if fails(row, comparison.rules):
        ET.SubElement(case, "failure", {"message": row.verdict}).text = said
    elif row.verdict == "inconclusive":
        ET.SubElement(case, "skipped", {"message": said})
    else:
        ET.SubElement(case, "system-out").text = said
    return case


def _problem_case(problem: Problem) -> ET.Element:
    case = _case(problem.task or "comparison")
    ET.SubElement(case, "error", {"message": printable(problem.text)})
    return case


def _case(name: str) -> ET.Element:
    return ET.Element("testcase", {"classname": _CLASS, "name": printable(name)})
