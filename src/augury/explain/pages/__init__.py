"""Pages: what was measured, drawn and told, as one self-contained HTML file."""
