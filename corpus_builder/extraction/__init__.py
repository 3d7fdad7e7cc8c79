"""From the bytes of an HTML page to its main text: charset, caps, extractors, watched child.

Invariant: a page's outcome depends on the page, the options and the library versions alone.
"""
