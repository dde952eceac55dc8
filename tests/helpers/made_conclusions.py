"""A conclusion with a table and a figure, without any training."""

from kdbench.store.conclusions import (
    Conclusion,
    ConclusionColumn,
    ConclusionTable,
    Panel,
    PanelCurve,
    Quantity,
)


def conclusion(name="example", x=0.5, **changes):
    """A conclusion; `x` is the height of a point."""
    columns = (
        ConclusionColumn(title="row"),
        ConclusionColumn(title="KL", unit="nats"),
        ConclusionColumn(title="difference", unit="nats", decimals=2, signed=True),
    )
    rows = (
        ("first", Quantity(value=0.25, low=0.125, high=0.375, n=3), None),
        ("second", Quantity(value=1.5), Quantity(value=-0.004, low=-0.007, high=-0.001, p=0.0123)),
    )
    curve = PanelCurve(label="first", x=(1, 2), y=(1, x), low=(0.5, 0.25), high=(1.5, 1.0))
    points = PanelCurve(label="second", x=(1, 2), y=(2, 1), joined=False)
    panel = Panel(title="By step", x_label="step", y_label="KL (nats)", curves=(curve, points))
    values = {
        "name": name,
        "title": "Example",
        "question": "Is it <b>so</b>?",
        "paper": "Nobody 2026",
        "basis": "paper",
        "settings": {"train_seeds": "3"},
        "sentences": ("It is not.",),
        "tables": (ConclusionTable(title="Numbers", columns=columns, rows=rows),),
        "panels": (panel,),
        "notes": ("Read it well.",),
    }
    return Conclusion(**{**values, **changes})
