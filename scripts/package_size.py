"""Show the size of the package that `sam build` has made for AWS: `python -m scripts.package_size`."""

import io
import zipfile
from collections import Counter
from collections.abc import Mapping
from importlib import metadata
from importlib.util import source_from_cache
from pathlib import Path

from rich.console import Console
from rich.table import Table

from scripts.built_packages import built_packages


def package_sizes(package: Path) -> dict[str, tuple[int, int]]:
    """Return the bytes of each distribution in the folder, unzipped and zipped. The sources are `src`."""
    owners = {
        str(file): distribution.name
        for distribution in metadata.distributions(path=[str(package)])
        for file in distribution.files or []
    }
    for path in package.rglob("*.pyc"):
        name, source = (str(one.relative_to(package)) for one in (path, Path(source_from_cache(path))))
        if source in owners:
            owners[name] = owners[source]
    unzipped: Counter[str] = Counter()
    zipped: Counter[str] = Counter()
    with zipfile.ZipFile(io.BytesIO(), "w", zipfile.ZIP_DEFLATED) as archive:
        for path in filter(Path.is_file, package.rglob("*")):
            name = str(path.relative_to(package))
            archive.write(path, name)
            owner = owners.get(name, "src")
            unzipped[owner] += archive.getinfo(name).file_size
            zipped[owner] += archive.getinfo(name).compress_size
    return {owner: (size, zipped[owner]) for owner, size in unzipped.most_common()}


def _table(sizes: Mapping[str, tuple[int, int]]) -> Table:
    totals = [f"{sum(column) / 1e6:.1f}" for column in zip(*sizes.values(), strict=True)]
    table = Table("Package", show_footer=True)
    table.columns[0].footer = "All"
    for header, total in zip(("MB", "MB zipped"), totals, strict=True):
        table.add_column(header, total, justify="right")
    for owner, of_owner in sizes.items():
        table.add_row(owner, *(f"{size / 1e6:.2f}" for size in of_owner))
    return table


def main() -> None:
    """Show the size of each package."""
    for package, _ in built_packages():
        Console().print(_table(package_sizes(package)))


if __name__ == "__main__":
    main()
