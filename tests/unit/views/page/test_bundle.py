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
    assert text.startswith("var chart = 1;\nconst of = {};\n")
    assert "const { html } = of['vendor/x.js'];" in text
    assert "var f=1,g=2;\nreturn { html: f, g };" in text
    assert text.index("of['b.js'] =") < text.index("of['a.js'] =")
    assert "const { two } = of['b.js'];" in text
    assert "return { two };" in text
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
        assert name in alone or f"of['{name}'] =" in script or script.startswith(path.read_text()), name
