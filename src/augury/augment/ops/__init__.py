"""One operation per file, which registers a factory: its keyword options are fixed, the parameters of its Op are drawn."""
