"""Lines of code of every package, and their ceilings: ``python .ci/lines.py [--check | --lower]``, in the root.

Counts the Python and C that git tracks, without blank lines, comments and docstrings. The JavaScript, CSS and HTML of
pages are counted in the same way, as packages ``pages/…``, without those of tests and what others have made.

    (no option)  print a table
    --check      compare with .ci/ceilings; exit with 1 if a package is above its ceiling, or has none
    --lower      rewrite .ci/ceilings down to what is there, never up

A line of .ci/ceilings is ``package ceiling  # why it rose last, if it ever did``.
"""

from __future__ import annotations

import ast
import io
import re
import subprocess
import sys
import tokenize
from collections import Counter
from pathlib import Path

PROJECTS = {"integrations", "models", "service", "training"}
"""Folders that have a package of their own: ``models/ancestral_models``."""
CEILINGS = Path(".ci/ceilings")
SPARE_LINES, SPARE_SHARE = 20, 0.02
"""A ceiling that is further above the code, by both measures, should be lowered."""
SLACK = 0.01
"""A package may be above its ceiling by this share: a few lines need no new ceiling. Sums may not."""
BESIDE = ("ancestral_training", "ancestral_integrations", "bench", "deploy/browser")
"""Packages that no server needs."""
SUMS = {"product", "beside", "pages"}
_NO_CODE = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
_C_COMMENT = ("//", "/*", "*")
_PAGE_COMMENT = re.compile(r"^[ \t]*(/\*.*?\*/|<!--.*?-->|//[^\n]*)", re.MULTILINE | re.DOTALL)
_PAGES = {".js", ".css", ".html"}
_OF_OTHERS = ("swagger-ui",)
"""How the names of files begin that others have made."""


def docstrings(source: str) -> set[int]:
    """The lines of the docstrings of modules, classes, functions and attributes."""
    found: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        body = node.body if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) else []
        for before, statement in zip([None, *body], body, strict=False):
            documents = before is None or isinstance(before, ast.Assign | ast.AnnAssign)
            text = statement.value if isinstance(statement, ast.Expr) else None
            if documents and isinstance(text, ast.Constant) and isinstance(text.value, str):
                found.update(range(statement.lineno, (statement.end_lineno or statement.lineno) + 1))
    return found


def code_lines(path: Path) -> int:
    """Lines of a file that are code."""
    source = path.read_text()
    if path.suffix in _PAGES:
        return sum(bool(line.strip()) for line in _PAGE_COMMENT.sub("", source).splitlines())
    if path.suffix != ".py":
        return sum(bool(line.strip()) and not line.lstrip().startswith(_C_COMMENT) for line in source.splitlines())
    found: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in _NO_CODE:
            found.update(range(token.start[0], token.end[0] + 1))
    return len(found - docstrings(source))


def package(path: Path) -> str:
    """The first two folders of a path below its project, or the first if there is no second; all tests are one
    package."""
    folders = [part for part in path.parts[:-1] if part not in PROJECTS]
    found = "tests" if "tests" in path.parts[:2] else "/".join(folders[:2] or path.parts)
    return f"pages/{found}" if path.suffix in _PAGES else found


def count() -> tuple[Counter[str], Counter[str]]:
    """Lines of code and files of every package."""
    lines, files = Counter[str](), Counter[str]()
    kinds = [f"*{suffix}" for suffix in (".py", ".c", ".h", *_PAGES)]
    tracked = subprocess.run(["git", "ls-files", "-z", *kinds], check=True, stdout=subprocess.PIPE)
    for path in map(Path, tracked.stdout.decode().split("\0")):
        counted = package(path) != "pages/tests" and not path.name.startswith(_OF_OTHERS)
        if counted and path.is_file():
            lines[package(path)] += code_lines(path)
            files[package(path)] += 1
    return lines, files


def ceilings() -> dict[str, tuple[int, str]]:
    """The ceiling of every package, and the comment behind it."""
    rows = re.findall(r"^([^#\s]\S*)[ \t]+(\d+)[ \t]*(#.*)?$", CEILINGS.read_text(), re.MULTILINE)
    return {name: (int(ceiling), why) for name, ceiling, why in rows}


def sums(lines: Counter[str]) -> Counter[str]:
    """Lines of the product, of what is beside it, and of pages."""
    found = Counter[str]()
    for name, size in lines.items():
        if name != "tests":
            found["pages" if name.startswith("pages/") else "beside" if name.startswith(BESIDE) else "product"] += size
    return found


def check(lines: Counter[str]) -> int:
    """Print what is above its ceiling, and which ceilings may be lowered. Returns the exit status."""
    allowed = ceilings()
    lines = lines + sums(lines)
    above = [
        f"{name}: {size} lines of code, its ceiling is {allowed[name][0]}" if name in allowed else f"{name}: no ceiling"
        for name, size in sorted(lines.items())
        if size > allowed.get(name, (0, ""))[0] * (1 if name in SUMS else 1 + SLACK)
    ]
    print("\n".join(above) or "No package is above its ceiling.")
    for name, (ceiling, _) in allowed.items():
        if ceiling - lines[name] > max(SPARE_LINES, SPARE_SHARE * lines[name]):
            print(f"hint: {name} has {lines[name]} lines, its ceiling is {ceiling}: python .ci/lines.py --lower")
    return int(bool(above))


def lower(lines: Counter[str]) -> None:
    """Lower every ceiling to what is there; a package that is gone has none."""
    lines = lines + sums(lines)
    rows = [
        f"{name} {min(ceiling, lines[name])}  {why}".rstrip()
        for name, (ceiling, why) in ceilings().items()
        if lines[name]
    ]
    CEILINGS.write_text("\n".join(rows) + "\n")


def table(lines: Counter[str], files: Counter[str]) -> None:
    """Print all packages, and the sums of the product, of what is beside it, of pages and of tests."""
    for name in sorted(lines):
        if name != "tests":
            print(f"{name:32}{lines[name]:7}{files[name]:6} files")
    for name in (*sorted(SUMS), "tests"):
        print(f"{name:32}{(lines + sums(lines))[name]:7}{(files + sums(files))[name]:6} files")


if __name__ == "__main__":
    found = count()
    if sys.argv[1:] == ["--check"]:
        sys.exit(check(found[0]))
    if sys.argv[1:] == ["--lower"]:
        lower(found[0])
    else:
        table(*found)
