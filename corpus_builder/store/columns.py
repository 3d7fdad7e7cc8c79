"""Names of columns that a recipe must know of, without loading what reads and writes them."""

BASE_COLUMNS = (
    "doc_id", "text", "url", "source_id", "title", "date", "file", "position", "ordinal",
)  # fmt: skip
"""Of every base table; `stages.read.BASE_SCHEMA` has their types."""
