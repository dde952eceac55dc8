"""Photograph every page of a site in both themes: the pictures of docs/report.md.

    nox -s screenshots -- results/demo runs/demo           writes docs/images/site-PAGE-THEME.png
    nox -s screenshots -- results/demo runs/demo FOLDER    whole pages at three widths into FOLDER

The results are those of `kdbench demo`, and the runs its checkpoints with their training curves.
The second form checks each page with axe-core, too, and fails if it finds anything serious.
"""

import io
import sys
import tempfile
from pathlib import Path

from browser import THEMES, WIDTHS, Watched, findings, launched, page_names
from PIL import Image

import kdbench

HERE = Path(__file__).parent
WIDTH, HEIGHT = 1280, 960
MOST_BYTES = 150_000
COLOURS = 255
ADDRESSES = {"run": "#/run?run={student}", "samples": "#/samples?students={base},{student}"}
BASELINE, STUDENT = "SFT", "GKD"


def main(results: Path, runs: Path, folder: Path | None = None) -> None:
    """Write the pictures.

    Args:
        results: Folder of the results.
        runs: Folder of the checkpoints.
        folder: Where to write whole pages at all widths; None for the pictures of the docs.
    """
    with tempfile.TemporaryDirectory() as temporary, launched() as browser:
        site = Path(temporary) / "site"
        kdbench.report(results=results, runs=runs, baseline=BASELINE, out=site)
        faults = []
        for name in page_names(Watched(browser).open(site)):
            address = _address(name, results)
            for theme in THEMES:
                if folder is None:
                    _for_docs(Watched(browser, WIDTH, theme), site, address, f"{name}-{theme}")
                else:
                    faults += _whole(browser, site, address, folder / f"{name}-{theme}")
    if faults:
        sys.exit("\n".join(faults))


def _address(name: str, results: Path) -> str:
    folders = {
        model: next((results / model).glob("*/run.json")).parent.relative_to(results)
        for model in (BASELINE, STUDENT)
    }
    address = ADDRESSES.get(name, f"#/{name}")
    return address.format(base=folders[BASELINE], student=folders[STUDENT])


def _for_docs(watched: Watched, site: Path, address: str, name: str) -> None:
    watched.page.set_viewport_size({"width": WIDTH, "height": HEIGHT})
    page = watched.open(site, address)
    page.wait_for_timeout(500)  # pages that load data
    image = Image.open(io.BytesIO(page.screenshot())).convert("RGB").quantize(COLOURS)
    out = io.BytesIO()
    image.save(out, "PNG", optimize=True)
    if len(out.getvalue()) > MOST_BYTES:
        sys.exit(f"{name}: {len(out.getvalue())} bytes are more than {MOST_BYTES}")
    (HERE / f"site-{name}.png").write_bytes(out.getvalue())


def _whole(browser, site: Path, address: str, out: Path) -> list[str]:
    out.parent.mkdir(parents=True, exist_ok=True)
    faults = []
    for width in WIDTHS:
        watched = Watched(browser, width, out.name.rpartition("-")[2])
        page = watched.open(site, address)
        page.wait_for_timeout(500)
        page.screenshot(path=f"{out}-{width}.png", full_page=True)
        watched.isolate()
        found = [*findings(page), *watched.faults]
        found += ["wider than the window"] if watched.overflow() > 0 else []
        faults += [f"{out.name}, {width} pixels: {line}" for line in found]
        watched.context.close()
    return faults


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
