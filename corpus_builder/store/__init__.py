"""How data lies on disk: schemas, atomic writes, manifests, readers, errors."""
