"""The world of the gallery: the toy world with all extras."""

from collections.abc import Iterator
from contextlib import contextmanager

from kdbench.filling.worlds import TableWorld, worlds
from kdbench.toy.extras import extras, make_extras
from kdbench.toy.models import make_world, report_steps


@worlds.register("toy-extras")
class ToyWorldWithExtras(TableWorld):
    """The toy world of `kdbench demo`, and what the modules of `kdbench.toy.extras` add to it."""

    def parts(self) -> list[str]:
        """Data, teacher and student, then the extras."""
        return ["data", "teacher", "student", *(extra.place for extra in extras())]

    def make(self) -> None:
        """Make what does not exist, on one thread, as their number may change the last digits."""
        with one_thread():
            world = make_world(self.folder, report=report_steps)
            make_extras(world, report_steps)


@contextmanager
def one_thread() -> Iterator[None]:
    """A context in which torch computes on one thread."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
