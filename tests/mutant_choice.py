"""Choose small faults for modules, which Cosmic Ray finds and makes: `python tests/mutant_choice.py --help`.

This runs in the environment of the checks, apart from the project's. The first line of the output is the
number of all faults. Each further line is one of those that are chosen, as JSON: the module, the line, and
the text of the module with the fault.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Iterator
from pathlib import Path

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names

REPLACEMENTS = {
    *("Add_Sub", "Sub_Add", "Mul_Div", "Div_Mul", "Pow_Mul", "Mod_Add"),
    *("Eq_NotEq", "NotEq_Eq", "Is_IsNot", "IsNot_Is", "Lt_LtE", "LtE_Lt", "Gt_GtE", "GtE_Gt"),
}
"""Cosmic Ray replaces each operator by every other. These are likely mistakes, and hard to notice."""


def main() -> None:
    """Print the faults that are chosen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("modules", nargs="+", type=Path)
    parser.add_argument("--sample", type=int, help="how many faults to choose at random; by default, all")
    parser.add_argument("--skip", type=int, default=0, help="how many of these to leave out, from the first")
    parser.add_argument("--seed", type=int, help="another seed chooses another sample")
    arguments = parser.parse_args()
    faults = [fault for module in arguments.modules for fault in useful_faults(module)]
    print(len(faults))
    random.Random(arguments.seed).shuffle(faults)  # noqa: S311 - a larger sample begins with a smaller one
    for module, operator, occurrence, line in faults[arguments.skip : arguments.sample]:
        mutated = mutate_code(module.read_text(), get_operator(operator)(), occurrence)
        print(json.dumps([str(module), line, mutated]))


def useful_faults(module: Path) -> Iterator[tuple[Path, str, int, int]]:
    """Yield each fault that a test may notice: the module, the operator, its occurrence, and the line."""
    source = module.read_text()
    lines, tree = source.splitlines(), get_ast(source)
    for name in operator_names():
        if not is_useful(name):
            continue
        operator = get_operator(name)()
        places = [(node, start) for node in ast_nodes(tree) for start, _ in operator.mutation_positions(node)]
        for occurrence, (node, (line, _)) in enumerate(places):
            # The marker of keyword-only parameters, which Cosmic Ray takes for a multiplication.
            is_marker = node.parent is not None and node.parent.type == "parameters"
            if not is_marker and lines[line - 1] != "if TYPE_CHECKING:":
                yield module, name, occurrence, line


def is_useful(operator: str) -> bool:
    """Return False for most replacements of one operator by another, and for those that need arguments."""
    name = operator.removeprefix("core/")
    if name.startswith(("ReplaceBinaryOperator_", "ReplaceComparisonOperator_")):
        return name.partition("_")[2] in REPLACEMENTS
    return not get_operator(operator).arguments()


if __name__ == "__main__":
    main()
