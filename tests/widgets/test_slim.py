"""What is left of our JavaScript and CSS when they travel."""

from __future__ import annotations

import pytest

from kiegen_nb.widgets.slim import slim, slim_css, slim_js


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("const a = 1; // one\n\n  // two\nlet b = a + 2;\n", "const a=1;let b=a+2;"),
        ("if (a) {\n  return 'x // y';\n}\n", "if(a){return 'x // y'}"),
        ("f(`a  ${ b }  // c`, 'http://x/y');", "f(`a  ${ b }  // c`,'http://x/y');"),
        (
            "const [x, y] = /^(\\d+) : (\\d+)$/.exec(t) || [0, 4 / 3];",
            "const[x,y]= /^(\\d+) : (\\d+)$/.exec(t)||[0,4/3];",
        ),
        ("for (const a of b) a?.c();\nconst { d } = { ...e };", "for(const a of b)a?.c();const{d}={...e};"),
        ("return typeof a === 'b' ? new C() : async () => await d;", "return typeof a==='b'?new C():async()=>await d;"),
        ("f('it\\'s', \"a  = b\", `b`);", "f('it\\'s',\"a  = b\",`b`);"),
    ],
)
def test_javascript_means_what_it_meant(text: str, left: str) -> None:
    assert slim_js(text) == left


def test_style_sheets_keep_the_spaces_that_mean_something() -> None:
    text = ".a > .b,\n.a .c {\n  margin: 0 auto;\n  width: calc(1px + 2px);\n}\n@media (x: y) { .d { color: red; } }\n"
    slimmed = ".a>.b,.a .c{margin:0 auto;width:calc(1px + 2px)}@media (x:y){.d{color:red}}"
    assert slim_css(text) == slimmed


@pytest.mark.parametrize("name", ["loading.js", "copying.js"])
def test_our_own_scripts_come_on_one_line_without_comments(name: str) -> None:
    assert "\n" not in slim(name)
    assert "// " not in slim(name)
    assert slim(name).endswith("export default{render};")
