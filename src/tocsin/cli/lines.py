"""The lines of a configuration's keys, so that an error can name the line to change.

YAML is parsed for it. The other formats are read line by line, which finds all keys of usual files;
a key that isn't found has no line.
"""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

Path = tuple[str, ...]
_DEPTH = 20  # an alias of YAML may contain itself
_MOST = 20_000  # keys: aliases of aliases make more of them than memory has room for

_JSON = re.compile(r'"((?:[^"\\]|\\.)*)"(\s*:)?|[{}\[\]]|\n')
_TOML_TABLE = re.compile(r"\s*\[\[?\s*([^\]]+?)\s*\]\]?\s*(?:#.*)?")
_TOML_KEY = re.compile(r"""(?:"[^"]*"|'[^']*'|[\w-]+)(?:\s*\.\s*(?:"[^"]*"|'[^']*'|[\w-]+))*\s*=""")
_TOML_STRING = re.compile(r'"(?:[^"\\]|\\.)*"|\'[^\']*\'')
_INI_SECTION = re.compile(r"\[([^\]]+)\]")
_INI_KEY = re.compile(r"([\w.-]+)\s*[=:]")
_INI_NESTED = re.compile(r"""["'](\w+)["']\s*:|[{}]""")


def key_lines(form: str, text: str) -> Mapping[Path, int]:
    """Return the line of each key, counted from 1.

    Args:
        form: `"toml"`, `"json"`, `"yaml"` or `"ini"`.
        text: the file's text. It has been parsed without an error.
    """
    lines: dict[Path, int] = {}
    for path, line in itertools.islice(_FINDERS[form](text), _MOST):
        lines.setdefault(path, line)
    return lines


def _of_yaml(text: str) -> Iterator[tuple[Path, int]]:
    import yaml  # noqa: PLC0415 - an extra

    def walk(node: Any, path: Path) -> Iterator[tuple[Path, int]]:
        if isinstance(node, yaml.MappingNode) and len(path) < _DEPTH:
            for key, value in node.value:
                inner = (*path, str(key.value))
                yield inner, key.start_mark.line + 1
                yield from walk(value, inner)

    return walk(yaml.compose(text, yaml.SafeLoader), ())


def _of_json(text: str) -> Iterator[tuple[Path, int]]:
    path: list[str] = []
    key, line = "", 1
    for found in _JSON.finditer(text):
        if found[0] == "\n":
            line += 1
        elif found[0] in "{[":
            path.append(key)
        elif found[0] in "}]":
            path.pop()
        elif found[2]:
            key = found[1]
            yield (*path[1:], key), line


def _of_toml(text: str) -> Iterator[tuple[Path, int]]:
    table: Path = ()
    for line, content in enumerate(text.splitlines(), 1):
        if header := _TOML_TABLE.fullmatch(content):
            table = _parts(header[1])
            for length in range(1, len(table) + 1):
                yield table[:length], line
        elif key := _TOML_KEY.match(content.lstrip()):
            path = (*table, *_parts(key[0][:-1]))
            for length in range(len(table) + 1, len(path) + 1):
                yield path[:length], line
            # The keys of an inline table are on the line of the table.
            inner = _TOML_STRING.sub('""', content.lstrip()[key.end() :])
            for nested in _TOML_KEY.finditer(inner):
                yield (*path, *_parts(nested[0][:-1])), line


def _parts(dotted: str) -> Path:
    """Return the parts of a dotted key of TOML."""
    found = re.findall(r"""\s*("[^"]*"|'[^']*'|[^."']+)\s*""", dotted)
    return tuple(part.strip().strip("\"'") for part in found)


def _of_ini(text: str) -> Iterator[tuple[Path, int]]:
    """Find the keys as `fileConfig` names them: a handler's options are inside of `kwargs`."""
    section: Path = ()
    open_: list[str] = []  # keys whose mappings are open; the first is that of `kwargs` itself
    key = ""
    for line, content in enumerate(text.splitlines(), 1):
        if header := _INI_SECTION.match(content):
            kind, _, name = header[1].partition("_")
            section, open_ = ((f"{kind}s", name) if name else (header[1],)), []
            yield section, line
        elif option := _INI_KEY.match(content):
            yield (*section, option[1]), line
        for nested in _INI_NESTED.finditer(content):
            if nested[0] == "{":
                open_.append(key)
            elif nested[0] == "}":
                del open_[-1:]
            else:
                key = nested[1]
                yield (*section, *open_[1:], key), line


_FINDERS: Mapping[str, Callable[[str], Iterator[tuple[Path, int]]]] = {
    "yaml": _of_yaml,
    "json": _of_json,
    "toml": _of_toml,
    "ini": _of_ini,
}
