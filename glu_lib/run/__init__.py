"""A run of a study: which cases are done, models prepared once, each case measured and recorded."""
