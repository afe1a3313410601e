"""Our scripts as one file: modules stay apart, come in the order of their need, and a wrong import is a mistake."""

from __future__ import annotations

import pytest

from pipeline.views.page.bundle import bundled
from pipeline.views.page.server import STATIC, site

A = "import { two } from './b.js';\nimport { html } from './vendor/x.js';\nhtml(two());\n"
B = "// What it is for.\nconst hidden = 2;\nexport function two() {\n  return hidden;\n}\n"


def test_a_module_gets_what_it_imports_from_one_that_stands_before_it() -> None:
    text = bundled({"a.js": A, "b.js": B})
    assert text.startswith("import { html } from './vendor/x.js';\n")
    assert text.index("of['b.js'] =") < text.index("of['a.js'] =")
    assert "const { two } = of['b.js'];" in text
    assert "return { two };" in text
    assert "What it is for" not in text


def test_what_is_not_exported_cannot_be_imported() -> None:
    with pytest.raises(ValueError, match=r"a\.js imports two, which b\.js does not export"):
        bundled({"a.js": A, "b.js": B.replace("export ", "")})


@pytest.mark.parametrize("line", ["export default 1;", "import './b.js';", "export { two };"])
def test_other_forms_are_refused(line: str) -> None:
    with pytest.raises(ValueError, match="another form"):
        bundled({"b.js": B + line + "\n"})


def test_a_script_that_is_not_there_is_named() -> None:
    with pytest.raises(ValueError, match=r"no script b\.js"):
        bundled({"a.js": A})


def test_the_site_has_one_script_for_all_modules() -> None:
    found = site()
    assert "page.js" in found
    assert "app.js" not in found
    assert {"theme.js", "login.js", "index.html", "vendor/preact-htm.js"} <= set(found)
    for path in STATIC.glob("*.js"):
        assert (path.name in found) or f"of['{path.name}'] =".encode() in found["page.js"].body
