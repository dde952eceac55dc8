"""The toy world with teachers of several sizes, for analyses of the teacher's size."""

from kdbench.filling.worlds import worlds
from kdbench.toy.models import Size, make_world, report_steps, write_model
from kdbench.toy.worlds.extras import one_thread
from kdbench.toy.worlds.plain import ToyWorld

STEPS = 650

# Layers and width, to which heads and the feed-forward layer follow as in the world's teacher. The
# peak learning rates follow those of the world's own two models, 5e-3 at width 64, 2e-3 at 128.
SIZES = {
    "1x32": (Size(layers=1, width=32, heads=4, inner=88), 1e-2),
    "2x64": (Size(layers=2, width=64, heads=4, inner=176), 5e-3),
    "3x96": (Size(layers=3, width=96, heads=4, inner=264), 3e-3),
    "4x128": (Size(layers=4, width=128, heads=4, inner=352), 2e-3),
}


@worlds.register("toy-sizes")
class ToyWorldOfSizes(ToyWorld):
    """The toy world, and `teacher-LAYERSxWIDTH` of each size, from the same rows and steps."""

    def parts(self) -> list[str]:
        """Data, teacher and student, then a teacher of each size."""
        return [*super().parts(), *(f"teacher-{name}" for name in SIZES)]

    def make(self) -> None:
        """Make what does not exist, on one thread, as their number may change the last digits."""
        with one_thread():
            world = make_world(self.folder, report=report_steps)
            for name, (size, rate) in SIZES.items():
                folder = self.folder / f"teacher-{name}"
                if not folder.exists():
                    write_model(folder, world.data, size, rate, STEPS, seed=0, report=report_steps)
