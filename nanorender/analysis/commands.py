"""Commands of the analysis: from label maps to tables and the report."""

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from nanorender.options import Out, Truth
from nanorender.progress import progress

app = typer.Typer()
PANEL = "Measure"


@app.command(rich_help_panel=PANEL)
def measure(
    labels: Annotated[Path, typer.Argument(help="Folder of label maps.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="CSV file.")] = Path("particles.csv"),
) -> None:
    """Measure every particle of a folder of label maps: one row each, in nm.

    Example: nanorender measure labels -o particles.csv
    """
    from nanorender.analysis.study import read_results, write_table

    with progress("measuring") as show:
        write_table(read_results(labels, None, show), out)
    print(out)


@app.command(rich_help_panel=PANEL)
def report(
    labels: Annotated[Path, typer.Argument(help="Folder of label maps.")],
    out: Out,
    truth: Truth = None,
    title: Annotated[str, typer.Option(help="Heading of the page.")] = "Particle sizes",
) -> None:
    """Write the report on a folder of label maps: distributions, overlays, tables.

    Example: nanorender report labels -o report
    """
    from nanorender.analysis.study import read_results, score_lines, write_report

    with progress("measuring") as show:
        results = read_results(labels, truth, show)
    page = write_report(labels, results, out, title, shlex.join(["nanorender", *sys.argv[1:]]))
    print(*score_lines(results), page, sep="\n")
