"""One module per format of histories. Each has `read(path, ...) -> History` and raises only HistoryError."""
