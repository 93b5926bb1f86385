"""Shell blocks of documents: which are found, and how they run."""

from pathlib import Path

import pytest
from odeon_testkit.documents import PageFailed, blocks, reader_env, run_page

PAGE = """\
Some words.

```sh
greeting=$(cat entry)
```

<!-- not run: it would never end -->
```sh
sleep infinity
```

```text
no command
```

```sh
echo "$greeting" | tee written
```
"""


@pytest.fixture
def page(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    root.mkdir()
    (root / "entry").write_text("hello\n")
    (tmp_path / "work").mkdir()
    page = root / "page.md"
    page.write_text(PAGE)
    return page


def run(page: Path, limit_s: float = 20) -> str:
    work = page.parent.parent / "work"
    env = reader_env(work)
    return run_page(page, root=page.parent, folder=work, env=env, limit_s=limit_s)


def test_blocks_are_found_with_their_language_and_the_reason_not_to_run(page: Path) -> None:
    found = [(b.line, b.language, b.not_run, b.runs) for b in blocks(page)]

    assert found == [
        (3, "sh", "", True),
        (8, "sh", "it would never end", False),
        (12, "text", "", False),
        (16, "sh", "", True),
    ]


def test_blocks_run_in_one_shell_and_write_beside_the_tree(page: Path) -> None:
    assert run(page) == "hello\n"
    assert (page.parent.parent / "work" / "written").read_text() == "hello\n"
    assert not (page.parent / "written").exists()


@pytest.mark.parametrize("failing", ["false", "false | true", 'echo "$unset_variable"'])
def test_a_block_that_fails_fails_its_page(page: Path, failing: str) -> None:
    page.write_text(f"```sh\necho before\n{failing}\necho after\n```\n")

    with pytest.raises(PageFailed) as failure:
        run(page)

    assert "before" in str(failure.value)
    assert "after" not in str(failure.value)
    assert f"{page.name}:1" in str(failure.value)


def test_a_block_that_does_not_end_is_stopped_with_all_that_it_started(page: Path) -> None:
    page.write_text("```sh\necho begun\nsleep 600 & wait\n```\n")

    with pytest.raises(PageFailed, match="begun"):
        run(page, limit_s=1)


def test_a_readers_shell_knows_nothing_of_ours_but_the_deployment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ODEON_URL", "http://127.0.0.1:1")

    ours = {n: v for n, v in reader_env(tmp_path).items() if n.startswith("ODEON_")}

    assert ours == {"ODEON_HOME": str(tmp_path)}
