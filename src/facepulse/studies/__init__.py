"""Studies: networks trained and judged alike, what they cost and where they look, beside what was published."""
