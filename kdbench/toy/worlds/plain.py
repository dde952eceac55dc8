"""The toy world of `kdbench demo`."""

from kdbench.filling.worlds import TableWorld, worlds
from kdbench.toy.models import make_world, report_steps
from kdbench.toy.worlds.extras import one_thread


@worlds.register("toy")
class ToyWorld(TableWorld):
    """The toy world of `kdbench demo`: data, teacher and student."""

    def parts(self) -> list[str]:
        """Data, teacher and student."""
        return ["data", "teacher", "student"]

    def make(self) -> None:
        """Make what does not exist, on one thread, as their number may change the last digits."""
        with one_thread():
            make_world(self.folder, report=report_steps)
