"""Comparing arms of a trial honestly: pure functions of held-out losses, no torch and no files.

The path: `measurements` (bits and bytes, checked) -> `components` (an estimate and where its
variance comes from) -> `intervals` (half-widths, p-values) -> `family` (Holm over arms and corpora)
-> `verdicts` (better, worse, equivalent, cannot tell). Beside it: `forecast` (power before
training), `spending` (looks at growing seed counts), `selftests`, `transfer`.

The model. With d a held-out document and s a paired seed, an arm's difference from the base in
bits per byte is mu + seed_s + document_d + rest_sd, all random: the nulls tested and the intervals
given are about *new seeds and new documents of the same corpora*, not about these documents alone.
The held-out set of each corpus is taken as a simple random sample of it.
"""
