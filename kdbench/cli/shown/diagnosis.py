"""What `doctor` found."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from kdbench.cli.answer import show_following
from kdbench.cli.next_command import after_doctor
from kdbench.system.console import say
from kdbench.system.layout import output_width, wrapped
from kdbench.system.outputs import is_standard_output, put_json_output
from kdbench.text import printable

if TYPE_CHECKING:
    from kdbench.doctor.finding import Diagnosis
    from kdbench.doctor.settings import DoctorSettings


def show_diagnosis(
    diagnosis: "Diagnosis", settings: "DoctorSettings", arguments: Sequence[str]
) -> None:
    """Write the JSON that was asked for, and print the findings unless it has standard output.

    Args:
        diagnosis: What was found.
        settings: Keys of the verb.
        arguments: Words of the verb, which hold the command that was checked.
    """
    from kdbench.doctor.output import as_json, lines
    from kdbench.doctor.settings import read_doctor

    if settings.json_file is not None:
        put_json_output(settings.json_file, as_json(diagnosis))
        if is_standard_output(settings.json_file):
            return
    for line in lines(diagnosis, settings):
        for part in wrapped(printable(line), output_width(), "        ", whole_words=True):
            say(part)
    if not diagnosis.count("error"):
        of, _, words = read_doctor(arguments)
        show_following(after_doctor(of, words))
