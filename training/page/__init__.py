"""Results beside the papers': claims, tables, plots and the HTML page."""
