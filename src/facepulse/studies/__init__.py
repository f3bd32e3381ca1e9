"""Studies: networks trained and tested under equal conditions, their costs and attention, beside published figures."""
