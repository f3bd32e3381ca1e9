"""HTML pages of reports: they parse, load nothing, escape text and draw in the page's text colour."""

from matplotlib.axes import Axes

from facepulse.evaluation.html import INK, definitions, figure, page, table
from parsed_page import Page

EVIL = "<b>x</b>&\"'$^_$"


def draw(axes: Axes) -> None:
    axes.plot([1, 2, 3], [2, 1, 3], "o-", label="a line")
    axes.set(xlabel="across", ylabel="up")
    axes.legend()


def test_page_holds_its_sections_in_order_and_loads_nothing() -> None:
    text = page(
        "Title", ["<h1>First</h1>", "", definitions({"protocol": "toolbox"}), table(["a"], [["1"]]), figure(draw, "c")]
    )
    parsed = Page(text)
    assert [tag for tag in parsed.tags if tag in {"h1", "dl", "table", "figure"}] == ["h1", "dl", "table", "figure"]
    for name, value in parsed.attributes:
        if name in {"href", "src", "xlink:href", "srcset", "action", "data"}:
            assert value.startswith("#"), (name, value)
        elif not name.startswith("xmlns"):
            assert "//" not in (value or ""), (name, value)
    assert not {"script", "link", "iframe", "object", "img", "image"} & set(parsed.tags)
    assert "@import" not in text
    assert "url(http" not in text
    assert "prefers-color-scheme: dark" in text


def test_text_is_escaped() -> None:
    parsed = Page(page(EVIL, [definitions({EVIL: EVIL}), table([EVIL], [[EVIL, EVIL]]), figure(draw, EVIL)]))
    assert "b" not in parsed.tags
    assert parsed.text.count(EVIL) == 7, "title, two of a definition, three of a table and a caption"
    assert ("aria-label", EVIL) in parsed.attributes


def test_every_mark_that_a_figure_refers_to_exists() -> None:
    parsed = Page(figure(draw, "caption"))
    ids = {value for name, value in parsed.attributes if name == "id"}
    references = {value[1:] for name, value in parsed.attributes if name == "xlink:href"}
    references |= {value[5:-1] for name, value in parsed.attributes if name == "clip-path"}
    assert references
    assert references <= ids


def test_figures_use_the_text_colour_of_the_page_and_are_reproducible() -> None:
    text = figure(draw, "caption")
    assert INK not in text
    assert "currentColor" in text
    assert "across" in Page(text).text, "text is not converted to paths"
    assert figure(draw, "caption") == text
