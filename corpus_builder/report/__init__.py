"""What a run came to, for people and for machines: funnels, tables, single documents."""
