"""Reports with their text, tables and figures, each as one self-contained HTML page."""
