"""A comparison as JUnit XML: one test for each row."""

import xml.etree.ElementTree as ET

from kdbench.comparing.model import ComparedRow, Comparison
from kdbench.comparing.outputs.phrases import loss_lines, row_line
from kdbench.comparing.verdict import Problem, fails
from kdbench.text import printable

_CLASS = "kdbench.regress"


def junit(comparison: Comparison) -> str:
    """JUnit XML.

    Rows that fail the gate are failures, inconclusive rows are skipped, and problems are errors.
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
    suite.extend(cases)
    ET.indent(suites)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(suites, encoding="unicode")}\n'


def _row_case(comparison: Comparison, row: ComparedRow) -> ET.Element:
    case = _case(f"{row.name} {row.metric}")
    text = printable(row_line(comparison, row))
    if fails(row, comparison.rules):
        lines = [text, *map(printable, loss_lines(row))]
        ET.SubElement(case, "failure", {"message": row.verdict}).text = "\n".join(lines)
    elif row.verdict == "inconclusive":
        ET.SubElement(case, "skipped", {"message": text})
    else:
        ET.SubElement(case, "system-out").text = text
    return case


def _problem_case(problem: Problem) -> ET.Element:
    case = _case(problem.task or "comparison")
    ET.SubElement(case, "error", {"message": printable(problem.text)})
    return case


def _case(name: str) -> ET.Element:
    return ET.Element("testcase", {"classname": _CLASS, "name": printable(name)})
