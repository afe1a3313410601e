"""One script, one sheet: modules stay apart, come in the order of their need, and a wrong import is a mistake."""

from __future__ import annotations

import pytest

from pipeline.views.page.bundle import bundled, styled
from pipeline.views.page.server import STATIC, site

A = "import { two } from './b.js';\nimport { html } from './vendor/x.js';\nhtml(two());\n"
PACKED = "var f=1,g=2;export{f as html,g};\n"
B = "// What it is for.\nconst hidden = 2;\nexport function two() {\n  return hidden;\n}\n"


def test_a_module_gets_what_it_imports_from_one_that_stands_before_it() -> None:
    text = bundled({"a.js": A, "b.js": B, "vendor/x.js": PACKED}, ["var chart = 1;"])
    assert text.startswith("var chart = 1;\n")
    assert "const { html } = (() => { var f=1,g=2;\nreturn { html: f }; })();\n" in text
    assert "\nconst hidden = 2;\nfunction two() {\nreturn hidden;\n}\n" in text
    assert text.endswith("\nhtml(two());\n")
    assert "What it is for" not in text


def test_styles_lose_what_means_nothing_and_no_text() -> None:
    ours = (
        '.a > b, .c:hover { content: "a: b;  { c, d"; color: red; }\n@media (max-width: 9px) { .a i { top: -1px; } }\n'
    )
    tight = '.a > b,.c:hover{content:"a: b;  { c, d";color:red;}@media (max-width:9px){.a i{top:-1px;}}'
    assert styled(["/* theirs */\n.u *::before { x: y }", ours]) == ".u *::before{x:y}" + tight + "\n"


def test_what_is_not_exported_cannot_be_imported() -> None:
    with pytest.raises(ValueError, match=r"a\.js imports two, which b\.js does not export"):
        bundled({"a.js": A, "b.js": B.replace("export ", ""), "vendor/x.js": PACKED})


def test_two_scripts_cannot_have_the_same_name_for_something() -> None:
    other = "const [hidden, more] = [1, 2];\n"
    with pytest.raises(ValueError, match=r"b\.js and c\.js both have something at their top level called hidden"):
        bundled({"b.js": B, "c.js": other})


@pytest.mark.parametrize("line", ["export default 1;", "import './b.js';", "export { two };"])
def test_other_forms_are_refused(line: str) -> None:
    with pytest.raises(ValueError, match="another form"):
        bundled({"b.js": B + line + "\n"})


def test_a_script_that_is_not_there_is_named() -> None:
    with pytest.raises(ValueError, match=r"no script b\.js"):
        bundled({"a.js": A, "vendor/x.js": PACKED})


def test_the_site_has_one_script_and_one_sheet_for_all() -> None:
    found = site()
    alone = {"theme.js", "login.js"}
    assert set(found) == alone | {"index.html", "login.html", "favicon.svg", "page.js", "page.css"}
    script = found["page.js"].body.decode()
    for path in STATIC.rglob("*.js"):
        name = path.relative_to(STATIC).as_posix()
        some = max(path.read_text().splitlines(), key=len).split("export")[0].strip()
        assert name in alone or some in script, name
