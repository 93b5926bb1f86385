"""What documents tell people to type exists: commands and their options, settings, targets, paths.

`tests/e2e/test_documents.py` runs the blocks; this reads all of them, those that cannot run too.
"""

import importlib.util
import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import typer
from odeon_cli.main import app
from odeon_testkit.documents import SHELL, Block, blocks
from pydantic_settings import BaseSettings
from typer.core import TyperCommand, TyperGroup
from typer.exceptions import TyperException

ROOT = Path(__file__).resolve().parents[2]
ENDS = {"|", "||", "&", "&&", ";", "(", ")", "<", ">", ">>", "<<<"}
MODULES_WITH_SETTINGS = [
    *(f"odeon_{name}.settings" for name in ("auth", "room", "signaling", "transcoder")),
    *(f"odeon_{name}.settings" for name in ("recorder", "analytics", "gateway")),
    "odeon_signaling.prober.settings",
]


def git(*arguments: str) -> list[str]:
    done = subprocess.run(
        ["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return [name for name in done.stdout.split("\0") if name]


PAGES = [ROOT / name for name in git("ls-files", "-z", "--", "*.md")]
VARIABLE = re.compile(r"\bODEON_[A-Z0-9_]*[A-Z0-9]\b")
TAKE_NAMES = ("helm", "kubectl")
"""Programs for which `odeon` is the name of a release or a namespace."""
SPANS = re.compile(r"`([^`\n]+)`")


def prose(page: Path) -> str:
    """A page without its fenced blocks."""
    return re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)


def commands(script: str) -> Iterator[list[str]]:
    """The simple commands of a shell script, those within $(…) too, as words."""
    for line in script.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        words: list[str] = []
        for word in [*lexer, ";"]:
            for inner in re.findall(r"\$\(([^()]+)\)?", word):
                yield from commands(inner)
            if word in ENDS:
                yield words
                words = []
            else:
                words.append(word)


def calls_of(program: str, script: str) -> Iterator[list[str]]:
    """Arguments of each call of a program, on PATH or in the virtual environment."""
    for words in commands(script):
        for position, word in enumerate(words):
            if word in TAKE_NAMES:
                break
            if word in (program, f".venv/bin/{program}"):
                yield words[position + 1 :]
                break


def shell_blocks() -> list[Block]:
    return [block for page in PAGES for block in blocks(page) if block.language == SHELL]


def where(block: Block) -> str:
    return f"{block.page.relative_to(ROOT)}:{block.line}"


def subcommand(arguments: list[str]) -> tuple[TyperCommand | TyperGroup, list[str]]:
    """The command that arguments name, and what is left for it; fails when there is none."""
    command = typer.main.get_command(app)
    left = list(arguments)
    while isinstance(command, TyperGroup) and left and not left[0].startswith("-"):
        assert left[0] in command.commands, f"odeon has no {left[0]!r}"
        command = command.commands[left.pop(0)]
    assert isinstance(command, TyperCommand | TyperGroup)
    return command, left


@pytest.mark.parametrize("block", shell_blocks(), ids=where)
def test_calls_of_odeon_are_accepted_by_its_command_line(block: Block) -> None:
    for arguments in calls_of("odeon", block.text):
        command, left = subcommand(arguments)
        if left != ["--help"]:
            command.make_context(" ".join(arguments), left)


def test_odeons_commands_and_options_named_in_the_text_exist() -> None:
    unknown = []
    for page in PAGES:
        for span in SPANS.findall(prose(page)):
            words = re.sub(r"[\[\]]", "", span).split()
            if words[0].rpartition("/")[2] != "odeon":
                continue
            for arguments in alternatives(words[1:]):
                known = options_of(arguments)
                named = {word.partition("=")[0] for word in arguments if word.startswith("--")}
                unknown += [f"{page.name}: `{span}`"] if known is None or named - known else []

    assert unknown == []


def alternatives(words: list[str]) -> Iterator[list[str]]:
    """`events list|end` is two commands; `odeon COMMAND` stands for any."""
    for index, word in enumerate(words):
        if "|" in word and "--" not in word and not word.startswith("{"):
            for choice in word.split("|"):
                yield [*words[:index], choice]
            return
    yield words


def options_of(arguments: list[str]) -> set[str] | None:
    """Option names of the command that arguments name; None when there is none."""
    if arguments and arguments[0].isupper():
        return {"--help"}
    try:
        command, _ = subcommand(arguments)
    except AssertionError:
        return None
    names = {name for parameter in command.params for name in parameter.opts}
    return {*names, "--help"}


def test_every_block_says_what_it_is() -> None:
    nameless = [where(b) for page in PAGES for b in blocks(page) if not b.language]
    other_shells = [
        where(b)
        for page in PAGES
        for b in blocks(page)
        if b.language in {"bash", "shell", "console"}
    ]

    assert nameless == []
    assert other_shells == [], f"shell blocks are marked {SHELL}"


def test_remarks_that_a_block_is_not_run_stand_right_above_a_shell_block() -> None:
    for page in PAGES:
        remarks = re.findall(r"^<!-- not run", page.read_text("utf-8"), re.MULTILINE)
        assert len(remarks) == sum(bool(b.not_run) for b in blocks(page) if b.language == SHELL), (
            page
        )


def test_programs_of_blocks_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    scripts = set(json.loads((ROOT / "web/package.json").read_text())["scripts"])
    for block in shell_blocks():
        for arguments in calls_of("make", block.text):
            assert set(arguments) <= targets, where(block)
        for first, *rest in calls_of("npm", block.text):
            assert first != "run" or rest[0] in scripts, where(block)
        for arguments in calls_of("python", block.text):
            if arguments and arguments[0] == "-m":
                assert importlib.util.find_spec(arguments[1]), f"{where(block)}: {arguments[1]}"


def test_targets_of_make_named_in_the_text_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {
        (page.name, target)
        for page in PAGES
        for target in re.findall(r"`make ([a-z-]+)`", page.read_text("utf-8"))
    }

    assert {(page, target) for page, target in named if target not in targets} == set()


def test_paths_named_in_the_text_exist() -> None:
    """Paths from the root; those that a build makes are ignored by git."""
    tops = "|".join({name.split("/")[0] for name in git("ls-files", "-z") if "/" in name})
    pattern = re.compile(rf"^(?:{tops})/[\w./-]+$")
    missing = [
        (str(page.relative_to(ROOT)), span)
        for page in PAGES
        for span in SPANS.findall(prose(page))
        if pattern.match(span)
        # A page below the root may name its own files.
        and not (ROOT / span).exists()
        and not (page.parent / span).exists()
    ]
    ignored = set(git("check-ignore", "-z", "--", *(span for _, span in missing)))

    assert [pair for pair in missing if pair[1] not in ignored] == []


@cache
def known_settings() -> set[str]:
    """Every environment variable that a settings class reads."""
    names: set[str] = set()
    for module in MODULES_WITH_SETTINGS:
        for value in vars(importlib.import_module(module)).values():
            if isinstance(value, type) and issubclass(value, BaseSettings):
                prefix = value.model_config.get("env_prefix", "")
                names |= {f"{prefix}{field}".upper() for field in value.model_fields}
    return names


@cache
def variables_in_code() -> set[str]:
    """Every variable that code outside of tests names."""
    patterns = ("*.py", "*.rs", "*.ts", "*.tsx", "*.sh", "Makefile")
    paths = [ROOT / name for name in git("ls-files", "-z", "--", *patterns)]
    return {
        name
        for path in paths
        if path.is_file() and "tests" not in path.relative_to(ROOT).parts
        for name in VARIABLE.findall(path.read_text("utf-8"))
    }


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_variables_that_a_page_names_are_read_by_something(page: Path) -> None:
    named = set(VARIABLE.findall(page.read_text("utf-8")))

    assert named - known_settings() - variables_in_code() == set()


def test_calls_are_found_wherever_a_shell_may_have_them() -> None:
    script = (
        'A=1 odeon up --edges 2 # odeon no\nx="$(.venv/bin/odeon env)"\n'
        "odeon events \\\n  list | jq . && odeon doctor\n"
        "y=$(odeon token publish show --json | jq -r .token)\npsql postgresql://odeon@db/odeon\n"
    )

    assert list(calls_of("odeon", script)) == [
        ["up", "--edges", "2"],
        ["env"],
        ["events", "list"],
        ["doctor"],
        ["token", "publish", "show", "--json"],
    ]


@pytest.mark.parametrize(
    "call", ["up --edge 2", "events lists", "token banana demo", "up --edges x"]
)
def test_a_call_that_does_not_exist_is_noticed(call: str) -> None:
    command_line = call.split()

    with pytest.raises((AssertionError, TyperException)):
        command, left = subcommand(command_line)
        command.make_context(call, left)
