"""The annotator's page: queries as cards, one key an answer, everything said is kept.

A small web server (Starlette) and a page of plain HTML, CSS and JavaScript. It knows no store: what it needs of one
is `stream_al.annotate.board`, which `connectors.sqlite` implements.
"""
