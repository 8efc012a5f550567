"""The exporter of notebooks as pages that fetch nothing. It is loaded by nbconvert, and nowhere else in eventlab."""

from __future__ import annotations

from nbconvert.exporters import HTMLExporter
from traitlets import default

_PAGE = """
{%- extends 'index.html.j2' -%}
{%- block html_head_js_requirejs -%}{%- endblock -%}
{%- block html_head_js_mathjax -%}{%- endblock -%}
{%- block html_head_js_mermaidjs -%}{%- endblock -%}
{%- block jupyter_widgets -%}{%- endblock -%}
{% block data_svg scoped -%}
<div class="jp-RenderedSVG jp-OutputArea-output {{ extra_class }}" data-mime-type="image/svg+xml">
<img alt="{{ (output | get_metadata('alt', 'image/svg+xml') or 'chart') | escape_html }}"
    src="data:image/svg+xml;base64,{{ output.data['image/svg+xml'] | text_base64 | escape_html }}">
</div>
{%- endblock data_svg %}
"""


class PageExporter(HTMLExporter):
    """A notebook as one HTML file that fetches nothing: ``jupyter nbconvert --to eventlab``.

    It is nbconvert's own page without the scripts that this takes from elsewhere: no formulas in TeX, no Mermaid, no widgets, which
    have a static form.
    """

    export_from_notebook = "HTML without a network"

    @default("raw_template")
    def _page(self) -> str:
        return _PAGE
