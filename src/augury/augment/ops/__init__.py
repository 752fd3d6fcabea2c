"""One operation per file. A file registers a factory: its keyword options are fixed, the parameters of its Op are drawn."""
