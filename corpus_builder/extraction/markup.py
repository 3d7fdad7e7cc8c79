"""Facts of HTML that the nesting scan needs, from the HTML standard (sections 13.1.2 and 13.2).

Invariant: sets of lower-case element names, no behaviour.
"""

from __future__ import annotations


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


VOID = _names(
    "area base basefont bgsound br col embed frame hr image img input keygen link meta param "
    "source track wbr"
)
RAW_TEXT = _names("iframe noembed noframes script style textarea title xmp")
FORMATTING = _names("a b big code em font i nobr s small strike strong tt u")
HEADINGS = _names("h1 h2 h3 h4 h5 h6")
NEVER_OPEN = VOID | RAW_TEXT | {"html", "head", "body"}

FOREIGN_ROOTS = frozenset(("svg", "math"))
INTEGRATION_POINTS = _names("foreignobject desc title mi mo mn ms mtext annotation-xml")
LEAVES_FOREIGN = _names(
    "b big blockquote body br center code dd div dl dt em embed font h1 h2 h3 h4 h5 h6 head hr i "
    "img li listing menu meta nobr ol p pre ruby s small span strong strike sub sup table tt u ul "
    "var"
)

SPECIAL = INTEGRATION_POINTS | _names(
    "address applet article aside blockquote button caption center colgroup dd details dir div dl "
    "dt fieldset figcaption figure footer form frameset h1 h2 h3 h4 h5 h6 header hgroup li listing "
    "main marquee menu nav noscript object ol p plaintext pre search section select summary table "
    "tbody td template tfoot th thead tr ul"
)
CLOSES_P = _names(
    "address article aside blockquote center dd details dialog dir div dl dt fieldset figcaption "
    "figure footer form h1 h2 h3 h4 h5 h6 header hgroup hr li listing main menu nav ol p plaintext "
    "pre search section summary table ul xmp"
)

SCOPE = INTEGRATION_POINTS | _names("applet caption marquee object table td template th")
BUTTON_SCOPE = SCOPE | {"button"}
LIST_ITEM_STOPS = (SPECIAL - {"address", "div", "p"}) | SCOPE

TABLE_SECTIONS = _names("tbody thead tfoot")
TABLE_PARTS = TABLE_SECTIONS | {"caption", "colgroup", "tr", "td", "th"}
