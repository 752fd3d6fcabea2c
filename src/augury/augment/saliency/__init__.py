"""Which pixels a network's decision hangs on, and boxes chosen by it."""
